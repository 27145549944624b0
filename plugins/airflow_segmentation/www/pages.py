"""What each page holds: from records to the values that its template shows.

Everything that a person can change about a page stands in its URL, so a URL is a permanent link to exactly
this view; the browser asks for the next view in the same way, and swaps in what differs.
"""

from __future__ import annotations

import csv
import io
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from airflow_segmentation.links import page_path, ui_path
from airflow_segmentation.reports.report import Progress, Report
from airflow_segmentation.www import drift, figures, words
from airflow_segmentation.www.alike import METHOD_NAMES, Setting, differences, settings
from airflow_segmentation.www.runs import SORTS, KeptElsewhere, Listed, ListPage, Query, Run, Task
from airflow_segmentation.www.static_files import PLOTLY, path_of, static_url

FEATURES_SHOWN = 12
"""Features whose columns the table of segments shows; the heat map shows all."""
AGAIN = "again"
"""Sorts the table of segments by how sure each comes again."""

Link = Callable[..., str]


def when(moment: datetime | None) -> str:
    """Return a moment for people to read, in UTC."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M") if moment else words.ABSENT


def as_json(figure: figures.Figure) -> Markup:
    """Return a chart for a script element; what is no number, such as the quotient of odd ones, is null."""
    return htmlsafe_json_dumps(figure, dumps=lambda value, **_: msgspec.json.encode(value).decode())


# Not Flask's environment: that would run Flask-AppBuilder's context processors, which know another user.
templates = Environment(
    loader=PackageLoader("airflow_segmentation.www"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.globals |= {
    "static_url": static_url,
    "page_path": page_path,
    "ui_path": ui_path,
    "plotly": PLOTLY,
    "method_names": METHOD_NAMES,
    "axes": figures.AXES,
    "colour": figures.colour,
    "trust": figures.trust,
    "sparkline": figures.sparkline,
}
templates.filters |= {
    "figure": as_json,
    "short": figures.short,
    "percent": words.percent,
    "optional": words.optional,
    "when": when,
}


def render(name: str, **context: Any) -> str:
    """Return a page as HTML; every value in it is escaped."""
    return templates.get_template(name).render(context)


def view_link(page: str, arguments: Mapping[str, str]) -> Link:
    """Return what makes links to the view at hand, some of its parameters changed or, where None, dropped."""

    def link(to: str = page, **changes: Any) -> str:
        kept = {name: value for name, value in {**arguments, **changes}.items() if value not in (None, "")}
        return f"{page_path(to)}?{urlencode(kept)}" if kept else page_path(to)

    return link


def run_page(
    run: Run,
    task: Task,
    tasks: Sequence[Task],
    report: Report,
    arguments: Mapping[str, str],
    conf: dict[str, Any],
) -> dict[str, Any]:
    """Return what the page of a run with a report shows, looked at as the arguments of its URL say.

    :param conf: the run's own configuration, as far as the viewer may read it.

    An argument that makes no sense, such as a k that was not swept, counts as absent: links outlive reports.
    """
    point = figures.point_at(report, _int(arguments.get("k"), report.k))
    axis = arguments.get("axis", "")
    most = figures.telling_first(report, report.chosen)
    x = _feature(arguments.get("x"), report, most[0])
    y = _feature(arguments.get("y"), report, most[min(1, len(most) - 1)])
    given = {
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "task_id": task.task_id,
        "map_index": str(task.map_index),
    }
    shown = {
        **given,
        **{name: arguments[name] for name in ("k", "axis", "log", "x", "y", "order") if arguments.get(name)},
    }
    return {
        "run": run,
        "task": task,
        "tasks": tasks,
        "report": report,
        "point": point,
        "axis": axis if axis in figures.AXES else "",
        "log": bool(arguments.get("log")),
        "x": x,
        "y": y,
        "order": arguments.get("order", ""),
        "given": given,
        "link": view_link("run", shown),
        "figures": {
            "elbow": figures.elbow(report, point.k, axis=axis, log=bool(arguments.get("log"))),
            "gap": figures.gap(report, point.k),
            "sizes": figures.sizes(report, point.k),
            "centres": figures.centres(report, point.k),
            "sample": figures.sample(report, point.k, x, y),
        },
        "words": words,
        "scores": scores(report, point.k),
        "segments": segments_table(report, point.k, arguments.get("order", "")),
        "trigger": {**conf, "k": point.k},
    }


def scores(report: Report, k: int) -> list[tuple[str, str, str]]:
    """Return name, value at k, and change against the chosen k, of each score there is."""
    point, chosen = figures.point_at(report, k), report.chosen
    rows = []
    for name, label in (("sse", "SSE"), ("explained", "Explained"), *figures.AXES.items()):
        value, reference = figures.value_of(point, name), figures.value_of(chosen, name)
        if value is None and reference is None:
            continue
        change = ""
        if value is not None and reference and point.k != chosen.k:
            change = _change(name, value, reference)
        shown = words.ABSENT
        if value is not None:
            shown = words.percent(value) if name == "explained" else figures.exact(name, value)
        rows.append((label, shown, change))
    return rows


def _change(name: str, value: float, reference: float) -> str:
    if name == "explained":
        return f"{100 * (value - reference):+.1f} points"
    if figures.is_sampled(name):
        return f"{round(value, 2) - round(reference, 2):+.2f}"
    return f"{(value - reference) / abs(reference):+.1%}"


def segments_table(report: Report, k: int, order: str) -> dict[str, Any]:
    """Return the segments at k as the headers and rows of a table, sorted by `order`.

    :param order: 0 for the segment, 1 for rows, 2 for the share, `AGAIN`, or 3 and the position of a feature
        in the report; with a minus in front for descending. By segment where it is none of them.
    """
    point = figures.point_at(report, k)
    counts, centers, again = point.sizes or (), point.centers or (), point.jaccard or ()
    total = sum(counts) or 1
    shown = figures.telling_first(report, point)[:FEATURES_SHOWN] if centers else []
    key, descending = order.removeprefix("-"), order.startswith("-")
    column = _int(key, 0)
    segments = list(range(len(counts)))
    by_trust = bool(again) and key == AGAIN
    if by_trust:
        segments.sort(key=lambda segment: again[segment], reverse=descending)
    elif column in (1, 2):
        segments.sort(key=lambda segment: counts[segment], reverse=descending)
    elif centers and 3 <= column < 3 + len(report.features):
        segments.sort(key=lambda segment: centers[segment][column - 3], reverse=descending)
    elif descending:
        segments.reverse()
    return {
        "headers": [
            *zip(("0", "1", "2"), ("Segment", "Rows", "Share"), strict=True),
            *(((AGAIN, "Comes again"),) if again else ()),
            *((str(3 + position), report.features[position].name) for position in shown),
        ],
        "rows": [
            (segment, counts[segment], counts[segment] / total, *(centers[segment][i] for i in shown))
            for segment in segments
        ],
        "again": again,
        "order": f"{'-' if descending else ''}{AGAIN if by_trust else column}",
        "left_out": len(report.features) - len(shown) if figures.centres(report, k) else 0,
    }


def progress_page(
    run: Run,
    sweeps: Sequence[tuple[Task, Progress]],
    elsewhere: KeptElsewhere | None,
    finished: tuple[int, int] | None,
    failed: Sequence[Task],
    reported: Sequence[Task],
) -> dict[str, Any]:
    """Return what the page of a run without a report shows, or of a task that pushed none.

    :param elsewhere: why how far the sweeps have come cannot be read.
    :param finished: how many of the run's tasks have, and how many there are; None for who may not know.
    """
    return {
        "run": run,
        "sweeps": [(task, progress, figures.growing(progress)) for task, progress in sweeps],
        "elsewhere": elsewhere,
        "finished": finished,
        "failed": failed,
        "reported": reported,
        "words": words,
    }


def runs_page(
    listed: ListPage,
    going: Sequence[Listed],
    query: Query,
    dag_ids: Sequence[str],
    arguments: Mapping[str, str],
) -> dict[str, Any]:
    """Return what the list of runs shows."""
    names = ("q", "dag_id", "since", "until", "sort")
    shown = {name: arguments[name] for name in names if arguments.get(name)}
    return {
        "listed": listed,
        "going": going,
        "query": query,
        "dag_ids": dag_ids,
        "filtered": bool(shown.keys() - {"sort"}),
        "arguments": shown,
        "link": view_link("", shown),
        "settings": (found := list_settings(listed.rows)),
        "unlike": any(setting.differs for run in found.values() for setting in run),
    }


def list_settings(rows: Sequence[Listed]) -> dict[Any, tuple[Setting, ...]]:
    """Return the settings of each listed run, beside those of the latest that is listed of the same task."""
    latest: dict[Any, Any] = {}
    for row in sorted(rows, key=lambda row: row.run.run_after, reverse=True):
        if row.summary:
            latest.setdefault((row.run.dag_id, row.task.key), row.summary)
    return {
        (row.run.dag_id, row.run.run_id, row.task.key): settings(
            row.summary, latest[row.run.dag_id, row.task.key]
        )
        for row in rows
        if row.summary
    }


def query_of(arguments: Mapping[str, str]) -> Query:
    """Return what the arguments of the list's URL ask for; `until` includes its day."""
    sort = arguments.get("sort", "-time")
    return Query(
        search=arguments.get("q", "").strip(),
        dag_id=arguments.get("dag_id", ""),
        since=_day(arguments.get("since")),
        until=_day(arguments.get("until"), later=1),
        sort=sort if sort.removeprefix("-") in SORTS else "-time",
        page=_int(arguments.get("page"), 1),
    )


