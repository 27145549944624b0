"""The address of Spark's own page, whose port Spark does not tell where it took another than was set."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from airflow_segmentation.engines.spark import page
from airflow_segmentation.engines.spark.page import page_of, port_of
from local_airflow import HOST


class Answers(BaseHTTPRequestHandler):
    """Answers for one application, as Spark's page does."""

    def __init__(self, app_id: str, *arguments: Any) -> None:
        self.app_id = app_id
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.send_response(200 if self.path == f"/api/v1/applications/{self.app_id}" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def application(app_id: str, port: int = 0) -> Iterator[int]:
    """Show an application's page, and give its port."""
    answers = partial(Answers, app_id)
    with HTTPServer((HOST, port), answers) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(server.serve_forever)
        try:
            yield server.server_port
        finally:
            server.shutdown()


def conf(**settings: str) -> Any:
    """The settings of a cluster."""
    held = {f"spark.{name.replace('_', '.')}": value for name, value in settings.items()}
    return SimpleNamespace(get=lambda name, default: held.get(name, default))


@pytest.fixture
def set_port() -> Iterator[int]:
    """A port that another application has, after which others are free."""
    with application("other") as port:
        yield port


def test_where_another_application_has_the_port_the_page_is_at_one_of_the_next(set_port: int):
    with contextlib.ExitStack() as stack:
        for port in range(set_port + 1, set_port + page.PORTS):
            with contextlib.suppress(OSError):
                taken = stack.enter_context(application("app-1", port))
                break
        settings = conf(driver_host=HOST, ui_port=str(set_port), app_id="app-1")
        assert page_of(settings, "s") == f"http://{HOST}:{taken}/connect/session/?id=s"
        assert port_of(HOST, set_port, "other") == set_port
    assert port_of(HOST, set_port, "app-1") == set_port, "it is nowhere"


def test_a_page_that_does_not_answer_is_taken_for_where_it_was_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(page, "PATIENCE", 0.2)
    with socket.socket() as silent:
        silent.bind((HOST, 0))
        silent.listen(9)
        port = silent.getsockname()[1]
        assert port_of(HOST, port, "app-1") == port
    assert port_of("host.invalid", 65_535, "app-1") == 65_535


@pytest.mark.parametrize("settings", [{}, {"ui_port": "0"}, {"ui_enabled": "false"}])
def test_a_cluster_without_a_page_has_no_address(settings: dict[str, str]):
    host = {"driver_host": HOST} if settings else {}
    assert page_of(conf(**host, **settings), "s") is None
