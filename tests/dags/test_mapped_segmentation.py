from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from airflow_segmentation.reports.report import REPORT_KEY, Report

DAGS = Path(__file__).resolve().parents[2] / "dags"


@pytest.fixture(scope="module")
def dag(metadata_database):
    from airflow_versions import dag_bag

    bag = dag_bag(DAGS)
    assert bag.import_errors == {}
    return bag.dags["mapped_segmentation"]


def test_composes_the_operators_in_a_line_of_which_the_sweep_is_mapped(dag):
    line = ["load", "scale", "sweep", "choose"]
    assert [task.task_id for task in dag.topological_sort()] == line
    for before, after in pairwise(line):
        assert after in dag.get_task(before).downstream_task_ids
    assert [task.task_id for task in dag.tasks if task.is_mapped] == ["sweep"]


@pytest.mark.parametrize(("k_min", "k_max"), [(1, 49), (1, 1), (3, 4), (2, 5), (1, 200), (190, 200)])
def test_the_parts_leave_out_no_k_of_any_range_and_overlap(dag, k_min, k_max):
    environment = dag.get_template_env()
    params = {"k_min": k_min, "k_max": k_max}
    parts = [
        {name: environment.from_string(text).render(params=params) for name, text in part.items()}
        for part in dag.get_task("sweep").expand_input.value
    ]

    assert (parts[0]["k_min"], parts[-1]["k_max"]) == (k_min, k_max)
    for before, after in pairwise(parts):
        assert before["k_min"] <= after["k_min"] <= before["k_max"] <= after["k_max"]


def test_the_parts_of_the_range_that_the_form_suggests_overlap_by_three(dag):
    environment = dag.get_template_env()
    params = {name: param.resolve() for name, param in dag.params.items()}
    parts = [
        tuple(environment.from_string(part[name]).render(params=params) for name in ("k_min", "k_max"))
        for part in dag.get_task("sweep").expand_input.value
    ]

    assert parts == [(1, 24), (22, 38), (36, 49)]


def test_does_what_the_form_says(run_dag, copied):
    answers = {"features": ["TENURE", "PAYMENTS"], "k_min": 2, "k_max": 9, "k": 4, "method": "silhouette"}

    run = run_dag(copied["mapped_segmentation"], run_conf=answers)

    report = Report.from_json(run.xcom("choose", REPORT_KEY))
    assert [feature.name for feature in report.features] == answers["features"]
    assert [point.k for point in report.curve] == list(range(2, 10))
    assert (report.k, report.decided_by, report.method) == (4, "given", "silhouette")
    parts = {ti.rendered_map_index for ti in run.dag_run.get_task_instances() if ti.task_id == "sweep"}
    assert parts == {"k = 2 to 5", "k = 5 to 7", "k = 7 to 9"}


def test_a_range_that_is_none_fails_before_the_sweep(run_dag, copied):
    run = run_dag(copied["mapped_segmentation"], run_conf={"k_min": 9, "k_max": 4})

    assert (run.states["load"], run.tries["load"]) == ("failed", 1)
    assert set(run.states.values()) == {"failed", "upstream_failed"}


def test_is_documented(dag):
    assert "Segmentation tab" in dag.doc_md
