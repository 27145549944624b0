"""The charts: pure functions from a report to a Plotly figure.

A figure is a plain dict: Plotly's own classes check what the tests check, and cost 0.4 s on first use.
Colours of text, grid and background are absent; the browser takes them from the style sheet, which follows
the colour mode.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from typing import Any

from airflow_segmentation.clustering.methods import DISSOLVED, SCORES, STABLE
from airflow_segmentation.reports.alike import METHOD_NAMES
from airflow_segmentation.reports.describing import between, standardized, telling_first
from airflow_segmentation.reports.identity import identified
from airflow_segmentation.reports.report import CurvePoint, Progress, Report

Figure = dict[str, Any]

HUES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C8C")
"""Okabe and Ito's colours for the colour-blind (2008), those that show on white and on black, and a grey."""
SYMBOLS = ("circle", "diamond", "square", "x", "triangle-up", "cross", "star", "hexagon", "pentagon")
PATTERNS = ("", "/", "x", ".", "\\", "+", "-", "|")
HATCHINGS = {
    "": "",
    "/": "M-1 7L7-1M1 13L13 1",
    "x": "M0 6L6 0M0 12L12 0M6 12L12 6M0 6L6 12M0 0L12 12M6 0L12 6",
    ".": "M3 3h.01M9 3h.01M6 6h.01M3 9h.01M9 9h.01",
    "\\": "M5-1L13 7M-1 1L11 13",
    "+": "M0 3h12M0 9h12M3 0v12M9 0v12",
    "-": "M0 2h12M0 6h12M0 10h12",
    "|": "M2 0v12M6 0v12M10 0v12",
}
"""How each pattern is drawn in an SVG of 12 by 12."""
CURVE = "#3B82F6"
CHOSEN = "#D55E00"
DIVERGING = [[0, "#2166AC"], [0.25, "#92C5DE"], [0.5, "#F7F7F7"], [0.75, "#F4A582"], [1, "#B2182B"]]
"""Blue to red through white, after ColorBrewer's RdBu: told apart with every kind of colour vision."""
RISING = [[0, "#F7F7F7"], [0.5, "#92C5DE"], [1, "#2166AC"]]
"""White to blue, for values that have no middle."""

AXES = {**{name: score.label for name, score in SCORES.items()}, "seconds": "Seconds per fit"}
"""What the elbow chart can show on its second axis, and how it is called."""

LEGEND_ABOVE = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
MAX_LABEL = 28
"""Characters of a name that an axis has room for."""
MAX_NAME = 40
"""Characters of a segment's name, beside its number."""
MAX_HOVER = 200
"""Characters of a name that each cell of a heat map repeats."""
MAX_NUMBERED_SEGMENTS = 12
"""Segments up to which a heat map has room to print a number in each cell."""
FULL_COLOUR = (1.0, 3.0)
"""Standard deviations that have the deepest colour: the most there are, but within these bounds."""
SMALLEST_SPAN = 0.1
"""Share of its range that a centre must move, at least, to have the deepest colour."""
LEAST_GAP = -10.0
"""Gap below which nobody asks how many times more SSE there is."""
OF_RANGE, OF_ROWS = "of range", "of rows"
NOT_SETTLED = ", not settled"
"""What stands behind a method's k that is the last of the range."""


def colour(number: int) -> str:
    """Return the colour of a segment, by its number; after the last comes the first."""
    return HUES[number % len(HUES)]


