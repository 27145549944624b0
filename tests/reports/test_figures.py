"""Figures: what they show, for reports of every shape, and that Plotly would take them."""

from __future__ import annotations

import dataclasses
import html
import json
import math
import re
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from airflow_segmentation.reports import alike, figures
from airflow_segmentation.reports.report import Choice, CurvePoint, Feature, Progress, Report, Structure
from airflow_segmentation.www import words
from hypothesis import given
from hypothesis import strategies as st
from made.reports import continuum, evidenced, hostile, make_progress, make_report
from sklearn.preprocessing import StandardScaler

FINITE = st.floats(-1e9, 1e9, allow_nan=False)


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """Reports of any shape: any range, features, and scores or sizes or centres left out."""
    moments = st.tuples(FINITE, st.floats(-1, 1e9, allow_nan=False))
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
                scores=draw(st.dictionaries(st.just("silhouette"), st.floats(-1, 1))),
                sizes=draw(st.none() | st.just(sizes)),
                centers=draw(st.none() | st.lists(row, min_size=k, max_size=k).map(tuple)),
                gap=draw(st.none() | FINITE),
                gap_se=draw(st.none() | st.floats(0, 1e9)),
                jaccard=draw(st.none() | st.lists(st.floats(0, 1), min_size=k, max_size=k).map(tuple)),
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
        features=tuple(
            Feature(draw(st.text()), at, at + draw(st.floats(0, 1e6)), *draw(st.none() | moments) or ())
            for at in low
        ),
        rows=draw(st.integers(1, 10**9)),
        curve=tuple(curve),
        choices=draw(st.lists(st.builds(Choice, st.text(), st.none() | st.integers(1, 9))).map(tuple)),
        sample=draw(st.lists(st.tuples(*[FINITE] * features), max_size=5).map(tuple)),
        structure=draw(
            st.none() | st.integers(1, 9).map(lambda k: Structure("clear", 0.5, k, 0.05, 20, 100, ""))
        ),
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
        figures.gap(report, k),
        figures.sizes(report, k),
        figures.centres(report, k),
        figures.sample(report, k, 0, last),
    ]
    return [figure for figure in made if figure]


@given(reports(), st.integers(-1, 9))
def test_any_report_makes_figures_of_plain_json(report: Report, k: int) -> None:
    for figure in all_of(report, k):
        json.dumps(figure, allow_nan=False)


@pytest.mark.parametrize("k", [1, 8, 30])
def test_plotly_takes_every_figure(k: int) -> None:
    for figure in [*all_of(evidenced(make_report()), k), figures.growing(make_progress())]:
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


def test_the_gap_has_error_bars_a_zero_line_and_marks() -> None:
    report = evidenced(make_report())
    figure = figures.gap(report, 3)
    assert figure
    curve, *marks = figure["data"]

    assert curve["x"] == list(range(1, 31))
    assert curve["y"] == [point.gap for point in report.curve]
    assert curve["error_y"]["array"] == [point.gap_se for point in report.curve]
    assert figure["layout"]["yaxis"]["zeroline"] is True
    by_name = {mark["name"]: (mark["x"], mark["y"]) for mark in marks}
    assert by_name == {"Gap takes k = 5": ([5], [0.55]), "Looked at": ([3], [report.curve[2].gap])}
    assert next(mark for mark in marks if "text" in mark)["text"] == ["<b>k = 5</b>"]


def test_the_gap_is_named_where_there_is_room() -> None:
    placed = {}
    for report in (continuum(make_report()), evidenced(make_report(k_max=5, k=5))):
        figure = figures.gap(report, 2)
        assert figure
        placed[report.k_max] = next(mark for mark in figure["data"] if "text" in mark)["textposition"]

    assert placed == {30: "top right", 5: "top left"}


