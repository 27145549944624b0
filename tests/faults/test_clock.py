"""A worker whose clock jumps, years back and forth, while its task runs."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from airflow_segmentation.sweeps.table import read_sweep

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"

# The operator alone in a process of its own, whose clock jumps before each step that it may report.
SWEEP = """
import itertools, os, sys
from pathlib import Path
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
from airflow_segmentation.operators import KMeansSweepOperator, kmeans_sweep
kmeans_sweep.PACE_SECONDS = 0.001
jumps = itertools.cycle(["-9000d", "+9000d", "-1d"])
report = kmeans_sweep._Reporter.__call__
def jump(self, progress):
    if "FAKETIME_TIMESTAMP_FILE" in os.environ:
        Path(os.environ["FAKETIME_TIMESTAMP_FILE"]).write_text(next(jumps))
    report(self, progress)
kmeans_sweep._Reporter.__call__ = jump
def push(key, value):
    print(value["done"], value["updated_at"][:4], flush=True)
ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, xcom_push=push)
KMeansSweepOperator(task_id="t", data=sys.argv[2], k_max=25).execute({"ti": ti})
"""


@pytest.fixture
def jumping(tmp_path: Path) -> dict[str, str]:
    """What makes the clock of a process jump: libfaketime. The monotonic clock runs on, as it does really."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if library is None:
        pytest.skip("needs libfaketime (Debian: apt-get install libfaketime)")
    (tmp_path / "clock").write_text("+0d")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = np.random.default_rng(0).normal(size=(30_000, 3))
    pd.DataFrame(rows, columns=list("abc")).to_parquet(tmp_path / "data.parquet")
    return tmp_path / "data.parquet"


def sweep(
    data: Path, storage: str, clock: dict[str, str], reports: int | None = None
) -> list[tuple[int, int]]:
    """Sweep, or kill the sweep after so many reports; return the steps done and the year that each tells."""
    environment = os.environ | clock | {"AIRFLOW__SEGMENTATION__STORAGE_PATH": str(data.parent / storage)}
    command = [sys.executable, "-c", SWEEP, str(PLUGINS), str(data)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = (line.split() for line in process.stdout)
        told = ((int(line[0]), int(line[1])) for line in lines if line[0].isdigit())
        reported = list(itertools.islice(told, reports))
        if reports is not None:
            process.kill()
    assert process.returncode == (0 if reports is None else -signal.SIGKILL)
    return reported


def test_a_sweep_whose_clock_jumps_goes_on_after_a_kill_to_the_same_result(
    data: Path, jumping: dict[str, str]
) -> None:
    sweep(data, "undisturbed", {})

    first = sweep(data, "jumping", jumping, reports=6)
    second = sweep(data, "jumping", jumping)

    assert [done for done, _ in first] == list(range(1, 7)), "it reports at the pace of a clock that does not"
    assert len({year for _, year in first}) == 3, "its clock did jump"
    assert [done for done, _ in second][-1] == 25
    assert 7 <= second[0][0] <= 8, "it goes on from the last k that it saved"
    folders = [data.parent / storage / "d" / "r" / "t" for storage in ("undisturbed", "jumping")]
    assert [path.name for path in folders[1].iterdir()] == ["sweep.parquet"], "its state is gone"
    one, other = (read_sweep(str(folder / "sweep.parquet")) for folder in folders)
    assert one.inertias == other.inertias
    for a, b in zip(one.centers, other.centers, strict=True):
        assert np.array_equal(a, b)
