"""Publishes segments of a sweep that is given, and scores customers by them: a Dag for tests that kill it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG
from airflow_segmentation.operators import KMeansPredictOperator, PublishSegmentsOperator

PROJECT = Path(__file__).resolve().parents[1]

with DAG(
    dag_id="publish_and_score",
    schedule=None,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    params={"sweep": "", "k": 1},
):
    publish = PublishSegmentsOperator(
        task_id="publish",
        name="customers",
        path=f"{PROJECT}/published",
        sweep="{{ params.sweep }}",
        k="{{ params.k }}",
    )
    score = KMeansPredictOperator(
        task_id="score",
        published=f"{PROJECT}/published",
        data=f"{PROJECT}/data/file.csv",
        id_column="CUST_ID",
    )
    publish >> score
