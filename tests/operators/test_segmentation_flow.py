"""The operators together, as the example Dag has them."""

from __future__ import annotations

import hashlib
import pickle
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import skops.io
from airflow.sdk import DAG
from airflow_segmentation.operators import (
    CsvLoadOperator,
    ElbowOperator,
    KMeansPredictOperator,
    KMeansSweepOperator,
    MinMaxPreprocessOperator,
)
from airflow_segmentation.reports.report import REPORT_KEY, SUMMARY_KEY, Report, Summary
from made.customers import write_customers

FEATURES = ["BALANCE", "PURCHASES"]
RETRIES = {"retries": 2, "retry_delay": timedelta(0)}


def prepared(customers, missing="drop"):
    """Return the tasks that load and scale customers."""
    load = CsvLoadOperator(task_id="load", path=str(customers), id_column="CUST_ID")
    return MinMaxPreprocessOperator(task_id="scale", data=load.output, features=FEATURES, missing=missing)


def segmentation(
    dag_id, customers, model_path, *, swept=None, new=None, k=None, k_min=1, k_max=12, missing="drop", **elbow
):
    """Return a Dag of all five operators; of the last two, where what they go on from was swept before."""
    with DAG(dag_id, schedule=None, default_args=RETRIES) as dag:
        if swept is None:
            scale = prepared(customers, missing)
            swept = KMeansSweepOperator(task_id="sweep", data=scale.output, k_min=k_min, k_max=k_max).output
        choose = ElbowOperator(task_id="choose", sweep=swept, model_path=str(model_path), k=k, **elbow)
        KMeansPredictOperator(
            task_id="assign",
            model_path=choose.output["model_path"],
            model_digest=choose.output["model_digest"],
            data=str(new or customers),
            id_column="CUST_ID",
        )
    return dag


@pytest.fixture(scope="module")
def swept(run_dag, tmp_path_factory):
    """What a Dag's sweep of the customers returned, k = 1 to 12."""
    with DAG("flow_swept", schedule=None) as dag:
        scale = prepared(write_customers(tmp_path_factory.mktemp("customers")))
        KMeansSweepOperator(task_id="sweep", data=scale.output, k_max=12)
    return run_dag(dag).xcom("sweep")


@pytest.fixture
def model_path(tmp_path):
    return tmp_path / "model" / "model.sav"


def test_finds_the_groups_that_are_there(run_dag, customers, model_path):
    run = run_dag(segmentation("flow", customers, model_path))
    assert set(run.states.values()) == {"success"}
    digest = hashlib.sha256(model_path.read_bytes()).hexdigest()
    assert run.xcom("choose") == {"k": 3, "model_path": str(model_path), "model_digest": digest}
    report = Report.from_json(run.xcom("choose", REPORT_KEY))
    assert report.model_digest == digest
    assert (report.k, report.decided_by, report.rows, report.rows_dropped) == (3, "kneedle", 299, 1)
    assert report.chosen.sizes == (149, 100, 50)
    np.testing.assert_allclose(report.chosen.centers, [[100, 10], [900, 50], [500, 90]], rtol=0.05)
    assert Summary.from_json(run.xcom("choose", SUMMARY_KEY)).k == 3
    segments = run.table("assign")
    assert segments["segment"].value_counts().to_dict() == {0: 149, 1: 100, 2: 50}
    assert segments["CUST_ID"].head(2).tolist() == ["00000", "00001"]
    assert run.xcom("assign", "first_segment") == 0


def test_the_sweeps_table_holds_every_k(run_dag, customers, model_path):
    table = run_dag(segmentation("flow_table", customers, model_path, k_min=2, k_max=5)).table("sweep")
    assert table["k"].tolist() == [2, 3, 4, 5]
    assert table["sse"].is_monotonic_decreasing
    assert [len(centers) for centers in table["centers"]] == [2, 3, 4, 5]
    assert {int(sum(sizes)) for sizes in table["sizes"]} == {299}


