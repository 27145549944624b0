"""Which runs exist, and what they reported: everything the page reads from the metadata database.

Each function is a fixed number of queries, however many runs or reports there are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.sdk.bases.xcom import BaseXCom
from airflow.utils.state import DagRunState, State
from sqlalchemy import JSON, Text, and_, case, cast, func, or_, select, type_coerce

from airflow_segmentation.reports.records import are_records_past, configured_backend, name_of
from airflow_segmentation.reports.report import (
    ASSIGNMENT_KEY,
    FAILURE_KEY,
    MAX_REPORT_BYTES,
    PROGRESS_KEY,
    PUBLICATION_KEY,
    REPORT_KEY,
    REVIEW_KEY,
    SUMMARY_KEY,
    Assignment,
    Drift,
    Failure,
    Progress,
    Publication,
    Report,
    ReportError,
    Review,
    Summary,
)

if TYPE_CHECKING:
    from sqlalchemy.orm import Session
    from sqlalchemy.sql import Select

PAGE_SIZE = 25
MAX_TASKS = 200
"""Task instances of a run that are looked at: a mapped task can have thousands."""
MAX_GOING = 500
"""Running runs, of whatever Dag, among which sweeps under way are looked for; as many tasks of theirs are."""
MAX_SWEEPS = 4
"""Sweeps of a run whose curves are drawn while they grow."""
MAX_ASSIGNMENTS = 10
"""Tables of customers that a page tells of."""
MAX_REVIEWS = 10
"""Reviews that a page tells of."""
WAITING = ("awaiting_input", "deferred")
"""States of a task that waits for a person: the first from Airflow 3.3 on, the second before."""
MAX_TREND = 100
"""Reports of a Dag whose trend is drawn, latest first."""
LONGEST = {
    REPORT_KEY: 2 * MAX_REPORT_BYTES,
    SUMMARY_KEY: 32_000,
    PROGRESS_KEY: 32_000,
    ASSIGNMENT_KEY: 200_000,
    PUBLICATION_KEY: 200_000,
    FAILURE_KEY: 32_000,
    REVIEW_KEY: 200_000,
}
"""Characters of a record up to which it is read: PostgreSQL writes small numbers out at some length."""


class KeptElsewhere(ReportError):
    """A record that an XCom backend stored its own way, of which the database holds only what that left.

    :param backend: the backend's name.
    :param past: whether records are written past it by now.
    """

    def __init__(self, backend: str, past: bool) -> None:
        super().__init__(f"The XCom backend {backend} keeps it elsewhere")
        self.backend = backend
        self.past = past


@dataclass(frozen=True)
class Run:
    """A Dag run, as far as the page shows it."""

    dag_id: str
    run_id: str
    state: str | None
    """None for those who may read what its tasks pushed, and not the run itself."""
    run_after: datetime
    conf: dict[str, Any]
    """Its configuration, where one run is read; empty in a list, and where the state is None."""

    @property
    def going(self) -> bool:
        """Whether the run may yet bring a report."""
        return self.state in ("running", "queued")


@dataclass(frozen=True)
class Task:
    """One task instance; `map_index` is -1 where the task is not mapped."""

    task_id: str
    map_index: int
    label: str | None = None
    """What a mapped task calls this instance."""

    @property
    def key(self) -> tuple[str, int]:
        """What tells this task instance from the others of its run."""
        return self.task_id, self.map_index

    @property
    def name(self) -> str:
        """The task's id, and which of its instances this is where there are several."""
        return self.task_id if self.map_index < 0 else f"{self.task_id} [{self.label or self.map_index}]"


@dataclass(frozen=True)
class Asked:
    """A review, and how far it has come."""

    task: Task
    review: Review
    state: str | None
    """The task's."""
    answer: str | None
    """What somebody has answered since it was asked, whether the task has taken it or not."""
    answered_by: str | None
    assigned: tuple[str, ...]
    """Ids of who alone may answer; none where everybody may who has the right."""

    @property
    def waits(self) -> bool:
        """Whether it waits for somebody."""
        return self.review.decision is None and self.answer is None and self.state in WAITING


