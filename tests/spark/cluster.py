"""A Spark cluster on this machine: a standalone master, two workers of one core, a Spark Connect server.

>>> with Cluster(home) as cluster:
...     print(cluster.url)  # sc://127.0.0.1:…
...     cluster.kill_executor()

`python tests/spark/cluster.py` starts one, prints its addresses and lets it run until Ctrl-C. All of it
listens on 127.0.0.1 only, and ends with the process that started it, whatever ends that: see `keeper.py`.

Spark itself, with its JVM, is in an environment of its own, `.cache/spark`. There executors find numpy and
pyarrow and nothing else that we use; and `.venv` has the thin client alone, as a worker of Airflow has.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import ProxyHandler, build_opener

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import environment  # noqa: E402
from local_airflow import HOST, KEEPER, free_port, tail  # noqa: E402

FOLDER = ROOT / ".cache" / "spark"
PYTHON = FOLDER / "bin" / "python"

MASTER, SERVER = "master", "connect"
WORKER_CLASS = "org.apache.spark.deploy.worker.Worker"
MASTER_CLASS = "org.apache.spark.deploy.master.Master"
SERVER_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"
EXECUTOR_CLASS = "CoarseGrainedExecutorBackend"

POLL = 0.05
T = TypeVar("T")


class ClusterError(Exception):
    """Why the cluster could not do what was asked, and the cure or the log to look at."""


class Cluster:
    """A master, workers of one core each, and a Connect server that has an executor on each of them.

    :param home: folder for logs and everything else that they write.
    :param workers: how many, of one core each.
    :param executor_memory: of each executor's JVM, as Spark writes it.
    :param server_memory: of the Connect server's JVM; Spark's own default is 1 GB.
    :param settings: Spark's, for the Connect server and what runs there.
    :param java: options of every JVM.
    :param python: the Python of executors, by default the one that Spark is installed for.
    """

    patience = 180.0
    """Seconds that a start may take before it counts as failed: a busy machine has needed 52."""

    def __init__(
        self,
        home: Path,
        *,
        workers: int = 2,
        executor_memory: str = "1g",
        server_memory: str = "1g",
        settings: Mapping[str, str] | None = None,
        java: str = "",
        python: Path | None = None,
    ) -> None:
        self.home = home.absolute()
        self.workers = workers
        self.executor_memory = executor_memory
        self.server_memory = server_memory
        self.settings = dict(settings or {})
        self.java = java
        self.python = python or PYTHON
        names = [MASTER, "master-ui", SERVER, "ui", *(f"worker-{i}-ui" for i in range(workers))]
        self._ports = {name: free_port() for name in names}
        self._keepers: dict[str, subprocess.Popen[str]] = {}
        # A proxy has no business between this machine and itself.
        self._opener = build_opener(ProxyHandler({}))

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"sc://{HOST}:{self.port}"

    @property
    def port(self) -> int:
        """Port of the Connect server."""
        return self._ports[SERVER]

    @property
    def master_ui(self) -> str:
        """Page of the master; `/json/` below it tells its state."""
        return f"http://{HOST}:{self._ports['master-ui']}"

    @property
    def ui(self) -> str:
        """Page of the Connect server's application."""
        return f"http://{HOST}:{self._ports['ui']}"

    @property
    def api(self) -> str:
        """Spark's REST API for that application, with `/jobs`, `/executors`, `/stages` and so on below it."""
        [application] = self._get(f"{self.ui}/api/v1/applications")
        return f"{self.ui}/api/v1/applications/{application['id']}"

    @property
    def logs(self) -> Path:
        """Folder with a log of each process; those of executors are below `work`."""
        return self.home / "logs"

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and return once each worker's executor is ready for tasks.

        :raises ClusterError: if there is no Java, or something ends or takes too long.
        """
        if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
            raise ClusterError("There is no java; apt-get install openjdk-17-jre-headless, or set JAVA_HOME")
        install()
        for folder in (self.logs, self.home / "work", self.home / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        address = ["--host", HOST, "--port", str(self._ports[MASTER])]
        self._keep(MASTER, ["spark-class", MASTER_CLASS, *address, *self._ui("master-ui")])
        # One that does not reach its master at once waits ten seconds before it tries again.
        self.until(lambda: self._state()["status"] == "ALIVE", "The master did not answer")
        for i in range(self.workers):
            size = ["--cores", "1", "--memory", self.executor_memory]
            place = ["--host", HOST, "--work-dir", str(self.home / "work"), *self._ui(f"worker-{i}-ui")]
            self._keep(f"worker-{i}", ["spark-class", WORKER_CLASS, *size, *place, self._master])
        self.start_server()

    def start_server(self) -> None:
        """Start the Connect server, at the address it always has, and return once executors are ready."""
        settings = {
            "spark.master": self._master,
            "spark.driver.host": HOST,
            "spark.driver.memory": self.server_memory,
            "spark.executor.cores": "1",
            "spark.executor.memory": self.executor_memory,
            "spark.ui.port": str(self._ports["ui"]),
            "spark.connect.grpc.binding.address": HOST,
            "spark.connect.grpc.binding.port": str(self.port),
            "spark.sql.catalogImplementation": "in-memory",
            "spark.sql.warehouse.dir": str(self.home / "warehouse"),
            **self.settings,
        }
        options = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
        self._keep(SERVER, ["spark-submit", "--class", SERVER_CLASS, *options])
        self.until(self.is_ready, "The Connect server did not get its executors")

    def is_ready(self) -> bool:
        """Whether the Connect server answers and has an executor on each worker."""
        return self._listens() and sum(each["isActive"] for each in self.executors()) == self.workers

    def stop(self) -> None:
        """End every process, and wait for that. A second call does nothing."""
        for name in reversed(list(self._keepers)):
            self._end(name)

    def serve(self) -> None:
        """Let the cluster run until a signal interrupts this process.

        :raises ClusterError: if one of its processes ends.
        """
        while True:
            self._check()
            time.sleep(1)

    # What it does

    def get(self, path: str) -> Any:
        """Read Spark's REST API of the Connect server's application, at a path such as `/stages`."""
        return self._get(self.api + path)

    def jobs(self, status: str | None = None) -> list[dict[str, Any]]:
        """Return the jobs of the Connect server, the newest first, or those running, succeeded, failed."""
        return self.get("/jobs" + (f"?status={status}" if status else ""))

    def executors(self) -> list[dict[str, Any]]:
        """Return the live executors of the Connect server, which is none of them."""
        return [each for each in self.get("/executors") if each["id"] != "driver"]

    def server_process(self) -> psutil.Process:
        """Return the JVM of the Connect server."""
        [process] = self._processes(SERVER, SERVER_CLASS)
        return process

    def executor_processes(self) -> list[psutil.Process]:
        """Return the JVMs of the executors."""
        names = [name for name in self._keepers if name.startswith("worker-")]
        return [process for name in names for process in self._processes(name, EXECUTOR_CLASS)]

    def python_workers(self) -> list[psutil.Process]:
        """Return the processes in which executors run Python, newest first; idle ones stay for a while."""
        daemons = [child for executor in self.executor_processes() for child in _children(executor)]
        workers = [worker for daemon in daemons for worker in _children(daemon)]
        return sorted(workers, key=psutil.Process.create_time, reverse=True)

    # What may happen to it

    def kill_executor(self) -> int:
        """End an executor and its Python by SIGKILL, once there is one, and return its process id."""
        executor = self.until(self.executor_processes, "There was no executor")[0]
        for process in [executor, *_children(executor, recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        return executor.pid

    def kill_python_worker(self, besides: Collection[psutil.Process] = ()) -> int:
        """End by SIGKILL a process in which an executor runs Python, once there is one, and return its id.

        :param besides: processes that live on: `python_workers` of before are idle, each session has its own.
        """
        while True:
            new = self.until(
                lambda: [each for each in self.python_workers() if each not in besides], "No Python"
            )
            with contextlib.suppress(psutil.NoSuchProcess):
                new[0].send_signal(signal.SIGKILL)
                return new[0].pid

    def kill_at_gate(self, victim: str, gate: Path, jobs: int) -> None:
        """Kill what reads once a pass waits at its gate, and open that when Spark has noticed.

        :param victim: "executor" or "python worker".
        :param jobs: how many there were before.
        """
        try:
            self.until(Path(f"{gate}.reached").exists, "Nothing was read", 60)
            if victim == "executor":
                self.kill_executor()
            else:
                self.kill_python_worker()
            self.until(lambda: self._failed_since(jobs), "Spark did not notice", 60)
        finally:
            gate.touch()

    def _failed_since(self, jobs: int) -> int:
        """Return how many tasks failed of the jobs that came after so many."""
        every = self.jobs()
        return sum(job["numFailedTasks"] for job in every[: len(every) - jobs])

    def kill_server(self) -> None:
        """End the Connect server by SIGKILL; `start_server` brings one that knows nothing of the old."""
        process = self.server_process()
        process.send_signal(signal.SIGKILL)
        self._keepers.pop(SERVER).wait()
        self.until(lambda: not self.executor_processes(), "The dead server's executors did not end")

    def restore(self) -> None:
        """Start the Connect server where it was killed, and wait for the executors that Spark brings back."""
        if SERVER not in self._keepers:
            self.start_server()
        else:
            self.until(self.is_ready, "The executors did not come back")

    def until(self, condition: Callable[[], T], problem: str, timeout: float | None = None) -> T:
        """Return what the condition gives once that is true; who does not answer yet makes it false.

        :raises ClusterError: if a process of the cluster ends, or the time is up.
        """
        timeout = self.patience if timeout is None else timeout
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self._check()
            with contextlib.suppress(OSError, ValueError):  # not a number of applications, or not JSON
                if result := condition():
                    return result
            time.sleep(POLL)
        raise ClusterError(f"{problem} within {timeout:.0f} seconds; logs are in {self.logs}")

    # How it is done

    @property
    def _master(self) -> str:
        return f"spark://{HOST}:{self._ports[MASTER]}"

    def _ui(self, name: str) -> list[str]:
        return ["--webui-port", str(self._ports[name])]

    @property
    def _environment(self) -> dict[str, str]:
        """Environment of Spark's processes: this one's, without any other Spark's or Python's settings."""
        others = ("SPARK_", "PYSPARK_", "PYTHON", "AIRFLOW_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        home = subprocess.run(
            [PYTHON, "-c", "import pyspark; print(pyspark.__path__[0])"],
            capture_output=True,
            check=True,
            text=True,
            cwd=self.home,
        )
        return inherited | {
            "SPARK_HOME": home.stdout.strip(),
            "SPARK_LOCAL_IP": HOST,
            "SPARK_LOCAL_HOSTNAME": HOST,
            "SPARK_PUBLIC_DNS": HOST,
            "SPARK_LOCAL_DIRS": str(self.home / "tmp"),
            "TMPDIR": str(self.home / "tmp"),
            "JDK_JAVA_OPTIONS": f"-Djava.io.tmpdir={self.home / 'tmp'} {self.java}",
            "PYSPARK_PYTHON": str(self.python),
        }

    def _keep(self, name: str, command: list[str]) -> None:
        """Run a program of Spark while this process lives, in a keeper of its own: each may end alone."""
        env = self._environment
        if name != SERVER:
            # Overrides the Connect server's memory where it is set for that, too.
            env |= {"SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC"}
        if name == MASTER:
            # It would take a port of its own, not a free one, for what nobody here uses.
            env |= {"SPARK_MASTER_OPTS": "-Dspark.master.rest.enabled=false"}
        program = str(Path(env["SPARK_HOME"]) / "bin" / command[0])
        self._keepers[name] = subprocess.Popen(
            [sys.executable, str(KEEPER), str(self.logs), json.dumps({name: [program, *command[1:]]})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.home,
            env=env,
        )

    def _end(self, name: str) -> None:
        keeper = self._keepers.pop(name)
        assert keeper.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            keeper.stdin.close()
        keeper.wait()

    def _check(self) -> None:
        """Raise :class:`ClusterError` if a process has ended that nobody here has ended."""
        for name, keeper in self._keepers.items():
            if keeper.poll() is not None:
                log = self.logs / f"{name}.log"
                raise ClusterError(f"Spark's {name} ended, with this at the end of {log}:\n{tail(log)}")

    def _processes(self, name: str, main: str) -> list[psutil.Process]:
        """Return the processes below a keeper that run this class; Bash scripts before it exec Java."""
        if name not in self._keepers:
            return []
        found = []
        for process in _children(psutil.Process(self._keepers[name].pid), recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                command = process.cmdline()
                if command and command[0].endswith("java") and any(main in part for part in command):
                    found.append(process)
        return found

    def _state(self) -> dict[str, Any]:
        return self._get(f"{self.master_ui}/json/")

    def _get(self, url: str) -> Any:
        with self._opener.open(url, timeout=30) as response:
            return json.load(response)

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex((HOST, self.port)) == 0


def _children(process: psutil.Process, recursive: bool = False) -> list[psutil.Process]:
    """Return the children of a process that may be gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.children(recursive=recursive)
    return []


