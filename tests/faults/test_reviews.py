"""Airflow killed while a review waits, and started again under the eyes of the person who decides."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import psutil
import pytest
from browser import browser as browser
from browser import shown
from local_airflow import KEEPER, Airflow, free_port
from playwright.sync_api import Browser, expect
from reviewing import wait_for_review

ROOT = Path(__file__).resolve().parents[2]
DAG_ID = "review_segments"


@pytest.fixture
def airflow(tmp_path: Path) -> Iterator[Airflow]:
    """Airflow with copies of the example Dags and their data."""
    for folder in ("dags", "data"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    with Airflow(tmp_path / "home", free_port(), dags=tmp_path / "dags") as airflow:
        airflow.wait_for_dag(DAG_ID)
        yield airflow


def kill_all() -> None:
    """Kill every process of Airflow's at once, as a power cut does."""
    (keeper,) = [each for each in psutil.Process().children() if str(KEEPER) in each.cmdline()]
    for process in keeper.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def test_a_review_outlives_an_airflow_that_is_killed(airflow: Airflow, browser: Browser) -> None:
    run_id = airflow.trigger(DAG_ID)
    wait_for_review(airflow, DAG_ID, run_id)
    page = browser.new_page()
    query = urlencode({"dag_id": DAG_ID, "run_id": run_id})
    shown(page, f"{airflow.url}/pluginsv2/segmentation/run?{query}")
    page.get_by_label("Reason").fill("Before the lights went out")
    decide = page.get_by_role("button", name="Approve k = ")

    kill_all()
    decide.click()
    expect(page.locator("#decide-note")).to_contain_text("Airflow cannot be reached")
    airflow.stop()
    airflow.start()
    wait_for_review(airflow, DAG_ID, run_id)
    decide.click()

    expect(page.get_by_role("heading", name="Approved: k = ")).to_be_visible(timeout=120_000)
    expect(page.locator(".review")).to_contain_text("Before the lights went out")
    assert {task["state"] for task in airflow.follow(DAG_ID, run_id)} == {"success"}
    assert airflow.xcom(DAG_ID, run_id, "publish")["version"] == 1
    page.context.close()
