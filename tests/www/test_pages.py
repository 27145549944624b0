"""What the pages are made of, beside their charts: tables, queries and downloads."""

from __future__ import annotations

import csv
import dataclasses
import io
from datetime import datetime, timezone

import pytest
from airflow_segmentation.report import CurvePoint, Feature, Report
from airflow_segmentation.www import pages
from airflow_segmentation.www.runs import Query, Run, Task
from made.reports import make_report


def report_of(*curve: CurvePoint, k: int) -> Report:
    """Return a report with this curve, of which `k` was chosen."""
    return dataclasses.replace(make_report(), curve=curve, k=k, k_min=curve[0].k, k_max=curve[-1].k)


def test_scores_are_told_with_their_change_against_the_chosen_k() -> None:
    report = report_of(
        CurvePoint(2, sse=80.0, explained=0.6, silhouette=0.25),
        CurvePoint(3, sse=40.0, explained=0.8, silhouette=0.5),
        CurvePoint(4, sse=30.0, explained=0.85, silhouette=None),
        k=3,
    )

    assert pages.scores(report, 2) == [
        ("SSE", "80", "+100.0%"),
        ("Explained", "60.0%", "-20.0 points"),
        ("Silhouette", "0.25", "-0.25"),
    ]
    assert pages.scores(report, 3) == [
        ("SSE", "40", ""),
        ("Explained", "80.0%", ""),
        ("Silhouette", "0.50", ""),
    ]
    assert pages.scores(report, 4) == [
        ("SSE", "30", "-25.0%"),
        ("Explained", "85.0%", "+5.0 points"),
        ("Silhouette", "n/a", ""),
    ]


@pytest.mark.parametrize(
    ("order", "segments"),
    [
        ("", [0, 1, 2]),
        ("0", [0, 1, 2]),
        ("-0", [2, 1, 0]),
        ("1", [2, 1, 0]),
        ("-1", [0, 1, 2]),
        ("3", [1, 2, 0]),
        ("-3", [0, 2, 1]),
        ("5", [2, 0, 1]),
        ("6", [0, 1, 2]),
        ("x", [0, 1, 2]),
    ],
)
def test_segments_are_sorted_by_the_column_asked_for(order: str, segments: list[int]) -> None:
    centers = ((9.0, 1.0, 5.0), (1.0, 2.0, 6.0), (4.0, 3.0, 4.0))
    report = report_of(CurvePoint(3, sse=1.0, explained=0.5, sizes=(50, 30, 20), centers=centers), k=3)

    rows = pages.segments_table(report, 3, order)["rows"]

    shares = zip((50, 30, 20), (0.5, 0.3, 0.2), strict=True)
    expected = {segment: (segment, *sizes) for segment, sizes in enumerate(shares)}
    assert [row[:3] for row in rows] == [expected[segment] for segment in segments]
    assert all(sorted(row[3:]) == sorted(centers[row[0]]) for row in rows)


def test_the_table_of_segments_has_the_most_telling_features_first_each_under_its_own_name() -> None:
    centers = ((1.0, 50.0), (3.0, 10.0))
    report = report_of(CurvePoint(2, sse=1.0, explained=0.5, sizes=(70, 30), centers=centers), k=2)
    features = (Feature("a", 0.0, 9.0, 1.6, 5.0), Feature("b", 0.0, 90.0, 38.0, 20.0))

    table = pages.segments_table(dataclasses.replace(report, features=features), 2, "")

    assert table["headers"] == [("0", "Segment"), ("1", "Rows"), ("2", "Share"), ("4", "b"), ("3", "a")]
    assert table["rows"] == [(0, 70, 0.7, 50.0, 1.0), (1, 30, 0.3, 10.0, 3.0)]


def shown(report: Report) -> str:
    """Return the page of a run with this report."""
    run = Run("d", "r", "success", datetime(2026, 3, 14, tzinfo=timezone.utc), {})
    task = Task("choose", -1)
    return pages.render("run.html", **pages.run_page(run, task, [task], report, {}, {}))


@pytest.mark.parametrize(
    ("features", "more"), [(12, None), (13, "1 more feature is"), (18, "6 more features are")]
)
def test_features_that_are_elsewhere_are_told_of_where_they_are(features: int, more: str | None) -> None:
    report = make_report(features=features, k_max=6, k=3)
    without = tuple(dataclasses.replace(point, centers=None) for point in report.curve)

    assert len(pages.segments_table(report, 3, "")["headers"]) == 3 + min(features, 12)
    where = f"{more} in the heat map, and in the report and the charts to download."
    assert (where in shown(report)) == (more is not None)
    assert "in the heat map" not in shown(dataclasses.replace(report, curve=without)), "there is none"


def test_a_question_to_the_list_is_read_and_its_last_day_is_in_it() -> None:
    asked = {
        "q": " a ",
        "dag_id": "d",
        "since": "2026-03-13",
        "until": "2026-03-14",
        "sort": "k",
        "page": "2",
    }

    assert pages.query_of(asked) == Query(
        search="a",
        dag_id="d",
        since=datetime(2026, 3, 13, tzinfo=timezone.utc),
        until=datetime(2026, 3, 15, tzinfo=timezone.utc),
        sort="k",
        page=2,
    )
    assert pages.query_of({}) == Query()


def test_a_sweep_as_csv_has_every_score_to_the_last_digit() -> None:
    report = make_report()

    header, *rows = csv.reader(io.StringIO(pages.sweep_csv(report)))

    columns = "k,sse,explained,silhouette,calinski_harabasz,davies_bouldin,seconds,iterations"
    assert ",".join(header) == columns
    for row, point in zip(rows, report.curve, strict=True):
        values = [getattr(point, column) for column in header]
        assert row == ["" if value is None else repr(value) for value in values]
