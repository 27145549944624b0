"""Works in processes of their own: what each takes, and how they are compared."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "benchmarks" / "sweep.py"
"""What does a work that is named."""
RUNS = 3

Row = tuple[str, str, str, bool]
"""What was compared, what should be, what is, and whether that is enough."""


class Timed:
    """Wall and CPU seconds of the block."""

    def __enter__(self) -> Timed:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.figures = {
            "wall": time.perf_counter() - self._wall,
            "cpu": time.process_time() - self._cpu,
        }


def measured(folder: Path, work: str, *arguments: str, **environment: str) -> dict[str, Any]:
    """Do one work in a process of its own, and return its figures, peak memory in MB among them."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "--work", work, "--folder", str(folder), *arguments],
        # Empty, as where it is not set: without bytecode every process compiles what it imports again.
        env=os.environ
        | {"PYTHONDONTWRITEBYTECODE": "", "AIRFLOW__SEGMENTATION__ALLOWED_PATHS": "*"}
        | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(work, *arguments, f"{figures['wall']:.2f} s wall, {figures['cpu']:.2f} s CPU", file=sys.stderr)
    return figures


def median(runs: list[dict[str, Any]], figure: str) -> float:
    return statistics.median(run[figure] for run in runs)


def alternating(folder: Path, works: dict[str, tuple[str, ...]], runs: int = RUNS) -> dict[str, list[Any]]:
    """Do works in turns, so that whatever else the machine does falls on all of them."""
    results: dict[str, list[Any]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            results[name].append(measured(folder, *work))
    return results
