"""What is said if nothing can be logged, and who gets the login. A real MLflow server is in tests/stack."""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from airflow.exceptions import AirflowException
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators import MlflowLogOperator
from airflow_segmentation.operators.mlflow_server import MlflowServer
from local_airflow import free_port
from made.tasks import Task

PASSWORD = "hunter2-of-the-vault"
NOT_MLFLOW = "What answers is not the MLflow server of the connection 'mlflow'"


class Answering(ThreadingHTTPServer):
    """Answers all requests in the same way, and keeps their paths and headers."""

    status, body, location = 200, "{}", ""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Answering

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(self.server.body.encode())))
        self.end_headers()
        self.wfile.write(self.server.body.encode())

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def answering() -> Iterator[Answering]:
    """A server that says what a test has it say."""
    with Answering() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that connects to a server, by fields of a connection."""

    def connected(host: str, **fields: Any) -> MlflowServer:
        connection = {"conn_type": "http", "host": host, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_MLFLOW", json.dumps(connection))
        return MlflowServer("mlflow")

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return connected


def log(**arguments: Any) -> Any:
    """Log in a task of its own."""
    task: Any = Task("log")
    return MlflowLogOperator(task_id="log", **{"experiment": "e", **arguments}).execute({"ti": task})


def test_there_must_be_something_to_log():
    with pytest.raises(ValueError, match="Give report, published, or both"):
        MlflowLogOperator(task_id="log", experiment="e")
    with pytest.raises(InputError, match="published is empty, and no report is given"):
        log(published="None")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"experiment": ""}, "experiment='' should be text of 1 to 250"),
        ({"experiment": "x" * 251}, "should be text of 1 to 250"),
        ({"experiment": "a\nb"}, "experiment='a\\\\nb' should be text in one line"),
        ({"alias": None}, "alias=None should be text"),
        ({"published": "{'version': 1}"}, "should be what PublishSegmentsOperator returned"),
        (
            {"published": {"version": 1, "model_path": "/x/model.skops"}},
            "is not where version 1 of published",
        ),
        ({"published": {"version": 1, "model_path": "/x/versions/0001/model.skops"}}, "There is no file at"),
    ],
)
def test_what_cannot_be_logged_is_said_before_anybody_is_asked(arguments: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        log(**{"published": {}, **arguments})


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "airflow.providers.http.hooks.http", None)
    with pytest.raises(InputError, match=r"install airflow-segmentation\[mlflow\]"):
        MlflowServer("mlflow")


def test_without_the_connection_the_message_says_which_to_make():
    with pytest.raises(InputError, match="There is no connection 'mlflow_of_nobody'; add it in Admin"):
        MlflowServer("mlflow_of_nobody")


LOGIN = f"me:{PASSWORD}@mlflow.example.org"


@pytest.mark.parametrize("host", ["", LOGIN, f"https://{LOGIN}"])
def test_the_host_is_an_address_and_no_login(connect: Any, host: str):
    with pytest.raises(InputError, match="should have the address") as raised:
        connect(host, schema="https")
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "header"),
    [
        ({"password": PASSWORD}, f"Bearer {PASSWORD}"),
        (
            {"login": "me", "password": PASSWORD},
            "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode(),
        ),
        ({}, None),
    ],
    ids=["token", "login", "nobody"],
)
def test_a_token_is_the_password_alone(answering: Answering, connect: Any, fields: Any, header: str | None):
    answering.body = '{"experiment": {"experiment_id": "7"}}'

    assert connect(answering.url, **fields).experiment("a b&c") == "7"
    ((path, headers),) = answering.asked
    assert path == "/api/2.0/mlflow/experiments/get-by-name?experiment_name=a+b%26c"
    assert headers["Authorization"] == header


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, "<!doctype html>", NOT_MLFLOW),
        (404, "<!doctype html>", NOT_MLFLOW),
        (404, '{"detail": "Not Found"}', NOT_MLFLOW),
        (401, "Who are you?", "does not let this task in"),
        (
            403,
            '{"error_code": "PERMISSION_DENIED", "message": "No"}',
            r"let this task in \(403: No\)",
        ),
        (400, '{"error_code": "BAD", "message": "a\\nb\\u202ec"}', r"refuses what it was asked \(BAD: a b"),
    ],
)
def test_what_no_retry_makes_right_is_said_with_the_cure(
    answering: Answering, connect: Any, status: int, body: str, message: str
):
    answering.status, answering.body = status, body
    with pytest.raises(InputError, match=message):
        connect(answering.url, password=PASSWORD).experiment("e")


def test_a_server_that_fails_may_not_the_next_time_and_tells_no_password(answering: Answering, connect: Any):
    answering.status, answering.body = 503, f'{{"message": "No database for Bearer {PASSWORD}"}}'
    with pytest.raises(AirflowException, match=r"failed \(503: No database for Bearer \*\*\*\)") as raised:
        connect(answering.url, password=PASSWORD).experiment("e")
    assert not isinstance(raised.value, InputError)


def test_a_login_goes_to_no_other_address(answering: Answering, connect: Any):
    answering.status, answering.location = 302, f"{answering.url}/login"
    with pytest.raises(InputError, match=NOT_MLFLOW):
        connect(answering.url, password=PASSWORD).experiment("e")
    assert len(answering.asked) == 1


def test_the_proxy_of_the_connection_comes_before_that_of_the_worker(
    answering: Answering, connect: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    answering.body = '{"experiment": {"experiment_id": "7"}}'
    server = connect("http://mlflow.invalid", extra=json.dumps({"proxies": {"http": answering.url}}))

    assert server.experiment("e") == "7"
    ((path, _),) = answering.asked
    assert path.startswith("http://mlflow.invalid/api/")


def test_a_server_that_is_away_is_one_line_and_may_be_back(connect: Any):
    server = connect(f"http://127.0.0.1:{free_port()}", login="me", password=PASSWORD)
    with pytest.raises(AirflowException, match=r"does not answer \(.*Connection refused\); look") as raised:
        server.experiment("e")
    assert not isinstance(raised.value, InputError)
    assert raised.value.__suppress_context__
    assert len(str(raised.value)) < 250


@pytest.mark.parametrize("fields", [{"host": "http://[oh"}, {"login": "\u4e2d", "password": PASSWORD}])
def test_a_connection_that_nobody_can_use_is_said_so(connect: Any, fields: dict[str, str]):
    with pytest.raises(InputError, match="cannot be used") as raised:
        connect(**{"host": f"http://127.0.0.1:{free_port()}", **fields}).experiment("e")
    assert PASSWORD not in str(raised.value)
