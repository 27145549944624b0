"""What each page holds: from records to the values that its template shows.

Everything that a person can change about a page stands in its URL, so a URL is a permanent link to exactly
this view; the browser asks for the next view in the same way, and swaps in what differs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from airflow_segmentation.clustering.methods import SCORES
from airflow_segmentation.links import page_path, ui_path
from airflow_segmentation.reports import drawing, figures
from airflow_segmentation.reports.alike import METHOD_NAMES, Setting, differences, settings
from airflow_segmentation.reports.describing import describe, lift_of, telling_first, times
from airflow_segmentation.reports.files import policy_of
from airflow_segmentation.reports.identity import identified
from airflow_segmentation.reports.report import MAX_REASON, Assignment, Feature, Progress, Report
from airflow_segmentation.www import documents, drift, history, rules, words
from airflow_segmentation.www.glossary import TERMS
from airflow_segmentation.www.portraits import portraits
from airflow_segmentation.www.runs import (
    SORTS,
    Asked,
    KeptElsewhere,
    Listed,
    ListPage,
    Published,
    Query,
    Run,
    Scored,
    Task,
)
from airflow_segmentation.www.static_files import PLOTLY, path_of, static_url
from airflow_segmentation.www.succession import succession

FEATURES_SHOWN = 12
"""Features whose columns the table of segments shows; the heat map shows all."""
VIEW = ("k", "axis", "log", "x", "y", "order", "column", "other")
"""What a person can change about the page of a run."""
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
    "hatching": figures.hatching,
    "share": figures.share,
    "terms": TERMS,
    "trust": figures.trust,
    "times": times,
    "telling": rules,
    "sparkline": figures.sparkline,
    "svg": drawing.svg,
    "alone": False,
    "MAX_REASON": MAX_REASON,
    "documents": documents,
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
    return templates.get_template(name).render(context, asked=set())  # terms that are to be explained


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
    conf: dict[str, Any] | None,
    assigned: Sequence[tuple[Task, Assignment]] = (),
    reviews: Sequence[tuple[Asked, bool]] = (),
    reasons: Mapping[tuple[str, int], str] | None = None,
    *,
    logs: bool = False,
) -> dict[str, Any]:
    """Return what the page of a run with a report shows, looked at as the arguments of its URL say.

    :param conf: the run's own configuration, as far as the viewer may read it; None where a run of its Dag
        cannot be given a k.
    :param assigned: the tables of customers that its tasks assigned segments in.
    :param reviews: what was asked of people, and whether the viewer may answer.
    :param reasons: why tasks failed, by their keys.
    :param logs: whether the viewer may read the logs of tasks.

    An argument that makes no sense, such as a k that was not swept, counts as absent: links outlive reports.
    """
    asked = _int(arguments.get("k"), report.k)
    point = figures.point_at(report, asked)
    drawn = portraits(
        report, point, _optional_int(arguments.get("column")), _optional_int(arguments.get("other"))
    )
    axis = arguments.get("axis", "")
    most = telling_first(report, report.chosen)
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
        **{name: arguments[name] for name in VIEW if arguments.get(name)},
    }
    return {
        "run": run,
        "task": task,
        "tasks": tasks,
        "report": report,
        "point": point,
        "not_swept": None if asked == point.k else asked,
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
        "portraits": drawn,
        "described": describe(report, point),
        "succession": succession(report, point),
        "rules": rules.numbered(report) if point.k == report.k else None,
        "assigned": [
            (task, table, last, reading(table, last))
            for task, table in assigned
            for last in (table.numbers or point.numbered)[-1:]
        ],
        "reviews": reviews,
        "deciding": any(may_answer for _, may_answer in reviews),
        "failed": [Task(*key) for key in reasons or ()],
        "reasons": reasons,
        "logs": logs,
        "scores": scores(report, point.k),
        "segments": segments_table(report, point.k, arguments.get("order", "")),
        "trigger": None if conf is None else {**conf, "k": point.k},
    }


def scores(report: Report, k: int) -> list[tuple[str, str, str, str]]:
    """Return name, label, value at k, and change against the chosen k, of each score there is."""
    point, chosen = figures.point_at(report, k), report.chosen
    rows = []
    for name, label in (("sse", "SSE"), ("explained", words.EXPLAINED), *figures.AXES.items()):
        value, reference = figures.value_of(point, name), figures.value_of(chosen, name)
        if value is None and reference is None:
            continue
        change = ""
        if value is not None and reference and point.k != chosen.k:
            change = _change(name, value, reference)
        shown = words.ABSENT
        if value is not None:
            shown = words.percent(value) if name == "explained" else figures.exact(name, value)
        rows.append((name, label, shown, change))
    return rows


def _change(name: str, value: float, reference: float) -> str:
    """Return how a score differs from the chosen k's; whether that is better, where its k can be too large.

    How long a fit took says nothing of k.
    """
    if name == "explained":
        return f"{100 * (value - reference):+.1f} points"
    if name not in SCORES:
        return f"{(value - reference) / abs(reference):+.1%}" if name == "sse" else ""
    if figures.is_sampled(name):
        value, reference = round(value, 2), round(reference, 2)
        change = f"{value - reference:+.2f}"
    else:
        change = f"{(value - reference) / abs(reference):+.1%}"
    if value == reference:
        return "the same"
    better = (value > reference) == (SCORES[name].best == "largest")
    return f"{change}, {'better' if better else 'worse'}"


def segments_table(report: Report, k: int, order: str) -> dict[str, Any]:
    """Return the segments at k as the headers and rows of a table, sorted by `order`.

    :param order: 0 for the segment, 1 for rows, 2 for the share, `AGAIN`, or 3 and the position of a feature
        in the report; with a minus in front for descending. By segment where it is none of them.
    """
    point = figures.point_at(report, k)
    counts, centers, again = point.sizes or (), point.centers or (), point.jaccard or ()
    total = sum(counts) or 1
    shown = telling_first(report, point)[:FEATURES_SHOWN] if centers else []
    key, descending = order.removeprefix("-"), order.startswith("-")
    column = _int(key, 0)
    numbers = point.numbered[: len(counts)]
    segments = sorted(range(len(counts)), key=lambda segment: numbers[segment])
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
            (
                numbers[segment],
                counts[segment],
                counts[segment] / total,
                *(centers[segment][i] for i in shown),
            )
            for segment in segments
        ],
        "overall": [report.features[position].mean for position in shown],
        "lifts": {
            numbers[segment]: [
                _lift(report.features[position], centers[segment][position]) for position in shown
            ]
            for segment in segments
        },
        "again": dict(zip(numbers, again, strict=True)) if again else {},
        "order": f"{'-' if descending else ''}{AGAIN if by_trust else column}",
        "left_out": len(report.features) - len(shown) if figures.centres(report, k) else 0,
    }


def _lift(feature: Feature, value: float) -> float | None:
    return lift_of(value, feature.mean, feature.minimum)


def progress_page(
    run: Run,
    sweeps: Sequence[tuple[Task, Progress]],
    elsewhere: KeptElsewhere | None,
    finished: tuple[int, int] | None,
    failed: Sequence[Task],
    reasons: Mapping[tuple[str, int], str],
    running: Sequence[Task],
    reported: Sequence[Task],
) -> dict[str, Any]:
    """Return what the page of a run without a report shows, or of a task that pushed none.

    :param elsewhere: why how far the sweeps have come cannot be read.
    :param finished: how many of the run's tasks have, and how many there are; None for who may not know.
    :param reasons: why tasks failed, by their keys, as far as they told.
    """
    # A mapped task that has just begun has not told how many steps it will take.
    mapped = {task.task_id for task in running if task.map_index >= 0}
    swept = all(progress.done >= progress.total and task.task_id not in mapped for task, progress in sweeps)
    scoring = {task.key for task, _ in sweeps} & {task.key for task in running}
    doing = "Waiting for the sweep"
    if sweeps:
        doing = "Sweeping" if not swept else "Taking scores" if scoring else "Choosing k"
    return {
        "run": run,
        "sweeps": [(task, progress, figures.growing(progress)) for task, progress in sweeps],
        "doing": doing,
        "now": datetime.now(timezone.utc),
        "elsewhere": elsewhere,
        "finished": finished,
        "failed": failed,
        "reasons": reasons,
        "running": running,
        "reported": reported,
        "words": words,
    }


def runs_page(
    listed: ListPage,
    going: Sequence[Listed],
    waiting: Collection[tuple[str, str]],
    query: Query,
    dag_ids: Sequence[str],
    arguments: Mapping[str, str],
) -> dict[str, Any]:
    """Return what the list of runs shows.

    :param waiting: ids of Dags and runs of which a review waits.
    """
    names = ("q", "dag_id", "since", "until", "sort")
    shown = {name: arguments[name] for name in names if arguments.get(name)}
    return {
        "listed": listed,
        "going": going,
        "waiting": waiting,
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
    def of(
        cls, reports: Sequence[Listed], curves: Sequence[str], before: str, after: str, *, picked: bool
    ) -> Comparison:
        """Return what is asked for; where nothing is, the latest runs.

        :param reports: the reports to choose from, oldest first.
        :param picked: whether a person picked the curves, who may want none.
        """
        latest = [row.run.run_id for row in reversed(reports)]
        after = after if after in latest else next(iter(latest), "")
        earlier = latest[latest.index(after) + 1 :] if after else []
        return cls(
            curves=tuple(run_id for run_id in curves if run_id in latest)[: history.MAX_CURVES]
            or (() if picked and not curves else tuple(latest[:3])),
            before=before if before in latest else next(iter(earlier), ""),
            after=after,
        )

    @property
    def is_full(self) -> bool:
        """Whether no more curves can be drawn."""
        return len(self.curves) == history.MAX_CURVES


def dag_page(
    dag_id: str,
    task: Task,
    tasks: Sequence[Task],
    pushed: Sequence[Listed],
    total: int,
    comparison: Comparison,
    compared: Mapping[str, Report],
    waiting: Collection[tuple[str, str]],
    published: Sequence[Published],
    scorings: Sequence[Scored],
) -> dict[str, Any]:
    """Return what the page of a Dag shows: its trends, the curves of some runs, and the drift between two.

    :param pushed: the task's latest reports, oldest first, those that cannot be read among them.
    :param total: how many it has in all.
    :param compared: the two reports to compare, by run id.
    :param waiting: ids of Dags and runs of which a review waits.
    :param published: the versions of segments that the Dag published, latest first.
    :param scorings: how far the customers that it scored had drifted, oldest first.
    """
    reports = [row for row in pushed if row.summary]
    before, after = compared.get(comparison.before), compared.get(comparison.after)
    summaries = {row.run.run_id: row.summary for row in reports if row.summary}
    changes = None
    if before and after:
        unlike = differences(summaries[comparison.after], summaries[comparison.before])
        changes = drift.between(before, after, unlike)
    drawn = [row for row in reversed(reports) if row.run.run_id in comparison.curves]
    given = {"dag_id": dag_id, "task_id": task.task_id, "map_index": str(task.map_index)}
    return {
        **released_page(dag_id, published, scorings),
        "task": task,
        "tasks": tasks,
        "reports": reports,
        "counted": words.counted(len(pushed), total),
        "waiting": sorted(run_id for _, run_id in waiting),
        "unread": [row for row in reversed(pushed) if not row.summary],
        "comparison": comparison,
        "changes": changes,
        "given": given,
        "link": view_link("dag", given),
        "figures": {
            "trends": history.trends(reports),
            "curves": history.curves(drawn) if drawn else None,
            "drift": changes.figure if changes else None,
        },
        "drawn": drawn,
    }


def released_page(dag_id: str, published: Sequence[Published], scorings: Sequence[Scored]) -> dict[str, Any]:
    """Return what the page of a Dag shows that publishes segments, or scores customers by them."""
    return {
        "dag_id": dag_id,
        "published": published,
        "scorings": scorings,
        "scored": history.scored(scorings) if scorings else None,
        "words": words,
    }


def self_contained(context: Mapping[str, Any]) -> str:
    """Return a run's page as one HTML file that needs no other, no server and no script."""
    style = path_of("page.css").read_text(encoding="utf-8")
    return render("charts.html", **context, alone=True, style=style, policy=policy_of(style))


