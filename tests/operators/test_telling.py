"""What a task that fails leaves for the page: why, where that is for its input, and no secret."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators import CsvLoadOperator, KMeansSweepOperator
from airflow_segmentation.operators.telling import telling
from airflow_segmentation.reports.report import FAILURE_KEY, MAX_MESSAGE, Failure


class Failing(BaseOperator):
    """Raises what it is given."""

    def __init__(self, *, error: Exception, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error = error

    @telling
    def execute(self, context: Any) -> None:
        raise self.error


class Masking(BaseOperator):
    """Fails with a secret in its message, which Airflow has been told of."""

    @telling
    def execute(self, context: Any) -> None:
        from airflow.sdk.log import mask_secret

        mask_secret("hunter2-of-the-vault")
        raise InputError("s3://bucket was refused to hunter2-of-the-vault;\nask for another")


def told(run: Any, map_index: int = -1) -> str | None:
    """Return what the task "fails" of a run told."""
    assert run.states["fails"] == "failed"
    value = run.xcom("fails", FAILURE_KEY, map_index=map_index)
    return None if value is None else Failure.from_json(value).message


def test_a_task_that_fails_for_its_input_tells_why(run_dag, customers):
    with DAG("telling_range", schedule=None) as dag:
        KMeansSweepOperator(task_id="fails", data=str(customers), k_min=9, k_max=3)

    assert told(run_dag(dag)) == "k_min=9 should be <= k_max=3"


def test_what_else_is_raised_is_not_told(run_dag):
    with DAG("telling_else", schedule=None) as dag:
        Failing(task_id="fails", error=OSError("No answer from https://me:hunter2@vault"))

    assert told(run_dag(dag)) is None


def test_a_long_message_is_cut(run_dag):
    with DAG("telling_much", schedule=None) as dag:
        Failing(task_id="fails", error=InputError("x" * 100_000))

    assert told(run_dag(dag)) == "x" * MAX_MESSAGE


@pytest.mark.parametrize(
    "path",
    [
        "ftp://me:hunter2@host/customers.csv",
        "https://host/customers.csv?sig=hunter2",
        "https://hunter2@host/customers.csv",
    ],
)
def test_a_secret_in_a_path_is_not_told(run_dag, path):
    with DAG("telling_path", schedule=None) as dag:
        CsvLoadOperator(task_id="fails", path=path)

    message = told(run_dag(dag))
    assert message
    assert "customers.csv" in message
    assert "hunter2" not in message


def test_a_secret_that_airflow_masks_in_logs_is_not_told(run_dag):
    with DAG("telling_mask", schedule=None) as dag:
        Masking(task_id="fails")

    assert told(run_dag(dag)) == "s3://bucket was refused to ***;\N{REPLACEMENT CHARACTER}ask for another"


def test_a_task_fails_for_what_it_fails_for_if_it_cannot_be_told(run_dag, monkeypatch):
    def lose(*_: Any) -> None:
        raise OSError("no database")

    monkeypatch.setattr("airflow_segmentation.operators.telling.push_record", lose)
    seen: list[BaseException] = []
    with DAG("telling_lost", schedule=None) as dag:
        Failing(
            task_id="fails",
            error=InputError("the input"),
            on_failure_callback=lambda context: seen.append(context["exception"]),
        )

    assert told(run_dag(dag)) is None
    assert [str(error) for error in seen] == ["the input"]