@pytest.mark.parametrize(("looked_at", "position"), [(3, "top right"), (6, "top left")])
def test_the_gap_is_named_away_from_the_k_that_is_looked_at(looked_at: int, position: str) -> None:
    figure = figures.gap(evidenced(make_report()), looked_at)

    assert figure
    assert next(mark for mark in figure["data"] if "text" in mark)["textposition"] == position


def test_a_k_without_a_gap_has_neither_a_point_nor_a_mark() -> None:
    report = evidenced(make_report())
    without = tuple(
        dataclasses.replace(point, gap=None, gap_se=None) if point.k in (3, 5) else point
        for point in report.curve
    )
    figure = figures.gap(dataclasses.replace(report, curve=without), 3)

    assert figure
    assert [len(trace["x"]) for trace in figure["data"]] == [28]
    assert figures.gap(make_report(), 3) is None


@pytest.mark.parametrize(
    ("gap", "share"), [(0.0, 0.0), (math.log(2), 0.5), (-math.log(2), -1.0), (1e150, 1.0), (-1e150, -22025.5)]
)
def test_a_gap_is_a_share_of_sse(gap: float, share: float) -> None:
    assert figures.less_sse(gap) == pytest.approx(share, rel=1e-4)


@pytest.mark.parametrize(
    ("similarity", "word"),
    [
        (1.0, "stable"),
        (0.75, "stable"),
        (0.74, "doubtful"),
        (0.5, "doubtful"),
        (0.49, "dissolves"),
        (0.0, "dissolves"),
    ],
)
def test_how_sure_a_segment_comes_again_is_a_word(similarity: float, word: str) -> None:
    assert figures.trust(similarity) == word


def test_a_bar_tells_how_sure_its_segment_comes_again_where_that_is_known() -> None:
    known, unknown = figures.sizes(evidenced(make_report()), 8), figures.sizes(make_report(), 8)

    assert known
    assert unknown
    assert "%{hovertext}" in known["data"][0]["hovertemplate"]
    assert known["data"][0]["hovertext"][-1] == "<br>comes again: 0.48, dissolves"
    assert set(unknown["data"][0]["hovertext"]) == {""}


def example() -> Report:
    """Return a report of 6,000 rows: SPEND in three groups, NOISE random, ONE of one value."""
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], 2000)
    rows = np.column_stack(
        [
            rng.normal(size=6000),
            np.full(6000, 4.0),
            np.array([100.0, 500, 900])[group] + rng.normal(0, 20, 6000),
        ]
    )
    point = CurvePoint(
        k=3,
        sse=1.0,
        explained=0.5,
        sizes=(2000, 2000, 2000),
        centers=tuple(tuple(rows[group == segment].mean(axis=0).tolist()) for segment in range(3)),
    )
    facts = zip(rows.min(axis=0), rows.max(axis=0), rows.mean(axis=0), rows.std(axis=0), strict=True)
    return Report(
        k=3,
        method="kneedle",
        decided_by="kneedle",
        sensitivity=1.0,
        k_min=3,
        k_max=3,
        random_state=None,
        features=tuple(
            Feature(name, *map(float, each))
            for name, each in zip(["NOISE", "ONE", "SPEND"], facts, strict=True)
        ),
        rows=6000,
        curve=(point,),
    )


def test_centres_are_standardized_by_the_deviation_of_the_rows() -> None:
    report = example()
    z = np.array(figures.standardized(report, report.chosen))
    rows = np.array([[100.0, 500, 900]]).T + np.zeros(3)

    assert z[2] == pytest.approx(StandardScaler().fit_transform(rows)[:, 0], abs=0.01)
    assert np.abs(z[0]).max() < 0.06, "no segment differs in what is random"
    assert z[1].tolist() == [0, 0, 0], "nor in what has one value"


