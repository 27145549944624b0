"""An Airflow on this machine: SQLite, LocalExecutor, 127.0.0.1 only, everything it writes in one folder.

>>> with Airflow(home, port=8080) as airflow:
...     airflow.wait_for_dag("customer_segmentation")
...     run_id = airflow.trigger("customer_segmentation")
...     for task in airflow.follow("customer_segmentation", run_id):
...         print(task["task_id"], task["state"])
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import importlib.metadata
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

ROOT = Path(__file__).resolve().parents[1]
KEEPER = Path(__file__).with_name("keeper.py")
ONLY_HERE = Path(__file__).with_name("only_here")

HOST = "127.0.0.1"
POLL = 0.1
LINES = 15
"""Lines of a log that tell what went wrong."""

ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""States in which a task stays."""
FAILED = frozenset({"failed", "upstream_failed"})

T = TypeVar("T")
Json = Any


class AirflowError(Exception):
    """Why Airflow could not do what was asked, and the cure or the log to look at."""


class Airflow:
    """An API server, a scheduler and a Dag processor, with all their processes ended on leaving the context.

    They end as well when the process that started them is killed, whatever the signal: see `keeper.py`.
    There is no triggerer, since nothing here defers, and no login: who reaches the port may do everything.
    So it answers to no name but 127.0.0.1 and localhost; see `only_here.py`.

    :param home: folder for the database, logs and outputs; made if need be, used by one Airflow at a time,
        and open to this user only.
    :param port: port on 127.0.0.1.
    :param dags: folder of Dag files.
    :param plugins: Airflow's plugins folder.
    :param settings: environment variables on top of the ones that make it so.
    """

    patience = 180.0
    """Seconds that starting Airflow, or reading a Dag file, may take before it counts as failed."""

    def __init__(
        self,
        home: Path,
        port: int = 8080,
        *,
        dags: Path = ROOT / "dags",
        plugins: Path = ROOT / "plugins",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home.absolute()
        self.port = port
        self.dags = dags.absolute()
        self.plugins = plugins.absolute()
        self.settings = dict(settings or {})
        self.headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._keeper: subprocess.Popen[str] | None = None
        self._lock: IO[str] | None = None
        # A proxy has no business between this machine and itself.
        self._opener = build_opener(ProxyHandler({}))

    @property
    def url(self) -> str:
        """Where the UI and the REST API are."""
        return f"http://{HOST}:{self.port}"

    @property
    def logs(self) -> Path:
        """Folder of the components' logs, `api-server.log` and so on, and of the tasks' logs."""
        return self.home / "logs"

    @property
    def environment(self) -> dict[str, str]:
        """Environment of Airflow's processes: this one's, without any other Airflow's settings."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        # Without bytecode every process compiles all of Airflow again, four seconds each.
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        no_proxy = ",".join(filter(None, [inherited.get("no_proxy") or inherited.get("NO_PROXY"), HOST]))
        return inherited | {
            "NO_PROXY": no_proxy,
            "no_proxy": no_proxy,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ONLY_HERE), inherited.get("PYTHONPATH")])),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.plugins),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__AUTH_MANAGER": (
                "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
            ),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": HOST,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            # Seconds between looks of a worker whether its task's process has ended, otherwise five.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "AIRFLOW__SEGMENTATION__STORAGE_PATH": str(self.home / "segmentation"),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **self.settings,
        }

    def __enter__(self) -> Airflow:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start Airflow and return once it answers.

        :raises AirflowError: if the folder or the port is in use, or a component ends.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        self.logs.mkdir(exist_ok=True)
        self._take_home()
        check_port(self.port)
        self._migrate()
        self._started = dt.datetime.now(dt.timezone.utc)
        self._keep(
            {
                "api-server": ["api-server"],
                # The server for logs listens on all addresses; here the API server can read the files itself.
                "scheduler": ["scheduler", "--skip-serve-logs"],
                "dag-processor": ["dag-processor"],
            }
        )
        self.until(self._answers, f"Airflow did not answer on {self.url}")

    def stop(self) -> None:
        """End every process of this Airflow. A second call does nothing."""
        if self._keeper is not None:
            assert self._keeper.stdin is not None
            self._keeper.stdin.close()
            self._keeper.wait()
            self._keeper = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def serve(self) -> NoReturn:
        """Let Airflow run until a signal interrupts this process.

        :raises AirflowError: if a component of Airflow ends.
        """
        assert self._keeper is not None
        self._keeper.wait()
        raise AirflowError(self._failure())

    def request(self, method: str, path: str, body: Json = None, **query: str | list[str]) -> Json:
        """Call Airflow's REST API, at a path below `/api/v2`, and return the JSON it answers with.

        :raises AirflowError: if it answers with an error, or not at all.
        """
        request = Request(
            f"{self.url}/api/v2{path}" + (f"?{urlencode(query, doseq=True)}" if query else ""),
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers=self.headers,
        )
        try:
            with self._opener.open(request, timeout=60) as response:
                return json.load(response)
        except HTTPError as error:
            detail = error.read().decode(errors="replace")
            raise AirflowError(f"{method} {path}: HTTP {error.code} {detail}") from error
        except (URLError, OSError) as error:
            raise AirflowError(f"{method} {path}: {error}; see {self.logs / 'api-server.log'}") from error

    def wait_for_dag(self, dag_id: str) -> None:
        """Return once the Dag processor has read this Dag's file as it is now.

        :raises AirflowError: if a Dag file has an error, or none holds this Dag.
        """

        def is_read() -> bool:
            for error in self.request("GET", "/importErrors")["import_errors"]:
                file = self.dags / error["filename"]
                if _time(error["timestamp"]) >= self._started and dag_id in file.read_text(errors="replace"):
                    raise AirflowError(f"Airflow cannot import {file}:\n{error['stack_trace'].rstrip()}")
            found = self.request("GET", "/dags", dag_id_pattern=dag_id)["dags"]
            times = [_time(dag["last_parsed_time"]) for dag in found if dag["dag_id"] == dag_id]
            return any(time >= self._started for time in times)

        self.until(is_read, f"No file in {self.dags} holds the Dag {dag_id}")

    def trigger(self, dag_id: str, conf: Mapping[str, Json] | None = None) -> str:
        """Unpause the Dag, start a run with these params, and return the run's id."""
        self.request("PATCH", f"/dags/{_quoted(dag_id)}", {"is_paused": False})
        body = {"logical_date": None, "conf": dict(conf or {})}
        return self.request("POST", f"/dags/{_quoted(dag_id)}/dagRuns", body)["dag_run_id"]

    def fail_unfinished(self) -> None:
        """Mark runs failed that an earlier Airflow in this home left behind, so that none of them goes on."""
        for run in self.request("GET", "/dags/~/dagRuns", state=["queued", "running"])["dag_runs"]:
            self.request("PATCH", _run_path(run["dag_id"], run["dag_run_id"]), {"state": "failed"})

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run: queued, running, success or failed."""
        return self.request("GET", _run_path(dag_id, run_id))["state"]

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Json]]:
        """Return the task instances of a run, with `task_id`, `map_index`, `state`, `duration` and more."""
        return self.request("GET", f"{_run_path(dag_id, run_id)}/taskInstances")["task_instances"]

    def follow(self, dag_id: str, run_id: str, timeout: float = 1800) -> Iterator[dict[str, Json]]:
        """Give each task instance of a run when it ends, until the run does.

        :raises AirflowError: if Airflow ends before, or the run goes on for longer than `timeout` seconds.
        """
        told: set[tuple[str, int]] = set()
        fresh: list[dict[str, Json]] = []

        def has_news() -> bool:
            nonlocal fresh
            # In this order: all tasks of a run that has ended have.
            over = self.run_state(dag_id, run_id) in ENDED
            fresh = [
                task
                for task in self.tasks(dag_id, run_id)
                if task["state"] in ENDED and (task["task_id"], task["map_index"]) not in told
            ]
            return over or bool(fresh)

        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            self.until(has_news, f"The run {run_id} of {dag_id} did not end", left)
            if not fresh:
                return
            told |= {(task["task_id"], task["map_index"]) for task in fresh}
            yield from sorted(fresh, key=lambda task: task["end_date"] or "")

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Json:
        """Return what a task pushed under a key.

        :raises AirflowError: if it pushed nothing there.
        """
        path = f"{_run_path(dag_id, run_id)}/taskInstances/{_quoted(task_id)}/xcomEntries/{_quoted(key)}"
        return self.request("GET", path)["value"]

    def plugin_url(self, dag_id: str, run_id: str, route: str) -> str:
        """Return the link to a plugin's tab on the page of a run."""
        return f"{self.url}/dags/{_quoted(dag_id)}/runs/{_quoted(run_id)}/plugin/{_quoted(route)}"

    def task_log(self, dag_id: str, run_id: str, task_id: str) -> Path | None:
        """Return the file of a task's last log, or None if it never started."""
        folder = self.logs / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        return max(folder.rglob("attempt=*.log"), key=lambda path: path.stat().st_mtime, default=None)

    def _take_home(self) -> None:
        """Lock the home folder, for as long as any process of this Airflow lives."""
        self._lock = (self.home / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AirflowError(f"An Airflow is running in {self.home}; stop that one first") from None

    def _migrate(self) -> None:
        """Make or update the database, unless this very version of Airflow has done so already."""
        done = self.home / "database-version"
        version = importlib.metadata.version("apache-airflow-core")
        if done.exists() and done.read_text() == version:
            return
        if not done.exists():
            # What an interrupted migration left can't be migrated any further.
            (self.home / "airflow.db").unlink(missing_ok=True)
        done.unlink(missing_ok=True)
        self._keep({"database": ["db", "migrate"]})
        assert self._keeper is not None
        if self._keeper.wait():
            raise AirflowError(self._failure())
        done.write_text(version)

    def _keep(self, commands: dict[str, list[str]]) -> None:
        """Run Airflow commands while this process lives, in a keeper that holds the lock on the home too."""
        assert self._lock is not None
        python = [sys.executable, "-m", "airflow"]
        arguments = json.dumps({name: python + command for name, command in commands.items()})
        self._keeper = subprocess.Popen(
            [sys.executable, str(KEEPER), str(self.logs), arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.home,
            env=self.environment,
            pass_fds=[self._lock.fileno()],
            umask=0o077,
        )

    def _answers(self) -> bool:
        """Whether the API server answers tasks too: it builds their API, for seconds, on the first call."""
        with contextlib.suppress(OSError), self._opener.open(f"{self.url}/execution/health", timeout=60):
            return True
        return False

    def until(self, condition: Callable[[], T], problem: str, timeout: float | None = None) -> T:
        """Return what the condition gives once that is true.

        :raises AirflowError: if a component of Airflow ends, or the time is up.
        """
        timeout = self.patience if timeout is None else timeout
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self._check()
            if result := condition():
                return result
            time.sleep(POLL)
        raise AirflowError(f"{problem} within {timeout:.0f} seconds; logs are in {self.logs}")

    def _check(self) -> None:
        """Raise :class:`AirflowError` if a component has ended."""
        if self._keeper is None:
            raise AirflowError("Airflow has not been started")
        if self._keeper.poll() is not None:
            raise AirflowError(self._failure())

    def _failure(self) -> str:
        """Return which component ended, and the end of its log."""
        assert self._keeper is not None
        assert self._keeper.stdout is not None
        component = self._keeper.stdout.read().strip()
        log = self.logs / f"{component}.log"
        return f"Airflow's {component} ended, with this at the end of {log}:\n{tail(log)}"


def check_port(port: int) -> None:
    """Raise :class:`AirflowError` unless this port of 127.0.0.1 is free."""
    cure = "choose another: make demo PORT=…"
    if not 0 < port < 65536:
        raise AirflowError(f"Port {port} is not between 1 and 65535; {cure}")
    with socket.socket() as client:
        if client.connect_ex((HOST, port)) == 0:
            raise AirflowError(f"Port {port} is in use; {cure}")
    with socket.socket() as server:
        # As uvicorn binds it: connections of an Airflow that has just ended don't count.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((HOST, port))
        except OSError as error:
            raise AirflowError(f"Port {port} cannot be used ({error.strerror}); {cure}") from None


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now."""
    with socket.socket() as server:
        server.bind((HOST, 0))
        return server.getsockname()[1]


def tail(log: Path, lines: int = LINES) -> str:
    """Return the last lines of a log; of a task's log, which holds JSON, what a person wants to read."""
    text = log.read_text(errors="replace") if log.exists() else ""
    readable = (part for line in text.splitlines() for part in _readable(line))
    return "\n".join([line for line in readable if line.strip()][-lines:])


def _readable(line: str) -> Iterator[str]:
    """Give the lines that a line of a log stands for."""
    try:
        record = json.loads(line)
        yield from f"{record['level']}: {record['event']}".splitlines()
        for error in record.get("error_detail", ()):
            yield f"{error['exc_type']}: {error['exc_value']}"
    except (ValueError, KeyError, TypeError):
        yield line


def _time(text: str | None) -> dt.datetime:
    """Read one of the REST API's times; none is long ago."""
    if text is None:
        return dt.datetime.min.replace(tzinfo=dt.timezone.utc)
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 does not know "Z"


def _quoted(segment: str) -> str:
    return quote(segment, safe="")


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{_quoted(dag_id)}/dagRuns/{_quoted(run_id)}"
