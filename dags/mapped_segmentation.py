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
    form_params,
    require_range,
)
from airflow_segmentation.storage.files import project_root

PROJECT = project_root(Path(__file__).resolve().parents[1])
COLUMNS = ["BALANCE", "BALANCE_FREQUENCY", "CASH_ADVANCE", "CASH_ADVANCE_FREQUENCY", "CASH_ADVANCE_TRX"]
COLUMNS += ["CREDIT_LIMIT", "INSTALLMENTS_PURCHASES", "MINIMUM_PAYMENTS", "ONEOFF_PURCHASES"]
COLUMNS += ["ONEOFF_PURCHASES_FREQUENCY", "PAYMENTS", "PRC_FULL_PAYMENT", "PURCHASES"]
COLUMNS += ["PURCHASES_FREQUENCY", "PURCHASES_INSTALLMENTS_FREQUENCY", "PURCHASES_TRX", "TENURE"]
# A larger k takes longer, so the parts get shorter. They overlap by a few k, where the lower SSE counts.
SHARES = [(0, 0.48), (0.44, 0.78), (0.73, 1)]
K = "{{ params.k_min + (%s * (params.k_max - params.k_min)) | int }}"
PARTS = [{"k_min": K % begin, "k_max": K % end} for begin, end in SHARES]

with DAG(
    dag_id="mapped_segmentation",
    description="The sweep of customer_segmentation, spread over mapped tasks",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,  # each run replaces model/mapped.sav
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},  # a part that is killed goes on
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
    sweep = KMeansSweepOperator.partial(
        task_id="sweep",
        data=scale.output,
        stability=20,
        map_index_template="k = {{ task.k_min }} to {{ task.k_max }}",
    ).expand_kwargs(PARTS)
    choose = ElbowOperator(
        task_id="choose",
        sweep=sweep.output,
        model_path=f"{PROJECT}/model/mapped.sav",
        k="{{ params.k }}",
        method="{{ params.method }}",
    )
