"""One Spark cluster for all tests here."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from airflow_segmentation.engines.spark import SparkEngine
from local_airflow import HOST
from spark import passes
from spark.cluster import Cluster, running


@pytest.fixture(scope="session")
def spark_cluster() -> Iterator[Cluster]:
    """A cluster of which everything runs; a test may have left it without an executor for a moment."""
    # Tests are over before code that is compiled at length has paid for itself.
    with running(java="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC") as cluster:
        yield cluster


@pytest.fixture
def cluster(spark_cluster: Cluster) -> Cluster:
    """The cluster, with its server and all of its executors, whatever the test before did to it."""
    spark_cluster.restore()
    return spark_cluster


@pytest.fixture
def spark_conn_id(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a connection to the cluster."""
    monkeypatch.setenv("AIRFLOW_CONN_SPARK", connection_to(cluster))
    return "spark"


def connection_to(cluster: Cluster) -> str:
    """A connection to the cluster, as an environment variable has it."""
    return json.dumps({"conn_type": "spark_connect", "host": f"sc://{HOST}", "port": cluster.port})


@pytest.fixture
def session(cluster: Cluster) -> Iterator[Any]:
    """A session of the thin client. One left open waits for minutes for a server that ended."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(cluster.url).create()
    yield session
    session.stop()


@pytest.fixture
def sent() -> Iterator[None]:
    """Executors are sent the functions of `passes.py` as they are: they cannot import it."""
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(passes)
    yield
    cloudpickle.unregister_pickle_by_value(passes)


@pytest.fixture
def engine(spark_conn_id: str, sent: None) -> Iterator[SparkEngine]:
    """The engine in a session of one task."""
    with SparkEngine(spark_conn_id, passes.context(task_id=f"task-{uuid.uuid4().hex}")) as engine:
        yield engine


@pytest.fixture(scope="module")
def connected(spark_cluster: Cluster) -> Iterator[SparkEngine]:
    """The engine in a session that all tests of a module share: executors start Python anew for each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_MODULE", connection_to(spark_cluster))
        with SparkEngine("module", passes.context(task_id=f"task-{uuid.uuid4().hex}")) as engine:
            yield engine
