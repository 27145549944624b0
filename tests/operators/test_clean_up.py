from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest
from airflow.sdk import DAG
from airflow.sdk.io import attach
from airflow_segmentation.operators import (
    CleanUpOperator,
    CsvLoadOperator,
    ElbowOperator,
    KMeansPredictOperator,
    KMeansSweepOperator,
    MinMaxPreprocessOperator,
)
from airflow_segmentation.reports.report import REPORT_KEY, Report
from airflow_segmentation.storage.files import written_whole
from airflow_segmentation.storage.outputs import output_uri

DAY = 24 * 3600


def context(**changes: Any) -> Any:
    names = {"dag_id": "dag", "run_id": "now", "task_id": "task", "map_index": -1} | changes
    return {"ti": SimpleNamespace(**names)}


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty storage folder."""
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", str(tmp_path / "storage"))
    return tmp_path / "storage"


def write(name: str, days_old: float = 0, **task: Any) -> Path:
    """Write an output of a task instance, so many days ago."""
    path = Path(output_uri(context(**task), name))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"rows")
    os.utime(path, (time.time() - days_old * DAY,) * 2)
    return path


def clean_up(**arguments: Any) -> int:
    """Run the operator in the run "now" of the Dag "dag"."""
    return CleanUpOperator(task_id="clean_up", **arguments).execute(context(task_id="clean_up"))


def test_removes_what_a_run_needs_no_more_and_keeps_what_it_is_for(run_dag, customers, tmp_path):
    model = tmp_path / "model.sav"
    with DAG("tidy", schedule=None) as dag:
        load = CsvLoadOperator(task_id="load", path=str(customers), id_column="CUST_ID")
        scale = MinMaxPreprocessOperator(task_id="scale", data=load.output, features=["BALANCE", "PURCHASES"])
        sweep = KMeansSweepOperator(task_id="sweep", data=scale.output, k_max=9)
        choose = ElbowOperator(task_id="choose", sweep=sweep.output, model_path=str(model))
        assign = KMeansPredictOperator(
            task_id="assign", model_path=choose.output["model_path"], data=load.output
        )
        [choose, assign] >> CleanUpOperator(task_id="clean_up")
    run = run_dag(dag)

    assert set(run.states.values()) == {"success"}
    assert run.xcom("clean_up") == 3
    for task in ("load", "scale", "sweep"):
        assert not Path(run.xcom(task)).parent.exists()
    assert len(run.table("assign")) == 300
    assert model.exists()
    assert Report.from_json(run.xcom("choose", REPORT_KEY)).k == 3


def test_a_run_that_failed_keeps_its_tables(run_dag, customers, tmp_path):
    with DAG("untidy", schedule=None) as dag:
        load = CsvLoadOperator(task_id="load", path=str(customers), id_column="CUST_ID")
        scale = MinMaxPreprocessOperator(task_id="scale", data=load.output, features=["NO_SUCH"])
        scale >> CleanUpOperator(task_id="clean_up")
    run = run_dag(dag)

    assert run.states["clean_up"] == "upstream_failed"
    assert Path(run.xcom("load")).exists()


def test_removes_mapped_tables_states_and_what_killed_tries_left(storage):
    for name in ("sweep.parquet", "sweep.parquet.state", f".sweep.parquet.state.{'0' * 32}.partial"):
        write(name, map_index=3)
    write(f".table.parquet.{'f' * 32}.partial")
    assert clean_up() == 4
    assert list(storage.rglob("*")) == [storage / "dag"]


def test_removes_tables_that_are_folders_of_parts(storage):
    kept = write("segments.parquet/try-1/part-0.parquet")
    for name in ("scaled.parquet/_segmentation.json", "scaled.parquet/try-1/part-0.parquet"):
        write(name)
        write(name, map_index=3)
    write("table.parquet/try-2/_temporary/0/task/part-1.parquet")

    assert clean_up() == 5
    assert [path for path in storage.rglob("*") if path.is_file()] == [kept]
    assert not list(storage.rglob("scaled.parquet"))


def test_other_runs_are_left_unless_their_tables_are_old(storage):
    old, young = write("table.parquet", days_old=8, run_id="old"), write("table.parquet", 6, run_id="young")
    segments = write("segments.parquet", days_old=8, run_id="old")
    clean_up()
    assert old.exists()
    assert clean_up(older_than=timedelta(days=7)) == 1
    assert young.exists()
    assert segments.exists()
    assert not old.exists()


def test_a_clock_that_jumped_back_makes_nothing_old(storage):
    future = write("table.parquet", days_old=-400, run_id="other")
    assert clean_up(older_than=timedelta(seconds=1)) == 0
    assert future.exists()


def test_this_run_can_keep_its_own_so_that_the_elbow_task_can_be_cleared(storage):
    kept = write("sweep.parquet", days_old=9)
    assert clean_up(this_run=False, older_than=timedelta(days=7)) == 0
    assert kept.exists()


@pytest.mark.parametrize("name", ["table.parquet.bak", "my-table.parquet", "model.sav", "file.csv"])
def test_files_that_are_not_ours_stay(storage, name):
    path = write(name)
    assert clean_up() == 0
    assert path.exists()


def test_other_dags_and_files_at_odd_places_stay(storage):
    other = write("table.parquet", days_old=99, dag_id="other")
    odd = [storage / "dag" / "table.parquet", storage / "table.parquet"]
    odd.append(storage / "dag" / "now" / "a" / "b" / "c" / "table.parquet")
    for path in odd:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    clean_up(older_than=timedelta(days=1))
    assert all(path.exists() for path in [other, *odd])


@pytest.mark.parametrize("names", [{"dag_id": ".."}, {"dag_id": "../outside"}, {"run_id": "../../outside"}])
def test_no_name_leads_out_of_the_storage_folder(storage, names):
    outside = storage.parent / "outside" / "task" / "table.parquet"
    outside.parent.mkdir(parents=True)
    outside.write_bytes(b"")
    (storage / "dag").mkdir(parents=True)
    CleanUpOperator(task_id="x", older_than=timedelta(microseconds=1)).execute(context(**names))
    assert outside.exists()


@pytest.mark.parametrize("link", ["dag", "dag/now", "dag/now/task"])
def test_a_link_is_not_followed_out_of_the_storage_folder(storage, link):
    outside = storage.parent / "outside"
    for depth in ("now/task", "task", ""):
        (outside / depth).mkdir(parents=True, exist_ok=True)
        (outside / depth / "table.parquet").write_bytes(b"")
    (storage / link).parent.mkdir(parents=True)
    (storage / link).symlink_to(outside, target_is_directory=True)
    assert clean_up(older_than=timedelta(microseconds=1)) == 0
    assert len(list(outside.rglob("table.parquet"))) == 3


def test_an_object_store_is_cleaned_up_too(monkeypatch):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", "memory://bucket/prefix")
    attach("memory", fs=fsspec.filesystem("memory"))
    uris = [
        output_uri(context(**task), name)
        for name in ("sweep.parquet", "segments.parquet")
        for task in ({"run_id": "now"}, {"run_id": "other"}, {"dag_id": "other"})
    ]
    for uri in uris:
        with written_whole(uri) as file:
            file.write(b"rows")
    assert clean_up(older_than=timedelta(days=1)) == 1
    assert clean_up(older_than=timedelta(microseconds=1)) == 1
    left = [uri for uri in uris if fsspec.filesystem("memory").exists(uri)]
    assert left == [uri for uri in uris if "segments" in uri or "prefix/other" in uri]


def test_nothing_to_remove_is_no_error(storage):
    assert clean_up(older_than=timedelta(days=1)) == 0


def test_an_age_that_is_none_is_refused_when_the_dag_is_parsed():
    with pytest.raises(ValueError, match="should be longer than no time at all"):
        CleanUpOperator(task_id="clean_up", older_than=timedelta(0))
