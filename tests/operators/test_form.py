"""The form that triggers a Dag, and what it cannot check by itself."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from airflow.exceptions import ParamValidationError
from airflow.sdk import DAG
from airflow_segmentation.clustering.methods import METHODS
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators import CsvLoadOperator, form_params, require_range


@pytest.fixture
def params():
    return form_params(features=["a"], columns=["a", "b"], k_max=12)


def test_every_param_has_a_title_and_says_what_it_is_for(params):
    assert {name: param.schema["title"] for name, param in params.items()} == {
        "features": "Features",
        "k_min": "Smallest k",
        "k_max": "Largest k",
        "k": "k",
        "method": "Method",
    }
    assert all(param.description for param in params.values())


def test_every_method_is_offered_with_its_meaning(params):
    schema = params["method"].schema

    assert schema["enum"] == list(METHODS)
    assert [schema["values_display"][name] for name in METHODS] == [
        f"{one.label}: {one.meaning}" for one in METHODS.values()
    ]


def test_what_is_left_as_it_is_goes_together(params):
    answers = {name: param.resolve() for name, param in params.items()}

    require_range({"params": answers})

    assert answers == {"features": ["a"], "k_min": 1, "k_max": 12, "k": None, "method": "kneedle"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("features", ["c"]), ("features", []), ("k_min", 0), ("k_max", 201), ("k", "5"), ("method", "elbow")],
)
def test_an_answer_that_breaks_its_own_rule_is_refused(params, name, value):
    with pytest.raises(ParamValidationError):
        params[name].resolve(value)


@pytest.mark.parametrize("answers", [{"k_min": 4, "k_max": 4, "k": 4}, {"k_min": "2", "k_max": "9", "k": ""}])
def test_a_range_may_be_of_one_k_and_params_may_be_text(answers):
    require_range({"params": answers})


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            {"k_min": 9, "k_max": 4, "k": None},
            "k_min=9 should be <= k_max=4; trigger the Dag again with another",
        ),
        ({"k_min": 2, "k_max": 9, "k": 1}, "k=1 should be in the range that is swept, k_min=2 to k_max=9; "),
        ({"k_min": 2, "k_max": 9, "k": 10}, "again with a k of that range or with a wider one, or leave k"),
        ({"k_min": "many", "k_max": 9, "k": None}, "k_min='many' should be an integer"),
    ],
)
def test_answers_that_do_not_go_together_say_why_and_what_to_do(answers, message):
    with pytest.raises(InputError, match=re.escape(message)):
        require_range({"params": answers})


def test_they_fail_the_first_task_at_once_whatever_its_retries(run_dag, customers, params, capsys):
    retries = {"retries": 2, "retry_delay": timedelta(0)}
    with DAG("form", schedule=None, default_args=retries, params=params) as dag:
        CsvLoadOperator(task_id="load", path=str(customers), pre_execute=require_range)

    run = run_dag(dag, run_conf={"k_min": 9, "k_max": 4})

    assert (run.states, run.tries) == ({"load": "failed"}, {"load": 1})
    assert run.xcom("load") is None
    told = capsys.readouterr()
    assert "k_min=9 should be <= k_max=4" in told.out + told.err
