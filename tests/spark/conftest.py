"""One Spark cluster for all tests here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from local_airflow import HOST
from spark.cluster import Cluster, running


@pytest.fixture(scope="session")
def spark_cluster() -> Iterator[Cluster]:
    """A cluster of which everything runs; a test may have left it without an executor for a moment."""
    with running() as cluster:
        yield cluster


@pytest.fixture
def cluster(spark_cluster: Cluster) -> Cluster:
    """The cluster, with its server and all of its executors, whatever the test before did to it."""
    spark_cluster.restore()
    return spark_cluster


@pytest.fixture
def spark_conn_id(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a connection to the cluster."""
    connection = {"conn_type": "spark_connect", "host": f"sc://{HOST}", "port": cluster.port}
    monkeypatch.setenv("AIRFLOW_CONN_SPARK", json.dumps(connection))
    return "spark"


@pytest.fixture
def session(cluster: Cluster) -> Iterator[Any]:
    """A session of the thin client. One left open waits for minutes for a server that ended."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(cluster.url).create()
    yield session
    session.stop()
