"""A whole Airflow runs a Dag whose stores and options have secrets; none of them may be found afterwards."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from airflow_segmentation.reports.report import FAILURE_KEY, REPORT_KEY
from local_airflow import ROOT, Airflow, free_port
from made.lineage import events_in, lineage_in

DAG_ID = "secrets"
PASSWORD, TOKEN, LITERAL = "hunter2-of-the-vault", "t0ken-of-the-vault", "literal-s3cret"

DAG = """
import errno

from airflow.sdk import DAG, BaseHook
from airflow.sdk.io import attach
from fsspec.implementations.dirfs import DirFileSystem
from airflow_segmentation.operators import *


class Vault(DirFileSystem):
    # A bucket that opens with the connection's secrets, and tells them when it fails, as SDKs do.
    def _join(self, path):
        vault = BaseHook.get_connection("vault")
        secrets = f"{vault.password} {vault.extra_dejson['session_token']}"
        assert vault.password.startswith("hunter2")
        if path.startswith("denied"):
            raise PermissionError(f"Access Denied to {secrets}")
        if path.startswith("broken"):
            raise OSError(errno.EIO, f"No answer from https://me:{vault.password}@vault/?token={secrets}")
        return super()._join(path)


attach("s3", "vault", fs=Vault("@folder@", auto_mkdir=True))
with DAG("secrets", schedule=None, render_template_as_native_obj=True):
    load = CsvLoadOperator(task_id="load", path="s3://vault@bucket/customers.csv", id_column="CUST_ID")
    scale = MinMaxPreprocessOperator(task_id="scale", data=load.output, features=["BALANCE", "PURCHASES"])
    sweep = KMeansSweepOperator(task_id="sweep", data=scale.output, k_max=6)
    choose = ElbowOperator(task_id="choose", sweep=sweep.output, model_path="s3://vault@bucket/model.skops")
    KMeansPredictOperator(
        task_id="assign",
        model_path=choose.output["model_path"],
        model_digest=choose.output["model_digest"],
        data="s3://vault@bucket/customers.csv",
    )
    for name, arguments in {
        "denied": {"path": "s3://vault@denied/customers.csv"},
        "broken": {"path": "s3://vault@broken/customers.csv"},
        "rendered_password": {"path": "ftp://me:{{ conn.vault.password }}@host/customers.csv"},
        "rendered_options": {
            "path": "s3://vault@bucket/customers.csv",
            "read_csv_kwargs": {"storage_options": {"secret": "{{ conn.vault.password }}"}},
        },
        "password": {"path": "ftp://me:@literal@@host/customers.csv"},
        "token": {"path": "https://host/customers.csv?sig=@literal@"},
        "token_as_user": {"path": "https://@literal@@host/customers.csv"},
        "token_in_fragment": {"path": "https://host/customers.csv#access_token=@literal@"},
        "token_of_a_local_file": {"path": "/data/customers.csv?sig=@literal@"},
        "password_encoded": {"path": "ftp://me%3A@literal@@host/customers.csv"},
        "password_with_slash": {"path": "s3://me:/@literal@@bucket/customers.csv"},
        "password_and_line_break": {"path": "ftp://me:@literal@@host/\\n"},
        "options": {
            "path": "s3://vault@bucket/customers.csv",
            "read_csv_kwargs": {"storage_options": {"secret": "@literal@"}},
        },
        "unknown_option": {
            "path": "s3://vault@bucket/customers.csv",
            "read_csv_kwargs": {"password": "@literal@"},
        },
    }.items():
        CsvLoadOperator(task_id=name, **arguments)
    ElbowOperator(task_id="choose_token", sweep=sweep.output, model_path="s3://b/k?token=@literal@")
    KMeansPredictOperator(task_id="assign_token", model_path="s3://b/k?token=@literal@", data="s3://b/k")
"""


def opened(url: str, headers: dict[str, str] | None = None) -> str:
    """Return a page, read without a proxy, which has no business on this machine."""
    request = Request(url, headers=headers or {})
    with build_opener(ProxyHandler({})).open(request, timeout=60) as response:
        return response.read().decode()


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """An Airflow that has run the Dag."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "dags").mkdir()
    (folder / "store" / "bucket").mkdir(parents=True)
    shutil.copy(ROOT / "data" / "file.csv", folder / "store" / "bucket" / "customers.csv")
    text = DAG.replace("@folder@", str(folder / "store")).replace("@literal@", LITERAL)
    (folder / "dags" / "secrets.py").write_text(text)
    vault = {
        "conn_type": "aws",
        "login": "me",
        "password": PASSWORD,
        "extra": {"session_token": TOKEN, "endpoint_url": f"https://me:{PASSWORD}@vault"},
    }
    buckets = ", ".join(f"s3://vault@{bucket}" for bucket in ("bucket", "denied", "broken"))
    settings = {
        "AIRFLOW_CONN_VAULT": json.dumps(vault),
        "AIRFLOW__SEGMENTATION__ALLOWED_PATHS": buckets,
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(lineage_in(folder / "events")),
    }
    with Airflow(folder / "home", free_port(), dags=folder / "dags", settings=settings) as airflow:
        # Airflow 3.1 gives whoever asks a token, and wants to see it.
        token = json.loads(opened(f"{airflow.url}/auth/token"))["access_token"]
        airflow.headers["Authorization"] = f"Bearer {token}"
        airflow.wait_for_dag(DAG_ID)
        yield airflow


