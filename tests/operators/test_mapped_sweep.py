"""A sweep spread over mapped tasks, and the elbow task that joins it."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from airflow.sdk import DAG
from airflow_segmentation.clustering.methods import METHODS
from airflow_segmentation.operators import CsvLoadOperator, ElbowOperator, KMeansSweepOperator
from airflow_segmentation.reports.report import PROGRESS_KEY, REPORT_KEY, Progress, Report
from airflow_segmentation.sweeps.table import read_sweep

FEATURES = ["PURCHASES", "AGE"]
PARTS = [{"k_min": 9, "k_max": 12}, {"k_min": 1, "k_max": 5}, {"k_min": 4, "k_max": 8}]


@pytest.fixture
def complete(customers):
    """The customers without those of whom something is missing."""
    lines = [line for line in customers.read_text().splitlines(True) if ",," not in line]
    customers.write_text("".join(lines))
    return customers


def mapped(dag_id, customers, model_path, parts, *, sweep=None, **arguments):
    """Return a Dag that sweeps each of the parts in a mapped task."""
    with DAG(dag_id, schedule=None, default_args={"retries": 2, "retry_delay": timedelta(0)}) as dag:
        load = CsvLoadOperator(task_id="load", path=str(customers), id_column="CUST_ID")
        parted = KMeansSweepOperator.partial(
            task_id="sweep", data=load.output, features=FEATURES, **arguments
        ).expand_kwargs(parts)
        choose = ElbowOperator(task_id="choose", sweep=sweep or parted.output, model_path=str(model_path))
        parted >> choose
    return dag


def test_the_report_is_that_of_one_sweep(run_dag, complete, tmp_path):
    parted = run_dag(mapped("mapped_parts", complete, tmp_path / "a.sav", PARTS, stability=4))
    whole = run_dag(
        mapped("mapped_whole", complete, tmp_path / "b.sav", [{"k_min": 1, "k_max": 12}], stability=4)
    )

    one, other = (Report.from_json(run.xcom("choose", REPORT_KEY)) for run in (parted, whole))
    assert [point.k for point in one.curve] == list(range(1, 13))
    np.testing.assert_allclose([p.sse for p in one.curve], [p.sse for p in other.curve], rtol=0.03)
    assert (one.k, one.k_min, one.k_max, one.warnings) == (other.k, 1, 12, other.warnings)
    assert (one.half_k_max, one.half_range) == (6, other.half_range)
    assert one.stability
    assert (one.stability.resamples, one.stability.rows) == (4, other.rows)
    assert len(one.choices) == len(METHODS)
    assert all(None not in (point.seconds, point.iterations, point.sizes) for point in one.curve)


def test_the_joined_sweep_is_a_table_from_which_any_k_can_be_taken(run_dag, complete, tmp_path):
    run = run_dag(mapped("mapped_table", complete, tmp_path / "model.sav", PARTS))
    report = Report.from_json(run.xcom("choose", REPORT_KEY))

    sweep = read_sweep(report.sweep_uri)

    assert sweep.k_values == list(range(1, 13))
    assert sweep.inertias == [point.sse for point in report.curve]
    assert report.sweep_uri.endswith("/choose/sweep.parquet")


def test_a_gap_fails_at_once_and_leaves_what_was_there(run_dag, complete, tmp_path, capsys):
    model_path = tmp_path / "model.sav"
    model_path.write_bytes(b"old")

    run = run_dag(mapped("mapped_gap", complete, model_path, PARTS[:2]))

    assert run.dag_run.state == "failed"
    assert {ti.try_number for ti in run.dag_run.get_task_instances() if ti.task_id == "choose"} == {1}
    told = capsys.readouterr()
    assert "The sweeps k=1..5, k=9..12 leave out k=6, 7, 8" in told.out + told.err
    assert model_path.read_bytes() == b"old"
    assert not list(tmp_path.glob("**/choose/*"))


@pytest.mark.parametrize(
    "template",
    [
        "{{ ti.xcom_pull(task_ids='sweep') }}",
        "{{ ti.xcom_pull(task_ids='sweep') | list | tojson }}",
    ],
)
def test_a_template_may_write_the_list_out(run_dag, complete, tmp_path, template):
    dag = mapped("mapped_template", complete, tmp_path / "model.sav", PARTS, sweep=template)

    report = Report.from_json(run_dag(dag).xcom("choose", REPORT_KEY))

    assert (report.k_min, report.k_max) == (1, 12)


def test_each_part_tells_when_it_is_done_and_that_it_is_of_one_sweep(run_dag, complete, tmp_path):
    run = run_dag(mapped("mapped_told", complete, tmp_path / "model.sav", PARTS))

    told = [Progress.from_json(run.xcom("sweep", PROGRESS_KEY, map_index=index)) for index in range(3)]

    assert [[int(k) for k, _ in progress.curve] for progress in told] == [
        [9, 10, 11, 12],
        [1, 2, 3, 4, 5],
        [4, 5, 6, 7, 8],
    ]
    assert all(progress.done == progress.total for progress in told)
    assert len({progress.sweep for progress in told}) == 1
    assert told[0].sweep


def test_sweeps_of_other_features_are_told_apart(run_dag, complete, tmp_path):
    with DAG("mapped_features", schedule=None) as dag:
        KMeansSweepOperator.partial(task_id="sweep", data=str(complete), k_max=3).expand(
            features=[["AGE"], ["PURCHASES"]]
        )
    run = run_dag(dag)

    told = [run.xcom("sweep", PROGRESS_KEY, map_index=index)["sweep"] for index in range(2)]
    assert told[0] != told[1]