def symbol(number: int) -> str:
    """Return the marker of a segment, which tells segments of one hue apart."""
    return SYMBOLS[number // len(HUES) % len(SYMBOLS)]


def pattern(number: int) -> str:
    """Return the hatching of a segment's bar, which tells segments of one hue apart."""
    return PATTERNS[number // len(HUES) % len(PATTERNS)]


def hatching(number: int) -> str:
    """Return the hatching of a segment as the path of an SVG of 12 by 12; empty where it has none."""
    return HATCHINGS[pattern(number)]


def segment_labels(report: Report, point: CurvePoint) -> list[str]:
    """Return what a chart calls the segments at one k: their numbers, and names where people gave some."""
    return [
        f"Segment {each.number}{each.name and f': {as_label(each.name, MAX_NAME)}'}"
        for each in identified(report, point).segments
    ]


def value_of(point: CurvePoint, name: str) -> Any:
    """Return a score, or an attribute of a point of the curve, by its name; None where there is none."""
    return point.scores.get(name) if name in SCORES else getattr(point, name)


def point_at(report: Report, k: int) -> CurvePoint:
    """Return the point of a report's curve at k, or else at the chosen k."""
    return next((point for point in report.curve if point.k == k), report.chosen)


def elbow(report: Report, k: int, *, axis: str = "", log: bool = False) -> Figure:
    """Return SSE against k: the chosen k, what each method would choose, and the k that is looked at.

    :param k: the k that is looked at.
    :param axis: a key of `AXES` to show on a second axis.
    :param log: whether SSE is on a logarithmic scale.
    """
    looked_at = point_at(report, k)
    traces: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "SSE",
            "meta": "curve",
            "x": [point.k for point in report.curve],
            "y": [point.sse for point in report.curve],
            "customdata": [point.explained for point in report.curve],
            "hovertemplate": "k = %{x}<br>SSE %{y:.5~g}<br>%{customdata:.1%} explained<extra></extra>",
            "line": {"color": CURVE, "width": 2.5},
            "marker": {"size": 6},
            "showlegend": False,
        }
    ]
    if axis in AXES:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": AXES[axis],
                "x": [point.k for point in report.curve],
                "y": [value_of(point, axis) for point in report.curve],
                "yaxis": "y2",
                "hovertemplate": f"k = %{{x}}<br>{AXES[axis]} %{{y:{precision(axis)}}}<extra></extra>",
                "line": {"color": HUES[2], "width": 2, "dash": "dot"},
                "marker": {"size": 4},
            }
        )
    traces += _choices(report)
    settled = "" if report.decided_by == "given" or not report.unsettled(report.k) else NOT_SETTLED
    traces.append(
        {
            "type": "scatter",
            "mode": "markers+text",
            "name": f"Chosen: k = {report.k}{settled}",
            "x": [report.k],
            "y": [report.chosen.sse],
            "text": [f"<b>k = {report.k}</b>"],
            "textposition": _beside(report, report.k),
            "textfont": {"size": 15, "color": CHOSEN},
            "hovertemplate": f"Chosen: k = {report.k}{settled}<br>SSE %{{y:.5~g}}<extra></extra>",
            "marker": {"size": 14, "color": CHOSEN, "symbol": "circle"},
        }
    )
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "Looked at",
            "meta": "looked-at",
            "x": [looked_at.k],
            "y": [looked_at.sse],
            "hoverinfo": "skip",
            "showlegend": False,
            "marker": {"size": 22, "color": "rgba(0,0,0,0)", "line": {"width": 2.5, "color": CHOSEN}},
        }
    )
    layout = laid_out(440, legend=LEGEND_ABOVE)
    layout["xaxis"] = _k_axis(report.curve[0].k, report.curve[-1].k)
    layout["yaxis"] = {"title": {"text": "SSE"}, "type": "log" if log else "linear", "domain": [0, 1]}
    if not log:
        layout["yaxis"]["rangemode"] = "tozero"
    if axis in AXES:
        layout["yaxis2"] = {
            "title": {"text": AXES[axis]},
            "overlaying": "y",
            "tickmode": "auto",
            "side": "right",
            "showgrid": False,
            "zeroline": False,
        }
    if report.stability:
        resamples = report.stability.resamples
        traces.append(
            {
                "type": "bar",
                "name": "Stability",
                "x": [count.k for count in report.stability.counts],
                "y": [count.times for count in report.stability.counts],
                "yaxis": "y3",
                "width": 0.6,
                "marker": {"color": HUES[4]},
                "hovertemplate": f"k = %{{x}}<br>chosen in %{{y}} of {resamples}<extra></extra>",
                "showlegend": False,
            }
        )
        layout["yaxis"]["domain"] = [0.27, 1]
        layout["yaxis3"] = {
            "title": {"text": f"of {resamples}"},
            "domain": [0, 0.16],
            "range": [0, resamples],
            "nticks": 3,
            "zeroline": False,
        }
        layout["xaxis"]["anchor"] = "y3"
    return {"data": traces, "layout": layout}


