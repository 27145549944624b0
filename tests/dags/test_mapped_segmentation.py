from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

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


def test_the_parts_leave_out_no_k_and_overlap(dag):
    parts = dag.get_task("sweep").expand_input.value
    assert (parts[0]["k_min"], parts[-1]["k_max"]) == (1, 49)
    for before, after in pairwise(parts):
        assert before["k_min"] < after["k_min"] <= before["k_max"] < after["k_max"]


def test_is_documented(dag):
    assert "Segmentation tab" in dag.doc_md
