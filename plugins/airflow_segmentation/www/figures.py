"""The charts: pure functions from a report to a Plotly figure.

A figure is a plain dict: Plotly's own classes check what the tests check, and cost 0.4 s on first use.
Colours of text, grid and background are absent; the browser takes them from the style sheet, which follows
the colour mode.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_segmentation.clustering.methods import DISSOLVED, SCORES, STABLE
from airflow_segmentation.reports.report import MAX_NUMBER, CurvePoint, Progress, Report, Summary
from airflow_segmentation.www.alike import METHOD_NAMES, described, differences, groups

if TYPE_CHECKING:
    from airflow_segmentation.www.runs import Listed

Figure = dict[str, Any]

HUES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C8C")
"""Okabe and Ito's colours for the colour-blind (2008), those that show on white and on black, and a grey."""
SYMBOLS = ("circle", "diamond", "square", "x", "triangle-up", "cross", "star", "hexagon", "pentagon")
PATTERNS = ("", "/", "x", ".", "\\", "+", "-", "|")
CURVE = "#3B82F6"
CHOSEN = "#D55E00"
DIVERGING = [[0, "#2166AC"], [0.25, "#92C5DE"], [0.5, "#F7F7F7"], [0.75, "#F4A582"], [1, "#B2182B"]]
"""Blue to red through white, after ColorBrewer's RdBu: told apart with every kind of colour vision."""
RISING = [[0, "#F7F7F7"], [0.5, "#92C5DE"], [1, "#2166AC"]]
"""White to blue, for values that have no middle."""
DASHES = ("solid", "dot", "dash", "longdash", "dashdot")

AXES = {**{name: score.label for name, score in SCORES.items()}, "seconds": "Seconds per fit"}
"""What the elbow chart can show on its second axis, and how it is called."""

LEGEND_ABOVE = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
MAX_LABEL = 28
"""Characters of a name that an axis has room for."""
MAX_HOVER = 200
"""Characters of a name that each cell of a heat map repeats."""
MAX_NUMBERED_SEGMENTS = 12
"""Segments up to which a heat map has room to print a number in each cell."""
MAX_CURVES = 10
NAME_GAP = 0.06
"""Share of SSE by which two marks of one k differ, for each to be named: nearer, they cover each other."""
FULL_COLOUR = (1.0, 3.0)
"""Standard deviations that have the deepest colour: the most there are, but within these bounds."""
SMALLEST_SPAN = 0.1
"""Share of its range that a centre must move, at least, to have the deepest colour."""
LEAST_GAP = -10.0
"""Gap below which nobody asks how many times more SSE there is."""
OF_RANGE = "of range"
NOT_SETTLED = ", not settled"
"""What stands behind a method's k that is the last of the range."""


def colour(segment: int) -> str:
    """Return the colour of a segment, by its place in the order of sizes; after the last comes the first."""
    return HUES[segment % len(HUES)]