def _choices(report: Report) -> list[Figure]:
    """Return a marker on the curve for each k that methods other than the deciding one would choose."""
    by_k: dict[int, list[str]] = {}
    for choice in report.choices:
        if choice.k is not None and choice.k != report.k:
            by_k.setdefault(choice.k, []).append(METHOD_NAMES.get(choice.method, choice.method))
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": f"{escaped(', '.join(methods))}: k = {k}{NOT_SETTLED if report.unsettled(k) else ''}",
            "x": [k],
            "y": [point_at(report, k).sse],
            "hovertemplate": "%{fullData.name}<br>SSE %{y:.5~g}<extra></extra>",
            "marker": {
                "size": 11,
                "color": HUES[2],
                "symbol": SYMBOLS[(number + 1) % len(SYMBOLS)] + ("-open" if report.unsettled(k) else ""),
                **({"line": {"width": 2.5}} if report.unsettled(k) else {}),
            },
        }
        for number, (k, methods) in enumerate(sorted(by_k.items()))
    ]


def gap(report: Report, k: int) -> Figure | None:
    """Return the gap against k with its standard error: the k it takes, and the k that is looked at.

    None where the rows were not held against sets without groups.
    """
    points = with_gap(report)
    if not points:
        return None
    traces: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": "Gap",
            "x": [point.k for point in points],
            "y": [point.gap for point in points],
            "error_y": {
                "type": "data",
                "array": [point.gap_se or 0 for point in points],
                "thickness": 1.5,
                "width": 4,
                "color": CURVE,
            },
            "customdata": [[point.gap_se or 0, less_sse(point.gap or 0)] for point in points],
            "hovertemplate": (
                "k = %{x}<br>gap %{y:.3~g} \u00b1 %{customdata[0]:.2~g}<br>"
                "SSE %{customdata[1]:.1%} lower than without groups<extra></extra>"
            ),
            "line": {"color": CURVE, "width": 2.5},
            "marker": {"size": 6},
        }
    ]
    taken = report.structure.gap_k if report.structure else None
    for point in points:
        if point.k == taken:
            traces.append(
                {
                    "type": "scatter",
                    "cliponaxis": False,
                    "mode": "markers+text",
                    "name": f"Gap takes k = {taken}",
                    "x": [taken],
                    "y": [point.gap],
                    "text": [f"<b>k = {taken}</b>"],
                    # Away from the ring around the k that is looked at.
                    "textposition": "top left" if 1 < point.k < k else _beside(report, point.k),
                    "textfont": {"size": 13},
                    "hoverinfo": "skip",
                    "marker": {"size": 12, "color": HUES[2], "symbol": "diamond"},
                }
            )
        if point.k == k:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": "Looked at",
                    "x": [k],
                    "y": [point.gap],
                    "hoverinfo": "skip",
                    "marker": {"size": 22, "color": "rgba(0,0,0,0)", "line": {"width": 2.5, "color": CHOSEN}},
                }
            )
    layout = laid_out(320, showlegend=False)
    layout["xaxis"] = _k_axis(report.curve[0].k, report.curve[-1].k)
    layout["yaxis"] = {
        "title": {"text": "Gap"},
        "rangemode": "tozero",
        "zeroline": True,
        "zerolinewidth": 1.5,
        "zerolinecolor": HUES[6],
    }
    return {"data": traces, "layout": layout}


