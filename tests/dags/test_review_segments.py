from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from airflow_segmentation.reports.report import REPORT_KEY, Report
from reviewing import APPROVED, Reviewer, needs_dag_test_that_waits
from reviewing import airflow as airflow

DAGS = Path(__file__).resolve().parents[2] / "dags"


@pytest.fixture(scope="module")
def dag(metadata_database):
    from airflow_versions import dag_bag

    bag = dag_bag(DAGS)
    assert bag.import_errors == {}
    return bag.dags["review_segments"]


def test_composes_the_loop_in_a_line(dag):
    line = ["load", "scale", "sweep", "choose", "review", "publish"]
    assert [task.task_id for task in dag.topological_sort()] == line
    for before, after in pairwise(line):
        assert after in dag.get_task(before).downstream_task_ids


def test_is_documented(dag):
    assert "Segmentation tab" in dag.doc_md


@needs_dag_test_that_waits
def test_what_a_person_approves_is_published_and_goes_on_without_one(run_dag: Any, copied: Any, airflow: Any):
    loop = copied["review_segments"]
    form = {"k": 3, "names": {"0": "Savers"}, "reason": "Three are enough"}
    reviewer = Reviewer(airflow, "review_segments", ({**APPROVED, "params_input": form},))
    reviewer.start()

    first = run_dag(loop)

    reviewer.join(10)
    assert set(first.states.values()) == {"success"}
    folder = Path(loop.get_task("publish").path)
    segments = json.loads((folder / "versions" / "0001" / "segments.json").read_text())
    assert [segment["number"] for segment in segments["segments"]] == [0, 1, 2]
    assert segments["segments"][0]["name"] == "Savers"
    assert (segments["reviewer"], segments["reason"]) == ("Anonymous", "Three are enough")

    again = Reviewer(airflow, "review_segments", (APPROVED,))
    again.start()
    second = run_dag(loop)

    again.join(10)
    report = Report.from_json(second.xcom("choose", REPORT_KEY))
    assert report.published
    assert report.published.names[0] == "Savers"
    assert "Against version 1 of the published segments" in again.asked[0]["body"]
    assert second.xcom("publish", key="version") == 2
