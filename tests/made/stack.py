"""The stack of docker-compose.yaml without containers: each service a process, as described there.

What stands in for the containers:

- host names are 127.0.0.1, and ports are free ones of this machine;
- `/opt/airflow` is a folder of each container's own, with the volumes linked into it, or, without volumes,
  with a copy of what the image holds;
- PostgreSQL and Redis are this machine's programs, and the image's entrypoint is the script below;
- Spark is what `make test-spark` installs.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.request import Request

import psutil
from airflow.utils.net import getfqdn
from airflow_segmentation.links import page_path
from local_airflow import HOST, KEEPER, ROOT, Airflow, AirflowError, free_port, tail
from spark import cluster

from made.compose import COMPLETED, HEALTHY, Service, read_services

COMPOSE_FILE = ROOT / "docker-compose.yaml"
CONTAINER_HOME = "/opt/airflow"
POSTGRES, REDIS, INIT, WORKER = "postgres", "redis", "airflow-init", "airflow-worker"
SPARK = "spark"
"""The profile of a Spark cluster."""
IMAGE = ("dags", "plugins")
"""Folders of the checkout that the image holds; its data, too, but here that lies in the object store."""

# What makes it small and quick, or safe to run beside other tests; all else is docker-compose.yaml's.
SETTINGS = {
    "AIRFLOW__API__HOST": HOST,
    "AIRFLOW__CELERY__FLOWER_HOST": HOST,
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}

# As the documentation of Airflow's image tells what its entrypoint does with these variables.
ENTRYPOINT = """#!/bin/bash
set -e
if [[ ${_AIRFLOW_DB_MIGRATE:-} == true ]]; then airflow db migrate; fi
if [[ ${_AIRFLOW_WWW_USER_CREATE:-} == true ]]; then
    airflow users create --username "$_AIRFLOW_WWW_USER_USERNAME" --password "$_AIRFLOW_WWW_USER_PASSWORD" \\
        --role Admin --firstname Airflow --lastname Admin --email admin@example.org
