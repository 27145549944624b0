"""Connecting to a cluster, what is told where that fails, and that nothing is left running."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import time
import venv
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow_segmentation.engines.spark import SparkEngine
from airflow_segmentation.engines.spark.errors import told
from airflow_segmentation.engines.spark.session import Session, Waiting, packed
from airflow_segmentation.errors import InputError
from airflow_segmentation.tables.csv_files import Csv
from local_airflow import HOST
from spark import passes
from spark.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "se/cr;et=?#&%20"
SOON = 20.0
"""Seconds in which what cannot be reached is told."""


def connection(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> str:
    """Set a connection and return its id."""
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({"conn_type": "spark_connect", **fields}))
    return "other"


def failure(conn_id: str) -> AirflowException:
    """Return the error of connecting, which comes soon and is one line."""
    start = time.monotonic()
    with pytest.raises(AirflowException) as error, SparkEngine(conn_id, passes.context()):
        pass
    assert time.monotonic() - start < SOON
    assert "\n" not in str(error.value)
    return error.value


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of two parts, of more than one batch each."""
    (tmp_path / "data").mkdir()
    for name in "ab":
        rows = {"a.number": range(80_000), "spent": [float(n) for n in range(80_000)]}
        pq.write_table(pa.table(rows), tmp_path / "data" / f"part {name}.parquet")
    return tmp_path / "data"


def visited(engine: SparkEngine, table: Path, visit: Any = passes.sums) -> list[Any]:
    with engine.open(str(table)) as data:
        return list(data.each(["a.number", "spent"], visit))


# The way there


def test_no_such_connection():
    assert isinstance(failure("nothere"), InputError)


def test_another_type_of_connection(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({"conn_type": "spark", "host": "spark://x"}))
    assert re.search("is of the type 'spark' and should be 'spark_connect'", str(failure("other")))


@pytest.mark.parametrize(("host", "message"), [(None, "names no host"), ("sc://spark/path", "has a path")])
def test_no_address(monkeypatch: pytest.MonkeyPatch, host: str | None, message: str):
    assert message in str(failure(connection(monkeypatch, host=host)))


@pytest.mark.parametrize("password", [None, TOKEN])
def test_nobody_there(monkeypatch: pytest.MonkeyPatch, password: str | None):
    with socket.socket() as closed:
        closed.bind((HOST, 0))
        port = closed.getsockname()[1]
    error = failure(connection(monkeypatch, host="localhost", port=port, password=password))
    assert not isinstance(error, InputError)
    assert re.search("does not answer .*look whether it runs", str(error))
    assert TOKEN not in str(error)


def test_a_port_that_says_nothing(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as silent:
        silent.bind((HOST, 0))
        silent.listen(9)
        error = failure(connection(monkeypatch, host=HOST, port=silent.getsockname()[1]))
    assert "What answers at the port is not the Spark Connect server" in str(error)


def test_the_port_of_a_page(monkeypatch: pytest.MonkeyPatch, cluster: Cluster):
    port = int(cluster.ui.rpartition(":")[2])
    error = failure(connection(monkeypatch, host=HOST, port=port))
    assert "What answers at the port is not the Spark Connect server" in str(error)


@pytest.mark.parametrize("fields", [{"extra": {"use_ssl": True}}, {"password": TOKEN}])
def test_tls_where_there_is_none(monkeypatch: pytest.MonkeyPatch, cluster: Cluster, fields: dict[str, Any]):
    error = failure(connection(monkeypatch, host=HOST, port=cluster.port, **fields))
    assert isinstance(error, InputError)
    assert "TLS was not agreed on" in str(error)
    assert "et=?" not in str(error)


@pytest.fixture
def guard() -> Iterator[Any]:
    """A server that lets nobody in, as where the token is wrong, and tells what it was asked with."""
    import grpc

    asked: list[dict[str, str]] = []

    class Guard(grpc.GenericRpcHandler):
        def service(self, call: Any) -> Any:
            asked.append(dict(call.invocation_metadata))
            return grpc.unary_unary_rpc_method_handler(
                lambda _, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "Invalid token")
            )

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Guard()])
    port = server.add_secure_port("localhost:0", grpc.local_server_credentials())
    server.start()
    yield port, asked
    server.stop(0)


def test_a_wrong_token(monkeypatch: pytest.MonkeyPatch, guard: Any):
    port, asked = guard
    error = failure(connection(monkeypatch, host="localhost", port=port, password=TOKEN, login="a/b"))
    assert isinstance(error, InputError)
    assert "it takes another token" in str(error)
    assert asked[0]["authorization"] == f"Bearer {TOKEN}"
    assert "et=?" not in str(error)


