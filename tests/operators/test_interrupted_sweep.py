"""A sweep that is killed with SIGKILL goes on, when it is retried, from the last k it saved."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]

# The operator alone in a process of its own: what it would push is printed; state is saved after every step.
# After a given one it waits to be killed, so that it is not done by then.
SWEEP = """
import signal
import sys
sys.path.insert(0, sys.argv[1])
from types import SimpleNamespace
from airflow_segmentation.operators import KMeansSweepOperator, kmeans_sweep
kmeans_sweep.PACE_SECONDS = 0
ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)
def push(key, value):
    print(value["done"], flush=True)
    if value["done"] == int(sys.argv[3]):
        signal.pause()
ti.xcom_push = push
KMeansSweepOperator(task_id="t", data=sys.argv[2], k_max=25).execute({"ti": ti})
"""


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A function that starts the sweep of the same table with its own storage, up to a step if given."""
    started = []
    data = tmp_path / "data.parquet"
    pd.DataFrame(np.random.default_rng(0).normal(size=(30_000, 3)), columns=list("abc")).to_parquet(data)

    def start(storage: str, last: int = 0) -> tuple[subprocess.Popen[str], Path]:
        monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", str(tmp_path / storage))
        process = subprocess.Popen(
            [sys.executable, "-c", SWEEP, str(ROOT / "plugins"), str(data), str(last)],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, tmp_path / storage / "d" / "r" / "t" / "sweep.parquet"

    yield start
    for process in started:
        process.kill()
        process.wait()


def steps(process: subprocess.Popen[str]):
    """Yield the number of steps done, as the sweep tells it."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip().isdigit():
            yield int(line)


def test_goes_on_from_where_it_was_killed_to_the_same_bits(sweep):
    process, whole = sweep("whole")
    assert list(steps(process)) == list(range(1, 26))
    assert process.wait() == 0

    chance = random.Random(time.time_ns())
    done = 0
    for _ in range(3):
        process, resumed = sweep("resumed", last=done + 7)
        told = steps(process)
        first = next(told)
        assert done < first <= done + 2, "it goes on from the last step that was saved"
        done = first
        for _ in range(chance.randrange(1, 6)):
            done = next(told)
        process.send_signal(signal.SIGKILL)
        done = max([done, *told])
        assert process.wait() == -signal.SIGKILL
        assert not resumed.exists()
    process, resumed = sweep("resumed")
    assert next(steps(process)) > done - 1
    process.communicate()
    assert process.returncode == 0

    one, other = pd.read_parquet(whole), pd.read_parquet(resumed)
    for column in ("k", "sse"):
        assert one[column].tolist() == other[column].tolist()
    for a, b in zip(one["centers"], other["centers"], strict=True):
        assert np.array_equal(np.stack(a), np.stack(b))
    assert [item.name for item in resumed.parent.iterdir()] == ["sweep.parquet"], "its state is gone"
