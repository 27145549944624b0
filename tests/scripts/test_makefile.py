from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from local_airflow import ROOT

MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="make is not installed")


def make(*arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    # Without what a make that runs these tests tells the makes below it.
    ours = ("PYTHON", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [str(MAKE), *arguments], cwd=ROOT, env=inherited | {"PATH": path}, capture_output=True, text=True
    )


def write_command(folder: Path, name: str, script: str) -> None:
    command = folder / name
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def test_takes_the_first_python_that_runs(tmp_path):
    write_command(tmp_path, "python3.13", "echo 'no such version' >&2; exit 127")  # a version manager's shim
    write_command(tmp_path, "python3.12", f"exec '{sys.executable}' \"$@\"")
    planned = make("-n", "lint", path=str(tmp_path))
    assert '"python3.12" scripts/environment.py test' in planned.stdout


def test_takes_the_python_that_is_named(tmp_path):
    assert '"mine" scripts/environment.py' in make("-n", "demo", "PYTHON=mine", path=str(tmp_path)).stdout


def test_without_any_python_says_what_to_install(tmp_path):
    failed = make("-n", "demo", path=str(tmp_path))
    assert failed.returncode != 0
    assert "No Python found; install Python 3.10 to 3.14" in failed.stderr


def test_an_old_python_is_one_line(tmp_path):
    pretend = "import runpy, sys; sys.version_info = (3, 9, 1); runpy.run_path('$1', run_name='__main__')"
    write_command(tmp_path, "old", f"exec '{sys.executable}' -c \"{pretend}\"")
    failed = make("--silent", "demo", "PYTHON=old", path=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert failed.returncode != 0
    assert failed.stderr.splitlines()[0].startswith("Python 3.9 is not supported; install Python 3.10 to ")


def test_help_lists_every_command():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    told = make("help", path=os.environ["PATH"]).stdout
    assert [line.split()[1] for line in told.splitlines()] == phony[1].split()