def with_gap(report: Report) -> list[CurvePoint]:
    """Return the points of a report's curve whose gap is known."""
    return [point for point in report.curve if point.gap is not None]


def less_sse(gap: float) -> float:
    """Return by which share SSE is lower than that of rows without groups, negative where it is higher."""
    return -math.expm1(-max(gap, LEAST_GAP))


def sizes(report: Report, k: int) -> Figure | None:
    """Return the rows in each segment at k as bars, or None where the report left the sizes out."""
    point = point_at(report, k)
    counts = point.sizes
    if counts is None:
        return None
    again = [f"<br>comes again: {similarity:.2f}, {trust(similarity)}" for similarity in point.jaccard or ()]
    numbers, labels = point.numbered, segment_labels(report, point)
    layout = laid_out(300, showlegend=False, bargap=0.25)
    layout["xaxis"] = _segment_axis([str(number) for number in numbers])
    layout["yaxis"] = {"title": {"text": "Rows"}, "rangemode": "tozero"}
    return {
        "data": [
            {
                "type": "bar",
                "x": [str(number) for number in numbers],
                "y": list(counts),
                "customdata": [
                    [count / sum(counts), label] for count, label in zip(counts, labels, strict=True)
                ],
                "text": [escaped(share(count, sum(counts))) for count in counts]
                if len(counts) <= MAX_NUMBERED_SEGMENTS
                else "",
                "textposition": "outside",
                "cliponaxis": False,
                "hovertext": again or [""] * len(counts),
                "hovertemplate": (
                    "%{customdata[1]}<br>%{y:,} rows, %{customdata[0]:.1%}%{hovertext}<extra></extra>"
                ),
                "marker": {
                    "color": [colour(number) for number in numbers],
                    "pattern": {"shape": [pattern(number) for number in numbers], "solidity": 0.35},
                },
            }
        ],
        "layout": layout,
    }


def share(count: int, total: int, digits: int = 0) -> str:
    """Return what share of all rows some are, in per cent: of some rows never none."""
    least = 10.0 ** -(digits + 2)
    value = count / (total or 1)
    return f"<{least:.{digits}%}" if 0 < value < least / 2 else f"{value:.{digits}%}"


def trust(similarity: float) -> str:
    """Return what a segment's mean Jaccard similarity to those of resamples says of it, in a word."""
    return "stable" if similarity >= STABLE else "dissolves" if similarity < DISSOLVED else "doubtful"


def centres(report: Report, k: int) -> Figure | None:
    """Return a heat map of the centres at k, most telling features first, with values in original units.

    Colours are standard deviations of the rows or, where the report does not hold them, places in the
    feature's range. None where the report left the centres out.
    """
    point = point_at(report, k)
    if point.centers is None or point.sizes is None:
        return None
    order = telling_first(report, point)
    features = [report.features[position] for position in order]
    columns = [[centre[position] for centre in point.centers] for position in order]
    shown: Figure = {
        "labels": [feature.name for feature in features],
        "columns": [str(number) for number in point.numbered],
        "text": [[short(value) for value in column] for column in columns],
    }
    z, shares = standardized(report, point), between(report, point)
    if z is None or shares is None:
        spans = [feature.maximum - feature.minimum or 1.0 for feature in features]
        return _heat_map(
            [
                [min(max((value - feature.minimum) / span, 0.0), 1.0) for value in column]
                for feature, span, column in zip(features, spans, columns, strict=True)
            ],
            **shown,
            hover="%{customdata[0]}<br>Segment %{x}: %{text}<br>%{z:.0%} of the way from least to most",
            unit=OF_RANGE,
            limits=(0.0, 1.0),
        )
    least, most = FULL_COLOUR
    limit = min(max(least, max(abs(value) for row in z for value in row)), most)
    return _heat_map(
        [z[position] for position in order],
        **shown,
        notes=[f"{shares[position]:.1%} of its variance lies between segments" for position in order],
        hover=(
            "%{customdata[0]}<br>Segment %{x}: %{text}<br>%{z:+.2f} standard deviations from the mean<br>"
            "%{customdata[1]}"
        ),
        unit="std. dev.",
        limits=(-limit, limit),
    )


