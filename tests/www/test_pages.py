"""What each page holds, for reports and addresses of every kind."""

from __future__ import annotations

import csv
import dataclasses
import io
from datetime import datetime, timezone

import pytest
from airflow_segmentation.reports.report import CurvePoint, Feature, Report
from airflow_segmentation.www import figures, pages
from airflow_segmentation.www.runs import Run, Task
from made.reports import make_report


def of_two(**changes: object) -> Report:
    """Return a report whose scores at k = 2, the chosen, and at k = 3 are round numbers."""
    centers = ((1.0, 50.0), (3.0, 10.0))
    two = CurvePoint(2, 200.0, 0.6, scores={"silhouette": 0.504}, sizes=(70, 30), centers=centers)
    three = CurvePoint(
        3, 150.0, 0.7, scores={"silhouette": 0.456}, sizes=(60, 30, 10), centers=(*centers, (2.0, 70.0))
    )
    report = dataclasses.replace(
        make_report(), k=2, k_min=2, k_max=3, rows=100, curve=(two, three), features=FEATURES, profiles=()
    )
    return dataclasses.replace(report, **changes)  # type: ignore[arg-type]


FEATURES = (Feature("a", 0.0, 9.0, 1.6, 5.0), Feature("b", 0.0, 90.0, 38.0, 20.0))


def test_scores_stand_beside_their_change_against_the_chosen_k() -> None:
    assert pages.scores(of_two(), 3) == [
        ("SSE", "150", "-25.0%"),
        ("Explained", "70.0%", "+10.0 points"),
        ("Silhouette", "0.46", "-0.04"),
    ]
    assert [change for *_, change in pages.scores(of_two(), 2)] == ["", "", ""]


@pytest.mark.parametrize(
    ("order", "segments"),
    [
        ("", [0, 1, 2]),
        ("0", [0, 1, 2]),
        ("-0", [2, 1, 0]),
        ("1", [2, 1, 0]),
        ("-2", [0, 1, 2]),
        ("3", [0, 2, 1]),
        ("-3", [1, 2, 0]),
        ("4", [1, 0, 2]),
        ("9", [0, 1, 2]),
        ("x", [0, 1, 2]),
    ],
)
def test_segments_are_sorted_by_what_is_asked_for(order: str, segments: list[int]) -> None:
    assert [row[0] for row in pages.segments_table(of_two(), 3, order)["rows"]] == segments


def test_the_table_of_segments_has_the_most_telling_features_first_each_under_its_own_name() -> None:
    table = pages.segments_table(of_two(), 2, "")

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


def test_until_includes_its_day() -> None:
    query = pages.query_of({"since": "2026-03-14", "until": "2026-03-14"})

    assert query.since == datetime(2026, 3, 14, tzinfo=timezone.utc)
    assert query.until == datetime(2026, 3, 15, tzinfo=timezone.utc)


def test_the_csv_of_a_sweep_has_every_figure_under_its_name() -> None:
    report = make_report()
    rows = list(csv.DictReader(io.StringIO(pages.sweep_csv(report))))

    assert list(rows[0]) == [
        *("k", "sse", "explained", "silhouette", "calinski_harabasz", "davies_bouldin", "seconds"),
        "iterations",
    ]
    for row, point in zip(rows, report.curve, strict=True):
        for name, text in row.items():
            value = figures.value_of(point, name)
            assert text == ("" if value is None else str(value))