def test_the_most_telling_feature_comes_first_and_noise_is_pale_and_last() -> None:
    report = example()
    shares = figures.between(report, report.chosen)
    heat_map = figures.centres(report, 3)

    assert shares is not None
    assert shares[2] == pytest.approx(1 - 20**2 / (report.features[2].deviation or 0) ** 2, abs=0.001)
    assert max(shares[:2]) < 0.001
    assert figures.telling_first(report, report.chosen) == [2, 0, 1]
    assert heat_map is not None
    (trace,) = heat_map["data"]
    assert [cells[0][0] for cells in trace["customdata"]] == ["SPEND", "NOISE", "ONE"]
    assert trace["customdata"][0][0][1] == "99.6% of its variance lies between segments"
    assert trace["text"][0] == [figures.short(centre[2]) for centre in report.chosen.centers or ()]
    assert (trace["zmin"], trace["zmax"]) == pytest.approx((-1.22, 1.22), abs=0.01)
    assert np.abs(trace["z"][1]).max() / trace["zmax"] < 0.05
    assert words.centres(report, 3) == (
        "Stands out most: segment 0, -1.2 standard deviations in \u2068SPEND\u2069; "
        "segment 2, +1.2 standard deviations in \u2068SPEND\u2069. "
        "Most telling: \u2068SPEND\u2069, 99.6% of whose variance lies between segments."
    )
    table = words.centres_table(report, 3)
    assert table is not None
    assert [row[:2] for row in table.rows] == [("SPEND", "99.6%"), ("NOISE", "0.0%"), ("ONE", "0.0%")]


def test_shares_between_segments_are_those_of_an_analysis_of_variance() -> None:
    rng = np.random.default_rng(3)
    rows, labels = rng.lognormal(size=(500, 4)), rng.integers(0, 3, 500)
    rows[labels == 1, 2] *= 3
    within = sum(
        ((rows[labels == one] - rows[labels == one].mean(axis=0)) ** 2).sum(axis=0) for one in range(3)
    )
    total = ((rows - rows.mean(axis=0)) ** 2).sum(axis=0)
    report = dataclasses.replace(
        example(),
        features=tuple(
            Feature(str(i), 0.0, 1.0, float(rows[:, i].mean()), float(rows[:, i].std())) for i in range(4)
        ),
        curve=(
            CurvePoint(
                k=3,
                sse=1.0,
                explained=0.5,
                sizes=tuple(np.bincount(labels).tolist()),
                centers=tuple(tuple(rows[labels == one].mean(axis=0).tolist()) for one in range(3)),
            ),
        ),
    )

    assert figures.between(report, report.chosen) == pytest.approx(1 - within / total)


@pytest.mark.parametrize(("spread", "limit"), [(0.1, 1.0), (1.0, 2.0), (50.0, 3.0)])
def test_colours_are_deep_where_a_deviation_is_large(spread: float, limit: float) -> None:
    """They are not as deep as can be for what is small, nor pale for all because one segment is far off."""
    report = example()
    feature = dataclasses.replace(report.features[2], mean=0.0, deviation=1.0)
    point = CurvePoint(k=2, sse=1.0, explained=0.5, sizes=(3, 3), centers=((-spread,), (2 * spread,)))
    figure = figures.centres(dataclasses.replace(report, k=2, features=(feature,), curve=(point,)), 2)

    assert figure is not None
    bar = figure["data"][0]["colorbar"]
    assert (figure["data"][0]["zmin"], figure["data"][0]["zmax"]) == (-limit, limit)
    assert bar.get("ticktext") == (["≤ \u22123", "0", "≥ 3"] if spread == 50 else None)