def test_the_saved_model_is_a_pipeline_that_takes_original_units(run_dag, customers, swept, model_path):
    run = run_dag(segmentation("flow_model", customers, model_path, swept=swept))
    model = pickle.loads(model_path.read_bytes())
    assert [name for name, _ in model.steps] == ["scale", "cluster"]
    frame = pd.read_csv(customers).dropna(subset=FEATURES)
    labels = model.predict(frame[FEATURES])
    assert np.bincount(labels).tolist() == [149, 100, 50]
    scaled = model.named_steps["scale"].transform(frame[FEATURES])
    assert -model.named_steps["cluster"].score(scaled) == pytest.approx(
        Report.from_json(run.xcom("choose", REPORT_KEY)).chosen.sse
    )


def test_a_model_in_the_format_of_skops_assigns_the_same_and_tells_its_run(
    run_dag, customers, swept, tmp_path, capsys
):
    run = run_dag(segmentation("flow_skops", customers, tmp_path / "model.skops", swept=swept))
    assert run.table("assign")["segment"].value_counts().to_dict() == {0: 149, 1: 100, 2: 50}
    made_by = {"dag_id": "flow_skops", "run_id": run.dag_run.run_id, "task_id": "choose"}
    assert skops.io.load(tmp_path / "model.skops").made_by_ == made_by
    out = capsys.readouterr()
    told = f"made by dag_id='flow_skops', run_id={run.dag_run.run_id!r}, task_id='choose'"
    assert told in out.out + out.err


def test_a_model_that_was_replaced_is_not_used(run_dag, customers, swept, model_path):
    dag = segmentation("flow_replaced", customers, model_path, swept=swept)
    dag.get_task("choose").on_success_callback = [lambda _: model_path.write_bytes(b"another")]
    run = run_dag(dag)
    assert (run.states["choose"], run.states["assign"], run.tries["assign"]) == ("success", "failed", 1)


@pytest.mark.parametrize("k", [5, "5", "{{ 2 + 3 }}"])
def test_a_given_k_overrides_the_elbow(run_dag, customers, swept, model_path, k):
    run = run_dag(segmentation("flow_k", customers, model_path, swept=swept, k=k))
    report = Report.from_json(run.xcom("choose", REPORT_KEY))
    assert (report.k, report.decided_by, len(report.chosen.sizes)) == (5, "given", 5)


def test_a_template_that_leaves_none_chooses_at_the_elbow(run_dag, customers, swept, model_path):
    run = run_dag(segmentation("flow_none", customers, model_path, swept=swept, k="{{ none }}"))
    assert run.xcom("choose")["k"] == 3


@pytest.mark.parametrize("method", ["silhouette", "{{ 'silhouette' }}"])
def test_k_is_chosen_by_the_method_that_is_named(run_dag, customers, swept, model_path, method):
    run = run_dag(segmentation("flow_method", customers, model_path, swept=swept, method=method))
    report = Report.from_json(run.xcom("choose", REPORT_KEY))
    assert (report.k, report.method, report.decided_by) == (3, "silhouette", "silhouette")


@pytest.mark.parametrize("method", ["{{ 'elbow' }}", "{{ none }}"])
def test_a_template_that_leaves_no_method_fails_at_once(
    run_dag, customers, swept, model_path, method, capsys
):
    run = run_dag(segmentation("flow_no_method", customers, model_path, swept=swept, method=method))
    assert (run.states["choose"], run.tries["choose"]) == ("failed", 1)
    told = capsys.readouterr()
    assert "should be one of 'kneedle', 'silhouette'" in told.out + told.err


def test_a_k_that_was_not_swept_fails_at_once_and_keeps_the_old_model(run_dag, customers, swept, model_path):
    model_path.parent.mkdir()
    model_path.write_bytes(b"old")
    run = run_dag(segmentation("flow_far", customers, model_path, swept=swept, k=13))
    assert run.states["choose"] == "failed"
    assert run.tries["choose"] == 1
    assert run.states["assign"] == "upstream_failed"
    assert model_path.read_bytes() == b"old"


def test_no_elbow_takes_the_farthest_point_and_says_so(run_dag, customers, model_path):
    run = run_dag(segmentation("flow_short", customers, model_path, k_max=2))
    report = Report.from_json(run.xcom("choose", REPORT_KEY))
    assert report.decided_by == "chord"
    assert report.fell_back
    assert any("kneedle found no elbow in k=1..2" in warning for warning in report.warnings)


