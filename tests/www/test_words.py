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
        "The range swept makes no difference: k = 8 for k up to 15, too.",
    ),
    (
        words.half_range,
        {"half_range": Choice("kneedle", 5)},
        "The elbow depends on the range swept: k = 5 for k up to 15, k = 8 for k up to 30.",
    ),
    (
        words.half_range,
        {"half_range": Choice("silhouette", 5), "method": "silhouette", "decided_by": "silhouette"},
        "The k of Silhouette depends on the range swept: k = 5 for k up to 15, k = 8 for k up to 30.",
    ),
    (
        words.half_range,
        {"half_range": Choice("kneedle", 15)},
        "The elbow depends on the range swept: k = 15, the last, for k up to 15, k = 8 for k up to 30.",
    ),
    (
        words.half_range,
        {"half_range": Choice("kneedle", None)},
        "The elbow depends on the range swept: none for k up to 15, k = 8 for k up to 30.",
    ),
    (
        words.half_range,
        {"half_range": Choice("kneedle", None), "decided_by": "chord"},
        "The range swept makes no difference: none for k up to 15, too.",
    ),
    (
        words.half_range,
        {
            "half_range": Choice("kneedle", 5),
            "warnings": (
                "The elbow depends on the range swept: k = 5 for k up to 15, k = 8 for k up to 30. Oh",
            ),
        },
        None,
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
        ("kneedle", "given", "You set k = 2"),
    ],
)
def test_the_elbow_is_told_with_how_it_was_found(method: str, decided_by: str, said: str) -> None:
    curve = (CurvePoint(1, sse=90.0, explained=0.0), CurvePoint(2, sse=30.5, explained=0.661))
    report = dataclasses.replace(make_report(), curve=curve, k=2, method=method, decided_by=decided_by)

    assert words.elbow(report) == (
        f"SSE falls from 90 at k = 1 to 30.5 at k = 2. {said}, which explains 66.1% of the variation."
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


def told(started: str | None, now: str | None, *, done: int = 10, before: int = 0, total: int = 30) -> str:
    """Return what is said at a time of a sweep that began at another and told of itself after a minute."""
    progress = Progress(
        done=done, total=total, started_at=started, updated_at="2026-03-14T09:01:00+00:00", before=before
    )
    return words.progress(progress, datetime.fromisoformat(f"2026-03-14T{now}+00:00") if now else None)


def test_progress_says_how_long_it_took_and_what_is_left_once_that_can_be_told() -> None:
    nine = "2026-03-14T09:00:00+00:00"
    left = "; at this pace about"
    after = "left. Scores come after the steps."
    assert told(nine, "09:01:00") == f"10 of 30 steps done in 1 minute{left} 2 minutes {after}"
    assert told(nine, "09:00:20") == f"10 of 30 steps done in 20 seconds{left} 40 seconds {after}"
    assert told(nine, "12:00:00") == f"10 of 30 steps done in 3 hours{left} 6 hours {after}"
    assert told(nine, "09:01:00", before=7) == f"10 of 30 steps done in 1 minute{left} 7 minutes {after}"
    assert told(nine, "09:01:00", before=8) == "10 of 30 steps done in 1 minute."
    assert told(nine, "09:00:04") == "10 of 30 steps done in 4 seconds."
    assert told(nine, "10:00:00", done=30) == "30 of 30 steps done in 1 minute."
    assert told(nine, None) == "10 of 30 steps done in 1 minute."


@pytest.mark.parametrize("started", [None, "", "soon", "2026-03-14", "2027-01-01T00:00:00+00:00"])
def test_progress_says_nothing_of_a_beginning_that_is_none(started: str | None) -> None:
    assert told(started, "09:01:00") == "10 of 30 steps done."