def install() -> None:
    """Make the environment that Spark and its executors have, for this Python, or bring it up to date."""
    env = {"UV_CACHE_DIR": str(ROOT / ".cache" / "uv"), **os.environ}
    uv = "uv" if environment.works("uv") else str(Path(sys.executable).with_name("uv"))
    if _version(PYTHON) != _version(Path(sys.executable)):
        environment.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(FOLDER)], env)
    wanted = environment.requirements_of("spark-cluster")
    pins = ["--constraint", str(ROOT / "constraints.txt")]
    environment.run(
        [uv, "pip", "install", "--exact", "--quiet", "--python", str(PYTHON), *pins, *wanted], env
    )


def _version(python: Path) -> str:
    with contextlib.suppress(OSError):
        return subprocess.run([python, "--version"], capture_output=True, text=True).stdout
    return ""


@contextlib.contextmanager
def running(**options: Any) -> Iterator[Cluster]:
    """A cluster in a temporary folder, which goes with it."""
    temporary = tempfile.TemporaryDirectory(prefix="segmentation-spark-", ignore_cleanup_errors=True)
    with temporary as home, Cluster(Path(home), **options) as cluster:
        yield cluster


def main() -> None:
    """Start a cluster by hand."""
    parser = argparse.ArgumentParser(description="A Spark cluster on this machine, until Ctrl-C.")
    parser.add_argument("--workers", type=int, default=2, help="of one core each (%(default)s)")
    parser.add_argument("--executor-memory", default="1g", help="of each (%(default)s)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = running(workers=arguments.workers, executor_memory=arguments.executor_memory)
    with contextlib.suppress(KeyboardInterrupt), started as cluster:
        print(f"Connect    {cluster.url}")
        print(f"REST API   {cluster.api}")
        print(f"Spark UI   {cluster.ui}")
        print(f"Master     {cluster.master_ui}/json/")
        print(f"Logs       {cluster.logs}", flush=True)
        cluster.serve()


if __name__ == "__main__":
    try:
        main()
    except (ClusterError, environment.Problem) as error:
        sys.exit(str(error))
