"""`docker compose --profile spark up` with one setting: the Dag's rows are passed over on Spark."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest
from airflow_segmentation.reports.report import REPORT_KEY, Report
from made.stack import Stack

DAG_ID = "customer_segmentation"


@pytest.fixture(scope="module")
def up(stack: Stack) -> Stack:
    stack.up({"SPARK_CONN_ID": "spark"}, spark=True)
    return stack


def applications(up: Stack, path: str = "") -> Any:
    """Read the REST API of the Connect server's page."""
    url = f"{up.spark_ui}/api/v1/applications{path}"
    with build_opener(ProxyHandler({})).open(url, timeout=60) as response:
        return json.load(response)


def test_the_cluster_has_an_executor_for_each_worker(up: Stack):
    [application] = applications(up)
    executors = applications(up, f"/{application['id']}/executors")
    assert {executor["totalCores"] for executor in executors if executor["id"] != "driver"} == {1}


def test_the_dag_runs_on_it(up: Stack):
    [application] = applications(up)
    run_id = up.run_dag(DAG_ID)
    report = Report.from_json(up.xcom(DAG_ID, run_id, "choose", REPORT_KEY))
    assert (report.rows, report.rows_dropped) == (8949, 1)
    jobs = applications(up, f"/{application['id']}/jobs")
    assert jobs
    assert {job["status"] for job in jobs} == {"SUCCEEDED"}
