"""Workers that share no directory: all lies in a bucket, XComs too, and its secret stays one."""

from __future__ import annotations

import io
import json
import re
from contextlib import closing, suppress
from typing import Any

import numpy as np
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.clustering import ArrayRows, sweep_table
from airflow_segmentation.reports.report import PROGRESS_KEY, REPORT_KEY, Report
from airflow_segmentation.segments.model import load_model
from airflow_segmentation.sweeps.table import read_sweep
from local_airflow import ROOT, AirflowError
from made.s3 import BUCKET
from made.stack import Stack
from psycopg2.extras import RealDictCursor

DAG_ID = "customer_segmentation"
TASKS = ("load", "scale", "sweep", "choose", "assign", "assign_all")
PREFIX = "team/segments"
ROOT_URI = f"s3://object_storage@{BUCKET}/{PREFIX}"
XCOM_BACKEND = "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend"
WORKERS = ("airflow-worker-1", "airflow-worker-2")

RANGES = [(1, 30), (28, 50)]
FEATURES = [f"feature_{number}" for number in range(16)]
MANY = f"{ROOT_URI}/data/many.parquet"
LONG_DAG = f"""
import datetime as dt
from airflow.sdk import DAG
from airflow_segmentation.operators import ElbowOperator, KMeansSweepOperator

RANGES = [{{"k_min": k_min, "k_max": k_max}} for k_min, k_max in {RANGES}]
with DAG("long_sweeps", schedule=None, default_args={{"retries": 2, "retry_delay": dt.timedelta(seconds=1)}}):
    sweep = KMeansSweepOperator.partial(task_id="sweep", data="{MANY}").expand_kwargs(RANGES)
    ElbowOperator(task_id="choose", sweep=sweep.output, model_path="{ROOT_URI}/model/long.sav")
"""
"""Each sweep takes seconds, so that there is a middle of it."""

WAREHOUSE = "warehouse_segmentation"
CUSTOMERS = 2000
MADE = f"""
CREATE TABLE customers AS SELECT
    id::bigint AS customer_id,
    CASE WHEN id % 7 > 0 THEN 'Land ' || id % 50 END AS country,
    CASE WHEN id % 5 > 0 THEN id % 2 = 0 END AS member,
    (1000 * (id % 3 / 2) + (id * 7919 % 1000) / 100.0)::numeric(12, 2) AS balance,
    CASE WHEN id % 4 > 0 THEN 100 * (id % 3 % 2) + id % 5 END AS visits,
    CASE WHEN id % 9 > 0 THEN timestamptz '2026-03-14 09:26:53.589793+00' + id * interval '1 hour' END AS seen
FROM generate_series(1, {CUSTOMERS}) AS id
"""
"""Three groups; one part of the table has no visits at all."""


@pytest.fixture(scope="module")
def up(stack: Stack, s3: Any, connection: dict[str, str]) -> Stack:
    """The stack with one setting changed, no volumes, the logs in the bucket, and the data uploaded."""
    for name in ("file.csv", "test.csv"):
        s3.upload_file(str(ROOT / "data" / name), BUCKET, f"{PREFIX}/data/{name}")
    s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/data/many.parquet", Body=many_customers())
    (stack.dags / "long_sweeps.py").write_text(LONG_DAG)
    (stack.dags / "warehouse.py").write_text(warehouse_dag())
    stack.up(
        variables={"STORAGE_PATH": ROOT_URI},
        settings={
            # One task at a time on each worker, and seconds, not minutes, until a silent one counts as lost.
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "1",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            "AIRFLOW__CORE__XCOM_BACKEND": XCOM_BACKEND,
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"{ROOT_URI}/xcoms",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "0",
            "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
            "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": f"s3://{BUCKET}/{PREFIX}/logs",
            "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "object_storage",
        },
        volumes=False,
    )
    stack.request("POST", "/connections", connection)
    return stack


@pytest.fixture(scope="module")
def run_id(up: Stack) -> str:
    return up.run_on_every_worker(DAG_ID)


