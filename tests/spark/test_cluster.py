"""The cluster itself: what the other tests here do to it, and what they read of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from local_airflow import HOST
from spark.cluster import Cluster

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")


@pytest.fixture(autouse=True)
def functions_of_this_module() -> Iterator[None]:
    """Executors are sent the functions here as they are: they cannot import this module."""
    from pyspark import cloudpickle

    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def held_up(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Go on row by row, slowly until there is a file of the name in `gate`."""
    import time

    for batch in batches:
        if not Path(batch["gate"][0].as_py()).exists():
            time.sleep(0.1)
        yield batch


def found(_: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Tell the version of Python, and which modules are there."""
    import importlib.util

    names = ["airflow", "kneed", "numpy", "pandas", "pyarrow", "sklearn"]
    there = [name for name in names if importlib.util.find_spec(name)]
    yield pa.RecordBatch.from_pydict({"found": [str(sys.version_info[:2]), *there]})


def listening(cluster: Cluster) -> set[str]:
    """Return the addresses at which processes of a cluster listen."""
    keepers = [psutil.Process(keeper.pid) for keeper in cluster._keepers.values()]
    processes = [child for keeper in keepers for child in keeper.children(recursive=True)]
    sockets = [each for process in processes for each in process.net_connections()]
    return {each.laddr.ip.removeprefix("::ffff:") for each in sockets if each.status == psutil.CONN_LISTEN}


def test_listens_on_this_machine_only(cluster: Cluster):
    assert listening(cluster) == {HOST}


def test_executors_have_this_python_with_numpy_and_pyarrow_alone(session: Any):
    rows = session.range(0, 1, 1, 1).mapInArrow(found, "found string").toArrow()
    assert rows["found"].to_pylist() == [str(sys.version_info[:2]), "numpy", "pyarrow"]


@pytest.mark.parametrize("victim", ["executor", "python worker"])
def test_a_job_survives_what_is_killed(cluster: Cluster, session: Any, victim: str, tmp_path: Path):
    session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 1)
    gate = tmp_path / "gate"
    rows = session.range(0, 400, 1, 2).selectExpr("id", f"'{gate}' AS gate")
    idle, before = cluster.python_workers(), len(cluster.jobs())
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(rows.mapInArrow(held_up, rows.schema).toArrow)
        try:
            cluster.until(lambda: cluster.jobs("running"), "No job started")
            if victim == "executor":
                cluster.kill_executor()
            else:
                cluster.kill_python_worker(besides=idle)
            cluster.until(lambda: cluster.jobs()[0]["numFailedTasks"], "Spark did not notice", 60)
        finally:
            gate.touch()
        assert sorted(done.result()["id"].to_pylist()) == list(range(400))
    assert len(cluster.jobs()) == before + 1