def symbol(segment: int) -> str:
    """Return the marker of a segment, which tells segments of one hue apart."""
    return SYMBOLS[segment // len(HUES) % len(SYMBOLS)]


def pattern(segment: int) -> str:
    """Return the hatching of a segment's bar, which tells segments of one hue apart."""
    return PATTERNS[segment // len(HUES) % len(PATTERNS)]


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
                "hovertemplate": f"k = %{{x}}<br>{AXES[axis]} %{{y:{_precision(axis)}}}<extra></extra>",
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
    layout = _layout(520, legend=LEGEND_ABOVE)
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
            "name": f"{_text(', '.join(methods))}: k = {k}{NOT_SETTLED if report.unsettled(k) else ''}",
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
    layout = _layout(320, showlegend=False)
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
    segments = range(len(counts))
    layout = _layout(300, showlegend=False, bargap=0.25)
    layout["xaxis"] = {"title": {"text": "Segment"}, "type": "category", "showgrid": False}
    layout["yaxis"] = {"title": {"text": "Rows"}, "rangemode": "tozero"}
    return {
        "data": [
            {
                "type": "bar",
                "x": [str(segment) for segment in segments],
                "y": list(counts),
                "customdata": [count / sum(counts) for count in counts],
                "texttemplate": "%{customdata:.0%}" if len(counts) <= MAX_NUMBERED_SEGMENTS else "",
                "textposition": "outside",
                "cliponaxis": False,
                "hovertext": again or [""] * len(counts),
                "hovertemplate": "Segment %{x}<br>%{y:,} rows, %{customdata:.1%}%{hovertext}<extra></extra>",
                "marker": {
                    "color": [colour(segment) for segment in segments],
                    "pattern": {"shape": [pattern(segment) for segment in segments], "solidity": 0.35},
                },
            }
        ],
        "layout": layout,
    }


def trust(similarity: float) -> str:
    """Return what a segment's mean Jaccard similarity to those of resamples says of it, in a word."""
    return "stable" if similarity >= STABLE else "dissolves" if similarity < DISSOLVED else "doubtful"


def standardized(report: Report, point: CurvePoint) -> list[list[float]] | None:
    """Return the centres of a point of the curve, standardized: for each feature one value for each segment.

    A value is how many standard deviations of the rows a segment's centre lies from the mean of all rows. In
    a feature that has none it is 0. None where the report does not hold them, or not the centres.
    """
    if point.centers is None:
        return None
    rows = []
    for feature, column in zip(report.features, zip(*point.centers, strict=True), strict=True):
        mean, deviation = feature.mean, feature.deviation
        if mean is None or deviation is None:
            return None
        values = [(value - mean) / deviation if deviation > 0 else 0.0 for value in column]
        rows.append([value if math.isfinite(value) else 0.0 for value in values])
    return rows


def between(report: Report, point: CurvePoint) -> list[float] | None:
    """Return for each feature what share of its variance over the rows lies between segments, 0 to 1.

    That is the sum of squares between segments by the total one: how much of how the rows differ in the
    feature their segments tell. None where the report does not hold what it takes.
    """
    z = standardized(report, point)
    if z is None or point.sizes is None:
        return None
    weights = [size / sum(point.sizes) for size in point.sizes]
    squares = ([weight * value * value for weight, value in zip(weights, row, strict=True)] for row in z)
    return [min(sum(row), 1.0) for row in squares]


def telling_first(report: Report, point: CurvePoint) -> list[int]:
    """Return the positions of the features, those that tell most of a row's segment first, where known."""
    shares = between(report, point) or [0.0] * len(report.features)
    return sorted(range(len(shares)), key=lambda position: -shares[position])


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
        "columns": [str(segment) for segment in range(point.k)],
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
    segments = assign(report, point)
    traces: list[Figure] = []
    for segment in range(point.k):
        rows = [row for row, owner in zip(report.sample, segments, strict=True) if owner == segment]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": f"Segment {segment}",
                "legendgroup": str(segment),
                "x": [row[x] for row in rows],
                "y": [row[y] for row in rows],
                "hovertemplate": f"Segment {segment}<br>%{{x:,.4~g}}, %{{y:,.4~g}}<extra></extra>",
                "marker": {"size": 7, "opacity": 0.65, "color": colour(segment), "symbol": symbol(segment)},
            }
        )
    traces.append(
        {
            "type": "scatter",
            "mode": "markers+text",
            "name": "Centres",
            "x": [centre[x] for centre in point.centers],
            "y": [centre[y] for centre in point.centers],
            "text": [str(segment) for segment in range(point.k)],
            "textfont": {"size": 10, "color": "#111111"},
            "hovertemplate": "Centre of segment %{text}<br>%{x:,.4~g}, %{y:,.4~g}<extra></extra>",
            "marker": {
                "size": 19,
                "color": "#FFFFFF",
                "line": {"width": 3, "color": [colour(segment) for segment in range(point.k)]},
            },
        }
    )
    layout = _layout(440, hovermode="closest", showlegend=point.k <= MAX_NUMBERED_SEGMENTS)
    layout["xaxis"] = {"title": {"text": _label(report.features[x].name)}}
    layout["yaxis"] = {"title": {"text": _label(report.features[y].name)}}
    return {"data": traces, "layout": layout}


def assign(report: Report, point: CurvePoint) -> list[int]:
    """Return the segment of each row of the report's sample: the nearest centre's, with features scaled."""
    scales = [
        1 / (feature.maximum - feature.minimum) if feature.maximum > feature.minimum else 0.0
        for feature in report.features
    ]

    def scaled(row: Sequence[float]) -> list[float]:
        return [value * scale for value, scale in zip(row, scales, strict=True)]

    centres = [scaled(centre) for centre in point.centers or ()]
    return [
        min(range(len(centres)), key=lambda segment: math.dist(row, centres[segment]))
        for row in map(scaled, report.sample)
    ]


def growing(progress: Progress) -> Figure:
    """Return the curve of a sweep still under way, with room for what is to come."""
    layout = _layout(430, showlegend=False)
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


def trends(reports: Sequence[Listed]) -> Figure:
    """Return the chosen k, the SSE there and the silhouette over the runs of a Dag, oldest first.

    Runs that are not alike have lines and marks of their own.
    """
    panels = (
        ("k", "k", CHOSEN, [0.72, 1]),
        ("sse", "SSE at k", CURVE, [0.36, 0.64]),
        ("silhouette", "Silhouette", HUES[2], [0, 0.28]),
    )
    known = [(row.run, row.summary) for row in reports if row.summary]
    alike = _by_likeness([summary for _, summary in known])
    layout = _layout(480, showlegend=len(alike) > 1, hovermode="closest", legend=LEGEND_ABOVE)
    layout["xaxis"] = {"type": "date", "anchor": "y3"}
    traces: list[Figure] = []
    for number, (attribute, title, line, domain) in enumerate(panels, start=1):
        suffix = "" if number == 1 else str(number)
        layout[f"yaxis{suffix}"] = {"title": {"text": title}, "domain": domain, "nticks": 5}
        for group, (words, members) in enumerate(alike):
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": _text(words),
                    "legendgroup": str(group),
                    "showlegend": number == 1,
                    "x": [known[member][0].run_after.isoformat() for member in members],
                    "y": [getattr(known[member][1], attribute) for member in members],
                    "customdata": [_text(known[member][0].run_id) for member in members],
                    "yaxis": f"y{suffix}",
                    "hovertemplate": (
                        f"%{{customdata}}<br>{title} %{{y:{_precision(attribute)}}}"
                        + ("<br>%{fullData.name}" if len(alike) > 1 else "")
                        + "<extra></extra>"
                    ),
                    "line": {"color": line, "width": 2, "dash": DASHES[group % len(DASHES)]},
                    "marker": {"size": 7 if group == 0 else 9, "symbol": SYMBOLS[group % len(SYMBOLS)]},
                }
            )
    chosen = [summary.k for _, summary in known]
    if chosen and max(chosen) - min(chosen) <= 6:
        layout["yaxis"]["dtick"] = 1  # or half a k would have a line of its own
    return {"data": traces, "layout": layout}


