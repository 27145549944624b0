"""Assigns all customers to the published segments: when others are published, and when customers are new.

PublishSegmentsOperator updates the Asset `segmentation://customers`; whoever brings customers should update
`customers`. The Dag's Segmentation tab shows which version scored them, and how far they have drifted.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, Asset
from airflow_segmentation.operators import KMeansPredictOperator
from airflow_segmentation.storage.files import project_root

PROJECT = project_root(Path(__file__).resolve().parents[1])

with DAG(
    dag_id="score_segments",
    description="All customers with the segments that are published",
    doc_md=__doc__,
    schedule=Asset("segmentation://customers") | Asset("customers"),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},  # bad input fails at once nevertheless
    tags=["segmentation"],
):
    KMeansPredictOperator(
        task_id="score",
        published=f"{PROJECT}/model/published",
        data=f"{PROJECT}/data/file.csv",
        id_column="CUST_ID",
        fail_on_drift=False,  # True hands no table on whose customers have drifted
    )
