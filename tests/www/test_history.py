"""The charts of many runs: lines of those that are alike, and marks that tell the others apart."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone

import pytest
from airflow_segmentation.reports.report import Feature, Report
from airflow_segmentation.www import history, words
from airflow_segmentation.www.runs import Listed, Run, Task
from made.reports import make_report


def test_of_curves_whose_marks_cover_each_other_only_the_first_is_named() -> None:
    when = datetime(2026, 3, 14, tzinfo=timezone.utc)
    chosen = [(8, 0.80), (8, 0.77), (8, 0.60), (5, 0.60)]
    listed = [
        Listed(
            run=Run("d", f"run-{order}", "success", when, {}),
            task=Task("choose", -1),
            summary=dataclasses.replace(make_report().summary(), k=k, explained=explained),
            progress=None,
        )
        for order, (k, explained) in enumerate(chosen)
    ]
    named = [trace["text"] for trace in history.curves(listed)["data"] if "text" in trace]
    assert named == [["8"], [""], ["8"], ["5"]]


def listed(*reports: Report) -> list[Listed]:
    """Return reports as a Dag's page lists them, an hour apart, named by their number."""
    return [
        Listed(
            run=Run("d", f"run-{number}", "success", datetime(2026, 3, 14, number, tzinfo=timezone.utc), {}),
            task=Task("choose", -1),
            summary=report.summary(),
            progress=None,
        )
        for number, report in enumerate(reports)
    ]


def test_like_runs_are_one_line_and_nothing_is_said_of_them() -> None:
    rows = listed(make_report(k=8), make_report(seed=1, k=7))
    figure = history.trends(rows)

    assert [trace["y"] for trace in figure["data"]][:1] == [[8, 7]]
    assert len(figure["data"]) == 3
    assert figure["layout"]["showlegend"] is False
    assert words.trends(rows) == "The chosen k lies between 7 and 8; the latest run chose 7."
    assert words.curves(rows) == "The share of SSE that is left at each k, and the k that each run chose."


UNLIKE = [
    (make_report(seed=1, k_max=12, k=6), "k = 1..12"),
    (make_report(seed=1, features=5, k=7), "5 features"),
    (
        dataclasses.replace(
            make_report(seed=1), features=tuple(Feature(name, 0.0, 1.0) for name in ("X", "Y", "Z"))
        ),
        "3 other features",
    ),
    (dataclasses.replace(make_report(seed=1), decided_by="given"), "k set by you"),
    (dataclasses.replace(make_report(seed=1), decided_by="silhouette"), "by Silhouette"),
]


@pytest.mark.parametrize(("other", "differs"), UNLIKE, ids=[differs for _, differs in UNLIKE])
def test_runs_that_are_not_alike_are_told_apart(other: Report, differs: str) -> None:
    rows = listed(make_report(k=8), other, make_report(k=7))
    trends, curves = history.trends(rows)["data"], history.curves(rows[::-1])["data"]

    assert [trace["y"] for trace in trends[:2]] == [[8, 7], [other.k]], "a line leads past the run"
    assert "1..30, 3 features, by Kneedle" in trends[0]["name"]
    assert differs in trends[1]["name"]
    assert trends[0]["marker"]["symbol"] != trends[1]["marker"]["symbol"]
    assert history.trends(rows)["layout"]["showlegend"] is True
    assert (
        "Not all are alike: 2 of 3 have k = 1..30, 3 features, by Kneedle, as the latest has."
        in words.trends(rows)
    )
    assert [trace["line"]["dash"] for trace in curves[::2]] == ["solid", "dot", "solid"]
    assert [differs in trace["name"] for trace in curves[::2]] == [False, True, False]
    assert f"\u2068run-1\u2069 ({differs})." in words.curves(rows[::-1])
    assert differs in words.trends_table(rows).rows[1][-1]


def test_a_silhouette_has_two_digits() -> None:
    report = make_report()
    value = report.chosen.scores["silhouette"]

    assert words.trends_table(listed(report)).rows[0][4] == f"{value:.2f}"
    assert "Silhouette %{y:.2f}" in history.trends(listed(report))["data"][2]["hovertemplate"]
