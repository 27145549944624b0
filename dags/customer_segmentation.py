"""Segments credit card customers: load, scale, sweep K-Means over every k, choose k at the elbow, assign.

Trigger it in the UI, then open the Segmentation tab of the run.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, Param
from airflow_segmentation.operators import (
    CsvLoadOperator,
    ElbowOperator,
    KMeansPredictOperator,
    KMeansSweepOperator,
    MinMaxPreprocessOperator,
)
from airflow_segmentation.storage.files import project_root

PROJECT = project_root(Path(__file__).resolve().parents[1])
AMOUNTS = ["BALANCE", "PURCHASES", "ONEOFF_PURCHASES", "INSTALLMENTS_PURCHASES", "CASH_ADVANCE", "PAYMENTS"]
AMOUNTS += ["CREDIT_LIMIT", "MINIMUM_PAYMENTS"]
COUNTS = ["CASH_ADVANCE_TRX", "PURCHASES_TRX", "TENURE"]
SHARES = ["BALANCE_FREQUENCY", "PURCHASES_FREQUENCY", "ONEOFF_PURCHASES_FREQUENCY", "PRC_FULL_PAYMENT"]
SHARES += ["PURCHASES_INSTALLMENTS_FREQUENCY", "CASH_ADVANCE_FREQUENCY"]

with DAG(
    dag_id="customer_segmentation",
    description="Segments of 8,950 credit card customers, with k chosen at the elbow",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,  # each run replaces model/model.sav
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},  # bad input fails at once nevertheless
    render_template_as_native_obj=True,  # so that the params below arrive as lists and numbers
    tags=["segmentation"],
    params={
        "features": Param(
            ["BALANCE", "PURCHASES", "CREDIT_LIMIT"],
            description="The columns to cluster on",
            type="array",
            items={"type": "string", "enum": sorted(AMOUNTS + COUNTS + SHARES)},
            examples=sorted(AMOUNTS + COUNTS + SHARES),
            minItems=1,
            uniqueItems=True,
        ),
        "k_min": Param(1, description="The smallest k of the sweep", type="integer", minimum=1, maximum=200),
        "k_max": Param(49, description="The largest k of the sweep", type="integer", minimum=1, maximum=200),
        "k": Param(
            None,
            description="The k to take instead of the elbow; leave it empty to choose at the elbow",
            type=["null", "integer"],
            minimum=1,
            maximum=200,
        ),
    },
):
    load = CsvLoadOperator(task_id="load", path=f"{PROJECT}/data/file.csv", id_column="CUST_ID")
    scale = MinMaxPreprocessOperator(task_id="scale", data=load.output, features="{{ params.features }}")
    sweep = KMeansSweepOperator(
        task_id="sweep",
        data=scale.output,
        k_min="{{ params.k_min }}",
        k_max="{{ params.k_max }}",
        stability=20,
        n_jobs=2,
    )
    choose = ElbowOperator(
        task_id="choose",
        sweep=sweep.output,
        model_path=f"{PROJECT}/model/model.sav",
        k="{{ params.k }}",
    )
    assign = KMeansPredictOperator(
        task_id="assign",
        model_path=choose.output["model_path"],
        model_digest=choose.output["model_digest"],
        data=f"{PROJECT}/data/test.csv",
        id_column="CUST_ID",
    )
