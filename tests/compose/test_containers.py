"""docker-compose.yaml and Dockerfile under Docker itself, by the commands of docs/production.md.

Unlike `tests/stack` this needs a Docker engine with Compose 2, the base images, and some minutes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request

import image_sbom
import pytest
import yaml
from airflow_segmentation.reports.report import REPORT_KEY, Report
from local_airflow import ROOT
from made.s3 import BUCKET, S3Server
from made.s3 import connection as connection
from made.s3 import s3 as s3
from made.stack import INIT, Stack

DAG_ID = "customer_segmentation"
IMAGE = "airflow-segmentation"
PROJECT = "segmentation-test"
CHECKOUT = (
    ".dockerignore",
    "Dockerfile",
    "constraints.txt",
    "docker-compose.yaml",
    "dags",
    "data",
    "plugins",
)
AWS = """#!/bin/sh
exec uv tool run --from awscli aws "$@"
"""
"""Amazon's own command, in an environment of its own: it needs another botocore than we do."""
NAP = """
import time
from airflow.sdk import DAG, task

with DAG("nap", schedule=None):
    task(task_id="nap")(lambda: time.sleep(20))()
"""


class Containers(Stack):
    """The services of docker-compose.yaml as containers, in a checkout of their own."""

    def start(self) -> None:
        for name in CHECKOUT:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self.home / name)
        (self.home / "model").mkdir()
        self.dags = self.home / "dags"
        (self.dags / "nap.py").write_text(NAP)
        told = (ROOT / "docs" / "production.md").read_text()
        [secrets] = re.findall(r"^\(umask .+?^END$", told, re.DOTALL | re.MULTILINE)
        [up] = re.findall(r"^docker compose up --build .*--scale.*$", told, re.MULTILINE)
        [self.to_bucket] = re.findall(r"^aws s3 cp .+?(?=^```$)", told, re.DOTALL | re.MULTILINE)
        self._started = datetime.now(timezone.utc)
        self.shell(secrets)
        self.shell(up)
        variables = dict(line.split("=", 1) for line in (self.home / ".env").read_text().splitlines())
        self.log_in(variables["AIRFLOW_USERNAME"], variables["AIRFLOW_PASSWORD"])

    def stop(self) -> None:
        self.shell("docker compose down --volumes")

    def shell(self, command: str, **environment: str) -> str:
        """Run a command of the shell in the checkout, and return what it printed."""
        names = {"COMPOSE_PROJECT_NAME": PROJECT, "COMPOSE_PROFILES": "flower,spark"}
        ports = {"PORT": str(self.port), "FLOWER_PORT": str(self._ports["flower"])}
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=self.home,
            env=os.environ | names | ports | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def status(self, path: str, headers: dict[str, str]) -> int:
        """Return the HTTP status of a page."""
        with self._opener.open(Request(self.url + path, headers=headers), timeout=60) as response:
            return response.status

    def _check(self) -> None:
        """Docker starts what ends."""


@pytest.fixture(scope="session")
def up() -> Iterator[Containers]:
    with tempfile.TemporaryDirectory(prefix="segmentation-compose-", ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o755)  # the containers run as other users
        containers = Containers(Path(home), workers=3)
        with containers:
            yield containers


@pytest.fixture(scope="session")
def s3_server(up: Containers) -> Iterator[S3Server]:
    """An S3 server on this machine, where containers and we reach it by the same address."""
    where = "{{(index .IPAM.Config 0).Gateway}}"
    gateway = up.shell(f"docker network inspect {PROJECT}_default --format '{where}'").strip()
    server = S3Server(gateway)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def run_id(up: Containers) -> str:
    return up.run_dag(DAG_ID)


def test_every_service_is_healthy_and_no_secret_is_one_that_everybody_knows(up: Containers):
    listed = [json.loads(line) for line in up.shell("docker compose ps --format json").splitlines()]
    running = {item["Name"].removeprefix(f"{PROJECT}-").rpartition("-")[0] for item in listed}
    assert running == {*yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]} - {INIT}
    assert {item["Health"] for item in listed} == {"healthy"}
    assert "WARNING: everybody knows" not in up.shell(f"docker compose logs {INIT}")


