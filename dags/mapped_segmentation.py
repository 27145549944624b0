"""Spreads the sweep over workers: mapped tasks sweep a part of the range each, and the elbow task joins them.

The curve grows on the run's Segmentation tab from all parts at once.
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
)
from airflow_segmentation.storage.files import project_root

PROJECT = project_root(Path(__file__).resolve().parents[1])
FEATURES = ["BALANCE", "PURCHASES", "CREDIT_LIMIT"]
# A larger k takes longer, so the parts get shorter. They overlap by a few k, where the lower SSE counts.
RANGES = [{"k_min": 1, "k_max": 24}, {"k_min": 22, "k_max": 38}, {"k_min": 36, "k_max": 49}]

with DAG(
    dag_id="mapped_segmentation",
    description="The sweep of customer_segmentation, spread over mapped tasks",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,  # each run replaces model/mapped.sav
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},  # a part that is killed goes on
    tags=["segmentation"],
):
    load = CsvLoadOperator(task_id="load", path=f"{PROJECT}/data/file.csv", id_column="CUST_ID")
    scale = MinMaxPreprocessOperator(task_id="scale", data=load.output, features=FEATURES)
    sweep = KMeansSweepOperator.partial(
        task_id="sweep",
        data=scale.output,
        stability=20,
        map_index_template="k = {{ task.k_min }} to {{ task.k_max }}",
    ).expand_kwargs(RANGES)
    choose = ElbowOperator(task_id="choose", sweep=sweep.output, model_path=f"{PROJECT}/model/mapped.sav")
