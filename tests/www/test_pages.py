"""What the pages are made of, beside their charts: tables, queries and downloads."""

from __future__ import annotations

import csv
import dataclasses
import io
from datetime import datetime, timezone

import pytest
from airflow_segmentation.report import CurvePoint, Report
from airflow_segmentation.www import pages
from airflow_segmentation.www.runs import Query
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
        ("Silhouette", "0.25", "-50.0%"),
    ]
    assert pages.scores(report, 3) == [
        ("SSE", "40", ""),
        ("Explained", "80.0%", ""),
        ("Silhouette", "0.5", ""),
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

    table = pages.segments_table(report, 3, order)

    rows = [
        (segment, (50, 30, 20)[segment], (0.5, 0.3, 0.2)[segment], *centers[segment]) for segment in segments
    ]
    assert table["rows"] == rows
    assert table["headers"] == ("Segment", "Rows", "Share", "BALANCE", "PURCHASES", "CREDIT_LIMIT")


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
