"""What importing all operators adds to `from airflow.sdk import DAG`, which each parse of a Dag file pays.

Run as `.venv/bin/python benchmarks/imports.py`. Both are timed inside one fresh interpreter, so that what the
machine does at the time weighs on both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 15
LIMIT_MS = 50
CODE = """
import time
start = time.perf_counter()
from airflow.sdk import DAG
base = time.perf_counter()
from airflow_segmentation.operators import (
    CleanUpOperator, CsvLoadOperator, ElbowOperator, KMeansPredictOperator, KMeansSweepOperator,
    MinMaxPreprocessOperator,
)
print(1000 * (base - start), 1000 * (time.perf_counter() - base))
"""


def main() -> int:
    """Print the medians; return 1 where the operators add more than the limit."""
    plugins = Path(__file__).resolve().parents[1] / "plugins"
    figures = []
    with tempfile.TemporaryDirectory() as home:
        for _ in range(RUNS + 1):
            done = subprocess.run(
                [sys.executable, "-c", CODE],
                capture_output=True,
                text=True,
                check=True,
                env={"PYTHONPATH": str(plugins), "AIRFLOW_HOME": home},
            )
            figures.append([float(figure) for figure in done.stdout.split()[-2:]])
    base, added = (
        statistics.median(column) for column in zip(*figures[1:], strict=True)
    )  # the first one compiles
    print(
        f"from airflow.sdk import DAG: {base:.0f} ms; all operators add {added:.0f} ms (at most {LIMIT_MS})"
    )
    return int(added > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
