from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from local_airflow import KEEPER

ENDLESS = "import time\nwhile True: time.sleep(60)"
STUBBORN = (
    f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\n{ENDLESS}"
)
"""Does not end when told to."""
PARENT = f"""
import os, subprocess, sys
subprocess.Popen([sys.executable, "-c", {ENDLESS!r}], preexec_fn=lambda: os.setpgid(0, 0))
{ENDLESS}
"""
"""Leaves a child behind, in a process group of the child's own."""


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def keeper(folder: Path, **programs: str) -> subprocess.Popen[str]:
    """A keeper of Python programs, whose processes work in this folder and can be told by that."""
    commands = json.dumps({name: python(program) for name, program in programs.items()})
    return subprocess.Popen(
        [sys.executable, str(KEEPER), str(folder), commands],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
        text=True,
    )


@pytest.mark.parametrize("how", ["close", signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_leaves_no_process_when_told_to_stop(tmp_path, processes, wait_until, how):
    with keeper(tmp_path, one=PARENT, two=ENDLESS) as kept:
        wait_until(lambda: len(processes(tmp_path)) == 4)
        if how == "close":
            kept.stdin.close()
        else:
            kept.send_signal(how)
        assert kept.wait(timeout=30) == 0
    assert processes(tmp_path) == []


def test_kills_what_does_not_end_by_itself(tmp_path, processes, wait_until):
    with keeper(tmp_path, one=STUBBORN) as kept:
        wait_until(lambda: (tmp_path / "one.log").exists() and (tmp_path / "one.log").read_text())
        kept.stdin.close()
        assert kept.wait(timeout=30) == 0
    assert processes(tmp_path) == []


def test_leaves_no_process_when_its_starter_is_killed(tmp_path, processes, wait_until):
    commands = json.dumps({"one": python(PARENT)})
    arguments = [sys.executable, str(KEEPER), ".", commands]
    start = f"import subprocess\nsubprocess.Popen({arguments!r}, stdin=subprocess.PIPE)\n{ENDLESS}"
    with subprocess.Popen(python(start), cwd=tmp_path) as starter:
        wait_until(lambda: len(processes(tmp_path)) == 4)
        starter.kill()
    wait_until(lambda: processes(tmp_path) == [])


def test_ends_the_others_when_one_ends_and_tells_which(tmp_path, processes):
    with keeper(tmp_path, one=PARENT, two="import sys; print('what happened'); sys.exit(3)") as kept:
        assert kept.wait(timeout=30) == 3
        assert kept.stdout.read() == "two\n"
    assert processes(tmp_path) == []
    assert (tmp_path / "two.log").read_text() == "what happened\n"


def test_a_command_that_cannot_start_leaves_no_process(tmp_path, processes):
    commands = json.dumps({"one": python(ENDLESS), "two": [str(tmp_path / "absent")]})
    arguments = [sys.executable, str(KEEPER), str(tmp_path), commands]
    failed = subprocess.run(arguments, cwd=tmp_path, stdin=subprocess.PIPE, capture_output=True, timeout=30)
    assert failed.returncode != 0
    assert processes(tmp_path) == []
