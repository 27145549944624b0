"""The sweep on a Spark cluster of this machine beside MLlib's K-Means, and beside the sweep without Spark.

Run as `.venv/bin/python benchmarks/spark.py`; it starts the cluster of the tests, two executors of one core,
and ends it. Names of data, such as `"1M x 3"`, run only these; `"100M x 3"` runs when it is named only.
Prints the table, writes it into benchmarks/README.md and all figures to benchmarks/spark.json.

Bytes are counted by a proxy between client and cluster. CPU is that of all processes that work: the client,
the Connect server, the executors and their Python. Memory is each one's peak; an executor's has its Python's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "benchmarks" / "README.md"
RESULTS = ROOT / "benchmarks" / "spark.json"
sys.path[:0] = [str(ROOT / folder) for folder in ("plugins", "tests/spark", "scripts")]

from cluster import HOST, Cluster, running  # noqa: E402
from making import MILLION, customers, make_large  # noqa: E402
from processes import Timed  # noqa: E402
from sweep import LARGE  # noqa: E402

MLLIB_K = (3, 10, 25)
"""k at which MLlib is timed; between them its time is interpolated, beyond them taken as at the last."""
K = range(1, 50)
TASKS = (1, 2, 4)
"""How many files, each of which is a task's, data is in."""
ENORMOUS = "100M x 3"
DATA = (*LARGE, ENORMOUS)
STEP = "ended:"
"""What a work prints before the name of a step, for the CPU that the cluster took meanwhile."""
BEGIN, END = "<!-- spark: begin -->", "<!-- spark: end -->"

CLIENT_MB, MOVED_MB = 500, 50
"""What the client may take, and what may be moved, for any number of rows."""


# Works: each is called in a process of its own, and returns figures. So is what makes data: a process begins
# with the peak memory of the one that it was forked from.


def made_data(file: str, rows: str, features: str) -> dict[str, Any]:
    """Write rows as the benchmark of the sweep has them."""
    with Timed() as timed:
        make_large(Path(file), int(rows), int(features))
    return timed.figures


