"""Who the segments are, chart by chart: each with what it says, in words and as a table.

Every chart is drawn from what a report holds: some rows, the centres at each k, the plane in which the rows
differ most, and the quartiles of the chosen segments.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from airflow_segmentation.reports import figures
from airflow_segmentation.reports.describing import between, telling_first
from airflow_segmentation.reports.figures import Figure, colour, pattern, short
from airflow_segmentation.reports.identity import labels_of
from airflow_segmentation.reports.report import CurvePoint, Report
from airflow_segmentation.www import words

MAX_SILHOUETTES = 300
"""Rows whose silhouettes are shown: each takes its distances to all of them."""
MAX_FEATURES = 20
"""Features that the chart of what matters has room for."""
MAX_FLOWS = 15
"""Segments beyond which nobody can follow what becomes of each."""
SMALLEST_FLOW = 0.005
"""Share of all rows below which a flow is left to the table."""


@dataclass(frozen=True)
class Card:
    """A chart and what it says."""

    figure: Figure | None
    summary: str
    table: words.Table | None = None


@dataclass(frozen=True)
class Portraits:
    """The segments at one k, drawn in several ways.

    :param column: the place of the profile whose distribution is drawn.
    :param other: another k, that this one is set beside.
    """

    report: Report
    point: CurvePoint
    column: int
    other: int | None

    @property
    def labels(self) -> list[str]:
        """What a table calls the segments at this k."""
        return labels_of(self.report, self.point)

    @cached_property
    def owners(self) -> list[int]:
        """The place of the segment of each row of the sample at this k."""
        return figures.assign(self.report, self.point) if self.point.centers else []

    @cached_property
    def weights(self) -> list[float]:
        """What share of all rows each row of the sample stands for, by the segments of the chosen k."""
        chosen = self.report.chosen
        if chosen.sizes is None or chosen.centers is None:
            return [1 / len(self.report.sample)] * len(self.report.sample)
        owners = figures.assign(self.report, chosen)
        drawn = [owners.count(segment) for segment in range(chosen.k)]
        met = sum(size for size, count in zip(chosen.sizes, drawn, strict=True) if count)
        return [chosen.sizes[owner] / drawn[owner] / met for owner in owners]

    @property
    def map(self) -> Card:
        """Rows and centres on the plane of the first two principal components."""
        plane = self.report.plane
        if plane is None or self.point.centers is None or not self.report.sample:
            return Card(None, self._absent("A map of segments"))
        steps = [
            (center, 1 / span if (span := feature.maximum - feature.minimum) > 0 else 0.0)
            for center, feature in zip(plane.center, self.report.features, strict=True)
        ]

        def place(row: Sequence[float]) -> tuple[float, float]:
            moved = [(value - center) * scale for value, (center, scale) in zip(row, steps, strict=True)]
            first, second = (sum(map(operator.mul, moved, axis)) for axis in plane.axes)
            return first, second

        if not all(math.isfinite(sum(place(row))) for row in (*self.report.sample, *self.point.centers)):
            return Card(None, "The ranges of the features are too small for a map.")
        share = sum(plane.shares)
        titles = tuple(
            f"{name} component ({words.percent(part)})"
            for name, part in zip(("First", "Second"), plane.shares, strict=True)
        )
        heaviest = [
            max(zip(axis, self.report.features, strict=True), key=lambda pair: abs(pair[0]))[1].name
            for axis in plane.axes
        ]
        over = "" if plane.rows >= self.report.rows else f", over {plane.rows:,} rows drawn by chance"
        summary = (
            f"The map shows {words.percent(share)} of the variance{over}: segments that lie apart here are "
            f"apart; those that overlap may still differ in what it does not show. Across it tells most of "
            f"{figures.isolated(heaviest[0])}, upwards of {figures.isolated(heaviest[1])}. "
            f"{len(self.report.sample)} of {self.report.rows:,} rows are drawn, five at least of each chosen "
            "segment that has as many. A centre's circle grows with its segment."
        )
        figure = figures.scatter(self.report, self.point, self.owners, place, titles, by_size=True)
        table = words.Table(
            ("Segment", "Across", "Upwards"),
            tuple(
                (label, *map(short, place(centre)))
                for label, centre in zip(self.labels, self.point.centers, strict=True)
            ),
        )
        return Card(figure, summary, table)

    @property
    def silhouettes(self) -> Card:
        """The sorted silhouettes of the sample, segment by segment (Rousseeuw, 1987)."""
        k = self.point.k
        if k < 2 or not self.owners:
            return Card(None, self._absent("A silhouette") if k > 1 else "One segment has no silhouette.")
        values = self._silhouettes()
        rows = [
            sorted(
                (value for value, own in zip(values, self.owners, strict=False) if own == segment),
                reverse=True,
            )
            for segment in range(k)
        ]
        traces: list[Figure] = []
        first, numbers = 0, self.point.numbered
        for number, label, own in zip(
            numbers, figures.segment_labels(self.report, self.point), rows, strict=True
        ):
            traces.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": label,
                    "x": [round(value, 3) for value in own],
                    "y": list(range(first, first + len(own))),
                    "width": 1,
                    "marker": {
                        "color": colour(number),
                        "line": {"width": 0},
                        "pattern": {"shape": pattern(number), "solidity": 0.35},
                    },
                    "hovertemplate": "%{fullData.name}<br>silhouette %{x:.2f}<extra></extra>",
                }
            )
            first += len(own) + 3
        means = [sum(own) / len(own) if own else None for own in rows]
        below = [
            number
            for number, own in zip(numbers, rows, strict=True)
            if own and sum(value < 0 for value in own) > len(own) / 4
        ]
        layout = figures.laid_out(380, showlegend=k <= figures.MAX_NUMBERED_SEGMENTS, bargap=0)
        layout["xaxis"] = {"title": {"text": "Silhouette"}, "range": [min(-0.1, *values) - 0.05, 1]}
        layout["yaxis"] = {
            "showticklabels": False,
            "autorange": "reversed",
            "showgrid": False,
            "zeroline": False,
        }
        known = [(mean, number) for number, mean in zip(numbers, means, strict=True) if mean is not None]
        best, worst = max(known), min(known)
        summary = (
            f"For {len(values)} rows of the sample, how much nearer each is to its own segment than to the "
            "next: 1 is in the middle of it, 0 between two, and below 0 nearer to another. Segment "
            f"{best[1]} hangs together best (mean {best[0]:.2f}), segment {worst[1]} least ({worst[0]:.2f})."
        )
        if below:
            summary += f" More than a quarter of {_segments(below)} would fit another segment better."
        return Card(
            {"data": traces, "layout": layout},
            summary,
            words.Table(
                ("Segment", "Rows of the sample", "Mean silhouette", "Below 0"),
                tuple(
                    (
                        label,
                        str(len(own)),
                        words.ABSENT if mean is None else f"{mean:.2f}",
                        str(sum(value < 0 for value in own)),
                    )
                    for label, own, mean in zip(self.labels, rows, means, strict=True)
                ),
            ),
        )

    def _silhouettes(self) -> list[float]:
        """Return the silhouette of each row of the sample; 0 of one that is alone in its segment."""
        rows = figures.scaled(self.report, self.report.sample[:MAX_SILHOUETTES])
        owners = self.owners[: len(rows)]
        counts = [owners.count(segment) for segment in range(self.point.k)]
        sums = [[0.0] * self.point.k for _ in rows]
        for place, (row, own) in enumerate(zip(rows, owners, strict=True)):
            for other in range(place):
                distance = math.dist(row, rows[other])
                sums[place][owners[other]] += distance
                sums[other][own] += distance
        values = []
        for own, summed in zip(owners, sums, strict=True):
            apart = [
                total / count
                for segment, (total, count) in enumerate(zip(summed, counts, strict=True))
                if count and segment != own
            ]
            if counts[own] < 2 or not apart:
                values.append(0.0)
                continue
            inner, outer = summed[own] / (counts[own] - 1), min(apart)
            values.append((outer - inner) / max(inner, outer) if max(inner, outer) > 0 else 0.0)
        return values

    @property
    def importance(self) -> Card:
        """How much of each feature's variance lies between the segments at this k."""
        shares = between(self.report, self.point)
        if shares is None or self.point.k < 2:
            return Card(
                None,
                self._absent("Which features matter")
                if self.point.k > 1
                else "One segment tells nothing apart.",
            )
        order = telling_first(self.report, self.point)
        shown = order[:MAX_FEATURES]
        names = [self.report.features[place].name for place in order]
        layout = figures.laid_out(max(200, 60 + 26 * len(shown)), showlegend=False, bargap=0.3)
        layout["xaxis"] = {
            "title": {"text": "Share of variance between segments"},
            "range": [0, 1],
            "tickformat": ".0%",
        }
        layout["yaxis"] = {
            "tickmode": "array",
            "tickvals": list(range(len(shown))),
            "ticktext": [figures.as_label(name) for name in names[: len(shown)]],
            "autorange": "reversed",
            "showgrid": False,
        }
        figure = {
            "data": [
                {
                    "type": "bar",
                    "orientation": "h",
                    "x": [round(shares[place], 4) for place in shown],
                    "y": list(range(len(shown))),
                    "customdata": [figures.escaped(name) for name in names[: len(shown)]],
                    "texttemplate": "%{x:.0%}",
                    "textposition": "auto",
                    "marker": {"color": figures.CURVE},
                    "hovertemplate": "%{customdata}<br>%{x:.1%} between segments<extra></extra>",
                }
            ],
            "layout": layout,
        }
        summary = (
            f"{figures.isolated(names[0])} tells most of who is in which segment: "
            f"{words.percent(shares[order[0]])} of how it differs lies between segments, the rest in them."
        )
        if len(names) > 1:
            summary += f" {figures.isolated(names[-1])} tells least, {words.percent(shares[order[-1]])}."
        if len(order) > len(shown):
            summary += f" The table has all {len(order)} features."
        table = words.Table(
            ("Feature", "Between segments"),
            tuple((name, words.percent(shares[place])) for name, place in zip(names, order, strict=True)),
        )
        return Card(figure, summary, table)

    @property
    def distribution(self) -> Card:
        """One column over the chosen segments, and over all rows, as boxes from their quartiles."""
        if not self.report.profiles:
            return Card(None, self._absent("The distribution of a column"))
        profile, chosen = self.report.profiles[self.column], self.report.chosen
        columns = zip(profile.mean, profile.q25, profile.q50, profile.q75, strict=True)
        boxes: list[tuple[str, str, Sequence[float | None]]] = [
            (str(number), colour(number), values)
            for number, values in zip(chosen.numbered, columns, strict=True)
        ]
        if profile.overall is not None:
            boxes.insert(0, ("All", figures.HUES[-1], profile.overall))
        traces = [
            {
                "type": "box",
                "name": name,
                "x": [name],
                "mean": [mean],
                "q1": [lower],
                "median": [median],
                "q3": [upper],
                "lowerfence": [lower],
                "upperfence": [upper],
                "marker": {"color": hue},
                "line": {"width": 2},
                "boxmean": True,
                "width": 0.6,
            }
            for name, hue, (mean, lower, median, upper) in boxes
            if None not in (mean, lower, median, upper)
        ]
        layout = figures.laid_out(340, showlegend=False)
        layout["xaxis"] = {"title": {"text": "Segment"}, "type": "category", "showgrid": False}
        layout["yaxis"] = {"title": {"text": figures.as_label(profile.column)}}
        medians = zip(profile.q50, chosen.numbered, strict=True)
        known = [(value, number) for value, number in medians if value is not None]
        labels = labels_of(self.report, chosen)
        name = figures.isolated(profile.column)
        if not known:
            summary = f"No segment has a value in {name}."
        else:
            low, high = min(known), max(known)
            summary = (
                f"The middle half of each chosen segment in {name}, with the median and, dashed, the mean. "
                f"The median is largest in segment {high[1]} ({short(high[0])}), smallest in {low[1]} "
                f"({short(low[0])})."
            )
        return Card(
            {"data": traces, "layout": layout},
            summary,
            words.Table(
                ("Segment", "Mean", "Lower quartile", "Median", "Upper quartile"),
                tuple(
                    (name, *map(words.optional, values))
                    for name, (_, _, values) in zip(
                        [*(("All",) if profile.overall is not None else ()), *labels], boxes, strict=True
                    )
                ),
            ),
        )

    @property
    def beside(self) -> Card:
        """What becomes of each segment at this k where there are as many as at the other one."""
        if self.other is None or self.other == self.point.k:
            return Card(None, "Choose another k to see what becomes of each segment.")
        other = figures.point_at(self.report, self.other)
        if not self.owners or other.centers is None:
            return Card(None, self._absent("What becomes of each segment"))
        flows: dict[tuple[int, int], float] = {}
        for own, there, weight in zip(
            self.owners, figures.assign(self.report, other), self.weights, strict=True
        ):
            flows[own, there] = flows.get((own, there), 0.0) + weight
        ordered = sorted(flows.items(), key=lambda item: (item[0][0], -item[1]))
        labels = labels_of(self.report, other)
        table = words.Table(
            (f"At k = {self.point.k}", f"At k = {other.k}", "Share of all rows"),
            tuple(
                (self.labels[own], labels[there], words.percent(weight)) for (own, there), weight in ordered
            ),
        )
        summary = (
            f"What becomes of the {self.point.k} segments, on the left, where there are {other.k}, on the "
            f"right: by the {len(self.owners)} rows of the sample, weighted to stand for all. "
            f"{self._course(flows, other.k)}"
        )
        if max(self.point.k, other.k) > MAX_FLOWS:
            return Card(None, f"{summary} So many segments are told in the table alone.", table)
        return Card(_sankey(self.point.numbered, other.numbered, flows), summary, table)

    def _course(self, flows: dict[tuple[int, int], float], k: int) -> str:
        """Return which segments stay nearly whole, and which part."""
        kept: list[int] = []
        parted: list[int] = []
        for place, number in enumerate(self.point.numbered):
            own = [weight for (start, _), weight in flows.items() if start == place]
            if own:
                (kept if max(own) >= 0.9 * sum(own) else parted).append(number)
        if not parted:
            return "Every segment goes into one of them nearly whole."
        if not kept:
            return "Every segment parts."
        return f"{_capital(_segments(kept))} stay nearly whole; {_segments(parted)} part."

    @property
    def compared(self) -> list[tuple[str, str, str]]:
        """Scores and trust at this k and at the other one."""
        if self.other is None:
            return []
        here, there = self.point, figures.point_at(self.report, self.other)
        rows = [("SSE", short(here.sse), short(there.sse))]
        rows.append(("Variation explained", words.percent(here.explained), words.percent(there.explained)))
        for name, label in figures.AXES.items():
            if name == "seconds":
                continue
            values = [figures.value_of(point, name) for point in (here, there)]
            if any(value is not None for value in values):
                rows.append((label, *(words.optional(value, name) for value in values)))  # type: ignore[arg-type]
        if here.jaccard or there.jaccard:
            rows.append(("Segments that come again", _trusted(here), _trusted(there)))
        if here.sizes or there.sizes:
            rows.append(("Smallest segment", _smallest(here), _smallest(there)))
        return rows

    def _absent(self, what: str) -> str:
        """Return why a chart is not there, and what to do."""
        if not self.report.sample and not self.report.profiles:
            return (
                f"{what} takes rows of the swept table, which was gone when k was chosen. Clear the task "
                "that scales and those after it."
            )
        return (
            f"{what} takes what was not stored at k = {self.point.k}, to keep the report small, or since it "
            "is of an older version. Look at the chosen k, or clear the task that chose it."
        )