def test_tasks_run_on_every_worker_and_their_logs_are_read(up: Containers, run_id: str):
    hosts: set[str] = set()
    for _ in range(8):  # which worker takes a task is chance
        hosts |= {task["hostname"] for task in up.tasks(DAG_ID, up.run_dag(DAG_ID))}
        if len(hosts) == up.workers:
            break
    assert len(hosts) == up.workers
    path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/sweep/logs/1"
    assert "Swept k=1..49 over 8949 rows" in str(up.request("GET", path))
    assert (up.home / "model" / "model.sav").exists()


def test_the_page_shows_a_run_to_whom_is_logged_in(up: Containers, run_id: str):
    query = f"dag_id={DAG_ID}&run_id={run_id.replace('+', '%2B')}"
    assert up.status(f"/pluginsv2/segmentation/run?{query}", up.headers) == 200
    with pytest.raises(HTTPError, match="401"):
        up.status(f"/pluginsv2/segmentation/run?{query}", {})


def test_a_worker_that_is_stopped_lets_its_task_finish(up: Containers):
    up.wait_for_dag("nap")
    run_id = up.trigger("nap")
    [host] = up.until(
        lambda: [task["hostname"] for task in up.tasks("nap", run_id) if task["state"] == "running"],
        "The task did not start",
    )
    up.shell(f"docker stop {host}")
    up.expect_success("nap", run_id)
    assert [task["try_number"] for task in up.tasks("nap", run_id)] == [1]


def test_the_image_leaves_no_package_with_a_version_that_another_forbids():
    check = ["--entrypoint", "python", IMAGE, "-m", "pip", "check"]
    subprocess.run(["docker", "run", "--rm", *check], check=True)


def test_what_is_in_the_image_is_listed_with_its_digest(up: Containers, tmp_path: Path):
    image_sbom.main(str(tmp_path / "image.cdx.json"))

    listed = json.loads((tmp_path / "image.cdx.json").read_text())
    digest = listed["metadata"]["component"]["version"]
    freeze = ["--entrypoint", "python", digest, "-m", "pip", "list", "--format", "json"]
    installed = json.loads(subprocess.check_output(["docker", "run", "--rm", *freeze]))
    assert {"apache-airflow", "kneed", "pyspark-client"} <= {package["name"] for package in installed}
    assert sorted((each["name"], each["version"]) for each in listed["components"]) == sorted(
        (package["name"], package["version"]) for package in installed
    )


def test_the_image_alone_lets_any_user_of_group_0_write_the_model():
    touch = ["--user", "1234:0", "--entrypoint", "touch", IMAGE, "/opt/airflow/model/model.sav"]
    subprocess.run(["docker", "run", "--rm", *touch], check=True)


def test_with_one_setting_everything_goes_to_a_bucket(up: Containers, s3: Any, connection: dict[str, str]):
    up.request("POST", "/connections", connection)
    tools = up.home / "tools"
    tools.mkdir()
    (tools / "aws").write_text(AWS)
    (tools / "aws").chmod(0o755)
    model = up.home / "model" / "model.sav"
    model.unlink()

    up.shell(
        up.to_bucket.replace("BUCKET", BUCKET),
        PATH=f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        AWS_ENDPOINT_URL=json.loads(connection["extra"])["endpoint_url"],
        AWS_ACCESS_KEY_ID=connection["login"],
        AWS_SECRET_ACCESS_KEY=connection["password"],
        AWS_DEFAULT_REGION="us-east-1",
    )
    run_id = up.run_dag(DAG_ID)

    keys = {item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert {"segments/data/file.csv", "segments/model/model.sav"} <= keys
    tables = {key.rpartition("/")[2] for key in keys if key.startswith(f"segments/{DAG_ID}/")}
    assert tables == {"table.parquet", "scaled.parquet", "sweep.parquet", "segments.parquet"}
    assert not model.exists()
    report = Report.from_json(up.xcom(DAG_ID, run_id, "choose", REPORT_KEY))
    assert (report.rows, report.rows_dropped) == (8949, 1)
    query = f"dag_id={DAG_ID}&run_id={run_id.replace('+', '%2B')}"
    assert up.status(f"/pluginsv2/segmentation/run?{query}", up.headers) == 200