def _by_likeness(summaries: Sequence[Summary]) -> list[tuple[str, list[int]]]:
    """Return the settings of each group of like runs, the last run's first, and where its runs stand."""
    numbers = groups(summaries[::-1])[::-1]
    found = []
    for group in range(max(numbers, default=-1) + 1):
        members = [place for place, number in enumerate(numbers) if number == group]
        found.append((described(summaries[members[-1]], summaries[-1]), members))
    return found


def curves(reports: Sequence[Listed]) -> Figure:
    """Return the curves of up to `MAX_CURVES` runs on one chart, each with its chosen k.

    What is drawn is the share of SSE that is left: SSE itself grows with the rows of a run. Runs that are not
    like the first are dotted, and named with what differs.
    """
    traces: list[Figure] = []
    first = next((row.summary for row in reports if row.summary), None)
    named: list[tuple[int, float]] = []
    for order, listed in enumerate(reports[:MAX_CURVES]):
        summary, run_id = listed.summary, listed.run.run_id
        if summary is None:
            continue
        left = 1 - summary.explained
        total = summary.sse / left if left > 0 else max((sse for _, sse in summary.curve), default=0)
        total = max(total, 1 / MAX_NUMBER)
        differs = differences(summary, first) if first else ""
        dashes = ("dot", "dashdot") if differs else ("solid", "dash")
        name = _label(run_id, 44) + (f": {_text(differs)}" if differs else "")
        shared: Figure = {"type": "scatter", "legendgroup": str(order), "name": name}
        hidden = any(k == summary.k and abs(left - share) < NAME_GAP for k, share in named)
        named.append((summary.k, left))
        traces.append(
            {
                **shared,
                "mode": "lines",
                "x": [k for k, _ in summary.curve],
                "y": [sse / total for _, sse in summary.curve],
                "hovertemplate": "%{fullData.name}<br>k = %{x}<br>%{y:.1%} of SSE left<extra></extra>",
                "line": {
                    "color": colour(order),
                    "width": 2,
                    "dash": dashes[order >= len(HUES)],
                },
            }
        )
        traces.append(
            {
                **shared,
                "mode": "markers+text",
                "x": [summary.k],
                "y": [left],
                "text": ["" if hidden else str(summary.k)],
                "textposition": "top right",
                "showlegend": False,
                "hovertemplate": f"%{{fullData.name}}<br>chosen k = {summary.k}<extra></extra>",
                "marker": {"size": 11, "color": colour(order), "symbol": symbol(order)},
            }
        )
    layout = _layout(420, hovermode="closest", legend=LEGEND_ABOVE)
    layout["xaxis"] = {"title": {"text": "k"}}
    layout["yaxis"] = {"title": {"text": "SSE left"}, "tickformat": ".0%", "rangemode": "tozero"}
    return {"data": traces, "layout": layout}


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


def _precision(name: str) -> str:
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
    if unit == OF_RANGE:
        bar["tickformat"] = ".0%"
    elif max(abs(value) for row in z for value in row) > high:
        bar |= {"tickvals": [low, 0, high], "ticktext": [f"≤ \u2212{high:g}", "0", f"≥ {high:g}"]}
    layout = _layout(max(300, 96 + 30 * len(labels)), hovermode="closest")
    layout["xaxis"] = {"title": {"text": "Segment"}, "type": "category", "showgrid": False}
    layout["yaxis"] = {
        # Positions rather than names: two long names may be cut to the same label.
        "tickvals": list(range(len(labels))),
        "ticktext": [_label(label) for label in labels],
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
                "text": [list(row) for row in text],
                "customdata": [
                    [[_text(label[:MAX_HOVER]), note]] * len(columns)
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


def _layout(height: int, **more: Any) -> Figure:
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
        "dtick": 1 if span < 20 else 2 if span < 40 else 5,
        "tick0": 0,
        "zeroline": False,
    }


def _text(text: str) -> str:
    """Return text as Plotly shows it literally; unescaped, tags such as <b> and <a> would have a meaning."""
    return html.escape(text, quote=False)


def _label(text: str, length: int = MAX_LABEL) -> str:
    return _text(isolated(text if len(text) <= length else text[: length - 1] + "…"))
