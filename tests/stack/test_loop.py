"""Sweep, review, publish, score, with FAB's users: who may answer, who may look, and who may do neither."""

from __future__ import annotations

import json
import re
from urllib.error import HTTPError

import pyarrow.parquet as pq
import pytest
from browser import approve_four
from local_airflow import ROOT, AirflowError
from made.stack import Stack
from playwright.sync_api import Page
from reviewing import wait_for_review

DAG_ID, SCORE = "review_segments", "score_segments"
REVIEWER, VIEWER, HALF, STRANGER = "rosa", "vera", "hanna", "stan"
ELSEWHERE = ("Website", "XComs", "DAG Runs", "Task Instances", "HITL Detail", "DAG:customer_segmentation")
"""All that it takes to read the reports and the reviews of another Dag."""


@pytest.fixture(scope="module")
def run_id(up: Stack) -> str:
    """A run that waits for the reviewer, whom docs/security.md made one."""
    for dag_id in (DAG_ID, SCORE):
        up.wait_for_dag(dag_id)
    up.request("PATCH", f"/dags/{SCORE}", {"is_paused": False})
    run_id = up.trigger(DAG_ID)

    told = (ROOT / "docs" / "security.md").read_text()
    commands = re.findall(r"^docker compose exec airflow-apiserver (.+)$", told, re.MULTILINE)
    for command in commands:
        up.execute(command)
    assert commands
    up.add_role("Elsewhere", *(("can_read", resource) for resource in ELSEWHERE))
    up.add_user(REVIEWER, "Viewer", "Reviewer")
    up.add_user(VIEWER, "Viewer")
    up.add_role("Answers", ("can_edit", "HITL Detail"))
    up.add_user(HALF, "Viewer", "Answers")
    up.add_user(STRANGER, "Elsewhere")

    wait_for_review(up, DAG_ID, run_id)
    return run_id


def answer(up: Stack, run_id: str) -> None:
    """Approve as the page does."""
    path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/review/-1/hitlDetails"
    up.request(
        "PATCH", path, {"chosen_options": ["Approve"], "params_input": {"k": 4, "names": {}, "reason": ""}}
    )


@pytest.mark.parametrize("user", [VIEWER, HALF])
def test_who_may_not_edit_the_dag_sees_the_review_and_cannot_answer_it(up: Stack, run_id: str, user: str):
    with up.as_user(user):
        page = up.page("run", dag_id=DAG_ID, run_id=run_id)
        assert "It is not for you to answer" in page
        assert "data-answer" not in page
        assert run_id in up.page("")
        with pytest.raises(AirflowError, match="HTTP 403"):
            answer(up, run_id)


def test_who_may_see_another_dag_alone_sees_nothing_of_it(up: Stack, run_id: str):
    with up.as_user(STRANGER):
        with pytest.raises(HTTPError, match="403"):
            up.page("run", dag_id=DAG_ID, run_id=run_id)
        with pytest.raises(HTTPError, match="403"):
            up.page("dag", dag_id=DAG_ID)
        assert DAG_ID not in up.page("")
        with pytest.raises(AirflowError, match="HTTP 403"):
            answer(up, run_id)


def test_a_reviewer_may_not_trigger_what_they_review(up: Stack, run_id: str):
    with up.as_user(REVIEWER), pytest.raises(AirflowError, match=r"^POST .*HTTP 403"):
        up.trigger(DAG_ID)


def test_what_the_reviewer_approves_is_published_and_scored_by_its_names(up: Stack, run_id: str, page: Page):
    page.goto(up.plugin_url(DAG_ID, run_id, "segmentation"))
    page.get_by_label("Username").fill(REVIEWER)
    page.get_by_label("Password").fill(REVIEWER)
    page.get_by_role("button", name="Sign In").click()
    approve_four(page.frame_locator("iframe"))

    up.expect_success(DAG_ID, run_id)
    version = up.home / "project" / "model" / "published" / "versions" / "0001"
    published = json.loads((version / "segments.json").read_text())
    assert (published["k"], published["reason"]) == (4, "Four campaigns")
    assert REVIEWER in published["reviewer"]
    audited = up.request("GET", "/eventLogs", dag_id=DAG_ID, run_id=run_id, owner=REVIEWER)["event_logs"]
    assert "update_hitl_detail" in {entry["event"] for entry in audited}

    [run] = up.until(lambda: up.request("GET", f"/dags/{SCORE}/dagRuns")["dag_runs"], "Nobody scored")
    assert run["run_type"] == "asset_triggered"
    up.expect_success(SCORE, run["dag_run_id"])
    table = pq.read_table(up.xcom(SCORE, run["dag_run_id"], "score"), columns=["segment", "segment_name"])
    assert table.num_rows == 8950
    names = {row["segment"]: row["segment_name"] for row in table.to_pylist()}
    assert (names[0], names[3]) == ("Everyday", "Big spenders")
