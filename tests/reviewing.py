"""People who answer reviews of real runs, through Airflow's own API as its UI and the page do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from airflow_segmentation.reports.report import REVIEW_KEY
from local_airflow import Airflow
from sqlalchemy import select, update
from starlette.testclient import TestClient

needs_dag_test_that_waits = pytest.mark.skipif(
    not hasattr(TaskInstanceState, "AWAITING_INPUT"), reason="dag.test waits for nobody before Airflow 3.3"
)
APPROVED: dict[str, Any] = {"chosen_options": ["Approve"]}
SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
WAITING = ("awaiting_input", "deferred")
OVERDUE: dict[str, Any] = {}
"""Stands for no answer."""


@pytest.fixture(scope="module")
def airflow(metadata_database: None) -> Iterator[TestClient]:
    """Airflow's API, of which everybody is an admin."""
    from airflow.api_fastapi.app import create_app, purge_cached_app

    sleep = time.sleep
    with pytest.MonkeyPatch.context() as patch:
        # `dag.test` looks once a second whether somebody has answered.
        patch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.1)))
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", SIMPLE)
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
        purge_cached_app()
        with TestClient(create_app(apps="core")) as client:
            yield client
    purge_cached_app()


def wait_for_review(airflow: Airflow, dag_id: str, run_id: str) -> None:
    """Return once the task "review" of a run waits for a person, in an Airflow of its own."""

    def waits() -> bool:
        states = {task["task_id"]: task["state"] for task in airflow.tasks(dag_id, run_id)}
        assert "failed" not in states.values()
        return states.get("review") in WAITING

    airflow.until(waits, "the review did not wait", 600)


class Reviewer(threading.Thread):
    """Answers the reviews of a Dag, each as soon as it waits."""

    def __init__(self, airflow: TestClient, dag_id: str, answers: tuple[dict[str, Any], ...]) -> None:
        super().__init__(daemon=True)
        self.airflow, self.dag_id, self.answers = airflow, dag_id, answers
        self.asked: list[dict[str, Any]] = []
        self.refused: list[str | None] = []
        self.statuses: list[int] = []

    def run(self) -> None:
        try:
            self._answer()
        except BaseException:
            with create_session(scoped=False) as session:  # or the run would wait for ever
                waiting = update(TaskInstance).where(TaskInstance.dag_id == self.dag_id)
                session.execute(waiting.where(TaskInstance.state.in_(WAITING)).values(state="failed"))
            raise

    def _answer(self) -> None:
        for answer in self.answers:
            path = self._waiting()
            if answer is OVERDUE:
                self._let_time_pass()
                continue
            self.asked.append(self.airflow.get(path).json())
            task, map_index, _ = path.rsplit("/", 2)
            record = self.airflow.get(
                f"{task}/xcomEntries/{REVIEW_KEY}", params={"map_index": map_index}
            ).json()
            self.refused.append(record["value"].get("refused"))
            self.statuses.append(self.airflow.patch(path, json=answer).status_code)

    def _let_time_pass(self) -> None:
        """Have the scheduler look for reviews that are overdue, until this one is."""
        scheduler = SchedulerJobRunner(Job())
        while self._path():
            scheduler.check_awaiting_input_timeouts()
            time.sleep(0.1)

    def _waiting(self) -> str:
        """Return the address of the review that waits, once there is one."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            if path := self._path():
                return path
            time.sleep(0.1)
        raise TimeoutError(f"No review of {self.dag_id} waits")

    def _path(self) -> str | None:
        with create_session(scoped=False) as session:
            found = session.execute(
                select(TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index)
                .join(HITLDetail, HITLDetail.ti_id == TaskInstance.id)
                .where(
                    TaskInstance.dag_id == self.dag_id,
                    TaskInstance.state.in_(WAITING),
                    HITLDetail.responded_at.is_(None),
                )
                .order_by(TaskInstance.map_index)
            ).first()
        if found is None:
            return None
        run_id, task_id, map_index = found
        return f"/api/v2/dags/{self.dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/{map_index}/hitlDetails"