def sample(report: Report, k: int, x: int, y: int) -> Figure | None:
    """Return a scatter of the report's sample over two features, coloured by segment at k, with the centres.

    None where the report left out the sample or the centres.
    """
    point = point_at(report, k)
    if not report.sample or point.centers is None:
        return None
    titles = (as_label(report.features[x].name), as_label(report.features[y].name))
    return scatter(report, point, assign(report, point), lambda row: (row[x], row[y]), titles)


def scatter(
    report: Report,
    point: CurvePoint,
    owners: Sequence[int],
    place: Callable[[Sequence[float]], tuple[float, float]],
    titles: Sequence[str],
    *,
    by_size: bool = False,
) -> Figure:
    """Return a scatter of the report's sample, coloured by segment, with the centres of a point of the curve.

    :param owners: the place of the segment of each row.
    :param place: tells where a row or a centre is drawn.
    :param titles: of the axes.
    :param by_size: whether a centre's circle grows with its segment.
    """
    traces: list[Figure] = []
    for segment, (number, label) in enumerate(
        zip(point.numbered, segment_labels(report, point), strict=True)
    ):
        places = [place(row) for row, owner in zip(report.sample, owners, strict=True) if owner == segment]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": label,
                "legendgroup": str(number),
                "x": [x for x, _ in places],
                "y": [y for _, y in places],
                "hovertemplate": "%{fullData.name}<br>%{x:,.4~g}, %{y:,.4~g}<extra></extra>",
                "marker": {"size": 7, "opacity": 0.65, "color": colour(number), "symbol": symbol(number)},
            }
        )
    centres = [place(centre) for centre in point.centers or ()]
    total = sum(point.sizes or ()) or 1
    diameters = [19 + 26 * math.sqrt(size / total) for size in point.sizes or ()] if by_size else 19
    traces.append(
        {
            "type": "scatter",
            "mode": "markers+text",
            "name": "Centres",
            "x": [x for x, _ in centres],
            "y": [y for _, y in centres],
            "text": [str(number) for number in point.numbered],
            "textfont": {"size": 10, "color": "#111111"},
            "hovertemplate": "Centre of segment %{text}<br>%{x:,.4~g}, %{y:,.4~g}<extra></extra>",
            "marker": {
                "size": diameters,
                "color": "#FFFFFF",
                "symbol": [symbol(number) for number in point.numbered],
                "line": {"width": 3, "color": [colour(number) for number in point.numbered]},
            },
        }
    )
    layout = laid_out(440, hovermode="closest", showlegend=point.k <= MAX_NUMBERED_SEGMENTS)
    layout["xaxis"], layout["yaxis"] = ({"title": {"text": title}} for title in titles)
    return {"data": traces, "layout": layout}


def assign(report: Report, point: CurvePoint) -> list[int]:
    """Return of each row of the report's sample the place of its segment, whose centre is the nearest, with
    features scaled.
    """
    centres = scaled(report, point.centers or ())
    return [
        min(range(len(centres)), key=lambda segment: math.dist(row, centres[segment]))
        for row in scaled(report, report.sample)
    ]


