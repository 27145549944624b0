"""Figures: what they show, for reports of every shape, and that Plotly would take them."""

from __future__ import annotations

import dataclasses
import html
import json
import re
from datetime import datetime, timezone
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from airflow_segmentation.report import Choice, CurvePoint, Feature, Progress, Report
from airflow_segmentation.www import figures
from airflow_segmentation.www.runs import Listed, Run, Task
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made.reports import hostile, make_progress, make_report

FINITE = st.floats(-1e9, 1e9, allow_nan=False)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """Reports of any shape: any range, features, and scores or sizes or centres left out."""
    features = draw(st.integers(1, 4))
    first = draw(st.integers(1, 3))
    curve = []
    for k in range(first, first + draw(st.integers(1, 6))):
        sizes = tuple(sorted(draw(st.lists(st.integers(1, 99), min_size=k, max_size=k)), reverse=True))
        row = st.tuples(*[FINITE] * features)
        curve.append(
            CurvePoint(
                k=k,
                sse=draw(st.floats(0, 1e9)),
                explained=draw(st.floats(0, 1)),
                silhouette=draw(st.none() | st.floats(-1, 1)),
                sizes=draw(st.none() | st.just(sizes)),
                centers=draw(st.none() | st.lists(row, min_size=k, max_size=k).map(tuple)),
            )
        )
    low = draw(st.lists(FINITE, min_size=features, max_size=features))
    return Report(
        k=draw(st.sampled_from([point.k for point in curve])),
        method="kneedle",
        decided_by=draw(st.sampled_from(["kneedle", "chord", "given"])),
        sensitivity=1.0,
        k_min=curve[0].k,
        k_max=curve[-1].k,
        random_state=None,
        features=tuple(Feature(draw(st.text()), at, at + draw(st.floats(0, 1e6))) for at in low),
        rows=draw(st.integers(1, 10**9)),
        curve=tuple(curve),
        choices=draw(st.lists(st.builds(Choice, st.text(), st.none() | st.integers(1, 9))).map(tuple)),
        sample=draw(st.lists(st.tuples(*[FINITE] * features), max_size=5).map(tuple)),
    )


def all_of(report: Report, k: int) -> list[dict[str, Any]]:
    """Return every figure of a run's page."""
    last = len(report.features) - 1
    made = [
        *(
            figures.elbow(report, k, axis=axis, log=log)
            for axis in ("", *figures.AXES)
            for log in (False, True)
        ),
        figures.sizes(report, k),
        figures.centres(report, k),
        figures.sample(report, k, 0, last),
    ]
    return [figure for figure in made if figure]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(reports(), st.integers(-1, 9))
def test_any_report_makes_figures_of_plain_json(report: Report, k: int) -> None:
    for figure in all_of(report, k):
        json.dumps(figure, allow_nan=False)


@pytest.mark.parametrize("k", [1, 8, 30])
def test_plotly_takes_every_figure(k: int) -> None:
    for figure in [*all_of(make_report(), k), figures.growing(make_progress())]:
        go.Figure(figure)


def test_the_chosen_k_is_marked_on_the_curve_and_labelled() -> None:
    report = make_report()
    traces = figures.elbow(report, 3)["data"]

    chosen = next(trace for trace in traces if trace["name"] == "Chosen: k = 8")
    assert (chosen["x"], chosen["y"]) == ([8], [report.chosen.sse])
    assert chosen["text"] == ["<b>k = 8</b>"]
    looked_at = next(trace for trace in traces if trace.get("meta") == "looked-at")
    assert (looked_at["x"], looked_at["y"]) == ([3], [report.curve[2].sse])


def test_methods_that_agree_share_a_marker() -> None:
    names = [trace["name"] for trace in figures.elbow(make_report(), 8)["data"]]

    assert "Silhouette, Davies-Bouldin: k = 2" in names
    assert "Calinski-Harabasz: k = 3" in names
    assert not [name for name in names if "Kneedle" in name]


def test_stability_stands_as_bars_below_the_curve() -> None:
    figure = figures.elbow(make_report(), 8)
    bars = next(trace for trace in figure["data"] if trace["type"] == "bar")

    assert dict(zip(bars["x"], bars["y"], strict=True)) == {7: 12, 8: 6, 6: 2}
    assert figure["layout"]["yaxis3"]["domain"][1] < figure["layout"]["yaxis"]["domain"][0]


def test_without_stability_the_curve_has_the_whole_height() -> None:
    figure = figures.elbow(dataclasses.replace(make_report(), stability=None), 8)

    assert figure["layout"]["yaxis"]["domain"] == [0, 1]
    assert "yaxis3" not in figure["layout"]