def portraits(report: Report, point: CurvePoint, column: int | None, other: int | None) -> Portraits:
    """Return the portraits at one k; what is not asked for is what tells most.

    :param column: the place of a profile.
    """
    if column is None or not 0 <= column < len(report.profiles):
        names = [profile.column for profile in report.profiles]
        telling = report.features[telling_first(report, report.chosen)[0]].name
        column = names.index(telling) if telling in names else 0
    swept = {one.k for one in report.curve}
    if other not in swept or other == point.k:
        other = _other_k(report, point.k)
    return Portraits(report, point, column, other)


def _other_k(report: Report, k: int) -> int | None:
    """Return the k that one is set beside unless another is asked for."""
    recommended = report.recommendation.k if report.recommendation else None
    wanted = [recommended, report.k, *(choice.k for choice in report.choices), k + 1, k - 1]
    swept = {point.k for point in report.curve if point.k > 1}
    return next((one for one in wanted if one in swept and one != k), None)


def _sankey(numbers: Sequence[int], others: Sequence[int], flows: dict[tuple[int, int], float]) -> Figure:
    drawn = {ends: weight for ends, weight in flows.items() if weight >= SMALLEST_FLOW}
    figure_layout = figures.laid_out(max(320, 36 * max(len(numbers), len(others))))
    return {
        "data": [
            {
                "type": "sankey",
                "arrangement": "snap",
                "node": {
                    "label": [str(number) for number in (*numbers, *others)],
                    "color": [colour(number) for number in (*numbers, *others)],
                    "pad": 12,
                    "thickness": 16,
                    "line": {"width": 0},
                    "hovertemplate": "Segment %{label}: %{value:.1%} of all rows<extra></extra>",
                },
                "link": {
                    "source": [own for own, _ in drawn],
                    "target": [len(numbers) + there for _, there in drawn],
                    "value": list(drawn.values()),
                    "color": [_faint(colour(numbers[own])) for own, _ in drawn],
                    "hovertemplate": "%{source.label} to %{target.label}: %{value:.1%}<extra></extra>",
                },
                "valueformat": ".1%",
                "textfont": {"size": 13},
            }
        ],
        "layout": figure_layout,
    }


def _faint(hue: str) -> str:
    red, green, blue = (int(hue[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.35)"


def _trusted(point: CurvePoint) -> str:
    if point.jaccard is None:
        return words.ABSENT
    return f"{sum(figures.trust(one) == 'stable' for one in point.jaccard)} of {point.k} stable"


def _smallest(point: CurvePoint) -> str:
    if point.sizes is None:
        return words.ABSENT
    return f"{point.sizes[-1]:,} rows ({words.percent(point.sizes[-1] / sum(point.sizes))})"


def _segments(numbers: Sequence[int]) -> str:
    """Return segments in words, such as "segments 1, 2 and 5"."""
    *some, last = map(str, numbers)
    return f"segments {', '.join(some)} and {last}" if some else f"segment {last}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
