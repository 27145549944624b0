"""Charts drawn as SVG, for a file that is mailed and printed: the figures of `figures.py` without a script.

What is drawn is what those figures use of Plotly: lines, marks, bars and heat maps. Colours of text and grid
are the style sheet's.
"""

from __future__ import annotations

import html
import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from airflow_segmentation.reports.figures import HATCHINGS, Figure, short

WIDTH = 720
"""Pixels in the drawing; on a screen or a sheet it is as wide as there is room."""
LETTER = 6.4
"""Pixels of a letter of 12, on average."""
TICKS, MOST_TICKS = 6, 30
NOTHING = "rgba(0,0,0,0)"

Scale = Callable[[Any], float]


@dataclass(frozen=True)
class _Axis:
    """Where values of an axis lie in the drawing, and which are named."""

    at: Scale
    ticks: Sequence[tuple[float, str]]


def svg(figure: Figure, name: str, label: str) -> Markup:
    """Return a figure as an SVG element.

    :param name: begins the ids in it, which are of the whole document.
    :param label: what it is called for those who do not see it.
    """
    traces, layout = figure["data"], figure["layout"]
    legend, top = _legend(traces, layout)
    height = layout["height"]
    rows = layout.get("yaxis", {}).get("ticktext") or []
    left = max(66.0, 18 + LETTER * max((len(_plain(row)) for row in rows), default=0))
    right = 90 if any(trace["type"] == "heatmap" for trace in traces) or "yaxis2" in layout else 24
    box = (left, WIDTH - right, height - 44, top + 14)
    categories = _categories(traces)
    x = _axis(layout["xaxis"], _values(traces, "x"), box[0], box[1], categories)
    parts = [*legend]
    drawn = []
    for suffix in ("", "2", "3"):
        if f"yaxis{suffix}" not in layout:
            continue
        mine = [trace for trace in traces if trace.get("yaxis", "y") == f"y{suffix}"]
        axis = layout[f"yaxis{suffix}"]
        low, high = axis.get("domain", (0, 1))
        y = _axis(axis, _values(mine, "y"), *(box[2] + share * (box[3] - box[2]) for share in (low, high)))
        parts += _y_axis(axis, y, box)
        for number, trace in enumerate(mine):
            drawn += _TRACES[trace["type"]](trace, x, y, categories, f"{name}-{suffix}-{number}")
    parts += _x_axis(layout["xaxis"], x, box)
    return Markup(
        f'<svg class="drawn" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts + drawn)}</svg>"
    )


def _plain(text: str) -> str:
    """Return what Plotly would show of a text, which knows a few tags."""
    return html.unescape(re.sub(r"</?b>|<br>", "", str(text)))


def _text(x: float, y: float, text: str, anchor: str = "middle", **more: Any) -> str:
    attributes = "".join(
        f' {name.replace("_", "-")}="{escape(value)}"' for name, value in more.items() if value
    )
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{attributes}>{escape(_plain(text))}</text>'


def _values(traces: Iterable[Figure], name: str) -> list[Any]:
    return [value for trace in traces for value in trace[name] if value is not None]


def _categories(traces: Sequence[Figure]) -> list[str]:
    """Return the names on the axis of x where it has names rather than numbers."""
    return list(dict.fromkeys(value for value in _values(traces, "x") if isinstance(value, str)))


def _axis(axis: Figure, values: list[Any], start: float, end: float, categories: Sequence[str] = ()) -> _Axis:
    if categories:
        step, room = axis.get("dtick", 1), (end - start) / len(categories)
        places = {category: start + room * (number + 0.5) for number, category in enumerate(categories)}
        return _Axis(places.__getitem__, [(places[category], category) for category in categories[::step]])
    if "tickvals" in axis:  # rows of a heat map
        room = (start - end) / len(axis["tickvals"])
        marks = zip(axis["tickvals"], axis["ticktext"], strict=True)
        return _Axis(
            lambda row: end + room * (row + 0.5), [(end + room * (row + 0.5), name) for row, name in marks]
        )
    is_log = axis.get("type") == "log"
    shown = [math.log10(value) for value in values if value > 0] if is_log else values
    low, high = axis.get("range") or _range(shown, tozero=axis.get("rangemode") == "tozero")
    span = (high - low) or 1

    def at(value: float) -> float:
        value = math.log10(max(value, 1e-300)) if is_log else value
        return start + (end - start) * min(max((value - low) / span, 0.0), 1.0)

    def named(value: float) -> str:
        return f"{value:.0%}" if axis.get("tickformat") == ".0%" else short(value)

    if is_log:
        powers = range(math.floor(low), math.ceil(high) + 1, math.ceil((high - low) / TICKS) or 1)
        rounded = [size * 10.0**power for power in powers for size in ((1, 2, 5) if high - low < 3 else (1,))]
        ticks = [value for value in rounded if value > 0 and low <= math.log10(value) <= high]
    else:
        ticks = _ticks(low, high, axis.get("dtick"), axis.get("nticks", TICKS))
    return _Axis(at, [(at(value), named(value)) for value in ticks])


