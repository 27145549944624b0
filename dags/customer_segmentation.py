"""Segments credit card customers: load, scale, sweep K-Means over every k, choose k at the elbow, assign.

Trigger it in the UI, then open the Segmentation tab of the run.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG
from airflow_segmentation.operators import (
    CsvLoadOperator,
    ElbowOperator,
    KMeansPredictOperator,
    KMeansSweepOperator,
    MinMaxPreprocessOperator,
    form_params,
    require_range,
)
from airflow_segmentation.storage.files import project_root

PROJECT = project_root(Path(__file__).resolve().parents[1])
COLUMNS = ["BALANCE", "BALANCE_FREQUENCY", "CASH_ADVANCE", "CASH_ADVANCE_FREQUENCY", "CASH_ADVANCE_TRX"]
COLUMNS += ["CREDIT_LIMIT", "INSTALLMENTS_PURCHASES", "MINIMUM_PAYMENTS", "ONEOFF_PURCHASES"]
COLUMNS += ["ONEOFF_PURCHASES_FREQUENCY", "PAYMENTS", "PRC_FULL_PAYMENT", "PURCHASES"]
COLUMNS += ["PURCHASES_FREQUENCY", "PURCHASES_INSTALLMENTS_FREQUENCY", "PURCHASES_TRX", "TENURE"]

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
    params=form_params(features=["BALANCE", "PURCHASES", "CREDIT_LIMIT"], columns=COLUMNS),
):
    load = CsvLoadOperator(
        task_id="load",
        path=f"{PROJECT}/data/file.csv",
        id_column="CUST_ID",
        pre_execute=require_range,  # a range that is none fails here, not after the sweep
    )
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
        method="{{ params.method }}",
    )
    for task_id, customers in (("assign", "test.csv"), ("assign_all", "file.csv")):
        KMeansPredictOperator(
            task_id=task_id,
            model_path=choose.output["model_path"],
            model_digest=choose.output["model_digest"],
            data=f"{PROJECT}/data/{customers}",
            id_column="CUST_ID",
        )