# What executors lack


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("{bare}", "lacks numpy; install numpy and pyarrow"),
        ("/no/such/python", "have no Python called /no/such/python"),
    ],
)
def test_another_python(engine: SparkEngine, table: Path, tmp_path: Path, python: str, message: str):
    venv.create(tmp_path / "bare")
    python = python.format(bare=tmp_path / "bare" / "bin" / "python")
    engine.session.spark.conf.set("spark.sql.execution.pyspark.python", python)
    with pytest.raises(InputError, match=message):
        visited(engine, table)


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        (
            "[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.10 than that in driver: "
            "3.11, PySpark cannot run with different minor versions.",
            InputError,
            "run Python 3.10 and this worker 3.11",
        ),
        ("No FileSystem for scheme \"s3a\"", InputError, "the cluster lacks what opens such a URI (s3a)"),
        ("Class org.apache.hadoop.fs.s3a.S3AFileSystem not found", InputError, "hadoop-aws"),
        ("java.nio.file.AccessDeniedException: s3a://bucket", InputError, "Spark may not open /data"),
        ("java.io.IOException: Mkdirs failed to create file:/data", InputError, "Spark may not open /data"),
        ("[INVALID_HANDLE.SESSION_NOT_FOUND] The handle x is invalid.", AirflowException, "was restarted"),
        ("java.lang.OutOfMemoryError: Java heap space", AirflowException, "ran out of memory"),
        ("something else\n\nJVM stacktrace:\nat x.y", AirflowException, "Spark failed on /data: something"),
    ],
)  # fmt: skip
def test_what_spark_says_is_put_in_words(said: str, kind: type[Exception], message: str):
    from pyspark.errors import PySparkException

    with pytest.raises(AirflowException) as error, told("spark", "/data"):
        raise PySparkException(said)
    assert type(error.value) is kind
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["nothere", "nothere/*.parquet"])
def test_nothing_at_a_path(engine: SparkEngine, tmp_path: Path, name: str):
    with pytest.raises(InputError, match="Spark finds nothing at"), engine.open(str(tmp_path / name)):
        pass


def test_what_is_no_table(engine: SparkEngine, tmp_path: Path):
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match="holds no Parquet files"), engine.open(str(tmp_path / "data")):
        pass
    (tmp_path / "data" / "x").write_text("x,y")
    with pytest.raises(InputError, match="is not a whole Parquet table"), engine.open(str(tmp_path / "data")):
        pass


