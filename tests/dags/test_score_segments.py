from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from airflow.sdk import DAG, Asset
from airflow_segmentation.operators import (
    KMeansSweepOperator,
    MinMaxPreprocessOperator,
    PublishSegmentsOperator,
)
from airflow_segmentation.reports.report import ASSIGNMENT_KEY, Assignment

FEATURES = ["BALANCE", "PURCHASES", "CREDIT_LIMIT"]


@pytest.fixture(scope="module")
def published(run_dag, copied):
    """The run that published segments where the example Dag looks for them."""
    path = copied["score_segments"].get_task("score").published
    with DAG("publish_some", schedule=None) as dag:
        data = str(Path(copied["score_segments"].get_task("score").data))
        scale = MinMaxPreprocessOperator(task_id="scale", data=data, features=FEATURES)
        sweep = KMeansSweepOperator(task_id="sweep", data=scale.output, k_max=5, reference_sets=0)
        PublishSegmentsOperator(task_id="publish", name="customers", path=path, sweep=sweep.output, k=5)
    return run_dag(dag)


def test_waits_for_segments_and_for_customers(copied):
    published = PublishSegmentsOperator(task_id="publish", name="customers", path="p", version=1).asset
    waited = {asset.uri for asset in copied["score_segments"].timetable.asset_condition.objects}
    assert waited == {published.uri, Asset("customers").uri}


def test_scores_all_customers_with_what_is_published(run_dag, copied, published):
    assert set(published.states.values()) == {"success"}
    run = run_dag(copied["score_segments"])

    assert run.states == {"score": "success"}
    table = run.table("score")
    assert len(table) == 8950
    assert sorted(table["segment"].dropna().unique()) == [0, 1, 2, 3, 4]
    assignment = Assignment.from_json(run.xcom("score", ASSIGNMENT_KEY))
    assert (assignment.version, assignment.drift.found, assignment.drift.outside) == (1, (), 0)
    assert max(shift.psi for shift in assignment.drift.features) < 1e-6
    assert pd.isna(table.loc[table["CREDIT_LIMIT"].isna(), "segment"]).all()


def test_is_documented(copied):
    assert "Segmentation tab" in copied["score_segments"].doc_md