@dataclass(frozen=True)
class Comparison:
    """What the page of a Dag compares: some runs' curves, and the drift between two runs."""

    curves: tuple[str, ...]
    """Run ids."""
    before: str
    after: str

    @classmethod
    def of(cls, reports: Sequence[Listed], curves: Sequence[str], before: str, after: str) -> Comparison:
        """Return what is asked for; where nothing is, the latest runs.

        :param reports: the reports to choose from, oldest first.
        """
        latest = [row.run.run_id for row in reversed(reports)]
        after = after if after in latest else next(iter(latest), "")
        earlier = latest[latest.index(after) + 1 :] if after else []
        return cls(
            curves=tuple(run_id for run_id in curves if run_id in latest)[: figures.MAX_CURVES]
            or tuple(latest[:3]),
            before=before if before in latest else next(iter(earlier), ""),
            after=after,
        )

    @property
    def is_full(self) -> bool:
        """Whether no more curves can be drawn."""
        return len(self.curves) == figures.MAX_CURVES


def dag_page(
    dag_id: str,
    task: Task,
    tasks: Sequence[Task],
    reports: Sequence[Listed],
    unread: Sequence[Listed],
    comparison: Comparison,
    compared: Mapping[str, Report],
) -> dict[str, Any]:
    """Return what the page of a Dag shows: its trends, the curves of some runs, and the drift between two.

    :param reports: the task's latest reports, oldest first.
    :param unread: those that cannot be read, latest first.
    :param compared: the two reports to compare, by run id.
    """
    before, after = compared.get(comparison.before), compared.get(comparison.after)
    summaries = {row.run.run_id: row.summary for row in reports if row.summary}
    changes = None
    if before and after:
        unlike = differences(summaries[comparison.after], summaries[comparison.before])
        changes = drift.between(before, after, unlike)
    drawn = [row for row in reversed(reports) if row.run.run_id in comparison.curves]
    given = {"dag_id": dag_id, "task_id": task.task_id, "map_index": str(task.map_index)}
    return {
        "dag_id": dag_id,
        "task": task,
        "tasks": tasks,
        "reports": reports,
        "unread": unread,
        "comparison": comparison,
        "changes": changes,
        "given": given,
        "link": view_link("dag", given),
        "figures": {
            "trends": figures.trends(reports),
            "curves": figures.curves(drawn),
            "drift": changes.figure if changes else None,
        },
        "drawn": drawn,
        "words": words,
    }