def segments_csv(report: Report, k: int) -> str:
    """Return the segments at k as CSV, a line for each: who it is, its size, how sure it is, its centre."""
    point = figures.point_at(report, k)
    described = describe(report, point)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = (feature.name for feature in report.features)
    writer.writerow(map(_cell, ("segment", "name", "description", "rows", "share", "comes_again", *names)))
    sizes, centers = point.sizes or (), point.centers or ()
    for segment, (identity, size) in enumerate(zip(identified(report, point).segments, sizes, strict=False)):
        writer.writerow(
            [
                identity.number,
                _cell(identity.name),
                _cell(described[segment].in_words) if described else "",
                size,
                size / sum(sizes),
                point.jaccard[segment] if point.jaccard else "",
                *(centers[segment] if centers else ()),
            ]
        )
    return text.getvalue()


def _cell(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def reading(table: Assignment, segment: int) -> dict[str, str]:
    """Return the lines of pandas and of SQL that read one segment of a table of customers."""
    column = table.columns.get("segment", "segment")
    path = table.uri.removeprefix("file://")
    scheme, found, rest = path.partition("://")
    if found:  # the part before an @ is one of Airflow's connections, which others do not know
        path = f"{scheme}://{rest.rpartition('@')[2]}"
    quoted, name = path.replace("'", "''"), column.replace('"', '""')
    return {
        "pandas": f'pd.read_parquet({path!r}, filters=[({column!r}, "==", {segment})])',
        "sql": f"SELECT * FROM read_parquet('{quoted}') WHERE \"{name}\" = {segment};",
    }


def _optional_int(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None


def _int(text: str | None, default: int) -> int:
    number = _optional_int(text)
    return default if number is None else number


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