def made_parts(file: str, folder: str, parts: str) -> dict[str, Any]:
    """Write the rows of a file as so many files of a folder, in the same order."""
    import pyarrow.parquet as pq

    source = pq.ParquetFile(file)
    Path(folder).mkdir()
    size = -(-source.metadata.num_rows // int(parts))
    writer, room, place = None, 0, 0
    with Timed() as timed:
        for batch in source.iter_batches(50_000):
            while batch.num_rows:
                if not room:
                    if writer is not None:
                        writer.close()
                    name = f"part-{place:05}.parquet"
                    writer = pq.ParquetWriter(Path(folder, name), source.schema_arrow)
                    room, place = size, place + 1
                assert writer is not None
                taken = batch.slice(0, room)
                writer.write_batch(taken)
                room -= taken.num_rows
                batch = batch.slice(taken.num_rows)
        if writer is not None:
            writer.close()
    return timed.figures


def local_sweep(path: str, features: str) -> dict[str, Any]:
    """Sweep on this machine, on all of its cores."""
    from airflow_segmentation.engines import LocalEngine

    with Timed() as timed:
        found = _swept(LocalEngine(), path, features, os.cpu_count() or 1)
    return timed.figures | found


def spark_sweep(path: str, features: str) -> dict[str, Any]:
    """Sweep on the cluster, connecting included; fit on one core, as KMeansSweepOperator does by default."""
    from airflow_segmentation.engines.spark import SparkEngine

    ti = SimpleNamespace(dag_id="bench", run_id=str(os.getpid()), task_id="sweep", map_index=-1, try_number=1)
    context: Any = {"ti": ti}
    with Timed() as timed, SparkEngine("spark", context) as engine:
        found = _swept(engine, path, features, 1)
    return timed.figures | found


def _swept(engine: Any, path: str, features: str, jobs: int) -> dict[str, Any]:
    from airflow_segmentation.clustering import TableRows, sweep_table

    with engine.open(path) as table:
        rows = TableRows(table, [f"f{i}" for i in range(int(features))], jobs)
        found = sweep_table(rows, random_state=0, n_jobs=jobs)
    return {"sse": [float(found.inertias[k - 1]) for k in MLLIB_K], "rows": int(found.rows)}


def mllib_fit(path: str, features: str, k: str) -> dict[str, Any]:
    """Fit MLlib's K-Means as it is by default."""
    from pyspark.ml.clustering import KMeans
    from pyspark.ml.feature import VectorAssembler

    with Timed() as timed, _session() as spark:
        columns = [f"f{i}" for i in range(int(features))]
        frame = VectorAssembler(inputCols=columns, outputCol="features").transform(spark.read.parquet(path))
        model = KMeans(k=int(k), seed=0).fit(frame.select("features"))
        sse = model.summary.trainingCost
    return timed.figures | {"sse": sse}


def chain(path: str, features: str) -> dict[str, Any]:
    """Run the operators one after the other, and tell after each that it has ended."""
    from unittest import mock

    from airflow.sdk.bases.xcom import BaseXCom
    from airflow_segmentation import operators

    columns = [f"f{i}" for i in range(int(features))]
    steps: dict[str, Any] = {}

    def run(kind: str, **arguments: Any) -> Any:
        ti = mock.MagicMock(dag_id="bench", run_id=str(os.getpid()), task_id=kind, map_index=-1, try_number=1)
        task = getattr(operators, kind)(task_id=kind, spark_conn_id="spark", **arguments)
        with Timed() as timed:
            found = task.execute({"ti": ti})
        steps[kind] = timed.figures
        print(STEP, kind, flush=True)
        return found

    with Timed() as timed, mock.patch.object(BaseXCom, "set"):
        scaled = run("MinMaxPreprocessOperator", data=path, features=columns)
        sweep = run("KMeansSweepOperator", data=scaled)
        model = f"{os.environ['AIRFLOW_HOME']}/{os.getpid()}.skops"
        run("ElbowOperator", sweep=sweep, model_path=model)
        run("KMeansPredictOperator", data=path, model_path=model)
    return timed.figures | {"steps": steps}


def made_enormous(path: str) -> dict[str, Any]:
    """Let the cluster write rows as `sweep.make_large` does, a million to a file."""
    from pyspark import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules["__main__"])
    base = customers()

    def rows(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as pa

        for batch in batches:
            for part in batch.column(0).to_pylist():
                rng = np.random.default_rng([0, part])
                for _ in range(10):
                    values = base[rng.integers(len(base), size=100_000)] * rng.lognormal(
                        0, 0.15, (100_000, 3)
                    )
                    yield pa.RecordBatch.from_arrays([pa.array(v) for v in values.T], ["f0", "f1", "f2"])

    with Timed() as timed, _session() as spark:
        made = spark.range(0, 100, 1, 100).mapInArrow(rows, "f0 double, f1 double, f2 double")
        made.write.mode("overwrite").parquet(path)
    return timed.figures


@contextmanager
def _session() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    connection = json.loads(os.environ["AIRFLOW_CONN_SPARK"])
    spark = SparkSession.builder.remote(f"{connection['host']}:{connection['port']}").create()
    try:
        yield spark
    finally:
        spark.stop()


WORKS: dict[str, Callable[..., dict[str, Any]]] = {
    work.__name__: work
    for work in (made_data, made_parts, local_sweep, spark_sweep, mllib_fit, chain, made_enormous)
}


# What is measured from outside.


class Counting:
    """A proxy before a port of this machine, which counts what passes."""

    def __init__(self, port: int) -> None:
        self.to_client = self.to_server = 0
        self._target = port
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Counting:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((HOST, self._target))
                for start, end, counted in ((client, server, "to_server"), (server, client, "to_client")):
                    threading.Thread(target=self._pass, args=(start, end, counted), daemon=True).start()

    def _pass(self, start: socket.socket, end: socket.socket, counted: str) -> None:
        with suppress(OSError):
            while data := start.recv(1 << 16):
                setattr(self, counted, getattr(self, counted) + len(data))
                end.sendall(data)
            end.shutdown(socket.SHUT_WR)


class Watching:
    """CPU and peak memory of a cluster's processes, looked at ten times a second."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._connect = cluster.server_process()
        self._over = threading.Event()
        self._before: dict[psutil.Process, float] = {}
        self._cpu: dict[psutil.Process, float] = {}
        self._executor = self._server = 0.0

    def __enter__(self) -> Watching:
        self._look()
        self._before = dict(self._cpu)
        self._executor = self._server = 0.0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._look()
        self._over.set()
        self._thread.join()

    @property
    def figures(self) -> dict[str, float]:
        """Seconds of CPU, and megabytes."""
        cpu = sum(seconds - self._before.get(each, 0) for each, seconds in self._cpu.items())
        return {"cluster_cpu": cpu, "executor": self._executor, "server": self._server}

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self._look()

    def _look(self) -> None:
        self._server = max(self._server, self._taken([self._connect]))
        for executor in self._cluster.executor_processes():
            with suppress(psutil.NoSuchProcess):
                family = [executor, *executor.children(recursive=True)]
                # Of each session before, a Python stays that forks others, and waits in vain.
                ours = [each for each in family if each is executor or each not in self._before]
                self._executor = max(self._executor, self._taken(ours))

    def _taken(self, processes: list[psutil.Process]) -> float:
        memory = 0
        for process in processes:
            with suppress(psutil.NoSuchProcess), process.oneshot():
                times = process.cpu_times()
                self._cpu[process] = times.user + times.system
                memory += process.memory_info().rss
        return memory / 2**20


def measured(cluster: Cluster, home: Path, work: str, *arguments: str) -> dict[str, Any]:
    """Do one work in a process of its own, and return its figures and the cluster's."""
    known = {stage["stageId"] for stage in _stages(cluster)}
    with Counting(cluster.port) as counting, Watching(cluster) as watching:
        connection = {"conn_type": "spark_connect", "host": f"sc://{HOST}", "port": counting.port}
        settings = {
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__SEGMENTATION__ALLOWED_PATHS": "*",
            "AIRFLOW_CONN_SPARK": json.dumps(connection),
        }
        command = [sys.executable, __file__, "--work", work, *arguments]
        seconds: dict[str, float] = {}
        last = ""
        with subprocess.Popen(
            command, env=os.environ | settings, stdout=subprocess.PIPE, text=True
        ) as process:
            for last in process.stdout or ():
                if last.startswith(STEP):
                    seconds[last.split()[1]] = watching.figures["cluster_cpu"]
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
    figures: dict[str, Any] = json.loads(last)
    before = 0.0
    for step, after in seconds.items():
        figures["steps"][step]["cluster_cpu"] = after - before
        before = after
    figures |= {"to_client": counting.to_client / 1e6, "to_server": counting.to_server / 1e6}
    if counting.to_client:
        figures |= watching.figures
        figures["stages"] = [stage for stage in _stages(cluster) if stage["stageId"] not in known]
    name = " ".join(Path(argument).name for argument in arguments)
    total = figures["cpu"] + figures.get("cluster_cpu", 0)
    moved = figures["to_client"] + figures["to_server"]
    told = (
        f"{figures['wall']:.1f} s wall, {total:.1f} s CPU, {figures['memory']:.0f} MB, {moved:.1f} MB moved"
    )
    print(work, name, told, file=sys.stderr, flush=True)
    return figures


def _stages(cluster: Cluster) -> list[dict[str, Any]]:
    """Return what each pass over the rows took, the first first."""
    kept = ("stageId", "numTasks", "executorRunTime", "inputBytes", "inputRecords", "resultSize")
    stages = cluster.get("/stages?status=complete")
    found = [{name: stage[name] for name in kept} for stage in stages]
    return sorted(found, key=lambda stage: int(stage["stageId"]))


# What is compared.


def compare(
    name: str, cluster: Cluster, home: Path, all_tasks: list[int], with_mllib: bool, known: dict[str, Any]
) -> dict[str, Any]:
    """Return the figures of one data set: ours by how many tasks, MLlib's by k, the local engine's.

    What is not measured is taken from those that are known.
    """
    figures: dict[str, Any] = {"ours": {}, "mllib": {}, **known}
    if name == ENORMOUS:
        folder = home / "enormous"
        figures["made"] = measured(cluster, home, "made_enormous", str(folder))
        figures["ours"]["100"] = measured(cluster, home, "spark_sweep", str(folder), "3")
        shutil.rmtree(folder)
        return figures
    rows, features, _ = LARGE[name]
    file = home / f"{name}.parquet"
    measured(cluster, home, "made_data", str(file), str(rows), str(features))
    for tasks in all_tasks:
        path = str(folder := home / f"{name} in {tasks}")
        measured(cluster, home, "made_parts", str(file), path, str(tasks))
        figures["ours"][str(tasks)] = measured(cluster, home, "spark_sweep", path, str(features))
        if tasks == cluster.workers and with_mllib:
            for k in MLLIB_K:
                fit = measured(cluster, home, "mllib_fit", path, str(features), str(k))
                del fit["stages"]  # dozens, which tell nothing here
                figures["mllib"][str(k)] = fit
        if tasks == cluster.workers:
            figures["chain"] = measured(cluster, home, "chain", path, str(features))
        shutil.rmtree(folder)
    figures["local"] = measured(cluster, home, "local_sweep", str(file), str(features))
    file.unlink()
    return figures


def warm(cluster: Cluster, home: Path) -> None:
    """Sweep once, so that what is compared first does not pay for compiling in four JVMs."""
    file, folder = str(home / "warm.parquet"), str(home / "warm")
    measured(cluster, home, "made_data", file, str(MILLION), "3")
    measured(cluster, home, "made_parts", file, folder, "2")
    measured(cluster, home, "spark_sweep", folder, "3")


def all_cpu(run: dict[str, Any]) -> float:
    return float(run["cpu"] + run.get("cluster_cpu", 0))


def table(known: dict[str, Any]) -> str:
    """Return the figures as Markdown tables."""
    lines = [
        "| k = 1..49 | tasks | wall | CPU | client | executor | Connect server | moved |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in known.items():
        for tasks, run in figures["ours"].items():
            moved = run["to_client"] + run["to_server"]
            lines.append(
                f"| {name} | {tasks} | {run['wall']:.0f} s | {all_cpu(run):.0f} s | {run['memory']:.0f} MB | "
                f"{run['executor']:.0f} MB | {run['server']:.0f} MB | {moved:.1f} MB |"
            )
        if run := figures.get("local"):
            took = f"{run['wall']:.0f} s | {run['cpu']:.0f} s | {run['memory']:.0f} MB"
            lines.append(f"| {name}, without Spark |  | {took} |  |  |  |")
    lines += [
        "",
        "| two tasks | MLlib at k = 3, 10, 25: wall | CPU | CPU of 49 fits | of our sweep | SSE above ours |",
        "|---|---|---|---|---|---|",
    ]
    for name, figures in known.items():
        if fits := figures["mllib"]:
            ours = figures["ours"]["2"]
            wall = [fits[str(k)]["wall"] for k in MLLIB_K]
            cpu = [all_cpu(fits[str(k)]) for k in MLLIB_K]
            total = float(np.interp(K, MLLIB_K, cpu).sum())
            above = [fits[str(k)]["sse"] / sse - 1 for k, sse in zip(MLLIB_K, ours["sse"], strict=True)]
            lines.append(
                f"| {name} | {', '.join(f'{each:.0f}' for each in wall)} s | "
                f"{', '.join(f'{each:.0f}' for each in cpu)} s | {total:.0f} s | {all_cpu(ours):.0f} s | "
                f"{', '.join(f'{each:.1%}' for each in above)} |"
            )
    return "\n".join(lines)


def missed(known: dict[str, Any]) -> list[str]:
    """Return which limits are not kept."""
    return [
        f"{name}, {tasks} tasks: {what} {value:.0f} MB should be < {limit} MB"
        for name, figures in known.items()
        for tasks, run in figures["ours"].items()
        for what, value, limit in (
            ("client", run["memory"], CLIENT_MB),
            ("moved", run["to_client"] + run["to_server"], MOVED_MB),
        )
        if value >= limit
    ]


def main() -> int:
    """Do the comparisons; return 1 where a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(DATA)}; all but the last by default")
    parser.add_argument("--tasks", type=int, nargs="+", default=TASKS, help="how many files (1 2 4)")
    parser.add_argument("--no-mllib", action="store_true", help="keep MLlib's figures: its fits take longest")
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        found = WORKS[arguments.work](*arguments.names)
        # Linux counts in kilobytes, macOS in bytes.
        unit = 2**20 if sys.platform == "darwin" else 2**10
        found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        print(json.dumps(found))
        return 0
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="segmentation-bench-")))
        cluster = stack.enter_context(running())
        warm(cluster, home)
        for name in arguments.names or LARGE:
            started = time.monotonic()
            with_mllib, before = not arguments.no_mllib, known.get(name, {})
            known[name] = compare(name, cluster, home, arguments.tasks, with_mllib, before)
            ordered = {each: known[each] for each in DATA if each in known}
            RESULTS.write_text(json.dumps(ordered, indent=1) + "\n")
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    known = json.loads(RESULTS.read_text())
    text = table(known)
    print(text)
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
    for each in missed(known):
        print(each, file=sys.stderr)
    return 1 if missed(known) else 0


if __name__ == "__main__":
    sys.exit(main())
