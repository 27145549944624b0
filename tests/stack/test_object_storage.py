"""Workers that share no directory: tables, data, model and logs lie in a bucket, and its secret stays one."""

from __future__ import annotations

import gc
import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from airflow_segmentation.model import load_model
from airflow_segmentation.report import REPORT_KEY, Report
from airflow_segmentation.storage import open_for_reading, written_whole
from local_airflow import HOST, ROOT
from made.stack import Stack
from moto.server import ThreadedMotoServer

DAG_ID = "customer_segmentation"
BUCKET, PREFIX, CONNECTION = "customers", "team/segments", "object_storage"
ROOT_URI = f"s3://{CONNECTION}@{BUCKET}/{PREFIX}"
SECRET = secrets.token_urlsafe(30)
WORKERS = ("airflow-worker-1", "airflow-worker-2")
BIG = 60 << 20
"""Bytes that s3fs uploads in several parts."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3 server."""
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="module")
def s3(endpoint: str) -> Any:
    """A client of the S3 server, which has one bucket that keeps every version of every object."""
    keys = {"aws_access_key_id": "airflow", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=endpoint, **keys)
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return client


@pytest.fixture(scope="module")
def connection(endpoint: str) -> dict[str, str]:
    """The connection to the bucket, as Airflow's REST API takes it."""
    extra = json.dumps({"endpoint_url": endpoint, "region_name": "us-east-1"})
    return {"conn_type": "aws", "login": "airflow", "password": SECRET, "extra": extra}


@pytest.fixture
def connected(s3: Any, connection: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection in this process, too."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONNECTION.upper()}", json.dumps(connection))


@pytest.fixture(scope="module")
def up(stack: Stack, s3: Any, connection: dict[str, str]) -> Stack:
    """The stack with one setting changed, no volumes, the logs in the bucket, and the data uploaded."""
    for name in ("file.csv", "test.csv"):
        s3.upload_file(str(ROOT / "data" / name), BUCKET, f"{PREFIX}/data/{name}")
    stack.stop_airflow()
    stack.up(
        variables={"STORAGE_PATH": ROOT_URI},
        settings={
            "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
            "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": f"s3://{BUCKET}/{PREFIX}/logs",
            "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": CONNECTION,
        },
        volumes=False,
    )
    stack.request("POST", "/connections", {"connection_id": CONNECTION, **connection})
    return stack


@pytest.fixture(scope="module")
def run_id(up: Stack, run_dag: Callable[[Stack], str]) -> str:
    return run_dag(up)


def contents(s3: Any) -> dict[str, bytes]:
    """Return every object of the bucket."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}


@pytest.mark.parametrize("size", [10, BIG])
def test_a_file_appears_in_one_go_under_its_own_name_alone(s3: Any, connected: None, size: int):
    key = f"one/{size}"
    with written_whole(f"s3://{CONNECTION}@{BUCKET}/{key}") as file:
        file.write(bytes(size))
        assert key not in contents(s3)
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix="one/")
    assert [item["Key"] for item in versions["Versions"] if item["Key"] == key] == [key]
    assert "DeleteMarkers" not in versions, "nothing was written under another name and removed"
    with open_for_reading(f"s3://{CONNECTION}@{BUCKET}/{key}") as file:
        assert len(file.read()) == size


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("size", [10, BIG])
def test_of_a_file_that_fails_nothing_stays_and_the_old_one_does(s3: Any, connected: None, size: int):
    key = f"failed/{size}"
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"old")

    def fail() -> None:
        with written_whole(f"s3://{CONNECTION}@{BUCKET}/{key}") as file:
            file.write(bytes(size))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    gc.collect()
    assert contents(s3)[key] == b"old"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)


def test_tables_model_and_logs_go_to_the_bucket(up: Stack, run_id: str, s3: Any, connected: None):
    report = Report.from_json(up.xcom(DAG_ID, run_id, "choose", REPORT_KEY))
    assert (report.rows, report.rows_dropped) == (8949, 1)
    model = load_model(f"{ROOT_URI}/model/model.sav")
    assert len(model.centers) == report.k
    names = sorted(key.rpartition("/")[2] for key in contents(s3) if "/logs/" not in key and PREFIX in key)
    tables = ["scaled.parquet", "segments.parquet", "sweep.parquet", "table.parquet"]
    assert names == sorted(["file.csv", "test.csv", "model.sav", *tables])
    logs = [key for key in contents(s3) if f"{PREFIX}/logs/" in key]
    assert len(logs) == 5


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


def test_the_secret_is_in_no_log_xcom_report_or_table(up: Stack, run_id: str, s3: Any):
    written = {str(path): path.read_bytes() for path in (up.home / "containers").rglob("*.log")}
    written |= contents(s3)
    written["database"] = up.database_dump().encode()
    for task in ("load", "scale", "sweep", "choose", "assign"):
        path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task}"
        written[f"log of {task}"] = str(up.request("GET", f"{path}/logs/1")).encode()
        written[f"XComs of {task}"] = str(up.request("GET", f"{path}/xcomEntries")).encode()
    assert [name for name, content in written.items() if SECRET.encode() in content] == []
    named = [name for name, content in written.items() if CONNECTION.encode() in content]
    assert {"database", "log of sweep"} <= {*named}, "the search does find what is there"
