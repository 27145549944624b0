"""Keep commands running for as long as standard input stays open, and leave no process of theirs behind.

``keeper.py LOGS '{"name": ["command", "argument"], …}'`` runs every command, its output in ``LOGS/name.log``.
When one of them ends, or standard input closes, or a signal comes, it ends the others with all their
descendants, prints the name of the one that ended first, if any, and exits with that one's exit status.

Whoever starts it holds the other end of its standard input. The kernel closes it whatever happens to the
holder, SIGKILL included, so nobody has to remember to clean up.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

GRACE = 3.0
"""Seconds that a command has to end by itself. An API server with an open browser never would."""
POLL = 0.1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def session_members() -> list[int]:
    """Return all other processes of this session, in whatever process group a descendant put itself."""
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if pid != os.getpid() and os.getsid(pid) == os.getsid(0) and not is_dead(pid):
                members.append(pid)
    return members


def is_dead(pid: int) -> bool:
    """Whether nothing is left of a process but its exit status."""
    return psutil.Process(pid).status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def send(number: int, pids: list[int]) -> None:
    """Send a signal to processes, some of which may be gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def end_all(processes: list[subprocess.Popen[bytes]]) -> None:
    """End the commands, then whatever else is left of the session; nothing interrupts that."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    send(signal.SIGTERM, [process.pid for process in processes if process.poll() is None])
    deadline = time.monotonic() + GRACE
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        time.sleep(POLL)
    while members := session_members():
        send(signal.SIGKILL, members)
        time.sleep(POLL)


def wait_for_end(processes: dict[str, subprocess.Popen[bytes]]) -> str | None:
    """Return the name of the first command that ends, or None when standard input closes."""
    while True:
        for name, process in processes.items():
            if process.poll() is not None:
                return name
        readable, _, _ = select.select([sys.stdin], [], [], POLL)
        if readable and not sys.stdin.read():
            return None


def keep(logs: Path, commands: dict[str, list[str]]) -> int:
    """Run the commands until one ends or standard input closes, and return the exit status."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    ended = None
    try:
        for name, command in commands.items():
            with (logs / f"{name}.log").open("wb") as log:
                processes[name] = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
                )
        ended = wait_for_end(processes)
    finally:
        end_all(list(processes.values()))
    if ended is None:
        return 0
    with contextlib.suppress(BrokenPipeError):
        print(ended, flush=True)
    return processes[ended].returncode


def _stop(*_: object) -> None:
    sys.exit(0)


if __name__ == "__main__":
    os.setsid()
    for number in SIGNALS:
        signal.signal(number, _stop)
    sys.exit(keep(Path(sys.argv[1]), json.loads(sys.argv[2])))
