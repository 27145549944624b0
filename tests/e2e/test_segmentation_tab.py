"""What a person does: trigger the Dag, open the run's Segmentation tab in Airflow, read k off the chart."""

from __future__ import annotations

import re

import pytest
from airflow_segmentation.reports.report import REPORT_KEY, Report
from local_airflow import Airflow, AirflowError
from playwright.sync_api import Page, expect

DAG_ID = "customer_segmentation"


@pytest.fixture
def report(airflow: Airflow, run_id: str) -> Report:
    return Report.from_json(airflow.xcom(DAG_ID, run_id, "choose", REPORT_KEY))


def test_the_tab_shows_the_elbow_with_the_chosen_k(airflow: Airflow, run_id: str, page: Page, report: Report):
    page.goto(f"{airflow.url}/dags/{DAG_ID}/runs/{run_id}")
    page.get_by_role("link", name="Segmentation", exact=True).last.click()
    frame = page.frame_locator("iframe")

    chart = frame.locator("#elbow .main-svg").first
    expect(chart).to_be_visible()
    expect(frame.locator("#elbow .main-svg").get_by_text(f"k = {report.k}", exact=True).first).to_be_visible()
    points = frame.locator("#elbow .scatterlayer .trace .point")
    assert points.count() >= len(report.curve) == 49, "the curve has a point for each k"
    box = chart.bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) > 300
    expect(frame.locator("#chosen-k")).to_have_text(str(report.k))


def test_the_k_found_is_the_one_that_the_data_has(report: Report):
    assert 6 <= report.k <= 9
    assert (report.rows, report.rows_dropped) == (8949, 1)
    assert report.decided_by == "kneedle"


def test_the_elbow_task_links_to_its_chart(airflow: Airflow, run_id: str, page: Page, report: Report):
    links = airflow.request("GET", f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/choose/links")
    page.goto(airflow.url + links["extra_links"]["Elbow chart"])
    expect(page.locator("#chosen-k")).to_have_text(str(report.k))
    expect(page.locator("#elbow .main-svg").first).to_be_visible()


def test_the_rail_leads_to_the_list_of_runs_and_on_to_one(airflow: Airflow, run_id: str, page: Page):
    page.goto(airflow.url)
    page.get_by_role("link", name=re.compile("Segment")).first.click()
    frame = page.frame_locator("iframe")
    frame.get_by_role("link", name=run_id).first.click()
    expect(frame.locator("#elbow .main-svg").first).to_be_visible()


def test_a_given_k_is_taken_and_marked(airflow: Airflow, page: Page):
    run_id = airflow.trigger(DAG_ID, {"k": 5, "k_max": 12, "features": ["BALANCE", "PAYMENTS"]})
    assert {task["state"] for task in airflow.follow(DAG_ID, run_id)} == {"success"}
    page.goto(airflow.plugin_url(DAG_ID, run_id, "segmentation"))
    frame = page.frame_locator("iframe")
    expect(frame.locator("#chosen-k")).to_have_text("5")
    expect(frame.locator("#elbow .main-svg").get_by_text("k = 5", exact=True).first).to_be_visible()


@pytest.mark.parametrize(
    "conf",
    [
        {"k": 0},
        {"k": "many"},
        {"k_max": 1000},
        {"features": []},
        {"features": ["NOT_A_COLUMN"]},
        {"features": ["BALANCE", "BALANCE"]},
    ],
)
def test_a_param_out_of_its_rules_is_refused_when_triggered(airflow: Airflow, conf: dict[str, object]):
    with pytest.raises(AirflowError, match=r"400|422"):
        airflow.trigger(DAG_ID, conf)
