"""What a person does: trigger the Dag, open the run's Segmentation tab in Airflow, read k off the chart."""

from __future__ import annotations

import re

import pytest
from airflow_segmentation.clustering.methods import METHODS
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

    with page.expect_popup() as opened:
        frame.get_by_role("link", name="Choosing k").click()
    expect(opened.value.get_by_role("heading", name="When to stop")).to_be_visible()


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


def test_a_view_outlives_a_reload_of_airflow_and_back_undoes_it(
    airflow: Airflow, run_id: str, page: Page, report: Report
):
    page.goto(airflow.plugin_url(DAG_ID, run_id, "segmentation"))
    frame = page.frame_locator("iframe")
    elbow = frame.locator("#elbow")
    expect(elbow).to_have_attribute("data-k", str(report.k))

    frame.locator("#k-slider").press("ArrowRight")
    expect(elbow).to_have_attribute("data-k", str(report.k + 1))
    page.evaluate("history.back()")
    expect(elbow).to_have_attribute("data-k", str(report.k))
    frame.locator("#k").fill("20")
    expect(elbow).to_have_attribute("data-k", "20")
    page.reload()

    expect(elbow).to_have_attribute("data-k", "20")
    expect(frame.locator("#k")).to_have_value("20")
    assert page.url == airflow.plugin_url(DAG_ID, run_id, "segmentation")


def test_a_run_that_cannot_succeed_says_why_on_its_page(airflow: Airflow, page: Page):
    run_id = airflow.trigger(DAG_ID, {"k_min": 9, "k_max": 3})
    airflow.follow(DAG_ID, run_id)
    page.goto(airflow.plugin_url(DAG_ID, run_id, "segmentation"))

    frame = page.frame_locator("iframe")
    expect(frame.get_by_text("k_min=9 should be <= k_max=3")).to_be_visible()
    expect(frame.get_by_role("link", name="Log of load")).to_be_visible()


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
        {"method": "elbow"},
    ],
)
def test_a_param_out_of_its_rules_is_refused_when_triggered(airflow: Airflow, conf: dict[str, object]):
    with pytest.raises(AirflowError, match=r"400|422"):
        airflow.trigger(DAG_ID, conf)


def test_the_form_has_titles_and_offers_every_method_by_its_meaning(airflow: Airflow, page: Page):
    page.goto(f"{airflow.url}/dags/{DAG_ID}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.locator("[role=dialog][aria-modal=true]")
    for title in ("Features", "Smallest k", "Largest k", "k", "Method"):
        # Airflow puts a star after what may not be left empty.
        expect(form.get_by_text(re.compile(rf"^{title}\W*$")).first).to_be_visible()
    form.get_by_role("combobox").last.click()
    for method in METHODS.values():
        expect(page.get_by_text(f"{method.label}: {method.meaning}", exact=True).last).to_be_visible()
