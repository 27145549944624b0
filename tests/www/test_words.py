"""What is said of each chart, case by case."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from airflow_segmentation.reports.report import Choice, CurvePoint, Progress, Report, Stability, Times
from airflow_segmentation.www import words
from airflow_segmentation.www.runs import Listed, Run, Task
from made.reports import make_report

WORDS: list[tuple[Callable[..., Any], dict[str, Any], str | None]] = [
    (
        words.methods,
        {"choices": (Choice("kneedle", 7), Choice("chord", 7))},
        "Every method that found a k chose 7.",
    ),
    (
        words.methods,
        {"choices": (Choice("kneedle", None), Choice("chord", 7))},
        "Every method that found a k chose 7.",
    ),
    (
        words.methods,
        {"choices": (Choice("kneedle", 7), Choice("chord", 3), Choice("silhouette", 4))},
        "The methods disagree: from k = 3 to k = 7.",
    ),
    (words.methods, {"choices": (Choice("kneedle", None),)}, "No method found a k."),
    (words.stability, {"stability": None}, None),
    (
        words.stability,
        {"stability": Stability(20, 300, (Times(7, 12), Times(8, 8)))},
        "k = 7 in 12 of 20 resamples, 8 in 8.",
    ),
    (
        words.half_range,
        {"half_range": Choice("kneedle", 8)},
        "With k_max = 15 instead of 30, k would be the same.",
    ),
    (words.half_range, {"half_range": Choice("kneedle", 5)}, "With k_max = 15 instead of 30, k would be 5."),
    (
        words.half_range,
        {"half_range": Choice("kneedle", 15)},
        "With k_max = 15 instead of 30, k would be 15, the last of that range.",
    ),
    (
        words.half_range,
        {"half_range": Choice("kneedle", None)},
        "With k_max = 15 instead of 30, no k would be found.",
    ),
    (words.half_range, {"half_range": None}, None),
    (words.half_range, {"decided_by": "given"}, None),
]


@pytest.mark.parametrize(("say", "given", "said"), WORDS)
def test_what_is_said_of_a_report(
    say: Callable[[Report], Any], given: dict[str, Any], said: str | None
) -> None:
    assert say(dataclasses.replace(make_report(), **given)) == said


@pytest.mark.parametrize(
    ("method", "decided_by", "said"),
    [
        ("kneedle", "kneedle", "Kneedle chose k = 2"),
        ("kneedle", "chord", "Kneedle found no elbow; Chord chose k = 2"),
        ("kneedle", "given", "k = 2 was given"),
    ],
)
def test_the_elbow_is_told_with_how_it_was_found(method: str, decided_by: str, said: str) -> None:
    curve = (CurvePoint(1, sse=90.0, explained=0.0), CurvePoint(2, sse=30.5, explained=0.661))
    report = dataclasses.replace(make_report(), curve=curve, k=2, method=method, decided_by=decided_by)

    assert words.elbow(report) == (
        f"SSE falls from 90 at k = 1 to 30.5 at k = 2. {said}, where 66.1% of it is explained."
    )


def test_sizes_are_told_with_their_shares() -> None:
    curve = (
        CurvePoint(1, sse=9.0, explained=0.0, sizes=(2000,)),
        CurvePoint(3, sse=1.0, explained=0.9, sizes=(1500, 400, 100)),
    )
    report = dataclasses.replace(make_report(), curve=curve, k=3)

    assert words.sizes(report, 1) == "One segment holds all 2,000 rows."
    assert words.sizes(report, 3) == (
        "3 segments: the largest holds 1,500 rows (75.0%), the smallest 100 (5.0%)."
    )
    table = words.sizes_table(report, 3)
    assert table
    assert table.rows == (("0", "1,500", "75.0%"), ("1", "400", "20.0%"), ("2", "100", "5.0%"))


def listed(*chosen: int) -> list[Listed]:
    """Return the reports of runs that chose these k, the earliest first."""
    when = datetime(2026, 3, 14, tzinfo=timezone.utc)
    return [
        Listed(
            run=Run("d", f"run-{order}", "success", when, {}),
            task=Task("choose", -1),
            summary=dataclasses.replace(
                make_report().summary(), k=k, sse=10.0 * k, curve=((1.0, 0.5), (float(k), 0.25))
            ),
            progress=None,
        )
        for order, k in enumerate(chosen)
    ]


def test_the_runs_of_a_dag_are_told_the_latest_first() -> None:
    assert words.trends(listed(4, 4)) == "Every run chose k = 4."
    assert words.trends(listed(4, 9, 6)) == "The chosen k lies between 4 and 9; the latest run chose 6."
    assert [row[:3] for row in words.trends_table(listed(4, 9)).rows] == [
        ("run-1", "9", "90"),
        ("run-0", "4", "40"),
    ]
    curves = words.curves_table(listed(4, 9))
    assert curves.headers == ("k", "run-0", "run-1")
    assert curves.rows == (("1", "0.5", "0.5"), ("4", "0.25", "n/a"), ("9", "n/a", "0.25"))


def test_a_sweep_under_way_is_told_by_its_last_k() -> None:
    assert words.growing(Progress(done=0, total=5)) == "No k has been fitted yet."
    assert words.growing(Progress(done=2, total=5, curve=((1.0, 9.0), (2.0, 4.0)))) == (
        "So far SSE has fallen to 4 at k = 2."
    )
