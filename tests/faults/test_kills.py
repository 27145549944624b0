"""SIGKILL at random moments of every task, and Airflow's retry after each."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
from airflow_segmentation.segments.model import load_model

TASKS = ("load", "scale", "sweep", "choose", "assign")
KILLS = 50
KILLS_OF_A_TASK = 2
"""As many as the example Dag has retries."""


def require_whole(runs: Any) -> None:
    """Fail unless everything that has its final name is complete."""
    for path in runs.files():
        if path.name.startswith(".") and path.suffix == ".partial":
            continue
        if path.suffix == ".parquet":
            pq.read_table(path)
        elif path.suffix == ".state":
            with np.load(path) as saved:
                dict(saved)
        else:
            assert path == runs.model, path
            load_model(str(path))


def test_every_run_ends_green_with_the_same_outcome_and_nothing_left_over(
    runs: Any, undisturbed: dict[str, Any]
) -> None:
    seed = int(os.environ.get("SEED") or time.time_ns())
    print(f"seed {seed}")
    chance = random.Random(seed)
    kills = Counter[str]()
    finished = 0
    while kills.total() < KILLS:
        run = runs.start(f"killed-{finished}")
        for task in TASKS:
            for _ in range(KILLS_OF_A_TASK):
                state = runs.try_task(run, task, kill_after=chance.random() * runs.cpu[task])
                require_whole(runs)
                if state == "success":
                    break  # it was faster this time, or killed with all its work done
                assert state == "up_for_retry"
                kills[task] += 1
            else:
                assert runs.try_task(run, task) == "success"
        assert runs.outcome(run) == undisturbed
        assert [path for path in runs.files() if path.suffix not in (".parquet", ".sav")] == []
        finished += 1

    assert set(kills) == set(TASKS)
    print(f"{kills.total()} of {kills.total()} kills survived, in {finished} runs: {dict(kills)}")


def test_a_kill_in_the_middle_of_writing_leaves_nothing_once_the_retry_is_done(
    runs: Any, undisturbed: dict[str, Any]
) -> None:
    """Random moments seldom meet the milliseconds in which a file is written: this waits for them."""

    def half_written() -> list[Path]:
        return list(runs.storage.rglob("*.partial"))

    def kill_while_it_writes(process: psutil.Process) -> None:
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if half_written():
                process.kill()
                return

    for number in range(10):  # on a busy machine a file may be there before anyone looks
        run = runs.start(f"half-written-{number}")
        if runs.try_task(run, "load", watch=kill_while_it_writes) == "up_for_retry":
            break
    assert len(half_written()) == 1
    require_whole(runs)

    runs.finish(run)
    assert half_written() == []
    assert runs.outcome(run) == undisturbed