fi
exec "$@"
"""


@dataclass
class Container:
    """A service that runs, or one worker of several."""

    name: str
    service: Service
    folder: Path
    """What it writes that no volume holds; its output is in a log here."""
    process: subprocess.Popen[str]

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / f"{self.name}.log"


class Stack(Airflow):
    """The services of docker-compose.yaml as one Airflow; all their processes end on leaving the context.

    :param home: folder for everything that they write; others than this user must be able to enter it.
    :param workers: how many of the worker, as `--scale` says.
    """

    # For a service that hangs: one that ends is noticed at once. On a busy machine a first start, which
    # compiles all of Airflow, is slow; airflow-init alone took more than three minutes.
    patience = 900.0

    def __init__(self, home: Path, workers: int = 2) -> None:
        super().__init__(home, free_port(), dags=home / "project" / "dags")
        self.workers = workers
        self.containers: dict[str, Container] = {}
        self.services: dict[str, Service] = {}
        self.has_volumes = True
        self._asked: object = None
        self._ports = {name: free_port() for name in (POSTGRES, REDIS, "health", "flower")}
        self._spark_ports = {port: str(free_port()) for port in ("7077", "8090", "8091", "4040", "15002")}

    def start(self) -> None:
        """Make a fresh checkout; :meth:`up` starts the services."""
        for folder in ("dags", "plugins", "data"):
            shutil.copytree(ROOT / folder, self.home / "project" / folder)
        (self.home / "project" / "model").mkdir()
        entrypoint = self.home / "entrypoint"
        entrypoint.write_text(ENTRYPOINT)
        entrypoint.chmod(0o755)

    def up(
        self,
        variables: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        volumes: bool = True,
        spark: bool = False,
    ) -> None:
        """Start what does not run, each service when those it depends on are ready, and wait for health.

        What runs of Airflow because something else was asked for is ended first.

        :param variables: what a file `.env` would say.
        :param settings: more environment of Airflow's services.
        :param volumes: whether to mount volumes; without them no two containers share a folder.
        :param spark: whether to start the services of that profile, too.
        """
        asked = (variables, settings, volumes, spark)
        if asked != self._asked:
            self._end([name for name in self.containers if name not in (POSTGRES, REDIS)])
            self._asked, self._started = asked, datetime.now(timezone.utc)
        self.services = read_services(COMPOSE_FILE, {"AIRFLOW_UID": str(os.getuid()), **(variables or {})})
        self.settings = SETTINGS | dict(settings or {})
        self.has_volumes = volumes
        if spark:
            cluster.install()
        for name, service in self.services.items():
            if spark or SPARK not in service.profiles:
                self._up(name)
        for container in self.containers.values():
            self._wait_until_healthy(container)
        self.until(self._answers, f"Airflow did not answer on {self.url}")
        administrator = self.services[INIT].environment
        self.log_in(administrator["_AIRFLOW_WWW_USER_USERNAME"], administrator["_AIRFLOW_WWW_USER_PASSWORD"])

    @property
    def spark_ui(self) -> str:
        """Page of the Spark Connect server."""
        return f"http://{HOST}:{self._spark_ports['4040']}"

    def stop(self) -> None:
        """End every process. A second call does nothing."""
        self._end(list(self.containers))

    def kill(self, name: str) -> None:
        """End all processes of a container with SIGKILL, as when its machine dies."""
        container = self.containers.pop(name)
        keeper = psutil.Process(container.process.pid)
        for process in [keeper, *keeper.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        container.process.wait()

    def log_in(self, username: str, password: str) -> None:
        """Call the REST API as this user from now on."""
        credentials = json.dumps({"username": username, "password": password}).encode()
        headers = {"Content-Type": "application/json"}
        with self._opener.open(
            Request(f"{self.url}/auth/token", credentials, headers), timeout=60
        ) as response:
            self.headers["Authorization"] = f"Bearer {json.load(response)['access_token']}"

    @contextlib.contextmanager
    def as_user(self, username: str) -> Iterator[None]:
        """Call the REST API as a user that `add_user` added, and after that as who called it before."""
        before = self.headers["Authorization"]
        self.log_in(username, username)
        try:
            yield
        finally:
            self.headers["Authorization"] = before

    def add_user(self, username: str, *roles: str) -> None:
        """Add a user of these roles, whose password is the name."""
        user = {"username": username, "password": username, "roles": [{"name": role} for role in roles]}
        user |= {"first_name": username, "last_name": roles[0], "email": f"{username}@example.org"}
        self._add("users", user)

    def add_role(self, name: str, *permissions: tuple[str, str]) -> None:
        """Add a role with these permissions, each an action on a resource."""
        pairs = [
            {"action": {"name": action}, "resource": {"name": resource}} for action, resource in permissions
        ]
        self._add("roles", {"name": name, "actions": pairs})

    def execute(self, command: str) -> None:
        """Run a command of the shell as `docker compose exec airflow-apiserver` does."""
        container = self.containers["airflow-apiserver"]
        environment = self._environment(container.name, container.folder, container.service)
        done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr[-2000:]}"

    def page(self, route: str, **query: str) -> str:
        """Return a page of the plugin."""
        url = f"{self.url}{page_path(route, **query)}"
        with self._opener.open(Request(url, headers=self.headers), timeout=60) as response:
            return response.read().decode()

    def run_dag(self, dag_id: str) -> str:
        """Run a Dag to its end, once it has been read, and return the run's id.

        :raises AirflowError: unless every task succeeds.
        """
        self.wait_for_dag(dag_id)
        run_id = self.trigger(dag_id)
        self.expect_success(dag_id, run_id)
        return run_id

    def run_on_every_worker(self, dag_id: str, runs: int = 8) -> str:
        """Run a Dag until each worker has done a task, and return the last run's id.

        Tasks that come one after the other may all go to the same worker: which takes one is chance.
        """
        for _ in range(runs):
            run_id = self.run_dag(dag_id)
            workers = [box for name, box in self.containers.items() if name.startswith("airflow-worker-")]
            if all("succeeded in" in worker.log.read_text() for worker in workers):
                return run_id
        raise AssertionError(f"In {runs} runs a worker had nothing to do")

    def expect_success(self, dag_id: str, run_id: str) -> None:
        """Return when the run ends.

        :raises AirflowError: unless every task succeeds.
        """
        states = {(task["task_id"], task["map_index"]): task["state"] for task in self.follow(dag_id, run_id)}
        if set(states.values()) != {"success"}:
            raise AirflowError(f"The run {run_id} of {dag_id} ended with {states}")

    def connection_to(self, database: str) -> dict[str, Any]:
        """Return a connection to a database of PostgreSQL's server, as Airflow's REST API takes it."""
        environment = self.services[POSTGRES].environment
        login = {"login": environment["POSTGRES_USER"], "password": environment["POSTGRES_PASSWORD"]}
        return {
            "conn_type": "postgres",
            "host": HOST,
            "port": self._ports[POSTGRES],
            "schema": database,
            **login,
        }

    def database_dump(self) -> str:
        """Return everything in the metadata database, as SQL."""
        environment = self.services[POSTGRES].environment
        return subprocess.run(
            [_postgres_program("pg_dump"), "--host", HOST, "--username", environment["POSTGRES_USER"]],
            env={
                "PGPORT": str(self._ports[POSTGRES]),
                "PGDATABASE": environment["POSTGRES_DB"],
                "PGPASSWORD": environment["POSTGRES_PASSWORD"],
            },
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def _add(self, kind: str, what: Mapping[str, Any]) -> None:
        """Add a user or a role by FAB's API."""
        request = Request(f"{self.url}/auth/fab/v1/{kind}", json.dumps(what).encode(), self.headers)
        self._opener.open(request, timeout=60).close()

    def _up(self, name: str) -> None:
        """Start a service, after those that it depends on, unless it runs."""
        service = self.services[name]
        names = [f"{name}-{number}" for number in range(1, self.workers + 1)] if name == WORKER else [name]
        missing = [one for one in names if one not in self.containers]
        for other, condition in service.depends_on.items() if missing else ():
            self._up(other)
            if condition == HEALTHY:
                self._wait_until_healthy(self.containers[other])
            if condition == COMPLETED:
                self._wait_until_completed(self.containers[other])
        for one in missing:
            self._run(one, service)

    def _run(self, name: str, service: Service) -> None:
        folder = self.home / "containers" / name
        folder.mkdir(parents=True, exist_ok=True)
        if name == POSTGRES:
            self._make_database(folder, service)
        elif name != REDIS:
            self._fill_home(folder / "airflow", service)
        command = json.dumps({name: self._command(name, folder, service)})
        # The keeper ends the service when this process ends, whatever ends it.
        process = subprocess.Popen(
            [sys.executable, str(KEEPER), str(folder), command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=self._environment(name, folder, service),
        )
        self.containers[name] = Container(name, service, folder, process)

    def _fill_home(self, home: Path, service: Service) -> None:
        """Lay out the container's `/opt/airflow`."""
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        for target, source in service.volumes.items():
            folder = home / Path(target).relative_to(CONTAINER_HOME)
            mounted = self.home / ("project" if source.startswith(".") else "volumes") / source
            if self.has_volumes:
                mounted.mkdir(parents=True, exist_ok=True)
                folder.symlink_to(mounted.resolve())
            elif folder.name in IMAGE:
                shutil.copytree(self.home / "project" / folder.name, folder)
            else:
                folder.mkdir()

    def _here(self, text: str, folder: Path) -> str:
        """Return a text of docker-compose.yaml with the container's paths and addresses as they are here."""
        places = {
            CONTAINER_HOME: str(folder / "airflow"),
            "/entrypoint": str(self.home / "entrypoint"),
            "@postgres/": f"@{HOST}:{self._ports[POSTGRES]}/",
            "//redis:6379": f"//{HOST}:{self._ports[REDIS]}",
            "redis-cli": f"redis-cli -p {self._ports[REDIS]}",
            "airflow-apiserver:8080": f"{HOST}:{self.port}",
            "localhost:8080": f"{HOST}:{self.port}",
            "localhost:5555": f"{HOST}:{self._ports['flower']}",
            "localhost:8974": f"{HOST}:{self._ports['health']}",
            '"sc://spark-connect", "port": 15002': f'"sc://{HOST}", "port": {self._spark_ports["15002"]}',
        }
        for there, here in places.items():
            text = text.replace(there, here)
        return text

    def _here_on_spark(self, text: str, folder: Path) -> str:
        """Do for Spark's services what `_here` does for Airflow's."""
        hosts = dict.fromkeys(("spark-master", "spark-connect", "localhost", "0.0.0.0"), HOST)
        places = self._spark_ports | hosts | {"/tmp/work": str(folder / "work")}
        return re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], text)

    def _command(self, name: str, folder: Path, service: Service) -> list[str]:
        if name == POSTGRES:
            options = ["-p", str(self._ports[POSTGRES]), "-c", f"listen_addresses={HOST}"]
            options += ["-c", "unix_socket_directories=", "-c", "fsync=off"]
            return _as_postgres("postgres", "-D", str(folder / "data"), *options)
        if name == REDIS:
            port = str(self._ports[REDIS])
            return ["redis-server", "--bind", HOST, "--port", port, "--save", "", "--dir", str(folder)]
        if SPARK in service.profiles:
            return [self._here_on_spark(word, folder) for word in service.command]
        command = [*(service.entrypoint or [sys.executable, "-m", "airflow"]), *service.command]
        if service.name == WORKER:
            command += ["--celery-hostname", f"celery@{name}"]
        return [self._here(word, folder) for word in command]

    def _environment(self, name: str, folder: Path, service: Service) -> dict[str, str]:
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW_", "AWS_"))
        }
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        environment = inherited | {
            "NO_PROXY": HOST,
            "no_proxy": HOST,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited["PATH"]]),
            "PGPORT": str(self._ports[POSTGRES]),
            "HOSTNAME": name if service.name == WORKER else getfqdn(),
        }
        if name in (POSTGRES, REDIS):
            return environment
        if SPARK in service.profiles:
            # Of the image the programs and the Python; listen on this machine only.
            path = os.pathsep.join([str(cluster.PYTHON.parent), environment["PATH"]])
            here = {"SPARK_LOCAL_IP": HOST, "SPARK_LOCAL_DIRS": str(folder / "work")}
            return environment | here | {"PATH": path, "PYSPARK_PYTHON": str(cluster.PYTHON)}
        environment |= {
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__CELERY__FLOWER_PORT": str(self._ports["flower"]),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self._ports["health"]),
        }
        described = {key: self._here(value, folder) for key, value in service.environment.items()}
        return environment | described | self.settings

    def _make_database(self, folder: Path, service: Service) -> None:
        """Make what PostgreSQL's image makes of its environment."""
        password = folder / "password"
        password.write_text(service.environment["POSTGRES_PASSWORD"])
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
            shutil.chown(password, "postgres")
        data, user = str(folder / "data"), service.environment["POSTGRES_USER"]
        options = ["--username", user, "--pwfile", str(password), "--auth", "scram-sha-256", "--no-sync"]
        create = f"CREATE DATABASE {service.environment['POSTGRES_DB']}"
        make = [_as_postgres("initdb", "--pgdata", data, *options)]
        make += [_as_postgres("postgres", "--single", "-D", data, "postgres")]
        for command in make:
            subprocess.run(command, input=create, text=True, cwd=folder, check=True, capture_output=True)

    def _wait_until_healthy(self, container: Container) -> None:
        if container.service.healthcheck is None:
            return
        here = self._here_on_spark if SPARK in container.service.profiles else self._here
        check = here(container.service.healthcheck, container.folder)
        environment = self._environment(container.name, container.folder, container.service)

        def is_healthy() -> bool:
            return subprocess.run(check, shell=True, env=environment, capture_output=True).returncode == 0

        self._until_ready(container, is_healthy, "was not healthy")

    def _wait_until_completed(self, container: Container) -> None:
        self._until_ready(container, lambda: container.process.poll() is not None, "did not complete")

    def _until_ready(self, container: Container, condition: Callable[[], bool], problem: str) -> None:
        """Wait for a condition; if it is not met, tell what the container printed: its log will be gone."""
        try:
            self.until(condition, f"{container.name} {problem}")
        except AirflowError as error:
            raise AirflowError(f"{error}\n{container.name} printed:\n{tail(container.log)}") from None

    def _check(self) -> None:
        """Raise :class:`AirflowError` if a service has failed, or ended that should run."""
        for container in self.containers.values():
            status = container.process.poll()
            if status is not None and (status or container.name != INIT):
                raise AirflowError(f"{container.name} ended with {status}:\n{tail(container.log)}")

    def _end(self, names: list[str]) -> None:
        """End containers, all at once."""
        ended = [self.containers.pop(name).process for name in names]
        for process in ended:
            assert process.stdin is not None
            process.stdin.close()
        for process in ended:
            process.wait()


def _postgres_program(name: str) -> str:
    """Return a program of PostgreSQL's server, which Debian keeps off the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which(name, path=os.pathsep.join([*map(str, reversed(folders)), os.environ["PATH"]]))
    if found is None:
        raise AirflowError(f"No {name}: install PostgreSQL's server (Debian: apt-get install postgresql)")
    return found


def _as_postgres(program: str, *arguments: str) -> list[str]:
    """Return a command of PostgreSQL, which refuses to run as root."""
    user = ["runuser", "--user", "postgres", "--"] if os.getuid() == 0 else []
    return [*user, _postgres_program(program), *arguments]