def scaled(report: Report, rows: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return rows in shares of their features' ranges."""
    scales = [
        1 / (feature.maximum - feature.minimum) if feature.maximum > feature.minimum else 0.0
        for feature in report.features
    ]
    return [[value * scale for value, scale in zip(row, scales, strict=True)] for row in rows]


def growing(progress: Progress) -> Figure:
    """Return the curve of a sweep still under way, with room for what is to come."""
    layout = laid_out(430, showlegend=False)
    k_values = [int(k) for k, _ in progress.curve]
    first, last = (k_values[0], k_values[-1]) if k_values else (1, 1)
    layout["xaxis"] = _k_axis(first, max(last, first + progress.total - 1))
    layout["yaxis"] = {"title": {"text": "SSE"}, "rangemode": "tozero"}
    points: list[tuple[float, float | None]] = []
    for k, sse in progress.curve:
        if points and k > points[-1][0] + 1:
            points.append((points[-1][0] + 1, None))  # others sweep what is between: no line leads across
        points.append((k, sse))
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": "SSE",
                "x": [k for k, _ in points],
                "y": [sse for _, sse in points],
                "hovertemplate": "k = %{x}<br>SSE %{y:.5~g}<extra></extra>",
                "line": {"color": CURVE, "width": 2.5},
                "marker": {"size": 6},
            }
        ],
        "layout": layout,
    }


def drift(shifts: Sequence[Sequence[float]], features: Sequence[str], columns: Sequence[str]) -> Figure:
    """Return a heat map of how far each segment's centre moved between two runs, in shares of its range.

    :param shifts: for each feature one value for each pair of segments.
    """
    limit = max(SMALLEST_SPAN, *(abs(value) for row in shifts for value in row))
    return _heat_map(
        shifts,
        labels=features,
        columns=columns,
        text=[[f"{value:+.1%}" for value in row] for row in shifts],
        hover="%{customdata[0]}<br>Segment %{x}: %{text} of its range",
        unit=OF_RANGE,
        limits=(-limit, limit),
    )


def migration(counts: Sequence[Sequence[int]], labels: Sequence[str], numbers: Sequence[int]) -> Figure:
    """Return a heat map of which share of each published segment's rows goes to which segment of a run.

    :param counts: for each published segment one for each of the run's.
    :param labels: of the published segments.
    :param numbers: of the run's.
    """
    totals = [sum(row) for row in counts]
    return _heat_map(
        [[count / (total or 1) for count in row] for row, total in zip(counts, totals, strict=True)],
        labels=labels,
        columns=[str(number) for number in numbers],
        text=[
            [share(count, total) if count else "" for count in row]
            for row, total in zip(counts, totals, strict=True)
        ],
        notes=[f"of {total:,} rows" for total in totals],
        hover="From published segment %{customdata[0]}<br>to segment %{x}: %{z:.1%} %{customdata[1]}",
        unit=OF_ROWS,
        limits=(0.0, 1.0),
    )


def sparkline(pairs: Sequence[Sequence[float]], *, width: int = 96, height: int = 24) -> str:
    """Return a curve as the points of an SVG polyline, drawn small."""
    if len(pairs) < 2:
        return ""
    xs, ys = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    x_span, y_span = (max(xs) - min(xs)) or 1, (max(ys) - min(ys)) or 1
    left, low = min(xs), min(ys)
    return " ".join(
        f"{2 + (width - 4) * (x - left) / x_span:.1f},{height - 2 - (height - 4) * (y - low) / y_span:.1f}"
        for x, y in zip(xs, ys, strict=True)
    )


def short(value: float) -> str:
    """Return a number for a table or a cell: four significant digits, thousands set off."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(decimals, 8)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def is_sampled(name: str) -> bool:
    """Tell whether a figure may be of a sample, and so has two digits."""
    return name in SCORES and SCORES[name].sampled


def exact(name: str, value: float) -> str:
    """Return a figure by its name: of a score that may be a sample's, two digits."""
    return f"{value:.2f}" if is_sampled(name) else short(value)


def precision(name: str) -> str:
    """Return what :func:`exact` does, as Plotly's formats say it."""
    return ".2f" if is_sampled(name) else ".5~g"


