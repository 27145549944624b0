"""An MLflow server on this machine, with a login, on SQLite; and segments of made customers to log.

>>> with Server(home) as server:
...     server.get("experiments/search", max_results="10")

MLflow itself is in an environment of its own, `.cache/mlflow`: it takes older versions of libraries than
Airflow has. The server listens on 127.0.0.1 only, and ends with the process that started it, whatever
ends that: see `keeper.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import environment
import pandas as pd
import requests
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow_segmentation.operators import KMeansSweepOperator, PublishSegmentsOperator
from local_airflow import HOST, KEEPER, free_port, tail

from made.customers import write_customers
from made.tasks import Task

FOLDER = environment.ROOT / ".cache" / "mlflow"
PYTHON = FOLDER / "bin" / "python"
MADE_OF = "2026-11-20"
"""Day whose newest versions MLflow is installed with: they are not those of constraints.txt."""
PATIENCE, POLL = 180.0, 0.1
"""Seconds that a start may take on a busy machine, and between two looks."""
LOGIN = "admin"
AUTH = """[mlflow]
default_permission = READ
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
database_uri = sqlite:///{home}/auth.db
admin_username = {login}
auth_cache_ttl_seconds = 600
"""


class Server:
    """A server that nobody is let in to without a password.

    :param home: folder for all that it writes.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.password = secrets.token_urlsafe(30)
        self.url = f"http://{HOST}:{free_port()}"
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy has no business between this machine and itself
        self._session.auth = (LOGIN, self.password)
        self._keeper: subprocess.Popen[str] | None = None

    @property
    def connection(self) -> str:
        """A connection to the server, as an environment variable has it."""
        return json.dumps({"conn_type": "http", "host": self.url, "login": LOGIN, "password": self.password})

    def __enter__(self) -> Server:
        install()
        host, port = self.url.removeprefix("http://").split(":")
        command = [
            *(str(FOLDER / "bin" / "mlflow"), "server", "--host", host, "--port", port, "--workers", "1"),
            *("--app-name", "basic-auth", "--backend-store-uri", f"sqlite:///{self.home}/mlflow.db"),
            *("--artifacts-destination", str(self.home / "artifacts")),
        ]
        config = self.home / "auth.ini"
        config.write_text(AUTH.format(home=self.home, login=LOGIN))
        others = ("MLFLOW_", "AIRFLOW_")
        env = {name: value for name, value in os.environ.items() if not name.startswith(others)} | {
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.password,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(30),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        self._keeper = subprocess.Popen(
            [sys.executable, str(KEEPER), str(self.home), json.dumps({"mlflow": command})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.home,
            env=env,
        )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._keeper.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"MLflow did not start:\n{tail(self.home / 'mlflow.log')}")
            time.sleep(POLL)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server."""
        assert self._keeper is not None
        self._keeper.communicate()

    def get(self, what: str, **query: str) -> Any:
        """Ask MLflow's REST API."""
        return self._answer(self._session.get(f"{self.url}/api/2.0/mlflow/{what}", params=query)).json()

    def post(self, what: str, **body: Any) -> Any:
        """Have MLflow do or search something."""
        return self._answer(self._session.post(f"{self.url}/api/2.0/mlflow/{what}", json=body)).json()

    def runs(self, experiment: str) -> list[Any]:
        """Return the runs of an experiment; none where there is no such experiment."""
        found = self.post("experiments/search", max_results=1000).get("experiments", [])
        ids = [each["experiment_id"] for each in found if each["name"] == experiment]
        return self.post("runs/search", experiment_ids=ids).get("runs", []) if ids else []

    def history(self, run_id: str, metric: str) -> list[tuple[int, float]]:
        """Return every value that was logged of a metric, with its step."""
        found = self.get("metrics/get-history", run_id=run_id, metric_key=metric)
        return sorted((each.get("step", 0), each["value"]) for each in found.get("metrics", []))

    def artifact(self, run_id: str, path: str) -> bytes:
        """Return an artifact, as MLflow's page gets it."""
        answer = self._session.get(f"{self.url}/get-artifact", params={"run_id": run_id, "path": path})
        return self._answer(answer).content

    def python(self, program: str, *arguments: str) -> str:
        """Return what a program prints that has MLflow and a login to the server."""
        env = {
            "PATH": os.environ["PATH"],
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_TRACKING_USERNAME": LOGIN,
            "MLFLOW_TRACKING_PASSWORD": self.password,
        }
        done = subprocess.run(
            [PYTHON, "-c", program, *arguments], capture_output=True, text=True, env=env, cwd=self.home
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _answers(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            return self._session.get(f"{self.url}/health", timeout=5).ok
        return False

    @staticmethod
    def _answer(response: requests.Response) -> requests.Response:
        assert response.ok, response.text
        return response


def install() -> None:
    """Make the environment that MLflow has, for this Python, or bring it up to date."""
    env = {"UV_CACHE_DIR": str(environment.ROOT / ".cache" / "uv"), **os.environ}
    uv = "uv" if environment.works("uv") else str(Path(sys.executable).with_name("uv"))
    if not PYTHON.exists():
        environment.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(FOLDER)], env)
    wanted = environment.requirements_of("mlflow-server")
    day = ["--exclude-newer", MADE_OF]
    environment.run([uv, "pip", "install", "--quiet", "--python", str(PYTHON), *day, *wanted], env)


def write_sweep(folder: Path, features: tuple[str, str] = ("BALANCE", "PURCHASES")) -> str:
    """Sweep made customers whose two features are called so, k = 1 to 6, and return the URI of the sweep."""
    customers = pd.read_csv(write_customers(folder)).dropna()
    customers = customers.rename(columns=dict(zip(("BALANCE", "PURCHASES"), features, strict=True)))
    customers.to_parquet(folder / "customers.parquet")
    data = str(folder / "customers.parquet")
    operator = KMeansSweepOperator(task_id="sweep", data=data, features=list(features), k_max=6)
    task: Any = Task(f"sweep of {folder.name}")
    return operator.execute({"ti": task})


def publish(path: Path, sweep: str, k: int) -> dict[str, Any]:
    """Publish k segments in a folder, and return what the task does."""
    operator = PublishSegmentsOperator(task_id="publish", name="customers", path=str(path), sweep=sweep, k=k)
    task: Any = Task("publish")
    task.run_id = secrets.token_hex(4)
    return operator.execute({"ti": task, "outlet_events": OutletEventAccessors()})
