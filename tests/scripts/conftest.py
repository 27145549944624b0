"""A stand-in checkout with a Dag that takes no time, and ways to wait and to see which processes are left."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from local_airflow import ROOT

DAG = """
import os, time
from airflow.sdk import dag, get_current_context, task

@dag(schedule=None, params={"sweep": os.environ.get("DEMO_SWEEP", "")})
def customer_segmentation():
    @task
    def sweep(params):
        if params["sweep"] == "fail":
            raise ValueError("no customers")
        while params["sweep"] == "wait":
            time.sleep(0.1)

    @task
    def choose(ti):
        ti.xcom_push("segmentation_summary", {"k": 7, "sse": 1234.5})

    @task
    def assign(ti):
        ti.xcom_push("first_segment", 3)

    sweep() >> choose() >> assign()

customer_segmentation()
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real scripts and the stand-in Dag, at a path with a space; its database stays from test to test."""
    checkout = tmp_path_factory.mktemp("scripts") / "a checkout"
    shutil.copytree(ROOT / "scripts", checkout / "scripts")
    (checkout / "plugins").mkdir()
    (checkout / "dags").mkdir()
    (checkout / "dags" / "customer_segmentation.py").write_text(DAG)
    return checkout


@pytest.fixture
def processes() -> Callable[[Path], list[psutil.Process]]:
    """A function that returns all processes that work in a folder."""

    def working_in(folder: Path) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd() == str(folder):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    return working_in


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object]], None]:
    """A function that returns once a condition holds, and fails if that takes two minutes."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline, "still not so after two minutes"
            time.sleep(0.02)

    return wait