def test_a_report_without_deviations_shows_places_in_the_range_and_says_so() -> None:
    full = make_report()
    report = dataclasses.replace(
        full, features=tuple(Feature(one.name, one.minimum, one.maximum) for one in full.features)
    )
    figure = figures.centres(report, 8)

    assert figure is not None
    (trace,) = figure["data"]
    first = report.features[0]
    assert trace["z"][0] == pytest.approx(
        [
            (centre[0] - first.minimum) / (first.maximum - first.minimum)
            for centre in report.chosen.centers or ()
        ]
    )
    assert (trace["zmin"], trace["zmax"], trace["colorbar"]["tickformat"]) == (0, 1, ".0%")
    assert "deviation" not in trace["hovertemplate"]
    assert words.centres_title(report) == "Centres, in their features' ranges"
    assert words.centres(report, 8).startswith("This report does not hold the standard deviation of the rows")
    assert [cells[0][0] for cells in trace["customdata"]] == [feature.name for feature in report.features]
    table = words.centres_table(report, 8)
    assert table is not None
    assert table.headers[:2] == ("Feature", "Segment 0")


def test_the_heat_map_shows_original_values() -> None:
    report = make_report()
    heat_map = figures.centres(report, 2)
    first = figures.telling_first(report, report.curve[1])[0]

    assert heat_map
    assert report.curve[1].centers
    assert heat_map["data"][0]["text"][0] == [
        figures.short(centre[first]) for centre in report.curve[1].centers
    ]


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
    assert heat_map["data"][0]["customdata"][0][0][0] == "n" * 200


def test_the_growing_curve_keeps_room_for_what_is_to_come() -> None:
    figure = figures.growing(make_progress(done=12, total=30))

    assert figure["layout"]["xaxis"]["range"] == pytest.approx([0.3, 30.7])
    assert figures.growing(Progress(done=0, total=5))["data"][0]["x"] == []


def test_a_growing_curve_of_which_only_the_ends_are_known_fits_the_axis() -> None:
    figure = figures.growing(Progress(done=2, total=10, curve=((1.0, 9.0), (49.0, 1.0))))

    assert figure["layout"]["xaxis"]["range"] == pytest.approx([0.3, 49.7])


@given(st.lists(st.tuples(FINITE, FINITE), max_size=60))
def test_a_sparkline_is_the_curve_in_its_box(pairs: list[tuple[float, float]]) -> None:
    points = [tuple(map(float, point.split(","))) for point in figures.sparkline(pairs).split()]

    assert len(points) == (len(pairs) if len(pairs) > 1 else 0)
    assert all(2 <= x <= 94 and 2 <= y <= 22 for x, y in points)
    for (k, sse), (x, y) in zip(pairs if points else [], points, strict=True):
        for (other_k, other_sse), (other_x, other_y) in zip(pairs, points, strict=True):
            assert k <= other_k or x >= other_x
            assert sse <= other_sse or y <= other_y, "what is higher is nearer to the top"


def test_a_sparkline_of_a_falling_curve_falls() -> None:
    assert figures.sparkline([(1, 9.0), (2, 3.0), (3, 1.0)]) == "2.0,2.0 48.0,17.0 94.0,22.0"


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


def test_what_is_not_known_of_an_older_summary_is_taken_for_the_same() -> None:
    older = dataclasses.replace(make_report().summary(), feature_set=None)

    assert alike.differences(older, make_report().summary()) == ""
    assert alike.differences(dataclasses.replace(older, features=9), make_report().summary()) == "9 features"


def test_features_in_another_order_are_the_same() -> None:
    report = make_report()
    turned = dataclasses.replace(report, features=report.features[::-1])

    assert alike.differences(report.summary(), turned.summary()) == ""


END = dataclasses.replace(
    make_report(),
    choices=(
        Choice("kneedle", 8),
        Choice("silhouette", 30),
        Choice("davies_bouldin", 30),
        Choice("chord", None),
    ),
)


def test_a_method_whose_k_is_the_last_of_the_range_is_not_settled() -> None:
    names = {trace["name"]: trace for trace in figures.elbow(END, 8)["data"]}

    mark = names["Silhouette, Davies-Bouldin: k = 30, not settled"]
    assert mark["marker"]["symbol"].endswith("-open")
    assert "Chosen: k = 8" in names
    assert words.methods(END) == (
        "The methods disagree: from k = 8 to k = 30. Not settled: Silhouette, Davies-Bouldin. "
        "The last k of the range is best; a larger one may be better."
    )
    assert "not settled" not in words.elbow(END)


