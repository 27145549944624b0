"""The page of a Dag: with one run, with runs of one second, and with more than it lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow_segmentation.www.runs import MAX_TREND
from made.charts import chart
from made.metadata import START, add_dag, add_run, push_report
from made.reports import make_report
from sqlalchemy import delete


@pytest.fixture
def made(filled: None) -> Iterator[Any]:
    """A function that makes a Dag with so many reports, an hour apart or all of one moment."""

    def make(count: int, *, at_once: bool = False) -> str:
        with create_session(scoped=False) as session:
            add_dag(session, "crowded")
            for number in range(count):
                run = add_run(session, "crowded", f"run-{number}", number=number)
                if at_once:
                    run.run_after = START
                push_report(session, run, make_report(seed=number % 2, k=8 - number % 2))
        return "/dag?dag_id=crowded"

    yield make
    with create_session(scoped=False) as session:
        session.execute(delete(DagRun).where(DagRun.dag_id == "crowded"))


def test_runs_of_one_second_stand_side_by_side_in_the_order_they_were_made(server: Any, made: Any) -> None:
    trends = chart(server.get(made(4, at_once=True)).text, "trends")

    assert trends["data"][0]["x"] == [0, 1, 2, 3]
    assert trends["data"][0]["y"] == [8, 7, 8, 7]
    assert trends["data"][0]["customdata"] == [f"run-{number}" for number in range(4)]
    assert trends["layout"]["xaxis"]["ticktext"] == ["2026-03-14<br>09:00"] * 4


def test_a_single_run_has_an_axis_with_its_time(server: Any, made: Any) -> None:
    page = server.get(made(1)).text
    axis = chart(page, "trends")["layout"]["xaxis"]

    assert (axis["tickvals"], axis["ticktext"]) == ([0], ["2026-03-14<br>09:00"])
    assert axis["range"] == [-0.5, 0.5]
    assert "1 report of the task" in page


def test_a_dag_with_more_reports_than_are_listed_says_how_many_there_are(server: Any, made: Any) -> None:
    page = server.get(made(MAX_TREND + 5)).text
    trends = chart(page, "trends")

    assert f"The latest {MAX_TREND} of {MAX_TREND + 5} reports of the task" in page
    assert trends["data"][0]["customdata"][0] == "run-5"
    assert len(trends["layout"]["xaxis"]["tickvals"]) == 6


def test_as_many_reports_as_are_listed_are_all(server: Any, made: Any) -> None:
    assert f"{MAX_TREND} reports of the task" in server.get(made(MAX_TREND)).text


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ("", 3),
        ("&picked=1", 0),
        ("&picked=1&curves=run-0", 1),
        ("&curves=run-0&curves=run-1", 2),
        ("&picked=1&curves=of-long-ago", 3),
    ],
)
def test_no_curve_is_drawn_where_none_was_picked(server: Any, made: Any, asked: str, drawn: int) -> None:
    page = server.get(made(4) + asked).text

    curves = chart(page, "curves")
    assert len(curves["data"] if curves else ()) == 2 * drawn
    assert ("No run chosen." in page) == (drawn == 0)
    assert page.count("checked>") == drawn
