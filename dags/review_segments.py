"""The whole loop: load, scale, sweep, choose k, let a person decide, publish what they approved.

Trigger it, then open the Segmentation tab of the run: look at the curve, take another k, name segments,
approve. From the second time on segments keep number and name, and nobody is asked where nothing changed.
What is published starts `score_segments`.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG
from airflow_segmentation.operators import (
    CsvLoadOperator,
    ElbowOperator,
    KMeansSweepOperator,
    MinMaxPreprocessOperator,
    PublishSegmentsOperator,
    ReviewSegmentsOperator,
    Unchanged,
)
from airflow_segmentation.storage.files import project_root

PROJECT = project_root(Path(__file__).resolve().parents[1])
PUBLISHED = f"{PROJECT}/model/published"

with DAG(
    dag_id="review_segments",
    description="Segments that a person approves, and that keep number and name",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,  # the next run is held against what this one publishes
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},  # bad input fails at once nevertheless
    tags=["segmentation"],
):
    load = CsvLoadOperator(task_id="load", path=f"{PROJECT}/data/file.csv", id_column="CUST_ID")
    scale = MinMaxPreprocessOperator(
        task_id="scale", data=load.output, features=["BALANCE", "PURCHASES", "CREDIT_LIMIT"]
    )
    sweep = KMeansSweepOperator(task_id="sweep", data=scale.output, k_max=20, stability=20, n_jobs=2)
    choose = ElbowOperator(
        task_id="choose",
        sweep=sweep.output,
        model_path=f"{PROJECT}/model/review.skops",
        published=PUBLISHED,
    )
    review = ReviewSegmentsOperator(task_id="review", choose=choose, skip_when=Unchanged(psi=0.1))
    PublishSegmentsOperator(
        task_id="publish", name="customers", path=PUBLISHED, sweep=sweep.output, review=review.output
    )
