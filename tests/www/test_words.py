"""What is said of each chart, case by case."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from airflow_segmentation.clustering.methods import METHODS
from airflow_segmentation.reports.report import (
    Choice,
    CurvePoint,
    Progress,
    Recommendation,
    Report,
    Stability,
    Structure,
    Times,
)
from airflow_segmentation.www import words
from airflow_segmentation.www.runs import Listed, Run, Task
from made.reports import continuum, evidenced, make_report

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


def test_sizes_are_told_with_how_many_segments_would_come_again() -> None:
    point = CurvePoint(4, sse=1.0, explained=0.9, sizes=(7, 5, 4, 4), jaccard=(0.9, 0.75, 0.6, 0.4))
    report = dataclasses.replace(make_report(), curve=(point,), k=4)

    assert words.sizes(report, 4).endswith("When rows are drawn anew: 2 stable, 1 doubtful, 1 dissolves.")
    table = words.sizes_table(report, 4)
    assert table
    assert table.headers == ("Segment", "Rows", "Share", "Comes again")
    assert [row[3] for row in table.rows] == [
        "0.90, stable",
        "0.75, stable",
        "0.60, doubtful",
        "0.40, dissolves",
    ]


FOUND = Structure("clear", gap=0.5, gap_k=5, p=1 / 21, sets=20, rows=4096, null="as they are")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            "SSE is up to 39.3% lower than in 20 sets of 4,096 rows without groups, and the gap takes k = 5. "
            "In 1 of 21 sets, these rows among them, the gap stands out as much: p = 0.048.",
        ),
        (
            {"verdict": "none", "gap": 0.01, "gap_k": 1, "p": 10 / 21},
            "Whatever k, SSE is at most 1.0% lower than in 20 sets of 4,096 rows without groups. "
            "In 10 of 21 sets, these rows among them, the gap stands out as much: p = 0.48.",
        ),
    ],
)
def test_the_gap_is_told_with_what_it_was_held_against(changes: dict[str, Any], said: str) -> None:
    assert words.structure(dataclasses.replace(FOUND, **changes)) == said


@pytest.mark.parametrize(
    ("component", "distances", "said"),
    [
        (None, None, None),
        (0.08, None, "On the first principal component p = 0.08: one peak is possible."),
        (0.049, None, "On the first principal component p = 0.049: more than one peak."),
        (
            None,
            0.0,
            "On the distances between rows p < 0.001: more than one peak. Outliers and long tails lower the "
            "one on distances, too.",
        ),
        (
            1.0,
            0.05,
            "On the first principal component p = 1: one peak is possible. On the distances between rows "
            "p = 0.05: one peak is possible. Outliers and long tails lower the one on distances, too.",
        ),
    ],
)
def test_the_dip_tests_are_told_in_words(
    component: float | None, distances: float | None, said: str | None
) -> None:
    told = words.dips(dataclasses.replace(FOUND, dip_component=component, dip_distances=distances))

    assert told == (said and f"The dip test asks whether there is more than one peak. {said}")


@pytest.mark.parametrize(
    ("found", "warnings", "said"),
    [
        (None, (), None),
        (Recommendation("It is best", 5), ("Careful",), "The evidence is for k = 5. It is best."),
        (
            Recommendation("It is best", 5),
            ("Not k=8. It is best",),
            "The evidence is for k = 5, as the warning above says.",
        ),
        (Recommendation("None is better"), (), "None is better."),
    ],
)
def test_the_recommendation_is_told_with_its_reason(
    found: Recommendation | None, warnings: tuple[str, ...], said: str | None
) -> None:
    report = dataclasses.replace(make_report(), recommendation=found, warnings=warnings)

    assert words.recommendation(report) == said


def test_the_chart_of_the_gap_is_told_in_words_and_as_a_table() -> None:
    said = (
        "How far the logarithm of SSE lies below that of rows without groups, with one standard error; "
        "farthest at k = {}, by {}."
    )
    report = evidenced(make_report())

    assert words.gap(report) == said.format(5, 0.55) + f" It takes k = 5: {METHODS['gap'].meaning}."
    assert words.gap(dataclasses.replace(report, structure=None)) == said.format(5, 0.55)
    assert words.gap(continuum(make_report())) == (
        said.format(1, 0) + " That does not tell groups, so the gap takes k = 1."
    )
    table = words.gap_table(report)
    assert table.headers == ("k", "Gap", "Standard error", "SSE lower by")
    assert table.rows[4] == ("5", "0.55", "0.015", "42.3%")
    assert len(table.rows) == 30


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