def _range(values: list[float], *, tozero: bool) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = 0.06 * ((high - low) or abs(high) or 1)
    if not tozero:
        return low - room, high + room
    return (0.0 if low >= 0 else low - room), (0.0 if high <= 0 < -low else high + room)


def _ticks(low: float, high: float, step: float | None, wanted: int) -> list[float]:
    """Return round numbers between two others, so far apart or, where that is None, about so many."""
    if not step or (high - low) / step > MOST_TICKS:
        rough = (high - low) / wanted or 1
        unit = 10 ** math.floor(math.log10(rough))
        step = next(unit * size for size in (1, 2, 5, 10) if unit * size >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    count = math.floor(high / step + 1e-9) - first + 1
    return [
        round((first + number) * step, 12) if step > 1e-9 else (first + number) * step
        for number in range(count)
    ]


def _title(axis: Figure) -> str:
    return axis.get("title", {}).get("text", "")


def _x_axis(axis: Figure, x: _Axis, box: tuple[float, float, float, float]) -> list[str]:
    left, right, bottom, _ = box
    return [
        *(_text(place, bottom + 17, name, **{"class": "tick"}) for place, name in x.ticks),
        _text((left + right) / 2, bottom + 36, _title(axis), **{"class": "tick"}),
    ]


def _y_axis(axis: Figure, y: _Axis, box: tuple[float, float, float, float]) -> list[str]:
    left, right, _, _ = box
    is_right = axis.get("side") == "right"
    parts = []
    for place, name in y.ticks:
        if axis.get("showgrid", True):
            parts.append(f'<path class="grid" d="M{left:.1f} {place:.1f}H{right:.1f}"/>')
        where = (right + 8, "start") if is_right else (left - 8, "end")
        parts.append(_text(where[0], place + 4, name, where[1], **{"class": "tick"}))
    if y.ticks and _title(axis):
        middle = (y.ticks[0][0] + y.ticks[-1][0]) / 2
        place = WIDTH - 12 if is_right else 14
        turned = f"rotate(-90 {place} {middle:.1f})"
        parts.append(_text(place, middle, _title(axis), transform=turned, **{"class": "tick"}))
    return parts


def _legend(traces: Sequence[Figure], layout: Figure) -> tuple[list[str], float]:
    """Return the legend above the chart, and where it ends."""
    named = [trace for trace in traces if trace.get("showlegend", True) and trace.get("name")]
    if not layout.get("showlegend", len(named) > 1) or any(trace["type"] != "scatter" for trace in named):
        return [], 4
    parts, x, y = [], 66.0, 14.0
    for trace in named:
        text = _plain(trace["name"])
        if x > 66 and x + 24 + LETTER * len(text) > WIDTH:
            x, y = 66.0, y + 19
        marker = trace.get("marker", {})
        colour = _first(marker.get("color") or trace.get("line", {}).get("color"))
        if "lines" in trace["mode"]:
            parts.append(f'<path d="M{x - 8:.1f} {y:.1f}h16" stroke="{escape(colour)}" stroke-width="2"/>')
        else:
            edge = _first(trace["marker"].get("line", {}).get("color")) or colour
            parts.append(_mark(x, y, _first(marker.get("symbol", "circle")), 10, colour, 1.5, edge))
        parts.append(_text(x + 12, y + 4, trace["name"], "start"))
        x += 40 + LETTER * len(text)
    return parts, y + 10


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


def _nth(value: Any, number: int) -> Any:
    return value[number] if isinstance(value, list) else value


def _scatter(trace: Figure, x: _Axis, y: _Axis, categories: Sequence[str], name: str) -> list[str]:
    points = [
        None if value is None else (x.at(at), y.at(value))
        for at, value in zip(trace["x"], trace["y"], strict=True)
    ]
    parts = []
    marker, line = trace.get("marker", {}), trace.get("line", {})
    error = trace.get("error_y", {})
    for number, (value, reach) in enumerate(zip(trace["y"], error.get("array", ()), strict=False)):
        low, high = y.at(value - reach), y.at(value + reach)
        at = x.at(trace["x"][number])
        path = f"M{at - 3:.1f} {low:.1f}h6m-3 0V{high:.1f}m-3 0h6"
        parts.append(f'<path d="{path}" stroke="{error["color"]}" stroke-width="1.5" fill="none"/>')
    if "lines" in trace["mode"]:
        path, pen = "", "M"
        for point in points:
            path += f"{pen}{point[0]:.1f} {point[1]:.1f}" if point else ""
            pen = "L" if point else "M"
        dash = ' stroke-dasharray="3 4"' if line.get("dash", "solid") != "solid" else ""
        parts.append(
            f'<path d="{path}" stroke="{line["color"]}" stroke-width="{line["width"]}"{dash} fill="none"/>'
        )
    for number, point in enumerate(points):
        if point is None:
            continue
        if "markers" in trace["mode"]:
            edge = marker.get("line", {})
            fill = _nth(marker.get("color", line.get("color")), number)
            symbol, size = _nth(marker.get("symbol", "circle"), number), _nth(marker["size"], number)
            outline = _nth(edge.get("color", fill), number)
            parts.append(
                _mark(*point, symbol, size, fill, edge.get("width", 0), outline, marker.get("opacity"))
            )
        if "text" in trace["mode"]:
            parts.append(_beside(trace, *point, trace["text"][number]))
    return parts


def _beside(trace: Figure, x: float, y: float, text: str) -> str:
    font, place = trace.get("textfont", {}), trace.get("textposition", "middle")
    more = {"font_size": font.get("size"), "fill": font.get("color")}
    if "<b>" in text:
        more["font_weight"] = 600
    if place == "middle":
        return _text(x, y + 4, text, **more)
    away = 10 if "right" in place else -10
    return _text(x + away, y - 9, text, "start" if away > 0 else "end", **more)


def _mark(
    x: float,
    y: float,
    symbol: str,
    size: float,
    fill: str,
    width: float,
    edge: str,
    opacity: float | None = None,
) -> str:
    """Return a mark of a size in pixels around a point."""
    shape, _, is_open = symbol.partition("-open")
    radius = size / 2
    paint = f' fill="{"none" if is_open or fill == NOTHING else fill}"'
    if width or is_open:
        paint += f' stroke="{edge}" stroke-width="{width or 2}"'
    if opacity:
        paint += f' fill-opacity="{opacity}"'
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"{paint}/>'
    corners = " ".join(f"{x + radius * dx:.1f},{y + radius * dy:.1f}" for dx, dy in _CORNERS[shape])
    return f'<polygon points="{corners}"{paint}/>'


def _around(count: int, *, inner: float = 1.0, reach: float = 1.1) -> list[tuple[float, float]]:
    """Return corners around a point, the first above it; of a star, every other one within."""
    return [
        (
            reach * (inner if number % 2 else 1) * math.sin(2 * math.pi * number / count),
            -reach * (inner if number % 2 else 1) * math.cos(2 * math.pi * number / count),
        )
        for number in range(count)
    ]


_PLUS = [
    *((-0.4, -1), (0.4, -1), (0.4, -0.4), (1, -0.4), (1, 0.4), (0.4, 0.4)),
    *((0.4, 1), (-0.4, 1), (-0.4, 0.4), (-1, 0.4), (-1, -0.4), (-0.4, -0.4)),
]
_CORNERS: dict[str, list[tuple[float, float]]] = {
    "diamond": _around(4, reach=1.3),
    "square": [(-0.95, -0.95), (0.95, -0.95), (0.95, 0.95), (-0.95, 0.95)],
    "x": [(0.75 * (dx - dy), 0.75 * (dx + dy)) for dx, dy in _PLUS],
    "triangle-up": _around(3, reach=1.2),
    "cross": _PLUS,
    "star": _around(10, inner=0.45, reach=1.3),
    "hexagon": _around(6),
    "pentagon": _around(5),
}


def _bar(trace: Figure, x: _Axis, y: _Axis, categories: Sequence[str], name: str) -> list[str]:
    gap = min((abs(b[0] - a[0]) for a, b in zip(x.ticks, x.ticks[1:], strict=False)), default=60)
    if categories and len(x.ticks) > 1:
        gap = abs(x.at(categories[1]) - x.at(categories[0]))
    width = min(0.75 * gap, 90) if categories else abs(x.at(1 + trace.get("width", 0.6)) - x.at(1))
    marker, floor = trace["marker"], y.at(0)
    shapes = marker.get("pattern", {}).get("shape", "")
    parts = []
    for number, (at, value) in enumerate(zip(trace["x"], trace["y"], strict=True)):
        colour, hatching = _nth(marker["color"], number), HATCHINGS[_nth(shapes, number)]
        left, top = x.at(at) - width / 2, y.at(value)
        fill = colour
        if hatching:
            fill = f"url(#{name}-{number})"
            parts.append(
                f'<pattern id="{name}-{number}" width="12" height="12" patternUnits="userSpaceOnUse">'
                f'<path d="{hatching}" stroke="{colour}" stroke-width="2" fill="none"/></pattern>'
            )
        parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{max(floor - top, 0):.1f}" '
            f'fill="{fill}" stroke="{colour}"/>'
        )
        if trace.get("text"):
            parts.append(_text(left + width / 2, top - 5, trace["text"][number]))
    return parts