def test_a_place_that_executors_cannot_write(engine: SparkEngine, tmp_path: Path):
    (tmp_path / "x.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="Spark may not open /proc/x"):
        engine.load(Csv(str(tmp_path / "x.csv")), "/proc/x")


# A session


def test_connecting_warns_of_nothing(spark_conn_id: str):
    # A program without a file, which PySpark's client would take for its own doctests.
    program = (
        "import sys; sys.path[:0] = ['plugins', 'tests']\n"
        "from spark import passes; from airflow_segmentation.engines.spark import SparkEngine\n"
        f"with SparkEngine({spark_conn_id!r}, passes.context(task_id='quiet')) as engine:\n"
        "    print(engine.session.spark.range(3).count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert "Warning" not in done.stderr, done.stderr
    assert done.stdout.splitlines()[-1:] == ["3"], done.stderr


def test_jobs_tell_dag_run_and_task(engine: SparkEngine, cluster: Cluster, table: Path):
    visited(engine, table)
    job = cluster.jobs()[0]
    tags = " ".join(job["jobTags"])
    for tag in ("dag=customers", "run=manual__2026-11-26T00:00:00+00:00", "task=task-"):
        assert tag in tags
    assert "customers.task-" in job["description"]
    assert engine.session.page == f"{cluster.ui}/connect/session/?id={engine.session.id}"


def test_the_session_ends(spark_conn_id: str, cluster: Cluster, sent: None, table: Path):
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client.core import SparkConnectClient

    with SparkEngine(spark_conn_id, passes.context(task_id="ends")) as engine:
        visited(engine, table)
        before = engine.session.id
    client = SparkConnectClient(engine.session._builder(before))
    with contextlib.closing(client), pytest.raises(PySparkException, match="SESSION_CLOSED"):
        client.get_configs("spark.app.id")
    with SparkEngine(spark_conn_id, passes.context(task_id="ends")) as again:
        assert again.session.id != before  # the same try may need a second
        assert len(visited(again, table)) == 2


def running(cluster: Cluster, task: str) -> list[Any]:
    """Return the jobs of a task that run."""
    return [job for job in cluster.jobs("running") if f"task={task}" in " ".join(job["jobTags"])]


def test_a_task_that_is_killed_ends_its_job(
    spark_conn_id: str, cluster: Cluster, sent: None, table: Path, tmp_path: Path
):
    gate = tmp_path / "gate"
    with (
        SparkEngine(spark_conn_id, passes.context(task_id="killed")) as engine,
        ThreadPoolExecutor(1) as pool,
    ):
        done = pool.submit(visited, engine, table, passes.Gated(passes.sums, gate))
        cluster.until(Path(f"{gate}.reached").exists, "Nothing was read", 60)
        assert running(cluster, "killed")
        engine.stop()
        cluster.until(lambda: not running(cluster, "killed"), "The job goes on", 20)
        try:
            error = done.exception(timeout=30)
        finally:
            gate.touch()
    assert type(error) is AirflowException
    assert re.search("was cancelled|ended the session", str(error))


def test_who_stops_listening_ends_the_job(engine: SparkEngine, cluster: Cluster, table: Path, tmp_path: Path):
    gate = tmp_path / "gate"
    task = engine.session._identity[2]
    with engine.open(str(table)) as data, ThreadPoolExecutor(1) as pool:
        results = data.each(["a.number", "spent"], passes.Gated(first_slowly, gate))
        done = pool.submit(next, results)  # type: ignore[call-overload]
        cluster.until(Path(f"{gate}.reached").exists, "Nothing was read", 60)
        gate.touch()
        done.result(timeout=60)
        results.close()  # type: ignore[attr-defined]
        cluster.until(lambda: not running(cluster, task), "The job goes on", 20)


def first_slowly(place: int, batches: Any) -> list[Any]:
    """Be done with the first part only."""
    import time

    found = passes.sums(place, batches)
    time.sleep(60 * place)
    return found


@pytest.fixture(autouse=True)
def functions_of_this_module() -> Iterator[None]:
    from pyspark import cloudpickle

    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def test_the_next_try_ends_what_a_killed_one_left(
    spark_conn_id: str, cluster: Cluster, table: Path, tmp_path: Path
):
    gate = tmp_path / "gate"
    program = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        sys.path[:0] = ["plugins", "tests"]
        from pyspark import cloudpickle
        from spark import passes
        from airflow_segmentation.engines.spark import SparkEngine
        cloudpickle.register_pickle_by_value(passes)
        with SparkEngine({spark_conn_id!r}, passes.context(1, "left")) as engine:
            with engine.open({str(table)!r}) as data:
                list(data.each(["spent", "a.number"], passes.Gated(passes.sums, Path({str(gate)!r}))))
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=dict(os.environ)) as client:
        cluster.until(Path(f"{gate}.reached").exists, "Nothing was read", 60)
        client.kill()
    assert running(cluster, "left")
    with SparkEngine(spark_conn_id, passes.context(2, "left")):
        cluster.until(lambda: not running(cluster, "left"), "The job goes on", 20)
    gate.touch()


def test_a_server_that_is_killed_is_told_within_a_minute(
    spark_conn_id: str, cluster: Cluster, sent: None, table: Path, tmp_path: Path
):
    gate = tmp_path / "gate"
    with SparkEngine(spark_conn_id, passes.context(1, "dead")) as engine, ThreadPoolExecutor(1) as pool:
        done = pool.submit(visited, engine, table, passes.Gated(passes.sums, gate))
        cluster.until(Path(f"{gate}.reached").exists, "Nothing was read", 60)
        start = time.monotonic()
        cluster.kill_server()
        error = done.exception(timeout=60)
        assert time.monotonic() - start < 60
        assert type(error) is AirflowException
        assert "does not answer" in str(error)
        assert "\n" not in str(error)
    assert time.monotonic() - start < 60
    gate.touch()
    cluster.restore()
    with SparkEngine(spark_conn_id, passes.context(2, "dead")) as engine:
        assert len(visited(engine, table)) == 2


def test_what_is_shipped_needs_numpy_and_pyarrow_alone(tmp_path: Path):
    packed(tmp_path / "x.zip")
    program = textwrap.dedent(
        """
        import importlib, sys, zipfile
        path = sys.argv[1]
        sys.path.insert(0, path)
        class Refused:
            def find_spec(self, name, *_):
                if name.partition(".")[0] in ("airflow", "pandas", "fsspec", "sklearn", "kneed", "scipy"):
                    raise ImportError(f"{name} is not there")
        sys.meta_path.insert(0, Refused())
        names = [name[:-3].replace("/", ".") for name in zipfile.ZipFile(path).namelist()]
        needs = {"airflow_segmentation.clustering.estimator"}  # scikit-learn, and is for people
        for name in names:
            if name not in needs:
                assert path in importlib.import_module(name.removesuffix(".__init__")).__file__
        print(len(names))
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "x.zip")], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


def test_nothing_of_spark_is_imported_for_the_engine():
    program = (
        "import sys; sys.path.insert(0, 'plugins'); import airflow_segmentation.engines.spark\n"
        "print({name.partition('.')[0] for name in sys.modules} & {'pyspark', 'grpc', 'numpy', 'pyarrow'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_job_that_no_executor_takes_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    moments = iter([0.0, 30.0, 61.0, 90.0, 100.0, 170.0, 240.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    waiting = Waiting()
    waiting([], 0, "one", False)
    waiting([], 0, "one", False)
    assert not caplog.messages
    waiting([], 0, "one", False)
    assert re.search("waits for an executor for more than 60 seconds", caplog.messages[0])
    waiting([], 0, "one", False)
    waiting([], 2, "one", False)
    waiting([], 0, "two", False)
    assert len(caplog.messages) == 1
    waiting([SimpleNamespace(num_completed_tasks=1)], 0, "two", False)
    assert len(caplog.messages) == 1


def test_a_session_that_nobody_used_costs_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        session = Session("nothere", passes.context())
        session.stop()
        session.end()