def test_standardized_centres_have_mean_zero_and_deviation_one() -> None:
    point = make_report().chosen
    z, weights = np.array(figures.standardized(point)), np.array(point.sizes)

    assert np.average(z, axis=1, weights=weights) == pytest.approx(0, abs=1e-9)
    assert np.average(z**2, axis=1, weights=weights) == pytest.approx(1)


def test_a_feature_in_which_no_centre_differs_is_zero() -> None:
    point = CurvePoint(k=2, sse=1.0, explained=0.5, sizes=(3, 1), centers=((5.0, 1.0), (5.0, 2.0)))

    assert figures.standardized(point)[0] == [0.0, 0.0]


def test_the_heat_map_shows_original_values() -> None:
    report = make_report()
    heat_map = figures.centres(report, 2)

    assert heat_map
    assert report.curve[1].centers
    assert heat_map["data"][0]["text"][0] == [figures.short(centre[0]) for centre in report.curve[1].centers]


def test_rows_of_the_sample_belong_to_the_nearest_centre_in_scaled_features() -> None:
    report = make_report()
    low = np.array([feature.minimum for feature in report.features])
    span = np.array([feature.maximum for feature in report.features]) - low
    rows = (np.array(report.sample) - low) / span
    centres = (np.array(report.chosen.centers) - low) / span

    expected = ((rows[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert figures.assign(report, report.chosen) == expected.tolist()


@given(st.integers(0, 48), st.integers(0, 48))
def test_no_two_of_the_first_49_segments_look_alike(one: int, other: int) -> None:
    look = [(figures.colour(s), figures.symbol(s)) for s in (one, other)]
    bars = [(figures.colour(s), figures.pattern(s)) for s in (one, other)]

    assert (look[0] == look[1]) is (bars[0] == bars[1]) is (one == other)


def test_hostile_names_are_text_to_plotly() -> None:
    worst = '<b>bold</b><a href="javascript:alert(1)">x</a>%{x}'
    for figure in all_of(hostile(worst), 8):
        assert not any("bold" in trace.get("hovertemplate", "") for trace in figure["data"])
        for text in re.findall(r'"([^"]*bold[^"]*)"', json.dumps(figure)):
            assert "<b>bold" not in text
            assert "<a href" not in html.unescape(text) or "&lt;a href" in text


def test_long_names_are_cut_where_an_axis_has_no_room() -> None:
    heat_map = figures.centres(hostile("n" * 200), 8)

    assert heat_map
    assert max(map(len, heat_map["layout"]["yaxis"]["ticktext"])) <= figures.MAX_LABEL + 2
    assert heat_map["data"][0]["customdata"][0][0] == "n" * 200


def test_the_growing_curve_keeps_room_for_what_is_to_come() -> None:
    figure = figures.growing(make_progress(done=12, total=30))

    assert figure["layout"]["xaxis"]["range"] == pytest.approx([0.3, 30.7])
    assert figures.growing(Progress(done=0, total=5))["data"][0]["x"] == []


def test_a_growing_curve_of_which_only_the_ends_are_known_fits_the_axis() -> None:
    figure = figures.growing(Progress(done=2, total=10, curve=((1.0, 9.0), (49.0, 1.0))))

    assert figure["layout"]["xaxis"]["range"] == pytest.approx([0.3, 49.7])


@given(st.lists(st.tuples(FINITE, FINITE), max_size=60))
def test_a_sparkline_stays_inside_its_box(pairs: list[tuple[float, float]]) -> None:
    points = [tuple(map(float, point.split(","))) for point in figures.sparkline(pairs).split()]

    assert len(points) == (len(pairs) if len(pairs) > 1 else 0)
    assert all(2 <= x <= 94 and 2 <= y <= 22 for x, y in points)


def test_a_sparkline_has_its_largest_value_at_the_top() -> None:
    # SVG counts from the top.
    assert figures.sparkline([(1, 30), (2, 10), (5, 20)]) == "2.0,2.0 25.0,22.0 94.0,12.0"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234567.8, "1,234,568"),
        (12.3456, "12.35"),
        (0.39218, "0.3922"),
        (0.000012345, "0.00001234"),
        (-5.0, "-5"),
        (999.96, "1,000"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_have_four_significant_digits(value: float, text: str) -> None:
    assert figures.short(value) == text


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
    named = [trace["text"] for trace in figures.curves(listed)["data"] if "text" in trace]
    assert named == [["8"], [""], ["8"], ["5"]]
