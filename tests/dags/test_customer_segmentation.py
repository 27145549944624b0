from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from airflow.exceptions import ParamValidationError

DAGS = Path(__file__).resolve().parents[2] / "dags"


@pytest.fixture(scope="module")
def dag(metadata_database):
    from airflow_versions import dag_bag

    bag = dag_bag(DAGS)
    assert bag.import_errors == {}
    return bag.dags["customer_segmentation"]


def test_composes_the_five_operators_in_a_line(dag):
    line = ["load", "scale", "sweep", "choose", "assign"]
    assert [task.task_id for task in dag.topological_sort()] == line
    for before, after in pairwise(line):
        assert after in dag.get_task(before).downstream_task_ids


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


def test_is_documented_and_its_params_are_described(dag):
    assert "Segmentation tab" in dag.doc_md
    for name in ("features", "k_min", "k_max", "k"):
        assert dag.params.get_param(name).description


@pytest.mark.parametrize("change", [{}, {"k": 5}, {"features": ["TENURE"]}, {"k_min": 2, "k_max": 200}])
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
    ],
)
def test_params_that_make_none_are_refused(dag, name, value):
    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(value)