def _heat_map(trace: Figure, x: _Axis, y: _Axis, categories: Sequence[str], name: str) -> list[str]:
    low, high, scale = trace["zmin"], trace["zmax"], trace["colorscale"]
    width = abs(x.at(categories[1]) - x.at(categories[0])) if len(categories) > 1 else 120
    height = abs(y.at(1) - y.at(0))
    cell = f"h{max(width - 2, 1):.1f}v{max(height - 2, 1):.1f}h-{max(width - 2, 1):.1f}z"
    cells: dict[str, list[str]] = {}  # those of one colour are one path: there can be thousands
    texts = []
    for row, values in zip(trace["y"], trace["z"], strict=True):
        for column, value in enumerate(values):
            at, place = x.at(trace["x"][column]), y.at(row)
            colour, is_dark = _between(scale, round((value - low) / ((high - low) or 1), 2))
            corner = f"M{at - width / 2 + 1:.1f} {place - height / 2 + 1:.1f}"
            cells.setdefault(colour, []).append(corner + cell)
            if trace["texttemplate"]:
                ink = "#ffffff" if is_dark else "#161d2d"
                texts.append(_text(at, place + 4, trace["text"][row][column], fill=ink, font_size=11))
    drawn = ('<path d="' + "".join(paths) + f'" fill="{colour}"/>' for colour, paths in cells.items())
    return [*drawn, *texts, *_colour_bar(trace)]