@dataclass(frozen=True)
class Listed:
    """A run in a list: with the summary of its report, or how far its sweep has come."""

    run: Run
    task: Task
    summary: Summary | None
    progress: Progress | None
    problem: ReportError | None = None
    """Why neither could be read."""


@dataclass(frozen=True)
class Published:
    """A version of segments that a task of a run published."""

    run: Run
    task: Task
    record: Publication


@dataclass(frozen=True)
class Scored:
    """Customers that a task of a run assigned published segments to, and how far they have drifted."""

    run: Run
    task: Task
    record: Assignment
    drift: Drift


@dataclass(frozen=True)
class Query:
    """What to list, as a person asks for it in the form above the list."""

    search: str = ""
    """Part of a Dag id or run id."""
    dag_id: str = ""
    since: datetime | None = None
    until: datetime | None = None
    sort: str = "-time"
    """One of `SORTS`, with a minus in front for descending."""
    page: int = 1

    @property
    def narrows(self) -> bool:
        """Whether it leaves runs out that belong to its Dags."""
        return bool(self.search or self.since or self.until)


@dataclass(frozen=True)
class ListPage:
    """One page of a list, and how long the whole list is."""

    rows: tuple[Listed, ...]
    total: int
    page: int
    pages: int


SORTS = ("time", "dag", "k", "sse", "explained", "silhouette", "rows")
"""What a list can be sorted by: a column, or a figure that the database reads out of a summary's JSON."""

_RUN = (
    DagRun.dag_id,
    DagRun.run_id,
    DagRun._state.label("state"),
    DagRun.run_after,
)


def find_run(session: Session, dag_id: str, run_id: str) -> Run | None:
    """Return a run, or None where there is none of that id."""
    row = session.execute(
        select(*_RUN, DagRun.conf).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
    ).one_or_none()
    return None if row is None else _run(row, row.conf)


def has_param(session: Session, dag_id: str, name: str) -> bool:
    """Return whether a Dag, as it is now, has a param of this name; False where that cannot be told."""
    latest = (
        select(SerializedDagModel.id)
        .where(SerializedDagModel.dag_id == dag_id)
        .order_by(SerializedDagModel.created_at.desc())
        .limit(1)
    )
    # Nothing of a Dag that is kept compressed; and only this of any other, which may be megabytes.
    data = type_coerce(SerializedDagModel._data, JSON)  # Airflow 3.1 has a type of its own for it
    params = session.scalar(
        select(data["dag"]["params"]).where(SerializedDagModel.id == latest.scalar_subquery())
    )
    return isinstance(params, list) and any(isinstance(pair, list) and pair[:1] == [name] for pair in params)


def reported_tasks(session: Session, run: Run) -> list[Task]:
    """Return the tasks of a run that pushed a report, at most `MAX_TASKS`."""
    return [Task(*row) for row in session.execute(_pushed_in(run, REPORT_KEY))]


def read_report(session: Session, run: Run, task: Task) -> Report | None:
    """Return the report that a task of a run pushed, or None where it pushed none.

    :raises ReportError: if it cannot be read.
    """
    value = _value(session, run, task, REPORT_KEY)
    return None if value is None else _record(Report, value)


def read_sweeps(session: Session, run: Run) -> list[tuple[Task, Progress]]:
    """Return how far each sweep of a run has come, at most `MAX_SWEEPS`; mapped tasks may share one.

    :raises KeptElsewhere: if an XCom backend keeps it.
    """
    found = []
    for *task, value in session.execute(_pushed_in(run, PROGRESS_KEY, _text(PROGRESS_KEY))):
        progress, problem = _readable(Progress, value)
        if isinstance(problem, KeptElsewhere):
            raise problem
        if progress:
            found.append((Task(*task), progress))
    return _joined(found)[:MAX_SWEEPS]


def read_assignments(session: Session, run: Run) -> list[tuple[Task, Assignment]]:
    """Return the tables of customers that tasks of a run assigned segments in, at most `MAX_ASSIGNMENTS`."""
    rows = session.execute(_pushed_in(run, ASSIGNMENT_KEY, _text(ASSIGNMENT_KEY)).limit(MAX_ASSIGNMENTS))
    read = [(Task(*task), _readable(Assignment, value)[0]) for *task, value in rows]
    return [(task, assignment) for task, assignment in read if assignment and assignment.uri]


