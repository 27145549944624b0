"""The charts of many runs of a Dag: how its choices, and the customers it scored, went from run to run."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_segmentation.reports import figures
from airflow_segmentation.reports.alike import described, differences, groups
from airflow_segmentation.reports.figures import Figure
from airflow_segmentation.reports.report import MAX_NUMBER, Summary
from airflow_segmentation.www.runs import Listed, Run, Scored

DASHES = ("solid", "dot", "dash", "longdash", "dashdot")
MAX_CURVES = 10
MAX_DATES = 5
"""Runs whose times an axis has room for, and the first."""
NAME_GAP = 0.06
"""Share of SSE by which two marks of one k differ, for each to be named: nearer, they cover each other."""


def trends(reports: Sequence[Listed]) -> Figure:
    """Return the chosen k, the SSE there and the silhouette over the runs of a Dag, oldest first.

    Runs stand side by side, whatever time lies between them: some are of one second. Those that are not
    alike have lines and marks of their own.
    """
    panels = (
        ("k", "k", figures.CHOSEN, [0.72, 1]),
        ("sse", "SSE at k", figures.CURVE, [0.36, 0.64]),
        ("silhouette", "Silhouette", figures.HUES[2], [0, 0.28]),
    )
    known = [(row.run, row.summary) for row in reports if row.summary]
    alike = _by_likeness([summary for _, summary in known])
    layout = figures.laid_out(
        480, showlegend=len(alike) > 1, hovermode="closest", legend=figures.LEGEND_ABOVE
    )
    layout["xaxis"] = _run_axis([run for run, _ in known], anchor="y3")
    traces: list[Figure] = []
    for number, (attribute, title, line, domain) in enumerate(panels, start=1):
        suffix = "" if number == 1 else str(number)
        layout[f"yaxis{suffix}"] = {"title": {"text": title}, "domain": domain, "nticks": 5}
        for group, (words, members) in enumerate(alike):
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": figures.escaped(words),
                    "legendgroup": str(group),
                    "showlegend": number == 1,
                    "x": members,
                    "y": [getattr(known[member][1], attribute) for member in members],
                    "customdata": [figures.escaped(known[member][0].run_id) for member in members],
                    "text": [f"{known[member][0].run_after:%Y-%m-%d %H:%M}" for member in members],
                    "yaxis": f"y{suffix}",
                    "hovertemplate": (
                        f"%{{customdata}}<br>%{{text}}<br>{title} %{{y:{figures.precision(attribute)}}}"
                        + ("<br>%{fullData.name}" if len(alike) > 1 else "")
                        + "<extra></extra>"
                    ),
                    "line": {"color": line, "width": 2, "dash": DASHES[group % len(DASHES)]},
                    "marker": {
                        "size": 7 if group == 0 else 9,
                        "symbol": figures.SYMBOLS[group % len(figures.SYMBOLS)],
                    },
                }
            )
    chosen = [summary.k for _, summary in known]
    if chosen and max(chosen) - min(chosen) <= 6:
        layout["yaxis"]["dtick"] = 1  # or half a k would have a line of its own
    return {"data": traces, "layout": layout}


def scored(scorings: Sequence[Scored]) -> Figure:
    """Return how far the customers that a Dag scored had drifted, run by run, oldest first, and the limits.

    Above the population stability index of the feature that had shifted most and of the segments' shares,
    below the share of customers with a value beyond the range of those that the segments were made of.
    """
    runs = [each.run for each in scorings]
    most = [each.drift.features[0] if each.drift.features else None for each in scorings]
    lines = (
        ("Feature that shifted most", "y", [shift and shift.psi for shift in most], figures.CHOSEN, ".3~g"),
        ("Shares of the segments", "y", [each.drift.shares for each in scorings], figures.CURVE, ".3~g"),
        ("Customers out of range", "y2", [each.drift.outside for each in scorings], figures.HUES[2], ".2~%"),
    )
    limits = (
        ("max_psi", "y", [each.drift.max_psi for each in scorings]),
        ("max_outside", "y2", [each.drift.max_outside for each in scorings]),
    )
    places = list(range(len(runs)))
    told = [
        f"{figures.escaped(figures.isolated(each.run.run_id))}<br>version {each.record.version}"
        + (f"<br>{figures.as_label(shift.feature, figures.MAX_HOVER)}" if shift else "")
        for each, shift in zip(scorings, most, strict=True)
    ]
    traces: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": places,
            "y": values,
            "customdata": told,
            "yaxis": axis,
            "hovertemplate": f"%{{customdata}}<br>{name} %{{y:{form}}}<extra></extra>",
            "line": {"color": line, "width": 2, "dash": dash},
            "marker": {"size": 7, "symbol": mark},
        }
        for (name, axis, values, line, form), dash, mark in zip(lines, DASHES, figures.SYMBOLS, strict=False)
    ]
    traces += [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Limit",
            "showlegend": axis == "y",
            "x": [place + side for place in places for side in (-0.5, 0.5)],
            "y": [value for value in values for _ in range(2)],
            "yaxis": axis,
            "hovertemplate": f"{name} %{{y}}<extra></extra>",
            "line": {"color": figures.HUES[6], "width": 1.5, "dash": "dash"},
        }
        for name, axis, values in limits
    ]
    layout = figures.laid_out(400, hovermode="closest", legend=figures.LEGEND_ABOVE)
    layout["xaxis"] = _run_axis(runs, anchor="y2")
    layout["yaxis"] = {"title": {"text": "PSI"}, "domain": [0.46, 1], "rangemode": "tozero", "nticks": 5}
    layout["yaxis2"] = {
        "title": {"text": "Out of range"},
        "domain": [0, 0.38],
        "rangemode": "tozero",
        "tickformat": ".1~%",
        "nticks": 4,
    }
    return {"data": traces, "layout": layout}


def _run_axis(runs: Sequence[Run], anchor: str) -> Figure:
    """Return an axis on which runs stand side by side, oldest first, some of them with their time."""
    labelled = sorted({round(place * (len(runs) - 1) / MAX_DATES) for place in range(MAX_DATES + 1)})
    return {
        "title": {"text": "Run, by its time in UTC"},
        "anchor": anchor,
        "range": [-0.5, len(runs) - 0.5],
        "tickvals": labelled,
        "ticktext": [f"{runs[place].run_after:%Y-%m-%d<br>%H:%M}" for place in labelled if runs],
        "zeroline": False,
    }


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
        name = figures.as_label(run_id, 44) + (f": {figures.escaped(differs)}" if differs else "")
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
                    "color": figures.colour(order),
                    "width": 2,
                    "dash": dashes[order >= len(figures.HUES)],
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
                "marker": {"size": 11, "color": figures.colour(order), "symbol": figures.symbol(order)},
            }
        )
    layout = figures.laid_out(420, hovermode="closest", legend=figures.LEGEND_ABOVE)
    layout["xaxis"] = {"title": {"text": "k"}}
    layout["yaxis"] = {"title": {"text": "SSE left"}, "tickformat": ".0%", "rangemode": "tozero"}
    return {"data": traces, "layout": layout}
