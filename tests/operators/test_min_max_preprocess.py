from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from airflow.sdk import DAG
from airflow_segmentation.operators import CsvLoadOperator, MinMaxPreprocessOperator
from sklearn.preprocessing import MinMaxScaler

FEATURES = ["BALANCE", "PURCHASES"]


def test_scales_as_scikit_learn_does_and_keeps_ids_and_other_numbers(run_dag, customers):
    with DAG("scale", schedule=None) as dag:
        load = CsvLoadOperator(task_id="load", path=str(customers), id_column="CUST_ID")
        MinMaxPreprocessOperator(task_id="scale", data=load.output, features=FEATURES)
    scaled = run_dag(dag).table("scale")
    frame = pd.read_csv(customers, dtype={"CUST_ID": str}).dropna(subset=FEATURES)
    assert (scaled[FEATURES].to_numpy() == MinMaxScaler().fit_transform(frame[FEATURES])).all()
    assert scaled.columns.tolist() == ["CUST_ID", "BALANCE", "PURCHASES", "AGE"]
    assert scaled["CUST_ID"].tolist() == frame["CUST_ID"].tolist()
    assert scaled["AGE"].tolist()[10:] == frame["AGE"].tolist()[10:]


def test_takes_a_csv_that_another_task_wrote(run_dag, customers):
    with DAG("scale_csv", schedule=None) as dag:
        MinMaxPreprocessOperator(task_id="scale", data=str(customers), features="{{ 'BALANCE' }}")
    assert run_dag(dag).table("scale")["BALANCE"].agg(["min", "max"]).tolist() == pytest.approx([0, 1])


def test_a_missing_column_fails_at_once_whatever_the_retries(run_dag, customers):
    with DAG("scale_missing", schedule=None) as dag:
        MinMaxPreprocessOperator(
            task_id="scale", data=str(customers), features=["BALANC"], retries=3, retry_delay=timedelta(0)
        )
    assert run_dag(dag).states == {"scale": "failed"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"missing": "ignore"}, r"missing='ignore' should be one of 'drop', 'drop_any', 'median', 'fail'"),
        ({"feature_range": (1, 0)}, r"feature_range=\(1, 0\) should be a minimum and a larger maximum"),
    ],
)
def test_arguments_are_checked_when_the_dag_is_parsed(arguments, message):
    with pytest.raises(ValueError, match=message):
        MinMaxPreprocessOperator(task_id="scale", data="x", features=FEATURES, **arguments)