def read_reviews(session: Session, run: Run, task: Task) -> list[Asked]:
    """Return the reviews of what a task chose, at most `MAX_REVIEWS`; of a mapped one, those mapped alike."""
    columns = (
        _text(REVIEW_KEY),
        TaskInstance.state,
        HITLDetail.chosen_options,
        HITLDetail.responded_by,
        HITLDetail.assignees,
    )
    asked = (
        _pushed_in(run, REVIEW_KEY, *columns)
        .outerjoin(HITLDetail, HITLDetail.ti_id == TaskInstance.id)
        .limit(MAX_REVIEWS)
    )
    if task.map_index >= 0:
        asked = asked.where(XComModel.map_index == task.map_index)
    found = []
    for *key, value, state, options, person, assigned in session.execute(asked):
        review, _ = _readable(Review, value)
        if review and review.task_id == task.task_id:
            by = person["name"] if person else None
            ids = tuple(user["id"] for user in assigned or ())
            found.append(Asked(Task(*key), review, state, ", ".join(options or ()) or None, by, ids))
    return found


def waiting_runs(session: Session, dag_ids: Collection[str]) -> set[tuple[str, str]]:
    """Return the ids of Dags and runs of which a review waits, of these Dags."""
    # Few tasks wait at a time; whether they are reviews of ours is looked up by all of their ids.
    waiting = session.execute(
        select(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id)
        .join(HITLDetail, HITLDetail.ti_id == TaskInstance.id)
        .where(
            TaskInstance.state.in_(WAITING),
            HITLDetail.responded_at.is_(None),
            TaskInstance.dag_id.in_(dag_ids),
        )
        .limit(MAX_GOING)
    ).all()
    if not waiting:
        return set()
    ids = (XComModel.dag_id, XComModel.run_id, XComModel.task_id)
    reviews = session.execute(
        select(*ids).where(
            XComModel.key == REVIEW_KEY,
            *(column.in_({row[place] for row in waiting}) for place, column in enumerate(ids)),
        )
    )
    known = set(map(tuple, waiting))
    return {(dag_id, run_id) for dag_id, run_id, task_id in reviews if (dag_id, run_id, task_id) in known}


def read_reports(session: Session, dag_id: str, task: Task, run_ids: Collection[str]) -> dict[str, Report]:
    """Return the readable reports that a task pushed in some runs of its Dag, by run id."""
    rows = session.execute(
        select(XComModel.run_id, _text(REPORT_KEY)).where(
            XComModel.dag_id == dag_id,
            XComModel.run_id.in_(run_ids),
            XComModel.task_id == task.task_id,
            XComModel.map_index == task.map_index,
            XComModel.key == REPORT_KEY,
        )
    )
    read = {run_id: _readable(Report, value)[0] for run_id, value in rows}
    return {run_id: report for run_id, report in read.items() if report}


def tasks_in(session: Session, run: Run, *states: str) -> list[list[Task]]:
    """Return the tasks of a run that are in each state, in the order they came there, some ten of each."""
    rows = session.execute(
        select(
            TaskInstance.task_id,
            TaskInstance.map_index,
            TaskInstance._rendered_map_index,
            TaskInstance.state,
        )
        .where(
            TaskInstance.dag_id == run.dag_id,
            TaskInstance.run_id == run.run_id,
            TaskInstance.state.in_(states),
        )
        .order_by(TaskInstance.state, TaskInstance.end_date, TaskInstance.start_date)
        .limit(10 * len(states))
    ).all()
    return [[Task(*row[:3]) for row in rows if row.state == state] for state in states]


def read_failures(session: Session, run: Run) -> dict[tuple[str, int], str]:
    """Return why tasks of a run failed, by their keys, as far as they told; at most `MAX_TASKS`."""
    rows = session.execute(_pushed_in(run, FAILURE_KEY, _text(FAILURE_KEY), state="failed"))
    read = {(task_id, index): _readable(Failure, value)[0] for task_id, index, _, value in rows}
    return {task: failure.message for task, failure in read.items() if failure}