def isolated(name: str) -> str:
    """Return a name between Unicode isolates: a right-to-left mark in it cannot turn the text around it."""
    return f"\u2068{name}\u2069"


def _heat_map(
    z: Sequence[Sequence[float]],
    *,
    labels: Sequence[str],
    columns: Sequence[str],
    text: Sequence[Sequence[str]],
    hover: str,
    unit: str,
    limits: tuple[float, float],
    notes: Sequence[str] = (),
) -> Figure:
    """Return a heat map.

    :param notes: what the hover says of each row, as `customdata[1]`.
    :param limits: the values that the first and the last colour stand for, and all beyond.
    """
    low, high = limits
    bar: Figure = {"title": {"text": unit, "side": "right"}, "thickness": 10, "outlinewidth": 0}
    if unit in (OF_RANGE, OF_ROWS):
        bar["tickformat"] = ".0%"
    elif max(abs(value) for row in z for value in row) > high:
        bar |= {"tickvals": [low, 0, high], "ticktext": [f"≤ \u2212{high:g}", "0", f"≥ {high:g}"]}
    layout = laid_out(max(300, 96 + 30 * len(labels)), hovermode="closest")
    layout["xaxis"] = _segment_axis(columns)
    layout["yaxis"] = {
        # Positions rather than names: two long names may be cut to the same label.
        "tickvals": list(range(len(labels))),
        "ticktext": [as_label(label) for label in labels],
        "autorange": "reversed",
        "showgrid": False,
        "zeroline": False,
    }
    return {
        "data": [
            {
                "type": "heatmap",
                "x": list(columns),
                "y": list(range(len(labels))),
                "z": [list(row) for row in z],
                "text": [[escaped(cell) for cell in row] for row in text],
                "customdata": [
                    [[escaped(label[:MAX_HOVER]), note]] * len(columns)
                    for label, note in zip(labels, notes or [""] * len(labels), strict=True)
                ],
                "texttemplate": "%{text}" if len(columns) <= MAX_NUMBERED_SEGMENTS else "",
                "hovertemplate": f"{hover}<extra></extra>",
                "zmin": low,
                "zmax": high,
                "colorscale": DIVERGING if low < 0 else RISING,
                "xgap": 2,
                "ygap": 2,
                "colorbar": bar,
            }
        ],
        "layout": layout,
    }


def laid_out(height: int, **more: Any) -> Figure:
    return {
        "height": height,
        "margin": {"l": 64, "r": 24, "t": 36, "b": 48},
        "hovermode": "x",
        "dragmode": False,
        **more,
    }


def _beside(report: Report, k: int) -> str:
    """Return where a mark at k is named: at the right end there is no room to the right of it."""
    return "top left" if k > report.k_min + 0.9 * (report.k_max - report.k_min) else "top right"


def _k_axis(first: int, last: int) -> Figure:
    span = last - first
    return {
        "title": {"text": "k"},
        "range": [first - 0.7, last + 0.7],
        # So few that none is turned on a telephone.
        "dtick": next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if span / step <= 12),
        "tick0": 0,
        "zeroline": False,
    }


def _segment_axis(names: Sequence[str]) -> Figure:
    """Return an axis of segments; of many only every so many-th is named, or the names would be turned."""
    axis: Figure = {"title": {"text": "Segment"}, "type": "category", "showgrid": False}
    if len(names) > MAX_NUMBERED_SEGMENTS:
        axis |= {"dtick": math.ceil(len(names) / MAX_NUMBERED_SEGMENTS)}
    return axis


def escaped(text: str) -> str:
    """Return text as Plotly shows it literally; unescaped, tags such as <b> and <a> would have a meaning."""
    return html.escape(text, quote=False)


def as_label(text: str, length: int = MAX_LABEL) -> str:
    return escaped(isolated(text if len(text) <= length else text[: length - 1] + "…"))
