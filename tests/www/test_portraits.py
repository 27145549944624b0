from __future__ import annotations

import dataclasses
import math

import numpy as np
import plotly.graph_objects as go
import pytest
from airflow_segmentation.reports import figures
from airflow_segmentation.reports.report import Report
from airflow_segmentation.www.portraits import Portraits, portraits
from hypothesis import given, settings
from hypothesis import strategies as st
from made.reports import continuum, evidenced, make_report
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_samples

REPORT = evidenced(make_report())


def at(k: int, report: Report = REPORT, **asked) -> Portraits:
    return portraits(report, figures.point_at(report, k), asked.get("column"), asked.get("other"))


def cards(drawn: Portraits):
    return (drawn.map, drawn.silhouettes, drawn.importance, drawn.distribution, drawn.beside)


@pytest.mark.parametrize("k", [1, 2, 8, 20, 30])
@pytest.mark.parametrize(
    "report",
    [REPORT, continuum(make_report()), make_report(features=1)],
    ids=["groups", "none", "one feature"],
)
def test_every_chart_is_one_that_plotly_takes(report, k):
    for card in cards(at(k, report)):
        assert card.summary
        if card.figure:
            go.Figure(card.figure)


def test_rows_lie_on_the_map_where_scikit_learns_pca_puts_them():
    report = evidenced(make_report(rows=400))  # all of whose rows are drawn
    figure = at(8, report).map.figure
    rows = np.array(figures.scaled(report, report.sample))
    expected = PCA(2).fit_transform(rows)

    drawn = np.array(
        [(x, y) for trace in figure["data"][:-1] for x, y in zip(trace["x"], trace["y"], strict=True)]
    )
    assert drawn[np.lexsort(drawn.T)] == pytest.approx(expected[np.lexsort(expected.T)], abs=1e-9)
    assert len(figure["data"][-1]["x"]) == 8
    assert figure["data"][-1]["marker"]["size"] == sorted(figure["data"][-1]["marker"]["size"], reverse=True)


@settings(max_examples=10)
@given(k=st.integers(2, 30))
def test_silhouettes_are_scikit_learns(k):
    drawn = at(k)
    rows = np.array(figures.scaled(REPORT, REPORT.sample[:300]))
    owners = np.array(drawn.owners[:300])
    if len(np.unique(owners)) < 2:
        return
    expected = silhouette_samples(rows, owners)

    assert drawn._silhouettes() == pytest.approx(expected, abs=1e-9)
    for segment, trace in enumerate(drawn.silhouettes.figure["data"]):
        assert trace["x"] == pytest.approx(sorted(expected[owners == segment], reverse=True), abs=1e-3)


def test_features_are_ordered_by_how_much_they_tell():
    card = at(8).importance
    (bars,) = card.figure["data"]

    assert bars["x"] == sorted(bars["x"], reverse=True)
    assert [row[1] for row in card.table.rows] == [f"{share:.1%}" for share in bars["x"]]
    assert bars["customdata"][0] in card.summary


def test_boxes_are_the_quartiles_of_each_segment_and_of_all_rows():
    profile = REPORT.profiles[1]
    traces = at(8, column=1).distribution.figure["data"]

    assert [trace["name"] for trace in traces] == ["All", *map(str, range(8))]
    assert (
        traces[0]["mean"][0],
        traces[0]["q1"][0],
        traces[0]["median"][0],
        traces[0]["q3"][0],
    ) == profile.overall
    assert [trace["median"][0] for trace in traces[1:]] == list(profile.q50)


def test_a_flow_is_the_share_of_rows_that_go_from_one_segment_to_another():
    drawn = at(8, other=3)
    here, there = np.array(drawn.owners), np.array(figures.assign(REPORT, figures.point_at(REPORT, 3)))
    sizes = np.array(REPORT.chosen.sizes)
    weights = (sizes / np.bincount(here, minlength=8))[here] / sizes.sum()

    shares = {(own, to): share for own, to, share in drawn.beside.table.rows}
    for own in range(8):
        for to in range(3):
            weight = weights[(here == own) & (there == to)].sum()
            assert shares.get((str(own), str(to)), "0.0%") == f"{weight:.1%}"
    assert math.fsum(drawn.weights) == pytest.approx(1)
    (sankey,) = drawn.beside.figure["data"]
    assert sum(sankey["link"]["value"]) == pytest.approx(1, abs=0.05)


def test_two_k_have_their_scores_and_trust_side_by_side():
    rows = {label: (here, there) for label, here, there in at(8, other=5).compared}

    assert rows["SSE"] == (figures.short(REPORT.chosen.sse), figures.short(figures.point_at(REPORT, 5).sse))
    assert rows["Segments that come again"] == ("7 of 8 stable", "5 of 5 stable")


@pytest.mark.parametrize(
    ("k", "other", "shown"),
    [(8, None, 5), (5, None, 8), (8, 3, 3), (8, 8, 5), (8, 99, 5)],
)
def test_the_other_k_is_the_one_asked_for_or_else_the_recommended_or_the_chosen_one(k, other, shown):
    assert at(k, other=other).other == shown


def test_the_column_drawn_first_is_the_most_telling_feature():
    drawn = at(8)
    assert REPORT.profiles[drawn.column].column == drawn.importance.table.rows[0][0]
    assert at(8, column=2).column == 2
    assert at(8, column=99).column == drawn.column


def test_what_is_not_in_the_report_is_said_with_what_to_do():
    bare = dataclasses.replace(REPORT, sample=(), plane=None, profiles=())
    for card in (at(8, bare).map, at(8, bare).silhouettes, at(8, bare).distribution, at(8, bare).beside):
        assert card.figure is None
        assert "Clear the task" in card.summary
    without = tuple(
        dataclasses.replace(point, centers=None) if point.k == 20 else point for point in REPORT.curve
    )
    for card in cards(at(20, dataclasses.replace(REPORT, curve=without)))[:3]:
        assert card.figure is None
        assert "not stored at k = 20" in card.summary