@pytest.fixture(scope="module")
def run_id(airflow: Airflow) -> str:
    run_id = airflow.trigger(DAG_ID)
    states = {task["task_id"]: task["state"] for task in airflow.follow(DAG_ID, run_id)}
    succeeded = {name for name, state in states.items() if state == "success"}
    assert succeeded == {"load", "scale", "sweep", "choose", "assign"}
    return run_id


def test_no_log_tells_a_secret(airflow: Airflow, run_id: str) -> None:
    logs = {path: path.read_text(errors="replace") for path in airflow.logs.rglob("*.log")}
    told = "\n".join(logs.values())
    assert "was given with a password or a token" in told
    assert "customers.csv could not be opened: No answer from https://me:***@vault/?token=*** ***" in told
    for secret in (PASSWORD, TOKEN, LITERAL):
        assert [str(path) for path, text in logs.items() if secret in text] == []


def test_no_table_of_the_metadata_database_holds_a_secret(airflow: Airflow, run_id: str) -> None:
    # What an author writes into the Dag file itself is there for whoever may read the Dag.
    # Rendered fields lie in `rtif_v2` from Airflow 3.4 on.
    of_the_file = {"dag_code", "serialized_dag", "rendered_task_instance_fields", "rtif_v2"}
    with sqlite3.connect(airflow.home / "airflow.db") as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert {"xcom", "xcom_v2"} & {*tables}, "Airflow 3.4 has another table"
        for table in tables:
            rows = repr(database.execute(f'SELECT * FROM "{table}"').fetchall())
            secrets = [PASSWORD, TOKEN] if table in of_the_file else [PASSWORD, TOKEN, LITERAL]
            assert [secret for secret in secrets if secret in rows] == [], table


def test_neither_the_report_nor_the_page_tells_a_secret(airflow: Airflow, run_id: str) -> None:
    report = airflow.xcom(DAG_ID, run_id, "choose", REPORT_KEY)
    assert report["model_uri"] == "s3://vault@bucket/model.skops"
    reasons = [airflow.xcom(DAG_ID, run_id, task, FAILURE_KEY) for task in ("denied", "password")]
    assert all("customers.csv" in reason["message"] for reason in reasons)
    texts = [json.dumps(record) for record in (report, *reasons)]
    query = urlencode({"dag_id": DAG_ID, "run_id": run_id})
    for page in ("", "run", "dag", "run/report.json", "run/charts.html", "run/sweep.csv"):
        texts.append(opened(f"{airflow.url}/pluginsv2/segmentation/{page}?{query}", airflow.headers))
    for secret in (PASSWORD, TOKEN, LITERAL):
        assert not any(secret in text for text in texts)


def test_no_event_of_lineage_tells_a_secret(airflow: Airflow, run_id: str) -> None:
    tasks = [task for task in airflow.tasks(DAG_ID, run_id) if task["state"] in ("success", "failed")]

    def whole() -> list[dict[str, Any]]:
        events = events_in(airflow.home.parent / "events")
        ended = {event["job"]["name"] for event in events if event["eventType"] in ("COMPLETE", "FAIL")}
        return events if {f"{DAG_ID}.{task['task_id']}" for task in tasks} <= ended else []

    events = airflow.until(whole, "There are no events of the ends of all tasks")
    read = {(each["namespace"], each["name"]) for event in events for each in event["inputs"]}
    assert ("s3://bucket", "customers.csv") in read
    for secret in (PASSWORD, TOKEN, LITERAL):
        told = {event["job"]["name"] for event in events if secret in json.dumps(event)}
        assert told == set(), secret


def test_no_file_of_the_run_holds_a_secret(airflow: Airflow, run_id: str) -> None:
    store = Path(airflow.home).parent / "store"
    written = [path for path in (airflow.home / "segmentation").rglob("*") if path.is_file()]
    assert len(written) >= 4
    for path in [*written, store / "bucket" / "model.skops"]:
        content = path.read_bytes()
        assert not any(secret.encode() in content for secret in (PASSWORD, TOKEN, LITERAL))