@pytest.mark.parametrize("method", ["kneedle", "chord", "silhouette", "given"])
def test_a_chosen_k_that_is_the_last_of_the_range_is_not_settled_unless_given(method: str) -> None:
    report = dataclasses.replace(make_report(), k=30, decided_by=method)
    names = [trace["name"] for trace in figures.elbow(report, 8)["data"]]

    assert ("Chosen: k = 30, not settled" in names) == (method != "given")
    assert ("not settled" in words.elbow(report)) == (method != "given")


def test_a_k_that_makes_a_segment_of_each_distinct_row_has_none_beyond() -> None:
    curve = (*make_report().curve[:-1], dataclasses.replace(make_report().curve[-1], sse=0.0))

    assert make_report().unsettled(30)
    assert not dataclasses.replace(make_report(), curve=curve).unsettled(30)


def test_a_range_of_one_k_settles_nothing_and_nothing_is_said_of_it() -> None:
    report = dataclasses.replace(make_report(k=1), k_max=1, curve=make_report(k=1).curve[:1])

    assert not report.unsettled(1)
    assert "not settled" not in json.dumps(figures.elbow(report, 1))


def test_a_silhouette_has_two_digits() -> None:
    report = make_report()
    value = report.chosen.scores["silhouette"]
    assert value is not None

    assert words.elbow_table(report).rows[7][3] == f"{value:.2f}"
    second = next(trace for trace in figures.elbow(report, 8, axis="silhouette")["data"] if "yaxis" in trace)
    assert "%{y:.2f}" in second["hovertemplate"]


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        (None, "over all rows or a sample, which this report does not tell"),
        (600, "over all rows"),
        (599, "over a sample of 599 rows, by segment and weighted"),
    ],
)
def test_it_is_said_over_which_rows_the_silhouette_is(taken: int | None, said: str) -> None:
    assert words.silhouette_rows(dataclasses.replace(make_report(), silhouette_rows=taken)) == said


@pytest.mark.parametrize(
    ("count", "digits", "said"),
    [(0, 0, "0%"), (41, 0, "<1%"), (51, 0, "1%"), (4, 1, "<0.1%"), (6, 1, "0.1%"), (5000, 0, "50%")],
)
def test_a_share_of_some_rows_is_never_none(count: int, digits: int, said: str) -> None:
    assert figures.share(count, 10_000, digits) == said
    assert figures.share(0, 0) == "0%"


def test_segments_of_one_colour_are_told_apart_in_tables_as_in_bars() -> None:
    marks = [(figures.colour(segment), figures.hatching(segment)) for segment in range(50)]

    assert len(set(marks)) == 50
    assert not any(figures.hatching(segment) for segment in range(7))
    for segment in range(50):
        assert bool(figures.hatching(segment)) == bool(figures.pattern(segment))


@pytest.mark.parametrize("k", [8, 30])
def test_of_many_segments_an_axis_names_so_many_as_it_has_room_for(k: int) -> None:
    for figure in (figures.sizes(make_report(), k), figures.centres(make_report(), k)):
        assert figure
        assert k / figure["layout"]["xaxis"].get("dtick", 1) <= 12


@pytest.mark.parametrize(
    ("k_max", "step"), [(10, 1), (13, 1), (14, 2), (30, 5), (49, 5), (300, 50), (10_000, 1000)]
)
def test_an_axis_of_k_names_so_many_as_a_telephone_has_room_for(k_max: int, step: int) -> None:
    curve = (CurvePoint(1, sse=9.0, explained=0.0), CurvePoint(k_max, sse=1.0, explained=0.9))
    report = dataclasses.replace(make_report(), curve=curve, k=1, k_max=k_max, choices=(), stability=None)

    assert figures.elbow(report, 1)["layout"]["xaxis"]["dtick"] == step
