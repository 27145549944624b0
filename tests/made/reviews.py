"""Reviews in the metadata database, as tasks that ask leave them, and reports of what is published."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.state import TaskInstanceState
from airflow_segmentation.reports.report import REVIEW_KEY, PublishedBefore, Report, Review
from sqlalchemy import select

from made.metadata import push

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from sqlalchemy.orm import Session

WAITS = "awaiting_input" if hasattr(TaskInstanceState, "AWAITING_INPUT") else "deferred"
"""The state of a task that waits for a person."""


def settled(report: Report) -> Report:
    """Return a report whose chosen segments are the published ones, numbered from 10, kept and stable."""
    numbers = tuple(range(10, 10 + report.k))
    chosen = dataclasses.replace(report.chosen, numbers=numbers, jaccard=(0.9,) * report.k)
    total = sum(chosen.sizes or ())
    return dataclasses.replace(
        report,
        curve=tuple(chosen if point.k == report.k else point for point in report.curve),
        published=PublishedBefore(
            version=1,
            numbers=numbers,
            names=("Savers",) + ("",) * (report.k - 1),
            shares=tuple(size / total for size in chosen.sizes or ()),
            next_number=10 + report.k,
            centers=chosen.centers,
            scale=(0.001,) * len(report.features),
            spacing=(1.0,) * report.k,
            psi=(0.02,) * len(report.features),
            psi_shares=0.0,
        ),
    )


def add_review(
    session: Session,
    run: DagRun,
    task: tuple[str, int] = ("review", -1),
    *,
    assigned: tuple[str, ...] = (),
    **review: Any,
) -> None:
    """Add a review that a task of a run asks for, of the report of "choose"."""
    asked = {"task_id": "choose", "subject": "Approve the segments of March?", "k": 8}
    made = Review.from_json(asked | review)
    push(session, run, task, REVIEW_KEY, made.to_json())
    ask(session, run, task, made.subject, assigned)


def ask(
    session: Session, run: DagRun, task: tuple[str, int], subject: str, assigned: tuple[str, ...] = ()
) -> None:
    """Have a task of a run wait for a person's answer, as any operator can."""
    ids = {"dag_id": run.dag_id, "run_id": run.run_id, "task_id": task[0], "map_index": task[1]}
    session.add(
        HITLDetail(
            ti_id=session.scalar(select(TaskInstance.id).filter_by(**ids)),
            options=["Approve", "Reject"],
            subject=subject,
            params={},
            params_input={},
            assignees=[{"id": one, "name": one} for one in assigned],
        )
    )
    session.flush()
