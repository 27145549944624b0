"""The metadata database or the storage away for ten seconds, odd clocks, backfills and cleared tasks."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil
import pytest
from airflow_segmentation.report import REPORT_KEY, Report

AWAY = 10.0
"""Seconds of an outage, unless the task ends before."""


def until_it_ends(process: psutil.Process) -> None:
    """Return when a process ends, or when the outage is over."""
    with contextlib.suppress(psutil.TimeoutExpired):
        process.wait(AWAY)


def retry_until_done(runs: Any, run: str, task: str, state: str) -> None:
    assert state in ("success", "up_for_retry")
    if state != "success":
        assert runs.try_task(run, task) == "success"


@pytest.mark.parametrize("task", ["scale", "choose"])
def test_the_storage_away_is_a_fault_that_a_retry_survives(
    runs: Any, undisturbed: dict[str, Any], task: str
) -> None:
    run = runs.start(f"storage-away-{task}")
    before = {"scale": ("load",), "choose": ("load", "scale", "sweep")}[task]
    runs.finish(run, before)
    away = runs.storage.with_name("away")

    runs.storage.rename(away)
    state = runs.try_task(run, task)
    away.rename(runs.storage)

    assert state == "up_for_retry"
    after = {"scale": ("scale", "sweep", "choose", "assign"), "choose": ("choose", "assign")}[task]
    runs.finish(run, after)
    assert runs.outcome(run) == undisturbed


def test_the_database_away_is_waited_for_or_survived_by_a_retry(
    runs: Any, undisturbed: dict[str, Any], airflow_home: Path
) -> None:
    run = runs.start("database-away")
    runs.finish(run, ("load", "scale"))
    locked = []

    def lock(process: psutil.Process) -> None:
        with contextlib.closing(sqlite3.connect(airflow_home / "airflow.db", timeout=60)) as database:
            database.execute("BEGIN EXCLUSIVE")
            locked.append(True)
            until_it_ends(process)

    retry_until_done(runs, run, "sweep", runs.try_task(run, "sweep", watch=lock))

    assert locked
    runs.finish(run, ("choose", "assign"))
    assert runs.outcome(run) == undisturbed


@pytest.fixture(params=["Pacific/Kiritimati", "America/St_Johns"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker in another time zone than everyone else."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_workers_time_zone_changes_nothing(runs: Any, undisturbed: dict[str, Any], zone: None) -> None:
    before = datetime.now(timezone.utc).replace(microsecond=0)
    run = runs.start(f"zone-{os.environ['TZ'].replace('/', '-')}")
    runs.finish(run)
    report = Report.from_json(runs.xcom(run, "choose", REPORT_KEY))
    assert before <= datetime.fromisoformat(report.created_at or "") <= datetime.now(timezone.utc)
    assert runs.outcome(run) == undisturbed


def test_a_clock_that_jumped_back_stops_no_retry(runs: Any, undisturbed: dict[str, Any]) -> None:
    run = runs.start("clock")
    runs.finish(run, ("load", "scale"))
    for number, path in enumerate(sorted(runs.files())):
        year = 1971 if number % 2 else 2100
        os.utime(path, (datetime(year, 1, 1).timestamp(),) * 2)  # noqa: DTZ001
    assert runs.try_task(run, "sweep", kill_after=runs.cpu["sweep"] / 2) == "up_for_retry"
    runs.finish(run, ("sweep", "choose", "assign"))
    assert runs.outcome(run) == undisturbed


def test_a_backfill_runs_and_its_elbow_task_cleared_alone_works_on_the_kept_sweep(
    runs: Any, undisturbed: dict[str, Any]
) -> None:
    run = runs.start("backfill__2020", datetime(2020, 2, 29, tzinfo=timezone.utc), "backfill")
    runs.finish(run)
    assert runs.outcome(run) == undisturbed
    sweep = Path(runs.xcom(run, "sweep"))
    kept = sweep.stat()
    first = Report.from_json(runs.xcom(run, "choose", REPORT_KEY))
    runs.model.unlink()

    runs.clear(run, "choose")
    assert runs.state(run, "sweep") == "success"
    runs.finish(run, ("choose",))

    assert sweep.stat() == kept
    assert runs.outcome(run) == undisturbed
    assert Report.from_json(runs.xcom(run, "choose", REPORT_KEY)).sweep_uri == first.sweep_uri
    assert runs.model.exists()
