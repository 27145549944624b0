"""The page as Airflow serves it: its real API server app, under both auth managers, on a filled database."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import jwt
import pytest
from airflow.api_fastapi.app import create_app, get_auth_manager, purge_cached_app
from airflow.configuration import conf
from airflow.models.dagrun import DagRun
from airflow.sdk import Param
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow_segmentation.reports.report import (
    ASSIGNMENT_KEY,
    FAILURE_KEY,
    REPORT_KEY,
    SUMMARY_KEY,
    Choice,
    Failure,
)
from browser import browser as browser
from browser import chromium_path, new_window, windows_of_one_process
from made.metadata import add_dag, add_params, add_run, push, push_progress, push_report
from made.reports import (
    HOSTILE,
    continuum,
    evidenced,
    hostile,
    make_assignment,
    make_progress,
    make_report,
    succeeding,
)
from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import delete
from starlette.testclient import TestClient

BASE = "/pluginsv2/segmentation"
SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
SERVE = """
import sys, uvicorn
from airflow.api_fastapi.app import create_app
uvicorn.run(create_app(apps="core"), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""
"""Serves the app to a browser."""


@dataclass
class Server:
    """A running API server, and tokens of users of its auth manager by what they may do."""

    client: TestClient
    tokens: dict[str, str]

    def get(self, path: str, user: str | None = "admin", **options: Any) -> Any:
        """Ask for a page of the plugin as a user, or as nobody."""
        self.client.cookies.clear()
        if user is not None:
            self.client.cookies.set("_token", self.tokens[user])
        return self.client.get(BASE + path, follow_redirects=False, **options)


@pytest.fixture(scope="session")
def filled(metadata_database: None) -> None:
    """Runs of every kind in the metadata database."""
    done = {(task, -1): "success" for task in ("load", "scale", "sweep", "choose", "assign")}
    swept = {**done, ("choose", -1): "failed", ("assign", -1): "upstream_failed"}
    sweeping = {**done, ("sweep", -1): "running", ("choose", -1): None, ("assign", -1): None}
    with create_session(scoped=False) as session:
        session.execute(delete(DagRun))  # those that tests of operators left would fill the first page
        for dag_id in ("open", "secret", "empty", HOSTILE):
            add_dag(session, dag_id)
        add_params(session, "open", {"k_max": 30, "k": Param(None, type=["null", "integer"])})
        for number in range(4):
            triggered = {"k_max": 12} if number == 0 else None
            run = add_run(session, "open", f"manual__{number}", tasks=done, number=number, conf=triggered)
            push_report(session, run, make_report(seed=number % 2, k=8 - number % 2))
        push_report(session, add_run(session, "secret", "manual__0", tasks=done), make_report(seed=2, k=5))
        mapped = add_run(
            session, "open", "mapped", tasks={("choose", 0): "success", ("choose", 1): "success"}, number=4
        )
        push_report(session, mapped, make_report(), ("choose", 0))
        push_report(session, mapped, make_report(seed=1, k=4), ("choose", 1))
        running = add_run(session, "open", "running", state=DagRunState.RUNNING, tasks=sweeping, number=5)
        push_progress(session, running, make_progress())
        parted = {("sweep", 0): "success", ("sweep", 1): "running", ("sweep", 2): "running"}
        spread = add_run(session, "open", "spread", state=DagRunState.RUNNING, tasks=parted, number=25)
        one, two = (make_progress(done=done, total=10, k_min=k, sweep="one") for done, k in ((10, 1), (5, 9)))
        # Both have k = 9 and 10, and each is the better at one of them.
        one = dataclasses.replace(one, curve=(*one.curve[:-1], (10.0, 2 * one.curve[-1][1])))
        two = dataclasses.replace(two, curve=((9.0, 2 * two.curve[0][1]), *two.curve[1:]))
        push_progress(session, spread, one, ("sweep", 0))
        push_progress(session, spread, two, ("sweep", 1))
        push_progress(session, spread, make_progress(done=3, total=10, k_min=20, sweep="one"), ("sweep", 2))
        apart = add_run(session, "open", "apart", state=DagRunState.RUNNING, tasks=parted, number=26)
        for index in range(3):
            push_progress(session, apart, make_progress(sweep=f"of data {index}"), ("sweep", index))
        failed = add_run(session, "open", "failed", state=DagRunState.FAILED, tasks=swept, number=6)
        push_progress(session, failed, make_progress(done=30))
        push(session, failed, ("choose", -1), FAILURE_KEY, Failure(f"k=99 is not in {HOSTILE}").to_json())
        add_run(session, "open", "without", tasks=done, number=7)
        configured = add_run(session, "open", "configured", conf={"secret": "of its own"}, number=40)
        push(session, configured, ("choose", -1), REPORT_KEY, make_report().to_json())
        for number, (run_id, value) in enumerate(UNREADABLE.items(), start=8):
            broken = add_run(session, "open", run_id, tasks=done, number=number)
            push(session, broken, ("choose", -1), REPORT_KEY, value)
            if run_id == "broken":
                push(session, broken, ("choose", -1), SUMMARY_KEY, value)
        older = make_report().to_json()
        for later in (
            "stability",
            "half_range",
            "half_k_max",
            "profiles",
            "sample",
            "plane",
            "choices",
            "schema_version",
            "silhouette_rows",
        ):
            del older[later]
        for point in older["curve"]:
            point |= point.pop("scores", {})
        for feature in older["features"]:
            del feature["mean"], feature["deviation"]
        push(
            session,
            add_run(session, "open", "older", tasks=done, number=20),
            ("choose", -1),
            REPORT_KEY,
            older,
        )
        sampled = dataclasses.replace(
            make_report(), rows=123_456, silhouette_rows=5_012, choices=(Choice("silhouette", 30),)
        )
        run = add_run(session, "open", "sampled", tasks=done, number=28)
        push(session, run, ("choose", -1), REPORT_KEY, sampled.to_json())
        named = succeeding(evidenced(make_report()), "Savers", "", "Travellers")
        shown = {"evidenced": evidenced(make_report()), "continuum": continuum(make_report()), "named": named}
        for number, (run_id, report) in enumerate(shown.items(), start=32):
            run = add_run(session, "open", run_id, tasks=done, number=number)
            push(session, run, ("choose", -1), REPORT_KEY, report.to_json())
            push(session, run, ("choose", -1), ASSIGNMENT_KEY, make_assignment().to_json())
        add_dag(session, "unlike")
        for number, (run_id, report) in enumerate(UNLIKE.items()):
            push_report(session, add_run(session, "unlike", run_id, number=number), report)
        add_run(session, "empty", "manual__0", tasks=done)
        conf.set("scheduler", "allowed_run_id_pattern", ".*")  # as an admin may; it allows little otherwise
        worst = add_run(session, HOSTILE, HOSTILE, tasks=done)
        push_report(session, worst, hostile(HOSTILE))
        told = make_assignment(uri=HOSTILE, columns={"segment": HOSTILE})
        push(session, worst, ("choose", -1), ASSIGNMENT_KEY, told.to_json())


UNLIKE = {
    "alike": make_report(seed=1, k=7),
    "other-range": make_report(seed=1, k_max=12, k=6),
    "other-features": make_report(seed=1, features=5, k=7),
    "given": dataclasses.replace(make_report(seed=1, k=5), decided_by="given"),
    "other-method": dataclasses.replace(
        make_report(seed=1, k=2), method="silhouette", decided_by="silhouette"
    ),
    "latest": make_report(seed=1, k=8),
}
"""Reports of one Dag, of which only the first and the last are alike, by run id."""

UNREADABLE: dict[str, Any] = {
    "newer": {"schema_version": 99},
    "broken": {"k": "eight"},
    "list": [1, 2, 3],
    "text": "not a report",
    "off-the-curve": {**make_report().to_json(), "k": 999},
    "ragged": {**make_report().to_json(), "sample": [[1.0]]},
}
"""What may lie where a report should, by run id."""


def _simple_tokens() -> dict[str, str]:
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    roles = {"admin": "ADMIN", "viewer": "VIEWER", "nobody": None}
    manager = get_auth_manager()
    return {
        name: manager.generate_jwt(SimpleAuthManagerUser(username=name, role=role))
        for name, role in roles.items()
    }


def _fab_tokens() -> dict[str, str]:
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        security = builder.sm
        security.sync_roles()
        security.create_dag_specific_permissions()
        allowed = [("can_read", "DAG:open"), ("can_read", "XComs"), ("can_read", "DAG Runs")]
        security.bulk_sync_roles([{"role": "One Dag", "perms": allowed}])
        security.bulk_sync_roles([{"role": "Other Dag", "perms": [("can_read", "DAG:secret"), *allowed[1:]]}])
        security.bulk_sync_roles([{"role": "Some Dags", "perms": [("can_read", "DAG:secret"), *allowed]}])
        security.bulk_sync_roles([{"role": "No XComs", "perms": [("can_read", "DAG:open")]}])
        security.bulk_sync_roles([{"role": "XComs only", "perms": allowed[:2]}])
        security.add_role("Nothing")
        roles = {"admin": "Admin", "viewer": "Viewer", "nobody": "Nothing", "dismissed": "Admin"}
        roles |= {"one": "One Dag", "other": "Other Dag", "some": "Some Dags", "no-xcoms": "No XComs"}
        roles |= {"xcoms-only": "XComs only"}
        for name, role in roles.items():
            if security.find_user(username=name) is None:  # the server may have been up before
                security.add_user(
                    name, name, name, f"{name}@example.com", security.find_role(role), password=name
                )
        users = {name: security.find_user(username=name) for name in roles}
        users["dismissed"].active = False
        security.update_user(users["dismissed"])
        return {name: get_auth_manager().generate_jwt(user) for name, user in users.items()}


def _useless_tokens(token: str) -> dict[str, str]:
    """Return what an admin's token can be turned into, none of which lets anyone in."""
    manager = get_auth_manager()
    claims = jwt.decode(token, options={"verify_signature": False})
    identity = {name: value for name, value in claims.items() if name in ("sub", "role", "teams")}
    head, body, signature = token.split(".")
    useless = {
        "expired": manager._get_token_signer(expiration_time_in_seconds=-3600).generate(identity),
        "forged": ".".join([head, body, signature[::-1]]),
        "foreign": jwt.encode(claims, "the key of another Airflow" * 4, algorithm="HS512"),
        "unsigned": jwt.encode(claims, "", algorithm="none"),
        "unknown": manager._get_token_signer().generate({"sub": "999999"}),
        "nonsense": "a.b.c",
        "empty": "",
    }
    if hasattr(manager, "revoke_token"):  # Airflow 3.2 and later
        useless["revoked"] = manager._get_token_signer().generate(identity)
        manager.revoke_token(useless["revoked"])
    return useless


@pytest.fixture(scope="session", params=["simple", "fab"])
def server(request: pytest.FixtureRequest, filled: None) -> Iterator[Server]:
    """A server, once with the simple auth manager and once with FAB's.

    Both know an admin, a viewer, and nobody, who may do nothing; FAB also knows "one", who may read the Dag
    "open" but not its tasks, "other", who may read "secret", "some", who may read both, "no-xcoms", who may
    read "open" but not its XComs, "xcoms-only", who may read of "open" no more than these, and "dismissed",
    an admin no longer active. Then there are tokens that are worth nothing.
    """
    path, tokens = {"simple": (SIMPLE, _simple_tokens), "fab": (FAB, _fab_tokens)}[request.param]
    before = conf.get("core", "auth_manager")
    conf.set("core", "auth_manager", path)
    purge_cached_app()
    with TestClient(create_app(apps="core")) as client:
        known = tokens()
        yield Server(client, known | _useless_tokens(known["admin"]))
    conf.set("core", "auth_manager", before)
    purge_cached_app()


@pytest.fixture(scope="session")
def serve(filled: None) -> Callable[..., AbstractContextManager[str]]:
    """A function that serves the page with other settings of Airflow's, and gives its address."""
    return served


@pytest.fixture(scope="session")
def url(filled: None) -> Iterator[str]:
    """The address of the page, served by Airflow's app in a process of its own, where no login is needed.

    It is not served where there is no browser.
    """
    chromium_path()
    with served(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True") as address:
        yield address


@contextmanager
def served(**settings: str) -> Iterator[str]:
    """Serve the page by Airflow's app in a process of its own, with these settings, and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(port)],
        env=os.environ | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    base = urlsplit(settings.get("AIRFLOW__API__BASE_URL", "")).path.rstrip("/")
    address = f"http://127.0.0.1:{port}{base}/pluginsv2/segmentation/"
    deadline = time.monotonic() + 180  # two cores may be busy with other tests
    try:
        while True:
            try:
                urlopen(address).close()
                break
            except HTTPError:  # an answer all the same
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server did not start"
        yield address
    finally:
        process.terminate()
        process.wait()


def is_refusal(message: str) -> bool:
    """Tell whether a browser says that it refused anything, but for the style attributes that Plotly sets."""
    return "Content Security Policy" in message and "inline style" not in message


@pytest.fixture(scope="module")
def windows(browser: Browser) -> Iterator[BrowserContext]:
    """What the windows of a module's tests are opened in."""
    options = {
        "viewport": {"width": 1500, "height": 900},
        "permissions": ["clipboard-read", "clipboard-write"],
    }
    with windows_of_one_process(browser, **options) as windows:
        yield windows


@pytest.fixture
def page(windows: BrowserContext) -> Iterator[Page]:
    """A window in which nothing may go wrong unseen: an exception or a refused script fails the test."""
    wrong: list[str] = []
    with new_window(windows) as page:
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on("console", lambda message: wrong.append(message.text) if is_refusal(message.text) else None)
        yield page
    assert wrong == []
