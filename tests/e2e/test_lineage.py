"""What a catalogue is told of a run of the example Dag: each task's start and end, and what it used."""

from __future__ import annotations

from typing import Any

import pytest
from airflow_segmentation.reports.report import REPORT_KEY
from local_airflow import Airflow
from made.lineage import columns_of, dataset_at, events_in, require_facet

DAG_ID = "customer_segmentation"
TASKS = ["load", "scale", "sweep", "choose", "assign", "assign_all"]
Event = dict[str, Any]


def told(airflow: Airflow, run_id: str, tasks: list[str], last: str) -> dict[tuple[str, str], Event]:
    """Return the events of the tasks of a run, by task and kind, once the `last` of each is there."""
    found: dict[tuple[str, str], Event] = {}

    def are_there() -> bool:
        for event in events_in(airflow.home.parent / "events"):
            facet = event["run"]["facets"].get("airflow", {})
            if "taskInstance" in facet and facet["dagRun"]["run_id"] == run_id:
                found[event["job"]["name"].removeprefix(f"{DAG_ID}."), event["eventType"]] = event
        return all((task, last) in found for task in tasks)

    # Airflow tells of a task's end once the task has ended.
    airflow.until(are_there, f"There are no {last} events of {', '.join(tasks)}")
    return found


@pytest.fixture(scope="module")
def events(airflow: Airflow, run_id: str) -> dict[tuple[str, str], Event]:
    return told(airflow, run_id, TASKS, "COMPLETE")


def test_each_task_tells_of_its_start_and_its_end_with_what_it_read_and_wrote(events):
    assert set(events) == {(task, kind) for task in TASKS for kind in ("START", "COMPLETE")}
    assert [task for task in TASKS if not events[task, "START"]["inputs"]] == []
    assert [task for task in TASKS if not events[task, "COMPLETE"]["inputs"]] == []
    assert [task for task in TASKS if not events[task, "COMPLETE"]["outputs"]] == []


def test_what_one_task_wrote_is_what_the_next_one_read(events):
    def names(task: str, side: str) -> set[tuple[str, str]]:
        return {(each["namespace"], each["name"]) for each in events[task, "COMPLETE"][side]}

    assert names("load", "outputs") == names("scale", "inputs")
    assert names("scale", "outputs") == names("sweep", "inputs")
    assert names("choose", "inputs") == names("sweep", "outputs") | names("scale", "outputs")
    assert names("assign_all", "inputs") == names("choose", "outputs") | names("load", "inputs")


def test_a_segment_can_be_followed_to_the_columns_of_the_csv(airflow, events):
    csv = airflow.home.parent / "data" / "file.csv"
    (table,) = events["assign_all", "COMPLETE"]["outputs"]
    fields = table["facets"]["columnLineage"]["fields"]

    origins = {(each["name"], each["field"]) for each in fields["segment"]["inputFields"]}
    assert origins == {(str(csv), name) for name in ("BALANCE", "PURCHASES", "CREDIT_LIMIT")}
    assert columns_of(table)["segment"] == "int32"
    assert table["outputFacets"]["outputStatistics"]["rowCount"] == 8950
    quality = dataset_at(csv, events["load", "COMPLETE"]["inputs"])["inputFacets"]["dataQualityMetrics"]
    assert quality["rowCount"] == 8950
    assert quality["columnMetrics"]["CREDIT_LIMIT"]["nullCount"] == 1


def test_the_choice_is_told_as_the_page_has_it(airflow, run_id, events):
    report = airflow.xcom(DAG_ID, run_id, "choose", REPORT_KEY)
    facet = events["choose", "COMPLETE"]["run"]["facets"]["segmentation"]

    require_facet(facet)
    assert (facet["k"], facet["modelDigest"]) == (report["k"], report["model_digest"])
    assert facet["verdict"] == report["structure"]["verdict"]


def test_a_task_that_fails_tells_what_it_would_have_read(airflow):
    run_id = airflow.trigger(DAG_ID, {"k_min": 9, "k_max": 3})
    failed = told(airflow, run_id, ["load"], "FAIL")["load", "FAIL"]

    dataset_at(airflow.home.parent / "data" / "file.csv", failed["inputs"])
    assert failed["outputs"] == []
