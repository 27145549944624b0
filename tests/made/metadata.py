"""Fills Airflow's metadata database the way running Dags would: through Airflow's own models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.models import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.team import Team
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from airflow_segmentation.reports.report import PROGRESS_KEY, REPORT_KEY, SUMMARY_KEY, Progress, Report
from airflow_versions import write_xcom
from sqlalchemy import insert, select

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

BUNDLE = "made"
START = datetime(2026, 3, 14, 9, 0, tzinfo=timezone.utc)


def add_dag(session: Session, dag_id: str, bundle: str = BUNDLE) -> None:
    """Add a Dag that nothing else is known of."""
    if session.get(DagBundleModel, bundle) is None:
        session.add(DagBundleModel(name=bundle))
        session.flush()
    session.merge(DagModel(dag_id=dag_id, bundle_name=bundle, is_stale=False, fileloc="made.py"))
    session.flush()


def add_params(session: Session, dag_id: str, params: Mapping[str, Any]) -> None:
    """Give a Dag that was added params, as Airflow does when it has read the Dag's file anew."""
    serialized = LazyDeserializedDAG.from_dag(DAG(dag_id, schedule=None, params=dict(params)))
    SerializedDagModel.write_dag(serialized, bundle_name=BUNDLE, session=session)
    session.flush()


def add_team(session: Session, name: str, bundle: str) -> None:
    """Add a team that owns the Dags of a bundle, unless there is one."""
    if session.scalar(select(Team).filter_by(name=name)) is not None:
        return
    team = Team(name=name)
    if hasattr(Team, "id"):  # Airflow 3.1
        team.id = uuid4()
    team.dag_bundles.append(session.get(DagBundleModel, bundle))
    session.add(team)
    session.flush()


def add_run(
    session: Session,
    dag_id: str,
    run_id: str,
    *,
    state: DagRunState = DagRunState.SUCCESS,
    tasks: Mapping[tuple[str, int], str | None] | None = None,
    number: int = 0,
    conf: dict[str, Any] | None = None,
) -> DagRun:
    """Add a run, `number` hours after the first, with task instances in the given states."""
    after = START + timedelta(hours=number)
    run = DagRun(
        dag_id=dag_id,
        run_id=run_id,
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        run_after=after,
        logical_date=after,
        start_date=after,
        state=state,
        conf=conf,
    )
    session.add(run)
    session.flush()
    for (task_id, map_index), task_state in (tasks or {("choose", -1): state}).items():
        # Without a Dag in memory, a TaskInstance cannot be made; a row of its table can.
        session.execute(
            insert(TaskInstance).values(
                task_id=task_id,
                dag_id=dag_id,
                run_id=run_id,
                map_index=map_index,
                state=task_state,
                pool="default_pool",
                pool_slots=1,
                queue="default",
                priority_weight=1,
                try_number=1,
                max_tries=0,
                custom_operator_name="",
                executor_config={},
            )
        )
    return run


def push(session: Session, run: DagRun, task: tuple[str, int], key: str, value: Any) -> None:
    """Push an XCom as the task execution API does: a JSON value as it is."""
    write_xcom(session, run, task, key, value)


def push_report(
    session: Session, run: DagRun, report: Report, task: tuple[str, int] = ("choose", -1)
) -> None:
    """Push a report and its summary, as the task that chooses k does."""
    push(session, run, task, REPORT_KEY, report.to_json())
    push(session, run, task, SUMMARY_KEY, report.summary().to_json())


def push_progress(
    session: Session, run: DagRun, progress: Progress, task: tuple[str, int] = ("sweep", -1)
) -> None:
    """Push how far a sweep has come, as the task that sweeps does."""
    push(session, run, task, PROGRESS_KEY, progress.to_json())