def sweep_csv(report: Report) -> str:
    """Return the sweep as CSV, a line for each k, in full precision."""
    columns = ("k", "sse", "explained", *figures.AXES, "iterations", "gap", "gap_se")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([figures.value_of(point, column) for column in columns] for point in report.curve)
    return text.getvalue()


def self_contained(context: Mapping[str, Any]) -> str:
    """Return the charts of a run's page as one HTML file that needs no other, and no server."""

    def read(name: str) -> str:
        # The one thing that must not stand in an inline script is what would end it.
        return path_of(name).read_text(encoding="utf-8").replace("</script", "<\\/script")

    scripts = [read(name) for name in ("colour-mode.js", PLOTLY, "charts.js")]
    hashes = [b64encode(sha256(script.encode()).digest()).decode() for script in scripts]
    return render("charts.html", **context, style=read("page.css"), scripts=scripts, hashes=hashes)


def _int(text: str | None, default: int) -> int:
    try:
        return int(text or "")
    except ValueError:
        return default


def _day(text: str | None, later: int = 0) -> datetime | None:
    """Return the beginning of a day, or of one so many days later; None where the calendar has none."""
    try:
        day = datetime.strptime(text or "", "%Y-%m-%d").replace(tzinfo=timezone.utc)
        return day + timedelta(days=later)
    except (ValueError, OverflowError):
        return None


def _feature(text: str | None, report: Report, default: int) -> int:
    number = _int(text, default)
    return number if 0 <= number < len(report.features) else default
