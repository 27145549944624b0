from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from airflow.exceptions import ParamValidationError
from airflow_segmentation.reports.report import REPORT_KEY, Report

DAGS = Path(__file__).resolve().parents[2] / "dags"


@pytest.fixture(scope="module")
def dag(metadata_database):
    from airflow_versions import dag_bag

    bag = dag_bag(DAGS)
    assert bag.import_errors == {}
    return bag.dags["customer_segmentation"]


def test_composes_the_five_operators_in_a_line_and_assigns_all_customers_too(dag):
    line = ["load", "scale", "sweep", "choose"]
    assert [task.task_id for task in dag.topological_sort()][:-2] == line
    for before, after in pairwise(line):
        assert after in dag.get_task(before).downstream_task_ids
    assert dag.get_task("choose").downstream_task_ids == {"assign", "assign_all"}


@pytest.mark.parametrize(
    ("storage_path", "project"),
    [("s3://aws@bucket/segments/", "s3://aws@bucket/segments"), ("/mnt/segments", str(DAGS.parent))],
)
def test_data_and_model_lie_in_the_object_store_where_there_is_one(monkeypatch, storage_path, project):
    from airflow_versions import dag_bag

    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", storage_path)
    dag = dag_bag(DAGS).dags["customer_segmentation"]
    assert dag.get_task("load").path == f"{project}/data/file.csv"
    assert dag.get_task("choose").model_path == f"{project}/model/model.sav"
    assert dag.get_task("assign").data == f"{project}/data/test.csv"
    assert dag.get_task("assign_all").data == f"{project}/data/file.csv"


def test_is_documented_and_its_params_are_described(dag):
    assert "Segmentation tab" in dag.doc_md
    for name in ("features", "k_min", "k_max", "k", "method"):
        assert dag.params.get_param(name).description


@pytest.mark.parametrize(
    "change", [{}, {"k": 5}, {"features": ["TENURE"]}, {"k_min": 2, "k_max": 200}, {"method": "gap"}]
)
def test_params_that_make_sense_are_taken(dag, change):
    for name, value in change.items():
        assert dag.params.get_param(name).resolve(value) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("k", 0),
        ("k", "5"),
        ("k_min", 0),
        ("k_max", 201),
        ("features", []),
        ("features", ["CUST_ID"]),
        ("features", ["TENURE", "TENURE"]),
        ("method", "elbow"),
    ],
)
def test_params_that_make_none_are_refused(dag, name, value):
    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(value)


def test_the_form_offers_every_column_of_the_data_but_the_id(dag):
    with (DAGS.parent / "data" / "file.csv").open() as data:
        columns = data.readline().strip().split(",")
    assert dag.params.get_param("features").schema["items"]["enum"] == sorted(set(columns) - {"CUST_ID"})


def test_does_what_the_form_says(run_dag, copied):
    answers = {"features": ["TENURE", "PAYMENTS"], "k_min": 2, "k_max": 6, "method": "davies_bouldin"}

    run = run_dag(copied["customer_segmentation"], run_conf=answers)

    report = Report.from_json(run.xcom("choose", REPORT_KEY))
    assert [feature.name for feature in report.features] == answers["features"]
    assert [point.k for point in report.curve] == list(range(2, 7))
    assert (report.method, report.decided_by) == ("davies_bouldin", "davies_bouldin")
    assert set(run.states.values()) == {"success"}


@pytest.mark.parametrize("answers", [{"k_min": 9, "k_max": 4}, {"k_max": 12, "k": 13}])
def test_answers_that_do_not_go_together_fail_before_the_sweep(run_dag, copied, answers):
    run = run_dag(copied["customer_segmentation"], run_conf=answers)

    assert (run.states["load"], run.tries["load"]) == ("failed", 1)
    assert set(run.states.values()) == {"failed", "upstream_failed"}