def test_a_range_beyond_the_distinct_rows_is_cut_and_said(run_dag, tmp_path, model_path):
    path = tmp_path / "few.csv"
    path.write_text("CUST_ID,BALANCE,PURCHASES\n" + "".join(f"{i},{i % 4},{i % 2}\n" for i in range(40)))
    run = run_dag(segmentation("flow_few", path, model_path))
    report = Report.from_json(run.xcom("choose", REPORT_KEY))
    assert (report.k_min, report.k_max) == (1, 4)
    assert any("distinct rows" in warning for warning in report.warnings)


def test_customers_outside_the_range_or_incomplete_are_told(
    run_dag, customers, swept, model_path, tmp_path, capsys
):
    new = tmp_path / "new.csv"
    new.write_text("CUST_ID,BALANCE,PURCHASES\nA,900,50\nB,,10\nC,99999,10\n")
    run = run_dag(segmentation("flow_new", customers, model_path, swept=swept, new=new))
    segments = run.table("assign")["segment"]
    assert segments.isna().tolist() == [False, True, False]
    assert segments[0] == 1
    out = capsys.readouterr()
    assert (
        "1 of 2 customers with a segment are outside the range that the model was fitted on: BALANCE"
        in out.out + out.err
    )
    assert "1 of 3 customers have no segment, as a feature is missing or infinite: BALANCE in 1" in (
        out.out + out.err
    )


def test_medians_travel_with_the_model(run_dag, customers, model_path, tmp_path):
    new = tmp_path / "new.csv"
    new.write_text("CUST_ID,BALANCE,PURCHASES\nA,900,50\nB,,10\n")
    run = run_dag(segmentation("flow_median", customers, model_path, new=new, missing="median"))
    assert Report.from_json(run.xcom("choose", REPORT_KEY)).rows == 300
    assert run.table("assign")["segment"].notna().all()


def test_a_foreign_table_is_clustered_on_all_its_numbers(run_dag, tmp_path, model_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"name": "x", "a": np.repeat([0.0, 10.0], 30), "b": rng.normal(size=60)})
    frame.to_parquet(tmp_path / "foreign.parquet")
    with DAG("foreign", schedule=None) as dag:
        sweep = KMeansSweepOperator(task_id="sweep", data=str(tmp_path / "foreign.parquet"), k_max=6)
        ElbowOperator(task_id="choose", sweep=sweep.output, model_path=str(model_path), k=2)
    run = run_dag(dag)
    report = Report.from_json(run.xcom("choose", REPORT_KEY))
    assert [feature.name for feature in report.features] == ["a", "b"]
    model = pickle.loads(model_path.read_bytes())
    assert len(set(model.predict(frame[["a", "b"]])[:30])) == 1


@pytest.mark.parametrize("arguments", [{"k_min": 5, "k_max": 4}, {"k_min": 0}, {"k_max": "many"}])
def test_a_range_that_is_none_fails_at_once(run_dag, customers, model_path, arguments):
    run = run_dag(segmentation(f"flow_range_{len(str(arguments))}", customers, model_path, **arguments))
    assert run.states["sweep"] == "failed"
    assert run.tries["sweep"] == 1


def test_missing_values_in_the_sweep_name_the_cure(run_dag, customers):
    with DAG("sweep_missing", schedule=None, default_args=RETRIES) as dag:
        KMeansSweepOperator(task_id="sweep", data=str(customers), features=["BALANCE"])
    assert run_dag(dag).states == {"sweep": "failed"}


def test_arguments_of_the_elbow_are_checked_when_the_dag_is_parsed():
    with pytest.raises(ValueError, match="method='elbow' should be one of 'kneedle', 'silhouette'"):
        ElbowOperator(task_id="choose", sweep="x", model_path="y", method="elbow")
    with pytest.raises(ValueError, match="sensitivity=-1 should be >= 0"):
        ElbowOperator(task_id="choose", sweep="x", model_path="y", sensitivity=-1)
