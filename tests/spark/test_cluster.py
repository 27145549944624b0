"""The cluster itself: what the other tests here do to it, and what they read of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pyarrow as pa
import pytest
from local_airflow import HOST
from spark.cluster import Cluster


def slowly(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import os
    import time

    for batch in batches:
        if not os.path.exists(batch["gate"][0].as_py()):
            time.sleep(0.1)
        yield batch


def connect(url: str) -> Any:
    from pyspark.sql import SparkSession

    return SparkSession.builder.remote(url).create()


def listened_at(cluster: Cluster) -> set[str]:
    keepers = [psutil.Process(keeper.pid) for keeper in cluster._keepers.values()]
    processes = [child for keeper in keepers for child in keeper.children(recursive=True)]
    sockets = [each for process in processes for each in process.net_connections()]
    return {each.laddr.ip.removeprefix("::ffff:") for each in sockets if each.status == psutil.CONN_LISTEN}


def test_listens_on_this_machine_only(cluster: Cluster):
    assert listened_at(cluster) == {HOST}


def test_the_environment_of_executors_lacks_what_we_must_not_need_there(cluster: Cluster):
    def found(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import importlib.util
        import sys

        names = ["airflow", "kneed", "numpy", "pandas", "pyarrow", "sklearn"]
        there = [name for name in names if importlib.util.find_spec(name)]
        yield pa.RecordBatch.from_pydict({"found": [*there, "%d.%d" % sys.version_info[:2]]})

    session = connect(cluster.url)
    import sys

    rows = session.range(0, 1, 1, 1).mapInArrow(found, "found string").toArrow()
    session.stop()
    assert rows["found"].to_pylist() == ["numpy", "pyarrow", "%d.%d" % sys.version_info[:2]]


@pytest.mark.parametrize("victim", ["executor", "python_worker"])
def test_a_job_survives_what_is_killed(cluster: Cluster, victim: str, tmp_path):
    session = connect(cluster.url)
    session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 1)
    gate = tmp_path / "go"
    rows = session.range(0, 400, 1, 2).selectExpr("id", f"'{gate}' AS gate")
    jobs = len(cluster.jobs())
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(rows.mapInArrow(slowly, rows.schema).toArrow)
        cluster.until(lambda: cluster.jobs("running") and cluster.python_workers(), "No job started")
        getattr(cluster, f"kill_{victim}")()
        cluster.until(
            lambda: any(job["numFailedTasks"] for job in cluster.jobs()[: len(cluster.jobs()) - jobs]),
            "Spark did not notice",
        )
        gate.touch()
        found = done.result()
    session.stop()
    assert sorted(found["id"].to_pylist()) == list(range(400))


def test_a_server_that_was_killed_starts_again_at_the_same_address(cluster: Cluster):
    before = cluster.api
    cluster.kill_server()
    cluster.start_server()
    assert cluster.api != before
    session = connect(cluster.url)
    assert session.range(3).count() == 3
    session.stop()
