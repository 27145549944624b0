"""What a reviewer does: open the run that waits, look at another k, name two segments, approve them there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import pyarrow.parquet as pq
from airflow_segmentation.reports.report import REPORT_KEY, Report
from browser import approve_four
from local_airflow import Airflow
from playwright.sync_api import Page, expect
from reviewing import wait_for_review

DAG_ID, SCORE = "review_segments", "score_segments"
NAMES = {0: "Everyday", 3: "Big spenders"}


def test_what_is_approved_on_the_tab_is_published_and_scored_and_keeps_its_names(
    airflow: Airflow, page: Page
):
    for dag_id in (DAG_ID, SCORE):
        airflow.wait_for_dag(dag_id)
    airflow.request("PATCH", f"/dags/{SCORE}", {"is_paused": False})
    run_id = waiting(airflow)
    page.goto(airflow.plugin_url(DAG_ID, run_id, "segmentation"))
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Decide")).to_be_visible()

    approve_four(frame)

    expect(frame.locator(".review")).to_contain_text("Segment 3 is Big spenders.")
    assert {task["state"] for task in airflow.follow(DAG_ID, run_id)} == {"success"}
    assert airflow.xcom(DAG_ID, run_id, "publish")["k"] == 4
    names = airflow.xcom(DAG_ID, run_id, "review")["names"]
    assert names == {"0": "Everyday", "3": "Big spenders"}
    assert scored(airflow, 1) == NAMES

    with drifted(airflow):
        run_id = waiting(airflow)
        published = Report.from_json(airflow.xcom(DAG_ID, run_id, "choose", REPORT_KEY)).published
        assert published
        assert max(published.psi) > 0.1, "beyond what the Dag lets pass without a person"
        page.goto(airflow.plugin_url(DAG_ID, run_id, "segmentation"))
        expect(frame.locator("#elbow .main-svg").first).to_be_visible()
        frame.locator("#k").fill("4")
        approve = frame.get_by_role("button", name="Approve k = 4")
        expect(approve).to_be_visible()
        for number, name in NAMES.items():
            expect(frame.get_by_label(f"Name of segment {number}")).to_have_value(name)
        approve.click()
        expect(frame.get_by_role("heading", name="Approved: k = 4")).to_be_visible(timeout=120_000)

        assert {task["state"] for task in airflow.follow(DAG_ID, run_id)} == {"success"}
        assert airflow.xcom(DAG_ID, run_id, "publish")["version"] == 2
        assert scored(airflow, 2) == NAMES


def waiting(airflow: Airflow) -> str:
    """Return a run of the loop whose review waits."""
    run_id = airflow.trigger(DAG_ID)
    wait_for_review(airflow, DAG_ID, run_id)
    return run_id


def scored(airflow: Airflow, times: int) -> dict[int, str]:
    """Return the names that people gave, by number, in the table that the Asset had scored so many times."""

    def ended() -> list[dict[str, str]]:
        runs = airflow.request("GET", f"/dags/{SCORE}/dagRuns", order_by="run_after")["dag_runs"]
        return runs if len(runs) == times and runs[-1]["state"] == "success" else []

    last = airflow.until(ended, "Nobody scored", 300)[-1]
    assert last["run_type"] == "asset_triggered"
    uri = airflow.xcom(SCORE, last["dag_run_id"], "score")
    table = pq.read_table(uri.removeprefix("file://"), columns=["segment", "segment_name"])
    assert table.num_rows == 8950
    named = {row["segment"]: row["segment_name"] for row in table.to_pylist() if row["segment"] is not None}
    assert sorted(named) == [0, 1, 2, 3]
    return {number: named[number] for number in NAMES}


@contextmanager
def drifted(airflow: Airflow) -> Iterator[None]:
    """Have every customer owe 300 more."""
    file = airflow.dags.parent / "data" / "file.csv"
    before = file.read_bytes()
    customers = pd.read_csv(file)
    customers["BALANCE"] += 300
    customers.to_csv(file, index=False)
    try:
        yield
    finally:
        file.write_bytes(before)
