"""Dags run for real: on the metadata database, through Airflow's task runner and execution API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

BUNDLE = "tests"


@dataclass(frozen=True)
class Run:
    """A finished Dag run."""

    dag_run: Any

    @property
    def states(self) -> dict[str, str]:
        """State of each task instance, by task id."""
        return {ti.task_id: str(ti.state) for ti in self.dag_run.get_task_instances()}

    @property
    def tries(self) -> dict[str, int]:
        """How often each task was tried, by task id."""
        return {ti.task_id: ti.try_number for ti in self.dag_run.get_task_instances()}

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return an XCom as a task would pull it."""
        ti = self.dag_run.get_task_instances()[0]
        return ti.xcom_pull(dag_id=ti.dag_id, task_ids=task_id, key=key, map_indexes=map_index)

    def table(self, task_id: str, **kwargs: Any) -> pd.DataFrame:
        """Read the Parquet table that a task returned."""
        return pd.read_parquet(self.xcom(task_id, **kwargs))


@pytest.fixture(scope="session")
def api_server() -> Iterator[None]:
    """One execution API for all tasks of these tests: `dag.test` would take seconds to build one for each."""
    from airflow.sdk.execution_time import supervisor

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisor, "in_process_api_server", cache(supervisor.in_process_api_server))
        yield


@pytest.fixture(scope="session")
def callbacks_as_on_a_worker() -> Iterator[None]:
    """Callbacks are told what a task raised."""
    from airflow_versions import tell_callbacks_what_was_raised

    with pytest.MonkeyPatch.context() as patch:
        tell_callbacks_what_was_raised(patch)
        yield


@contextmanager
def without_other_dags(folder: Path) -> Iterator[None]:
    """Have Airflow know no Dags but those of a folder: `dag.test` reads all that it knows, each time anew."""
    folder.mkdir(exist_ok=True)
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundle = {"name": BUNDLE, "classpath": local, "kwargs": {"path": str(folder)}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))
        yield


@pytest.fixture(scope="session")
def run_dag(
    metadata_database: None, api_server: None, callbacks_as_on_a_worker: None, airflow_home: Path
) -> Callable[..., Run]:
    """A function that runs a Dag to its end and returns a :class:`Run`; keywords are those of `dag.test`."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session
    from airflow_versions import write_dag_models

    def run(dag: Any, **kwargs: Any) -> Run:
        with create_session() as session:
            if session.get(DagBundleModel, BUNDLE) is None:
                session.add(DagBundleModel(name=BUNDLE))
                session.flush()
            serialized = LazyDeserializedDAG.from_dag(dag)
            write_dag_models(BUNDLE, serialized, session)
            SerializedDagModel.write_dag(serialized, bundle_name=BUNDLE, session=session)
        with without_other_dags(airflow_home / "no_dags"):
            return Run(dag.test(**kwargs))

    return run
