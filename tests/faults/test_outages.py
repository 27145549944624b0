"""The metadata database or the storage away for ten seconds, odd clocks, backfills and cleared tasks."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.operators import kmeans_sweep
from airflow_segmentation.reports.report import REPORT_KEY, Report
from made.s3 import BUCKET, S3Server

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


BEFORE = {"scale": ("load",), "sweep": ("load", "scale"), "choose": ("load", "scale", "sweep")}
AFTER = {"scale": ("sweep", "choose", "assign"), "sweep": ("choose", "assign"), "choose": ("assign",)}


@pytest.fixture
def prefix(
    request: pytest.FixtureRequest, runs: Any, s3: Any, connected: None, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Where in the bucket the storage is, with the data in it; nothing else lies there."""
    prefix = request.node.callspec.id
    for name in ("file.csv", "test.csv"):
        s3.upload_file(str(runs.project / "data" / name), BUCKET, f"{prefix}/data/{name}")
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", f"s3://object_storage@{BUCKET}/{prefix}")
    return prefix


def be_patient(connection: dict[str, str], attempts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set how often a request to the object store is tried again; four times is the default."""
    extra = json.loads(connection["extra"]) | {"config_kwargs": {"retries": {"max_attempts": attempts}}}
    fields = {name: value for name, value in connection.items() if name != "connection_id"}
    monkeypatch.setenv("AIRFLOW_CONN_OBJECT_STORAGE", json.dumps(fields | {"extra": extra}))


@pytest.mark.parametrize(
    ("task", "attempts", "states"),
    [
        pytest.param("scale", 4, {"success", "up_for_retry"}, id="before-it-reads"),
        pytest.param("choose", 4, {"success", "up_for_retry"}, id="before-it-chooses"),
        pytest.param("sweep", 0, {"up_for_retry"}, id="in-a-sweep-that-gives-up"),
        pytest.param("sweep", 10, {"success"}, id="in-a-sweep-that-waits"),
    ],
)
def test_an_object_store_away_is_waited_for_or_survived_by_a_retry(
    runs: Any,
    undisturbed: dict[str, Any],
    s3_server: S3Server,
    s3: Any,
    connection: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    prefix: str,
    task: str,
    attempts: int,
    states: set[str],
) -> None:
    def keys() -> set[str]:
        found = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/").get("Contents", ())
        return {item["Key"].rpartition("/")[2] for item in found}

    def take_away(process: psutil.Process) -> None:
        while task == "sweep" and "sweep.parquet.state" not in keys():
            assert process.status() != psutil.STATUS_ZOMBIE, "it ended before there was a middle of it"
        s3_server.take_away()
        until_it_ends(process)
        s3_server.bring_back()

    be_patient(connection, attempts, monkeypatch)
    monkeypatch.setattr(kmeans_sweep, "PACE_SECONDS", 0)
    run = runs.start(f"object-store-away-{prefix}")
    runs.finish(run, BEFORE[task])
    capfd.readouterr()
    started = time.monotonic()

    state = runs.try_task(run, task, watch=take_away)

    told = capfd.readouterr()
    assert state in states
    assert state == "up_for_retry" or time.monotonic() > started + AWAY, "it was not there to be missed"
    assert ("Could not connect to the endpoint URL" in told.out) == (state == "up_for_retry")
    assert connection["password"] not in told.out + told.err
    retry_until_done(runs, run, task, state)
    assert ("going on from where it was" in capfd.readouterr().out) == (states == {"up_for_retry"})
    runs.finish(run, AFTER[task])
    assert runs.outcome(run) == undisturbed
    assert keys() == {
        *("file.csv", "test.csv", "table.parquet", "scaled.parquet", "sweep.parquet", "segments.parquet"),
        "model.sav",
    }
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)
    for version in s3.list_object_versions(Bucket=BUCKET, Prefix=f"{prefix}/")["Versions"]:
        if version["Key"].endswith(".parquet"):
            whole = s3.get_object(Bucket=BUCKET, Key=version["Key"], VersionId=version["VersionId"])
            pq.read_table(io.BytesIO(whole["Body"].read()))


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