def finished_tasks(session: Session, run: Run) -> tuple[int, int]:
    """Return how many tasks of a run have finished, and how many there are so far."""
    counts = dict(
        session.execute(
            select(TaskInstance.state, func.count())
            .where(TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
            .group_by(TaskInstance.state)
        ).all()
    )
    return sum(count for state, count in counts.items() if state in State.finished), sum(counts.values())


def count_reports(session: Session) -> dict[str, int]:
    """Return how many reports each Dag has, by its id; those that have none are absent."""
    rows = session.execute(
        select(XComModel.dag_id, func.count()).where(XComModel.key == SUMMARY_KEY).group_by(XComModel.dag_id)
    )
    return {row[0]: row[1] for row in rows}


def list_reports(session: Session, counts: Mapping[str, int], query: Query) -> ListPage:
    """Return one page of the runs with a report that a query asks for.

    :param counts: the Dags to list the runs of, and how many reports each has.
    """
    dag_ids = sorted({query.dag_id} & counts.keys()) if query.dag_id else sorted(counts)
    ids = (XComModel.dag_run_id, XComModel.dag_id, XComModel.run_id, XComModel.task_id, XComModel.map_index)
    matching = _matching(_pushed(SUMMARY_KEY, *ids).where(XComModel.dag_id.in_(dag_ids)), query)
    total = (
        session.scalar(select(func.count()).select_from(matching.subquery())) or 0
        if query.narrows
        else sum(counts[dag_id] for dag_id in dag_ids)
    )
    pages = max(1, math.ceil(total / PAGE_SIZE))
    page = min(max(1, query.page), pages)
    column = _sorting(session, query.sort.removeprefix("-"))
    first = column.desc() if query.sort.startswith("-") else column.asc()
    order = (first.nulls_last(), DagRun.id.desc(), XComModel.task_id, XComModel.map_index)
    # What a page's rows are is found before their values: to sort all values would move megabytes about. All
    # their ids are written out: Airflow 3.3 has an index by the number of a run, 3.4 by its name, and a join
    # with 3.4's view of two tables would read all of it.
    found = session.execute(matching.order_by(*order).limit(PAGE_SIZE).offset((page - 1) * PAGE_SIZE)).all()
    rows = session.execute(
        _listed(SUMMARY_KEY)
        .add_columns(XComModel.dag_run_id)
        .where(*(column.in_({row[place] for row in found}) for place, column in enumerate(ids)))
    )
    by_ids = {(row.dag_run_id, row.dag_id, row.run_id, row.task_id, row.map_index): row for row in rows}
    listed = [by_ids[tuple(row)] for row in found if tuple(row) in by_ids]
    return ListPage(tuple(_as_listed(listed, Summary)), total, page, pages)


def list_going(session: Session, dag_ids: Collection[str]) -> list[Listed]:
    """Return the runs still going that have begun to sweep, of these Dags, latest first."""
    # Every finished sweep has left its progress, so that the runs are found first, and few are going.
    going = session.scalars(
        select(DagRun.id)
        .where(DagRun._state == DagRunState.RUNNING)
        .order_by(DagRun.run_after.desc())
        .limit(MAX_GOING)
    ).all()
    if not going:
        return []
    rows = session.execute(
        _listed(PROGRESS_KEY)
        .where(DagRun.id.in_(going))
        .order_by(DagRun.run_after.desc(), DagRun.id, XComModel.task_id, XComModel.map_index)
        .limit(MAX_GOING)
    )
    listed = [row for row in _as_listed(rows, Progress) if row.run.dag_id in dag_ids]
    by_run = groupby(listed, lambda row: row.run)
    return [
        Listed(run, task, None, progress)
        for run, group in by_run
        for task, progress in _joined([(row.task, row.progress) for row in group])
    ][:PAGE_SIZE]


def reporting_tasks(session: Session, dag_id: str) -> list[Task]:
    """Return the tasks of a Dag that ever reported, at most `MAX_TASKS`."""
    rows = session.execute(
        select(XComModel.task_id, XComModel.map_index)
        .where(XComModel.dag_id == dag_id, XComModel.key == SUMMARY_KEY)
        .distinct()
        .order_by(XComModel.task_id, XComModel.map_index)
        .limit(MAX_TASKS)
    )
    return [Task(*row) for row in rows]


def trend(session: Session, dag_id: str, task: Task) -> tuple[list[Listed], int]:
    """Return a task's latest reports over the runs of its Dag, oldest first, and how many it has in all.

    At most `MAX_TREND` are listed; those that cannot be read are among them.
    """
    of_task = (
        XComModel.dag_id == dag_id,
        XComModel.task_id == task.task_id,
        XComModel.map_index == task.map_index,
    )
    rows = session.execute(
        _listed(SUMMARY_KEY)
        .where(*of_task)
        .order_by(DagRun.run_after.desc(), DagRun.id.desc())
        .limit(MAX_TREND)
    )
    listed = list(_as_listed(rows, Summary))[::-1]
    if len(listed) < MAX_TREND:
        return listed, len(listed)
    count = select(func.count()).select_from(XComModel).where(*of_task, XComModel.key == SUMMARY_KEY)
    return listed, session.scalar(count) or 0


def publications(session: Session, dag_id: str) -> list[Published]:
    """Return the versions of segments that a Dag published, latest first, at most `MAX_TREND`."""
    return [Published(*each) for each in _history(session, dag_id, PUBLICATION_KEY, Publication)]


def scorings(session: Session, dag_id: str) -> list[Scored]:
    """Return how far the customers that a Dag scored had drifted, oldest first, at most `MAX_TREND` times."""
    found = _history(session, dag_id, ASSIGNMENT_KEY, Assignment)
    return [Scored(*each, each[-1].drift) for each in found if each[-1].drift][::-1]


def _history(session: Session, dag_id: str, key: str, kind: Any) -> list[tuple[Run, Task, Any]]:
    """Return the readable records of a kind that tasks of a Dag pushed, latest first, of the last ones."""
    rows = session.execute(
        _listed(key)
        .where(XComModel.dag_id == dag_id)
        .order_by(DagRun.run_after.desc(), DagRun.id.desc(), XComModel.task_id, XComModel.map_index)
        .limit(MAX_TREND)
    )
    read = [(_run(row), Task(row.task_id, row.map_index), _readable(kind, row.value)[0]) for row in rows]
    return [each for each in read if each[-1]]


def _joined(sweeps: Iterable[tuple[Task, Any]]) -> list[tuple[Task, Any]]:
    """Return how far each sweep has come, from how far its tasks have: mapped ones may each sweep a part.

    Progress that cannot be read, None, stands for a sweep of its own.
    """
    by_sweep: dict[Any, list[tuple[Task, Any]]] = {}
    for task, progress in sweeps:
        sweep = (task.task_id, progress.sweep) if progress and progress.sweep else task.key
        by_sweep.setdefault(sweep, []).append((task, progress))
    return [
        parts[0] if len(parts) == 1 else (Task(parts[0][0].task_id, -1), _sum([part for _, part in parts]))
        for parts in by_sweep.values()
    ]


def _sum(parts: Sequence[Progress]) -> Progress:
    """Return the progress of a sweep from that of its parts; where they overlap, the lower SSE counts."""
    curve: dict[float, float] = {}
    for k, sse in (pair for part in parts for pair in part.curve):
        curve[k] = min(sse, curve.get(k, math.inf))
    return Progress(
        done=sum(part.done for part in parts),
        total=sum(part.total for part in parts),
        curve=tuple(sorted(curve.items())),
        sweep=parts[0].sweep,
        updated_at=max((part.updated_at for part in parts if part.updated_at), default=None),
        started_at=min((part.started_at for part in parts if part.started_at), default=None),
        before=sum(part.before for part in parts),
    )


def _pushed_in(run: Run, key: str, *columns: Any, state: str | None = None) -> Select[Any]:
    """Select the columns of a :class:`Task`, and others, of the tasks of a run that pushed an XCom.

    :param state: the state they are in; None for any.
    """
    found = (
        select(XComModel.task_id, XComModel.map_index, TaskInstance._rendered_map_index, *columns)
        .join(
            TaskInstance,
            (TaskInstance.dag_id == XComModel.dag_id)
            & (TaskInstance.run_id == XComModel.run_id)
            & (TaskInstance.task_id == XComModel.task_id)
            & (TaskInstance.map_index == XComModel.map_index),
        )
        .where(XComModel.dag_id == run.dag_id, XComModel.run_id == run.run_id, XComModel.key == key)
        .order_by(XComModel.task_id, XComModel.map_index)
        .limit(MAX_TASKS)
    )
    return found if state is None else found.where(TaskInstance.state == state)


def _listed(key: str) -> Select[Any]:
    return _pushed(key, *_RUN, XComModel.task_id, XComModel.map_index, _text(key))


def _text(key: str) -> Any:
    """Return the column of what XComs of this key hold, as JSON; empty where that is too long to be read."""
    text = cast(XComModel.value, Text)
    return case((func.length(text) <= LONGEST[key], text), else_="").label("value")


def _pushed(key: str, *columns: Any) -> Select[Any]:
    joined = select(*columns).select_from(XComModel).join(DagRun, DagRun.id == XComModel.dag_run_id)
    return joined.where(XComModel.key == key)


def _sorting(session: Session, by: str) -> Any:
    if by in ("time", "dag"):
        return {"time": DagRun.run_after, "dag": XComModel.dag_id}[by]
    # PostgreSQL compares JSON values as what they are, but fails to cast one that is no number; SQLite and
    # MySQL compare JSON as text, but cast whatever comes.
    figure, text = XComModel.value[by], cast(XComModel.value, Text)
    fits = func.length(text) <= LONGEST[SUMMARY_KEY]
    if session.get_bind().dialect.name == "postgresql":
        return case((fits, figure))
    return case((and_(fits, func.json_valid(text) == 1), figure.as_float()))


def _matching(statement: Select[Any], query: Query) -> Select[Any]:
    if query.search:
        statement = statement.where(
            or_(
                XComModel.dag_id.icontains(query.search, autoescape=True),
                XComModel.run_id.icontains(query.search, autoescape=True),
            )
        )
    if query.since:
        statement = statement.where(DagRun.run_after >= query.since)
    if query.until:
        statement = statement.where(DagRun.run_after < query.until)
    return statement


def _as_listed(rows: Iterable[Any], kind: type[Summary] | type[Progress]) -> Iterable[Listed]:
    for row in rows:
        record, problem = _readable(kind, row.value)
        yield Listed(
            run=_run(row),
            task=Task(row.task_id, row.map_index),
            summary=record if isinstance(record, Summary) else None,
            progress=record if isinstance(record, Progress) else None,
            problem=problem,
        )


def _run(row: Any, conf: Any = None) -> Run:
    return Run(
        dag_id=row.dag_id,
        run_id=row.run_id,
        state=row.state or "queued",
        run_after=row.run_after,
        conf=conf if isinstance(conf, dict) else {},
    )


def _value(session: Session, run: Run, task: Task, key: str) -> Any:
    return session.scalar(
        select(_text(key)).where(
            XComModel.dag_id == run.dag_id,
            XComModel.run_id == run.run_id,
            XComModel.task_id == task.task_id,
            XComModel.map_index == task.map_index,
            XComModel.key == key,
        )
    )


def _readable(kind: Any, value: Any) -> tuple[Any, ReportError | None]:
    """Return a record, or None and why it cannot be read: one broken report must not break a list."""
    try:
        return _record(kind, value), None
    except ReportError as error:
        return None, error


def _record(kind: Any, value: str) -> Any:
    """Return the record that a text of :func:`_text` holds.

    :raises ReportError: if it cannot be read; :class:`KeptElsewhere` if an XCom backend is why.
    """
    if not value:
        raise ReportError(
            f"The {kind.__name__.lower()} is longer than any that a task writes, and was not read"
        )
    try:
        return kind.from_json(value)
    except ReportError:
        backend = configured_backend()
        stored = _json(value)
        # What every record says of itself; it is there, whatever else is wrong with one that came as it is.
        if backend is BaseXCom or (isinstance(stored, dict) and "schema_version" in stored):
            raise
        raise KeptElsewhere(name_of(backend), are_records_past(backend)) from None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