def _colour_bar(trace: Figure) -> list[str]:
    bar, low, high = trace["colorbar"], trace["zmin"], trace["zmax"]
    top, step, count = 46, 6, 25
    parts = [
        f'<rect x="{WIDTH - 78}" y="{top + step * number}" width="10" height="{step + 0.5}" '
        f'fill="{_between(trace["colorscale"], 1 - number / (count - 1))[0]}"/>'
        for number in range(count)
    ]
    marks = zip(bar["tickvals"], bar["ticktext"], strict=True) if "tickvals" in bar else None
    for value, name in marks or ((v, f"{v:.0%}" if "tickformat" in bar else f"{v:g}") for v in (low, high)):
        place = top + step * count * (1 - (value - low) / ((high - low) or 1))
        parts.append(_text(WIDTH - 62, place + 4, name, "start", **{"class": "tick"}))
    parts.append(_text(WIDTH - 78, top - 10, bar["title"]["text"], "start", **{"class": "tick"}))
    return parts


def _between(scale: Sequence[Sequence[Any]], share: float) -> tuple[str, bool]:
    """Return the colour at a share of a colour scale, and whether it is dark."""
    share = min(max(share, 0.0), 1.0)
    (low, one), (high, other) = next(pair for pair in itertools.pairwise(scale) if share <= pair[1][0])
    part = (share - low) / (high - low)
    mixed = [
        round((1 - part) * int(one[place : place + 2], 16) + part * int(other[place : place + 2], 16))
        for place in (1, 3, 5)
    ]
    light = sum(weight * value for weight, value in zip((0.299, 0.587, 0.114), mixed, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed), light < 130


_TRACES = {"scatter": _scatter, "bar": _bar, "heatmap": _heat_map}
