"""Customers scored by what is published, and held against those that it was made of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators import (
    KMeansPredictOperator,
    KMeansSweepOperator,
    MinMaxPreprocessOperator,
    PublishSegmentsOperator,
)
from airflow_segmentation.reports.report import ASSIGNMENT_KEY, Assignment
from made.tasks import Task

GROUPS = [(20.0, 100.0), (40.0, 900.0), (60.0, 300.0)]


def customers(sizes=(500, 300, 200), seed=0):
    """Customers in three groups."""
    rng = np.random.default_rng(seed)
    rows = [rng.normal(centre, (3, 30), (size, 2)) for centre, size in zip(GROUPS, sizes, strict=True)]
    return pd.DataFrame(np.concatenate(rows), columns=["AGE", "SPENT"])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The folder of published segments, made of 1,000 customers of whom 1 in 50 has no age but the median."""
    folder = tmp_path_factory.mktemp("published")
    frame = customers()
    frame.loc[::50, "AGE"] = None
    frame.to_parquet(folder / "customers.parquet")
    scale = MinMaxPreprocessOperator(
        task_id="scale", data=str(folder / "customers.parquet"), features=["AGE", "SPENT"], missing="median"
    )
    data = scale.execute({"ti": Task("scale")})
    sweep = KMeansSweepOperator(task_id="sweep", data=data, k_max=4, reference_sets=0)
    publish = PublishSegmentsOperator(
        task_id="publish",
        name="made",
        path=str(folder / "all"),
        k=3,
        sweep=sweep.execute({"ti": Task("sweep")}),
    )
    publish.execute({"ti": Task("publish"), "outlet_events": OutletEventAccessors()})
    return str(folder / "all")


@pytest.fixture
def score(path, tmp_path, capsys):
    """Return a function from customers to the record that is pushed of them, and the task's log."""

    def run(frame, task=None, **arguments):
        frame.to_parquet(tmp_path / "new.parquet")
        task = task or Task("score")
        arguments = {"published": path} | arguments
        KMeansPredictOperator(task_id="score", data=str(tmp_path / "new.parquet"), **arguments).execute(
            {"ti": task}
        )
        told = capsys.readouterr()
        return Assignment.from_json(task.pushed[ASSIGNMENT_KEY]), told.out + told.err

    return run


def test_the_customers_it_was_made_of_have_not_drifted(score):
    frame = customers()
    frame.loc[::50, "AGE"] = None
    assignment, log = score(frame)
    assert assignment.version == 1
    assert assignment.drift.shares == pytest.approx(0, abs=1e-9)
    assert [shift.psi for shift in assignment.drift.features] == pytest.approx([0, 0], abs=1e-9)
    assert (assignment.drift.outside, assignment.drift.found) == (0, ())
    assert "drifted" not in log


@pytest.mark.parametrize("sizes", [(500, 300, 200), (60, 30, 25)])
def test_others_like_them_have_not_drifted_even_if_they_are_few(score, sizes):
    for seed in range(1, 6):
        assert score(customers(sizes, seed), max_outside=0.1)[0].drift.found == ()


def test_what_has_shifted_is_told_in_the_log_and_to_the_page(score):
    older = customers(seed=1)
    older["AGE"] += 8
    assignment, log = score(older)
    first = assignment.drift.features[0]
    assert first.feature == "AGE"
    assert first.psi > 1
    told = [
        f"AGE has shifted: its PSI is {first.psi:.2g}, above max_psi=0.25",
        "have a value beyond the range",
    ]
    for one in told:
        assert any(one in found for found in assignment.drift.found)
        assert one in log
    assert "The customers have drifted: AGE" in log


def test_other_shares_of_the_segments_are_a_drift(score):
    assignment, _ = score(customers((50, 50, 900), 1), max_psi=1, max_outside=1)
    assert assignment.drift.shares > 1
    assert "segments have other shares of the customers" in assignment.drift.found[-1]


def test_a_drift_can_fail_the_task_before_its_table_is_replaced(score, path, tmp_path):
    assignment, _ = score(customers())
    before = pd.read_parquet(assignment.uri)
    task = Task("score")
    with pytest.raises(InputError) as raised:
        score(customers() * 2, task, fail_on_drift=True)
    assert "have drifted, and no table of segments was written: " in str(raised.value)
    assert str(raised.value).endswith(". Sweep and publish anew, raise the limit, or set fail_on_drift=False")
    assert pd.read_parquet(assignment.uri).equals(before)
    told = Assignment.from_json(task.pushed[ASSIGNMENT_KEY])
    assert (told.uri, told.rows, told.without, told.version) == ("", 1000, 1000, 1)
    assert told.drift.found == score(customers() * 2)[0].drift.found


def test_limits_can_be_set(score):
    frame = customers() * 2
    assert score(frame, max_psi=100, max_outside=1, fail_on_drift=True)[0].drift.found == ()


def test_customers_without_a_segment_have_no_drift(score):
    frame = customers().iloc[:3]
    frame["SPENT"] = np.inf
    assert score(frame)[0].drift is None


def test_a_folder_without_published_segments_is_refused(score, tmp_path):
    with pytest.raises(
        InputError, match=r"^No segments are published in .*none so far; run the Dag with the Publ"
    ):
        score(customers(), published=str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "Give either published or model_path"),
        ({"published": "p", "model_path": "m"}, "Give either published or model_path"),
        ({"published": "p", "max_psi": -1}, "max_psi=-1 should be >= 0"),
        ({"published": "p", "max_outside": 2}, "max_outside=2 a share from 0 to 1"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused_in_the_dag(arguments, told):
    with pytest.raises(ValueError, match=told):
        KMeansPredictOperator(task_id="score", data="d", **arguments)