def many_customers() -> bytes:
    """Return a Parquet table of 60,000 rows."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(60_000, len(FEATURES))) + 3 * random.integers(0, 6, size=(60_000, 1))
    file = io.BytesIO()
    pq.write_table(pa.table(dict(zip(FEATURES, rows.T, strict=True))), file)
    return file.getvalue()


def warehouse_dag() -> str:
    """Return the example of docs/production.md, with this bucket for its own."""
    told = (ROOT / "docs" / "production.md").read_text()
    examples = re.findall(r"^```python\n(.+?)^```$", told, re.DOTALL | re.MULTILINE)
    [example] = [each for each in examples if WAREHOUSE in each]
    return example.replace("BUCKET", BUCKET).replace("segments/", f"{PREFIX}/")


def ask(up: Stack, database: str, statement: str) -> list[dict[str, Any]]:
    """Run a statement in a database of the stack's server, and return the rows that it gives."""
    at = up.connection_to(database)
    login = {"host": at["host"], "port": at["port"], "user": at["login"], "password": at["password"]}
    with closing(psycopg2.connect(**login, dbname=database, cursor_factory=RealDictCursor)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return [] if cursor.description is None else [dict(row) for row in cursor]


def contents(s3: Any) -> dict[str, bytes]:
    """Return every object of the bucket."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


def stored(s3: Any, uri: str) -> Any:
    """Return an XCom of which the database holds the URI."""
    return json.loads(contents(s3)[uri.partition(f"{BUCKET}/")[2]])


def test_tables_model_and_logs_go_to_the_bucket(up: Stack, run_id: str, s3: Any, connected: None):
    report = Report.from_json(up.xcom(DAG_ID, run_id, "choose", REPORT_KEY))
    assert (report.rows, report.rows_dropped) == (8949, 1)
    model = load_model(f"{ROOT_URI}/model/model.sav")
    assert len(model.assigner.centers) == report.k
    keys = contents(s3).keys()
    tables = {key.rpartition("/")[2] for key in keys if key.startswith(f"{PREFIX}/{DAG_ID}/")}
    assert tables == {"table.parquet", "scaled.parquet", "sweep.parquet", "segments.parquet"}

    def every_log_is_there() -> bool:
        logs = [key for key in contents(s3) if key.startswith(f"{PREFIX}/logs/dag_id={DAG_ID}/")]
        mine = [key for key in logs if f"/run_id={run_id}/" in key]
        return {task for task in TASKS if any(f"/task_id={task}/" in key for key in mine)} == {*TASKS}

    # A worker uploads a task's log after it has told how the task ended.
    up.until(every_log_is_there, "The log of every task should be in the bucket")


def test_the_page_shows_a_run_whose_xcoms_lie_in_the_bucket(up: Stack, run_id: str, s3: Any):
    report = Report.from_json(up.xcom(DAG_ID, run_id, "choose", REPORT_KEY))
    assert stored(s3, up.xcom(DAG_ID, run_id, "choose"))["k"] == report.k
    assert f'data-chosen-k="{report.k}"' in up.page("run", dag_id=DAG_ID, run_id=run_id)
    assert f"<strong>{report.k}</strong>" in up.page("")


def test_workers_share_no_directory(up: Stack, run_id: str):
    for worker in WORKERS:
        folder = up.containers[worker].folder
        assert "succeeded in" in up.containers[worker].log.read_text(), f"{worker} had nothing to do"
        assert [path for path in folder.rglob("*") if path.is_symlink()] == []
        kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
        assert not kinds & {".csv", ".parquet", ".sav"}


def test_logs_are_read_in_the_ui_wherever_the_worker_is(up: Stack, run_id: str):
    path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/sweep/logs/1"
    log = str(up.request("GET", path))
    assert "Swept k=1..49 over 8949 rows" in log
    assert f"s3://{BUCKET}" in log, "it comes from the bucket"


def test_the_secret_is_in_no_log_xcom_report_or_table(
    up: Stack, run_id: str, s3: Any, connection: dict[str, str]
):
    written = {str(path): path.read_bytes() for path in (up.home / "containers").rglob("*.log")}
    written |= contents(s3)
    written["database"] = up.database_dump().encode()
    for task in TASKS:
        path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task}"
        written[f"log of {task}"] = str(up.request("GET", f"{path}/logs/1")).encode()
        written[f"XComs of {task}"] = str(up.request("GET", f"{path}/xcomEntries")).encode()
    assert [name for name, content in written.items() if connection["password"].encode() in content] == []
    named = [name for name, content in written.items() if b"object_storage" in content]
    assert {"database", "log of sweep"} <= {*named}, "the search does find what is there"


def test_mapped_sweeps_run_on_both_workers_and_are_joined(up: Stack):
    done = {worker: up.containers[worker].log.read_text().count("succeeded in") for worker in WORKERS}
    run_id = up.run_dag("mapped_segmentation")
    report = Report.from_json(up.xcom("mapped_segmentation", run_id, "choose", REPORT_KEY))
    assert (report.k_min, report.k_max, len(report.curve)) == (1, 49, 49)
    assert 6 <= report.k <= 9
    for worker in WORKERS:
        assert up.containers[worker].log.read_text().count("succeeded in") > done[worker], worker


def test_a_table_of_a_warehouse_comes_in_as_it_is_and_is_segmented(up: Stack, s3: Any, connected: None):
    ask(up, "airflow", "CREATE DATABASE warehouse")
    ask(up, "warehouse", MADE)
    up.request("POST", "/connections", {"connection_id": "warehouse", **up.connection_to("warehouse")})
    run_id = up.run_dag(WAREHOUSE)

    parts = [
        pq.read_table(io.BytesIO(content))
        for key, content in contents(s3).items()
        if key.startswith(f"{PREFIX}/customers/{run_id}/")
    ]
    assert len(parts) == 4
    brought = pa.concat_tables(parts).sort_by("customer_id")  # which takes the same types
    kinds = ["int64", "string", "bool", "double", "double"]
    assert [str(kind) for kind in brought.schema.types[:5]] == kinds
    customers = ask(up, "warehouse", "SELECT * FROM customers ORDER BY customer_id")
    assert brought.to_pylist() == [each | {"balance": float(each["balance"])} for each in customers]

    report = Report.from_json(up.xcom(WAREHOUSE, run_id, "choose", REPORT_KEY))
    assert (report.k, report.rows, report.rows_dropped) == (3, CUSTOMERS * 3 // 4, CUSTOMERS // 4)
    segments = contents(s3)[stored(s3, up.xcom(WAREHOUSE, run_id, "assign")).partition(f"{BUCKET}/")[2]]
    assigned = pq.read_table(io.BytesIO(segments)).to_pylist()
    assert [row["customer_id"] for row in assigned if row["segment"] is None] == list(
        range(4, CUSTOMERS + 1, 4)
    )
    pairs = {(row["customer_id"] % 3, row["segment"]) for row in assigned if row["segment"] is not None}
    assert len(pairs) == 3, "each group is a segment"


def test_a_worker_killed_in_the_middle_of_a_sweep_loses_nothing(up: Stack, s3: Any, connected: None):
    def of_sweep(map_index: int, path: str) -> Any:
        whole = f"/dags/long_sweeps/dagRuns/{run_id}/taskInstances/sweep/{path}"
        return up.request("GET", whole, map_index=str(map_index))

    def both_have_saved_their_state() -> bool:
        with suppress(AirflowError):  # 404: nothing has been pushed yet
            return all(of_sweep(index, f"xcomEntries/{PROGRESS_KEY}") for index in (0, 1))
        return False

    up.wait_for_dag("long_sweeps")
    run_id = up.trigger("long_sweeps")
    up.until(both_have_saved_their_state, "The sweeps did not begin")
    up.kill("airflow-worker-1")
    up.expect_success("long_sweeps", run_id)

    sweeps = [task for task in up.tasks("long_sweeps", run_id) if task["task_id"] == "sweep"]
    tries = {task["map_index"]: task["try_number"] for task in sweeps}
    assert sorted(tries.values()) == [1, 2], "one of the two was lost, and tried again"
    [lost] = [index for index, number in tries.items() if number == 2]
    assert "An earlier try was interrupted; going on from where it was" in str(of_sweep(lost, "logs/2"))
    assert [key for key in contents(s3) if key.endswith(".state")] == []
    for index, (k_min, k_max) in enumerate(RANGES):
        rows = ArrayRows(pq.read_table(io.BytesIO(many_customers()), columns=FEATURES).to_pandas().to_numpy())
        undisturbed = sweep_table(rows, k_min=k_min, k_max=k_max, random_state=42, n_jobs=1)
        found = read_sweep(stored(s3, of_sweep(index, "xcomEntries/return_value")["value"]))
        assert found.inertias == pytest.approx(undisturbed.inertias.tolist(), rel=1e-9)
