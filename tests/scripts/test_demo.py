from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from local_airflow import ROOT, free_port


@pytest.fixture
def port() -> int:
    return free_port()


@contextmanager
def demo(checkout: Path, port: int, *options: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A running demo, with its output in demo.log."""
    with (checkout / "demo.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, str(checkout / "scripts" / "demo.py"), "--port", str(port), *options],
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def output(checkout: Path) -> str:
    return (checkout / "demo.log").read_text()


def test_killed_while_it_makes_the_database_it_starts_anew(checkout, port, processes, wait_until):
    shutil.rmtree(checkout / ".demo", ignore_errors=True)
    database = checkout / ".demo" / "airflow.db"
    with demo(checkout, port) as process:
        wait_until(lambda: database.exists() and database.stat().st_size > 0)
        process.kill()
        wait_until(lambda: processes(checkout / ".demo") == [])
    with demo(checkout, port, "--once") as process:
        assert process.wait(timeout=240) == 0, output(checkout)
        assert processes(checkout / ".demo") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_stopped_while_it_starts_it_leaves_no_process(checkout, port, processes, wait_until, number):
    started = checkout / ".demo" / "logs" / "scheduler.log"
    started.unlink(missing_ok=True)
    with demo(checkout, port) as process:
        wait_until(started.exists)
        process.send_signal(number)
        process.wait(timeout=60)
        wait_until(lambda: processes(checkout / ".demo") == [])


def test_make_hands_its_signal_on(checkout, port, processes, wait_until):
    shutil.copy(ROOT / "Makefile", checkout)
    (checkout / ".venv").symlink_to(sys.prefix)
    started = checkout / ".demo" / "logs" / "scheduler.log"
    started.unlink(missing_ok=True)
    command = ["make", "demo", f"PORT={port}", "PYTHON=true"]  # true: as if .venv were complete
    with (checkout / "demo.log").open("w") as log:
        make = subprocess.Popen(command, cwd=checkout, stdout=log, stderr=log)
    wait_until(started.exists)
    make.terminate()
    make.wait(timeout=60)
    try:
        wait_until(lambda: processes(checkout / ".demo") + processes(checkout) == [])
    finally:
        for process in processes(checkout):
            process.kill()


def test_killed_in_a_run_it_leaves_nothing_that_confuses_the_next(checkout, port, processes, wait_until):
    home = checkout / ".demo"
    before = task_logs(home)
    with demo(checkout, port, DEMO_SWEEP="wait") as process:
        wait_until(lambda: task_logs(home) - before)
        process.kill()
        wait_until(lambda: processes(home) == [])
    with demo(checkout, port) as process:
        wait_until(lambda: "until Ctrl-C" in output(checkout) or process.poll() is not None)
        told = output(checkout)
        assert re.findall(r"(\w+) +success +\d+\.\d s", told) == ["sweep", "choose", "assign"], told
        assert "k = 7, SSE = 1234; the test customer belongs to segment 3" in told
        assert f"http://127.0.0.1:{port}/dags/customer_segmentation/runs/manual__" in told
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        assert processes(home) == []
    assert "Traceback" not in output(checkout)


def test_a_failed_run_ends_it_with_an_error(checkout, port, processes):
    with demo(checkout, port, "--once", DEMO_SWEEP="fail") as process:
        assert process.wait(timeout=240) == 1
    assert "ValueError: no customers" in output(checkout)
    assert "Traceback (most recent call last)" not in output(checkout)
    assert processes(checkout / ".demo") == []


def test_a_busy_port_is_one_line_with_the_cure(checkout, port, processes):
    with socket.create_server(("127.0.0.1", port)), demo(checkout, port) as process:
        assert process.wait(timeout=60) == 1
    cure = f"Port {port} is in use; choose another: make demo PORT=…\n"
    assert output(checkout) == f"Starting Airflow …\n{cure}"
    assert processes(checkout / ".demo") == []


def task_logs(home: Path) -> set[Path]:
    return set(home.glob("logs/dag_id=*/run_id=*/task_id=sweep/*.log"))
