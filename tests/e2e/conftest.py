"""A whole Airflow, started as `make demo` starts it but with lineage on, and a browser to look at it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import browser as browser
from browser import chromium_path, new_window, windows_of_one_process
from local_airflow import Airflow, free_port
from made.lineage import lineage_in
from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).resolve().parents[2]
DAG_ID = "customer_segmentation"


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """Airflow serving the plugin and a copy of the Dag with its data, so that the checkout's model stays.

    It is not started where there is no browser.
    """
    chromium_path()
    project = tmp_path_factory.mktemp("project")
    for folder in ("dags", "data"):
        shutil.copytree(ROOT / folder, project / folder)
    settings = {"AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(lineage_in(project / "events"))}
    folders = {"dags": project / "dags", "plugins": ROOT / "plugins"}
    with Airflow(project / "home", free_port(), **folders, settings=settings) as airflow:
        airflow.wait_for_dag(DAG_ID)
        yield airflow


@pytest.fixture(scope="session")
def run_id(airflow: Airflow) -> str:
    """A finished run of the example Dag, triggered through the REST API."""
    run_id = airflow.trigger(DAG_ID, {})
    states = {task["task_id"]: task["state"] for task in airflow.follow(DAG_ID, run_id)}
    assert states == dict.fromkeys(["load", "scale", "sweep", "choose", "assign", "assign_all"], "success")
    return run_id


@pytest.fixture(scope="module")
def windows(browser: Browser) -> Iterator[BrowserContext]:
    """What the windows of a module's tests are opened in."""
    with windows_of_one_process(browser, viewport={"width": 1500, "height": 1000}) as windows:
        yield windows


@pytest.fixture
def page(windows: BrowserContext) -> Iterator[Page]:
    """A window of its own, 1500 pixels wide."""
    with new_window(windows) as page:
        yield page
