"""The lesson, done by a student who types what it says, in a fresh clone: docs/lesson.md, block by block."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from local_airflow import Airflow, free_port
from made.compose import read_services

ROOT = Path(__file__).resolve().parents[2]
LESSON = (ROOT / "docs" / "lesson.md").read_text()
CLONE = ("dags", "data", "docs", "plugins", "scripts", "Makefile", "docker-compose.yaml")
PATIENCE = 240.0


class Block(NamedTuple):
    """A fenced block: its language and what is in it."""

    language: str
    text: str

    @property
    def needs_docker(self) -> bool:
        return "docker compose" in self.text


def blocks() -> list[Block]:
    found = re.findall(r"^```(\w+)\n(.*?)^```$", LESSON, re.DOTALL | re.MULTILINE)
    assert len(found) == LESSON.count("\n```") / 2, "a fence without a language or an end"
    return [Block(*one) for one in found]


class Student:
    """Who has two terminals open in a clone, and types into them."""

    def __init__(self, clone: Path, port: int) -> None:
        self.clone = clone
        self.exports: list[str] = []
        self.told = ""
        """What the last block printed, and what the tasks logged that it started."""
        self._port = str(port)
        self._airflow = Airflow(clone / ".demo", port)
        self._demo: subprocess.Popen[bytes] | None = None
        self._read: dict[Path, int] = {}
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "MAKE"))}
        self._environment = ours | {"PORT": self._port, "PYTHON": "true"}  # true: as if .venv were complete

    def do(self, block: Block) -> None:
        """Do what a block says, and wait until no run is going on."""
        if block.text.startswith("# dags/"):
            (self.clone / block.text.split()[1]).write_text(block.text)
        elif block.text == "make demo\n":
            self._start_demo()
        elif block.text.startswith("export "):
            self.exports.append(block.text.replace(":8080/", f":{self._port}/"))
        else:
            self.told = self._printed(block)
            self._wait_for_runs()
            self.told += self._logged()

    def stop(self) -> None:
        """Press Ctrl-C in the first terminal."""
        if self._demo is not None:
            os.killpg(self._demo.pid, signal.SIGINT)
            self._demo.wait(timeout=60)

    def _start_demo(self) -> None:
        log = self.clone / "demo.log"
        with log.open("w") as file:
            demo = self._demo = subprocess.Popen(
                ["make", "demo"],
                cwd=self.clone,
                env=self._environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self._until(lambda: "until Ctrl-C" in log.read_text() or demo.poll() is not None)
        self.told = log.read_text()
        self._logged()

    def _printed(self, block: Block) -> str:
        exports = "".join(self.exports)
        if block.language == "python":
            (self.clone / "try.py").write_text(block.text)
            script = f"{exports}\npython try.py"
        else:
            script = f"{exports}\n{block.text}"
        done = subprocess.run(
            ["bash", "-ec", script],
            cwd=self.clone,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{block.text}\n{done.stdout}"
        return done.stdout

    def _wait_for_runs(self) -> None:
        self._until(
            lambda: (
                not self._airflow.request("GET", "/dags/~/dagRuns", state=["queued", "running"])["dag_runs"]
            )
        )

    def _logged(self) -> str:
        """Return what tasks logged since this was asked last, as the page of a task shows it."""
        told = []
        for path in sorted((self.clone / ".demo" / "logs").glob("dag_id=*/**/*.log")):
            lines = path.read_text().splitlines()
            for line in lines[self._read.get(path, 0) :]:
                record = json.loads(line)
                told.append(str(record["event"]))
                told += [f"{one['exc_type']}: {one['exc_value']}" for one in record.get("error_detail", ())]
            self._read[path] = len(lines)
        return "\n".join(told)

    def _until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "still not so"
            time.sleep(0.1)


@pytest.fixture
def student(tmp_path: Path) -> Iterator[Student]:
    for command in ("make", "bash", "curl"):
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")
    clone = tmp_path / "clone"
    clone.mkdir()
    for name in CLONE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, clone / name)
    (clone / ".venv").symlink_to(sys.prefix)
    student = Student(clone, free_port())
    try:
        yield student
    finally:
        student.stop()


def missing(expected: str, told: str) -> list[str]:
    """Return the lines of a block that were not told; `…` stands for anything within a line."""
    return [
        line
        for line in expected.splitlines()
        if not re.search(".*".join(re.escape(part.strip()) for part in line.split("…")), told)
    ]


def test_what_it_says_is_what_happens(student: Student):
    wrong = []
    for block in blocks():
        if block.language == "text":
            lines = missing(block.text, student.told)
            wrong += [f"{line!r} is not in:\n{student.told}" for line in lines]
        elif not block.needs_docker:
            student.do(block)
    assert not wrong, "\n\n".join(wrong)


def test_its_commands_of_compose_name_what_is_there():
    services = read_services(ROOT / "docker-compose.yaml", {})
    lines = [line for block in blocks() if block.needs_docker for line in block.text.splitlines()]
    assert lines
    for line in lines:
        variables, _, words = line.partition("docker compose ")
        command, *options = shlex.split(words)
        assert variables in ("", "PORT=8081 ")
        assert command in ("up", "ps", "logs", "down")
        scaled = [options[index + 1].split("=")[0] for index, word in enumerate(options) if word == "--scale"]
        named = [word for word in options if not word.startswith("--") and "=" not in word]
        assert {*scaled, *named} <= services.keys(), line


def test_it_has_the_seven_goals_in_order():
    goals = re.findall(r"^## (\d)\. (.+)$", LESSON, re.MULTILINE)
    assert [number for number, _ in goals] == list("1234567")
    recalled = re.findall(r"^\| (.+?) \|", LESSON.partition("## What you have seen")[2], re.MULTILINE)
    assert [goal.lower() for _, goal in goals] == [
        goal.lower() for goal in recalled if goal not in ("goal", "---")
    ]
