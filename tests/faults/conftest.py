"""Dags, task by task, through Airflow's own supervisor, which forks a process for each try."""

from __future__ import annotations

import copy
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from airflow_segmentation.reports.report import REPORT_KEY, Report
from made.s3 import connected as connected
from made.s3 import connection as connection
from made.s3 import s3 as s3
from made.s3 import s3_server as s3_server

ROOT = Path(__file__).resolve().parents[2]
TASKS = ("load", "scale", "sweep", "choose", "assign")


class Runs:
    """Runs of the Dag customer_segmentation, or another, of a project folder, in a real metadata database.

    What the scheduler would decide is decided by the test: which task is next, and when. Everything else is
    Airflow's: the try is scheduled, a supervisor forks its process, that process parses the Dag file and runs
    the operator, the execution API keeps state and XComs, and what becomes of a try that dies.
    """

    dag_id = "customer_segmentation"

    def __init__(self, project: Path, storage: Path) -> None:
        self.project = project
        self.storage = storage
        self.model = project / "model" / "model.sav"
        self.cpu: dict[str, float] = {}
        """Seconds of processor time that each task took at least when nothing disturbed it."""

    def of(self, dag_id: str) -> Runs:
        """Return the runs of another Dag of the project."""
        other = copy.copy(self)
        other.dag_id = dag_id
        return other

    def start(self, run_id: str, logical_date: Any = None, run_type: str = "manual", **conf: Any) -> str:
        """Create a run."""
        from airflow.models.serialized_dag import SerializedDagModel
        from airflow.sdk import timezone
        from airflow.utils.session import create_session
        from airflow.utils.state import DagRunState
        from airflow.utils.types import DagRunTriggeredByType, DagRunType

        with create_session() as session:
            dag = SerializedDagModel.get_dag(self.dag_id, session=session)
            assert dag is not None
            dag.create_dagrun(
                run_id=run_id,
                logical_date=logical_date,
                data_interval=(logical_date, logical_date) if logical_date else None,
                run_after=logical_date or timezone.utcnow(),
                run_type=DagRunType(run_type),
                triggered_by=DagRunTriggeredByType.TEST,
                state=DagRunState.RUNNING,
                conf=conf,
                session=session,
            )
        return run_id

    def try_task(
        self,
        run_id: str,
        task_id: str,
        kill_after: float | None = None,
        watch: Callable[[psutil.Process], None] | None = None,
    ) -> str:
        """Try a task once, and return the state that Airflow gives it then.

        :param kill_after: seconds of its own processor time after which its process is killed.
        :param watch: called in a thread beside the try, with the task's process.
        """
        from airflow.executors.workloads import ExecuteTask
        from airflow.models.dagrun import DagRun
        from airflow.models.serialized_dag import SerializedDagModel
        from airflow.sdk.execution_time.supervisor import ActivitySubprocess, InProcessTestSupervisor
        from airflow.utils.session import create_session
        from airflow.utils.state import TaskInstanceState
        from sqlalchemy import select

        with create_session() as session:
            run = session.scalars(
                select(DagRun).where(DagRun.dag_id == self.dag_id, DagRun.run_id == run_id)
            ).one()
            dag = run.dag = SerializedDagModel.get_dag(self.dag_id, session=session)
            assert dag is not None
            ti = run.get_task_instance(task_id, session=session)
            assert ti is not None
            ti.task = dag.get_task(task_id)  # type: ignore[assignment]
            run.schedule_tis([ti], session=session)
            session.flush()
            session.refresh(ti)
            ti.state = TaskInstanceState.QUEUED
            session.flush()
            workload = ExecuteTask.make(ti)
        supervisor = ActivitySubprocess.start(
            what=workload.ti,  # type: ignore[arg-type]
            dag_rel_path=workload.dag_rel_path,
            bundle_info=workload.bundle_info,
            client=InProcessTestSupervisor._api_client(dag),
        )
        process = psutil.Process(supervisor.pid)
        watch = watch or (lambda process: follow(process, kill_after, task_id, self.cpu))
        thread = threading.Thread(target=watch, args=[process])
        thread.start()
        try:
            exit_code = supervisor.wait()
        finally:
            thread.join()
        self._tell_scheduler(workload.ti.key, exit_code)
        return self.state(run_id, task_id)

    def _tell_scheduler(self, key: Any, exit_code: int) -> None:
        """Report how a try ended, as an executor does: what becomes of one that died, the scheduler says."""
        from airflow.executors.base_executor import BaseExecutor
        from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
        from airflow.models.dagbag import DBDagBag
        from airflow.utils.session import create_session

        executor = BaseExecutor()
        if exit_code:
            executor.fail(key)
        else:
            executor.success(key)
        with create_session() as session:
            SchedulerJobRunner.process_executor_events(executor, None, DBDagBag(), session)

    def finish(self, run_id: str, tasks: tuple[str, ...] = TASKS) -> None:
        """Run tasks that must succeed at the first try."""
        for task_id in tasks:
            assert self.try_task(run_id, task_id) == "success", task_id

    def state(self, run_id: str, task_id: str) -> str:
        """Return the state of a task."""
        return str(self._task_instance(run_id, task_id).state)

    def clear(self, run_id: str, task_id: str) -> None:
        """Clear one task, as a person does in the UI."""
        from airflow.models.taskinstance import clear_task_instances
        from airflow.utils.session import create_session

        with create_session() as session:
            clear_task_instances([session.merge(self._task_instance(run_id, task_id))], session)

    def xcom(self, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Return what a task pushed, or None."""
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            return session.scalar(
                select(XComModel.value).where(
                    XComModel.dag_id == self.dag_id,
                    XComModel.run_id == run_id,
                    XComModel.task_id == task_id,
                    XComModel.key == key,
                )
            )

    def files(self) -> set[Path]:
        """Return everything that lies in storage and beside the model."""
        folders = (self.storage, self.model.parent, self.project / "tmp")
        return {path for folder in folders for path in folder.rglob("*") if path.is_file()}

    def outcome(self, run_id: str) -> dict[str, Any]:
        """Return what a run found, as far as it hangs on data and seed alone."""
        report = Report.from_json(self.xcom(run_id, "choose", REPORT_KEY))
        return {
            "k": report.k,
            "sse": [point.sse for point in report.curve],
            "centers": report.chosen.centers,
            "stability": report.stability,
            "segment": self.xcom(run_id, "assign", "first_segment"),
        }

    def _task_instance(self, run_id: str, task_id: str) -> Any:
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            return session.scalars(
                select(TaskInstance).where(
                    TaskInstance.dag_id == self.dag_id,
                    TaskInstance.run_id == run_id,
                    TaskInstance.task_id == task_id,
                )
            ).one()


def follow(process: psutil.Process, kill_after: float | None, task_id: str, cpu: dict[str, float]) -> None:
    """Kill a process once it has had so much processor time; if it ends before, note how much it took."""
    used = 0.0
    while process.is_running():
        try:
            times = process.cpu_times()
            if process.status() == psutil.STATUS_ZOMBIE:
                break
        except psutil.Error:
            break
        used = times.user + times.system
        if kill_after is not None and used >= kill_after:
            process.send_signal(signal.SIGKILL)
            return
        threading.Event().wait(0.002)
    cpu[task_id] = min(used, cpu.get(task_id, used))


@pytest.fixture(scope="session")
def runs(metadata_database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Runs of copies of the example Dags with their data, so that the checkout's model stays."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    project = tmp_path_factory.mktemp("project")
    for folder in ("dags", "data"):
        shutil.copytree(ROOT / folder, project / folder)
    shutil.copy(Path(__file__).with_name("publish_and_score.py"), project / "dags")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow.settings.DAGS_FOLDER", str(project / "dags"))
        patch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", str(project / "storage"))
        patch.setattr("tempfile.tempdir", str(project / "tmp"))
        (project / "tmp").mkdir()
        # Seconds between looks of a supervisor whether its task has ended, otherwise five.
        patch.setattr("airflow.sdk.execution_time.supervisor.MIN_HEARTBEAT_INTERVAL", 0.2)
        DagBundlesManager().sync_bundles_to_db()
        bag = DagBag(project / "dags", bundle_name="dags-folder", bundle_path=project / "dags")
        assert bag.import_errors == {}
        sync_bag_to_db(bag, "dags-folder", None)
        yield Runs(project, project / "storage")


@pytest.fixture(scope="session")
def undisturbed(runs: Runs) -> dict[str, Any]:
    """What a run finds that nothing disturbs; every other must find the same."""
    runs.finish(runs.start("undisturbed"))
    return runs.outcome("undisturbed")
