"""Run unit and route tests on versions of Airflow and Python: ``python scripts/matrix.py [3.1-py3.10 …]``.

Each combination has an environment of its own in .cache/matrix, and its tests a home and a folder for
temporary files, so that several run at the same time. What pytest said stands in a .log file beside it, and
what it said of a test that failed is printed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import environment

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".cache" / "matrix"
UV = environment.VENV / "bin" / "uv"

# Younger than these days: the first skops that refuses unsafe bit generators, which goes with any Airflow.
SKOPS = ["--exclude-newer-package", "skops=2026-11-01"]

AIRFLOWS = {
    # Of each the latest patch, with everything else as it was on the day that had brought the patch: what is
    # newer was never released for it (Airflow 3.2 fails on pydantic 2.14).
    "3.1": ["--exclude-newer", "2026-04-01", *SKOPS],
    "3.2": ["--exclude-newer", "2026-06-01", *SKOPS],
    # What `make` installs.
    "3.3": ["--constraint", str(ROOT / "constraints.txt")],
    # A beta, as long as there is no final one; no package that is not named here may be one.
    "3.4": [
        *("--exclude-newer", "2026-11-25"),
        *("apache-airflow>=3.4.0b2", "apache-airflow-core>=3.4.0b2", "apache-airflow-task-sdk>=1.4.0b2"),
    ],
}
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
NONE_SUCH = {("3.1", "3.14"), ("3.4", "3.10")}
"""Pythons that an Airflow does not know yet, or no more."""

ROOMS = ("clustering", "dags", "operators", "reports", "security", "segments", "storage", "sweeps", "www")
TESTS = [f"tests/{room}" for room in ROOMS]
TESTS += sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").glob("test_*.py"))
TESTS += sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "tables").glob("test_*.py"))
# Not the comparison with pandas: on Python 3.10 pyarrow looks through all memory for each of its tiny blocks.
TESTS += [f"tests/tables/csv_files/test_{name}.py" for name in ("layout", "loading", "quotes")]
# A browser looks at what the other tests read; in how good a sweep is, and in what memory it takes, neither
# Airflow nor Python has a part. What they measure is run by the tests of operators on every version.
LEFT_OUT = (
    *(f"tests/www/test_{name}.py" for name in ("in_browser", "looking_around", "looks")),
    *(f"tests/clustering/test_{name}.py" for name in ("battery", "stability", "structure")),
    "tests/operators/test_memory.py",
)
WITHOUT_AIRFLOW = (
    "tests/clustering",
    *(f"tests/reports/test_{name}.py" for name in ("describing", "drawing", "figures", "files")),
    *(f"tests/www/test_{name}.py" for name in ("history", "pages", "portraits", "rules", "words")),
)
"""Of what knows no Airflow, so that it is tested on the oldest and the newest Python alone."""


class Unavailable(Exception):
    """A Python that is neither here nor to be fetched."""


@dataclass(frozen=True)
class Cell:
    """One combination."""

    airflow: str
    python: str

    @property
    def name(self) -> str:
        """What it is called, such as 3.1-py3.10."""
        return f"{self.airflow}-py{self.python}"

    @property
    def left_out(self) -> list[str]:
        """The tests that tell nothing of it."""
        return [*LEFT_OUT, *(() if self.python in (PYTHONS[0], PYTHONS[-1]) else WITHOUT_AIRFLOW)]

    @property
    def tests(self) -> list[str]:
        """What is run on it: pytest takes what is named so even where it is to ignore it."""
        return [path for path in TESTS if not any(Path(path).is_relative_to(out) for out in self.left_out)]

    @property
    def executable(self) -> Path:
        """The Python of its environment."""
        return FOLDER / self.name / "bin" / "python"


def chosen(names: Iterable[str]) -> list[Cell]:
    """Return the combinations of these names; all where there are none.

    :raises environment.Problem: if there is no such combination.
    """
    pairs = [(airflow, python) for airflow in AIRFLOWS for python in PYTHONS]
    cells = {cell.name: cell for cell in (Cell(*pair) for pair in pairs if pair not in NONE_SUCH)}
    unknown = [name for name in names if name not in cells]
    if unknown:
        raise environment.Problem(f"ONLY={' '.join(unknown)} should be among {', '.join(cells)}")
    return [cells[name] for name in names] or list(cells.values())


@cache
def python(version: str) -> str:
    """Return a Python of this version: on the path, of pyenv, or fetched by uv.

    :raises Unavailable: if there is none.
    """
    # A version manager's shim can be there and fail, and uv does not look past it.
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in [f"python{version}", *map(str, kept)]:
        if environment.works(candidate):
            return candidate
    fetched = _output([UV, "python", "install", "--quiet", version])
    if fetched.returncode:
        why = " ".join(fetched.stdout.split())
        raise Unavailable(f"Python {version} is not here, and could not be fetched: {why}")
    return version


def install(cell: Cell) -> None:
    """Make the environment of a combination, or bring it up to date.

    :raises environment.Problem: if that fails.
    """
    if not environment.works(str(cell.executable)):
        _required([UV, "venv", "--quiet", "--clear", "--python", python(cell.python), FOLDER / cell.name])
    wanted = [f"apache-airflow=={cell.airflow}.*", *environment.requirements({"test"})]
    pins = AIRFLOWS[cell.airflow]
    _required([UV, "pip", "install", "--quiet", "--python", cell.executable, *pins, *wanted])


def run(cell: Cell) -> bool | None:
    """Install a combination, run the tests in it, and print one line about them.

    :returns: whether they passed; None where there is no such Python to run them on.
    """
    try:
        install(cell)
    except Unavailable as problem:
        print(f"{cell.name}: not run, since {problem}", flush=True)
        return None
    except environment.Problem as problem:
        print(f"{cell.name}: cannot be installed. {problem}", flush=True)
        return False
    command = [
        str(cell.executable),
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        *cell.tests,
        *(f"--ignore={path}" for path in cell.left_out),
    ]
    log = FOLDER / f"{cell.name}.log"
    with tempfile.TemporaryDirectory(prefix=f"{cell.name}-") as temporary, log.open("w") as output:
        Path(temporary).chmod(0o1777)  # as /tmp, for tests that give up their rights
        # What reads addresses is Airflow's in part, so some odd ones are tried on each.
        env = {"FUZZ_CASES": "200", **os.environ, "TMPDIR": temporary}
        tested = subprocess.run(command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)
    told = log.read_text().strip()
    versions = "from importlib.metadata import version as v; import platform as p; "
    versions += "print(f'Airflow {v(\"apache-airflow\")}, Python {p.python_version()}')"
    found = _required([cell.executable, "-c", versions])
    if tested.returncode:
        print(failures(told), flush=True)
    last = told.rpartition("\n")[2].strip("= ")
    print(f"{found}: {last}{f'; see {log}' if tested.returncode else ''}", flush=True)
    return tested.returncode == 0


def failures(told: str) -> str:
    """Return what pytest told of the tests that failed, or the end of it where it came to no test."""
    part = r"^=+ (?:ERRORS|FAILURES) =+$.*?(?=^=+ (?:warnings|short test) summary)"
    found = re.search(part, told, re.MULTILINE | re.DOTALL)
    return found[0].rstrip() if found else "\n".join(told.splitlines()[-50:-1])


def _output(command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    env = {"UV_CACHE_DIR": str(ROOT / ".cache" / "uv"), **os.environ}
    return subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _required(command: list[str | Path]) -> str:
    result = _output(command)
    if result.returncode:
        raise environment.problem(result.stdout)
    return result.stdout.strip()


def main(names: list[str]) -> int:
    """Run the combinations, as many at a time as there are cores; return 1 if one failed or none ran."""
    cells = chosen(names)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        passed = list(pool.map(run, cells))
    return 0 if True in passed and False not in passed else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except environment.Problem as error:
        sys.exit(str(error))
