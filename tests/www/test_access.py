"""Who may see what: every route refuses unless it is told otherwise."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import anyio.to_thread
import pytest
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.utils.session import create_session
from airflow_segmentation.www import access
from airflow_segmentation.www.view import HEADERS, SegmentationView
from flask import Flask, Response
from flask_appbuilder import expose
from made.metadata import add_dag, add_team
from starlette.routing import Mount

BASE = "/pluginsv2/segmentation"
RUN = "dag_id=open&run_id=manual__0"
ROUTES = {
    "/": "/",
    "/run": f"/run?{RUN}",
    "/dag": "/dag?dag_id=open",
    "/run/sweep.csv": f"/run/sweep.csv?{RUN}",
    "/run/segments.csv": f"/run/segments.csv?{RUN}",
    "/run/report.json": f"/run/report.json?{RUN}",
    "/run/charts.html": f"/run/charts.html?{RUN}",
    "/choosing-k": "/choosing-k",
    "/images/<name>": "/images/choosing-elbow.png",
}
"""Every route that is guarded, and an address of it that an admin can open."""
NAMING_A_DAG = [path for path in ROUTES.values() if "dag_id" in path]
USELESS: dict[str | None, int] = {
    **{None: 401, "empty": 401, "expired": 401},
    **dict.fromkeys(["revoked", "forged", "foreign", "unsigned", "unknown", "nonsense"], 403),
}
"""Tokens that let nobody in, None for no token at all, and what they are answered."""
READABLE = {
    "admin": {"open", "secret"},
    "viewer": {"open", "secret"},
    "nobody": set[str](),
    "one": {"open"},
    "other": {"secret"},
    "some": {"open", "secret"},
    "no-xcoms": set[str](),
    "xcoms-only": {"open"},
}
"""The Dags whose reports each user may read."""
INNER = re.compile(r"Traceback|sqlalchemy|SELECT |site-packages|[a-z]+Error\b|/plugins/|segmentation-tests-")
"""What no answer may tell: stack traces, queries, and paths of this machine."""
WITHOUT_DATA = "/static/<asked>/<name>"
"""The one rule that answers anyone: it serves scripts and styles."""
only_fab = pytest.mark.parametrize("server", ["fab"], indirect=True)


def flask_app(server: Any) -> Flask:
    """Return the Flask app inside Airflow's app."""
    mounts: dict[str, Any] = {
        route.path: route for route in server.client.app.routes if isinstance(route, Mount)
    }
    return mounts["/pluginsv2"].app.app


def test_every_route_of_the_app_refuses_without_a_token(server: Any) -> None:
    rules = [rule for rule in flask_app(server).url_map.iter_rules() if rule.rule.startswith("/segmentation")]

    assert {rule.rule.removeprefix("/segmentation") for rule in rules} == {*ROUTES, WITHOUT_DATA}
    for rule in rules:
        path = rule.rule.removeprefix("/segmentation")
        if path == WITHOUT_DATA:
            continue
        for method in rule.methods or ():
            server.client.cookies.clear()
            for address in (path, ROUTES[path]):
                response = server.client.request(method, BASE + address, follow_redirects=False)
                assert response.status_code == 401, (method, address)
                assert 'data-state="message"' in response.text or method != "GET"


def test_a_route_added_without_a_thought_of_access_refuses() -> None:
    class Careless(SegmentationView):
        @expose("/careless")
        def careless(self) -> Response:
            return Response("a report")

    app = Flask("careless")
    app.register_blueprint(Careless().create_blueprint(appbuilder=None))

    response = app.test_client().get("/segmentation/careless", query_string={"dag_id": "open"})

    assert response.status_code == 401
    assert b"a report" not in response.data


def expected(visitor: str | None, path: str, dag_id: str) -> int:
    """Return what a visitor is answered who asks for a page of a Dag."""
    if visitor not in READABLE:
        return USELESS.get(visitor, 403)
    if dag_id in READABLE[visitor]:
        return 200
    if dag_id == "there-is-none" and visitor in ("admin", "viewer"):
        return 200 if path.startswith("/dag") else 404
    return 403


@pytest.mark.parametrize("dag_id", ["open", "secret", "there-is-none"])
@pytest.mark.parametrize("path", NAMING_A_DAG)
def test_a_page_of_a_dag_opens_to_those_who_may_read_it(server: Any, path: str, dag_id: str) -> None:
    path = path.replace("dag_id=open", f"dag_id={dag_id}")
    answers = {visitor: server.get(path, visitor) for visitor in (None, *server.tokens)}

    statuses = {visitor: answer.status_code for visitor, answer in answers.items()}
    assert statuses == {visitor: expected(visitor, path, dag_id) for visitor in answers}
    for visitor, answer in answers.items():
        assert not INNER.search(answer.text.split("plotly.js v")[0]), visitor
        assert answer.status_code != 403 or not re.search(r"manual__|open|secret", answer.text), visitor


@pytest.mark.parametrize("path", ["/", "/?q=manual", "/?dag_id=&sort=dag"])
def test_the_list_holds_what_the_visitor_may_read(server: Any, path: str) -> None:
    for visitor in (None, *server.tokens):
        answer = server.get(path, visitor)
        assert answer.status_code == (200 if visitor in READABLE else USELESS.get(visitor, 403)), visitor
        assert not INNER.search(answer.text), visitor
        told = set(re.findall(r"\b(open|secret)\b", re.sub("Open in", "", answer.text)))
        assert told == READABLE.get(visitor or "", set()), visitor


@pytest.mark.parametrize("path", NAMING_A_DAG)
@only_fab
def test_a_user_of_one_dag_sees_that_dag_only_and_nothing_tells_which_others_exist(
    server: Any, path: str
) -> None:
    own = server.get(path, "one")
    others = server.get(path.replace("dag_id=open", "dag_id=secret"), "one")
    unknown = server.get(path.replace("dag_id=open", "dag_id=there-is-none"), "one")

    assert own.status_code == 200
    assert others.status_code == unknown.status_code == 403
    assert others.text == unknown.text


@only_fab
def test_a_second_dag_id_does_not_slip_past_the_first(server: Any) -> None:
    for first, second in (("open", "secret"), ("secret", "open")):
        assert server.get(f"/run?dag_id={first}&dag_id={second}&run_id=manual__0", "one").status_code == 403


@only_fab
def test_who_may_read_xcoms_only_sees_no_run_and_no_task(server: Any) -> None:
    for run_id in ("manual__0", "running", "spread", "failed", "mapped"):
        text = server.get(f"/run?dag_id=open&run_id={run_id}", "xcoms-only").text
        shown = text[text.index("<main") :]
        assert re.search("k = 8|SSE so far", shown), run_id
        assert not re.search(r"success|tasks have finished|failed-task|This run failed|badge \w", shown)
        assert "data-poll" not in shown, "to be asked again tells that the run goes on"
    assert "12 of 30" not in server.get("/", "xcoms-only").text


@only_fab
@pytest.mark.parametrize("run_id", ["without", "there-is-none"])
def test_a_run_that_pushed_nothing_is_as_good_as_none_to_a_reader_of_xcoms(server: Any, run_id: str) -> None:
    answer = server.get(f"/run?dag_id=open&run_id={run_id}", "xcoms-only")

    assert answer.status_code == 404
    assert f"There is no run {run_id} of the Dag open" in answer.text


@only_fab
def test_who_may_read_runs_and_not_tasks_sees_the_run_alone(server: Any) -> None:
    going, failed = (
        server.get(f"/run?dag_id=open&run_id={run}", "one").text for run in ("running", "failed")
    )

    assert "data-poll" in going
    assert "tasks have finished" not in going
    assert "This run failed" in failed
    assert "failed-task" not in failed


@only_fab
def test_a_runs_configuration_is_for_readers_of_runs(server: Any) -> None:
    texts = {
        user: server.get("/run?dag_id=open&run_id=configured", user).text for user in ("one", "xcoms-only")
    }

    assert "of its own" in texts["one"]
    assert "of its own" not in texts["xcoms-only"]


@pytest.mark.parametrize("user", ["admin", None])
@pytest.mark.parametrize("path", ["", "//run?dag_id=open", "/run/nothing-here", "/%2e%2e//x"])
def test_what_flask_answers_in_our_place_has_our_headers_and_no_host(
    server: Any, path: str, user: str | None
) -> None:
    answer = server.get(path, user, headers={"Host": "evil.example"})

    assert answer.status_code in (308, 404, 405)
    assert "evil.example" not in answer.headers.get("Location", "/") + answer.text
    assert answer.headers.get("Location", "/pluginsv2/").startswith("/pluginsv2/")
    for name, value in HEADERS.items():
        assert answer.headers[name] == value, (path, answer.status_code)


def test_an_auth_manager_hears_which_team_owns_a_dag_where_there_are_teams(
    metadata_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(SimpleAuthManager):
        def is_authorized_dag(self, *, details: DagDetails | None = None, **_: Any) -> bool:  # type: ignore[override]
            heard.append(details)
            return True

    heard: list[DagDetails | None] = []
    monkeypatch.setattr(access, "get_auth_manager", Asked)
    with create_session(scoped=False) as session:
        add_dag(session, "of-a-team", bundle="north's")
        add_team(session, "north", bundle="north's")

    for multi_team in ("False", "True"):
        monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", multi_team)
        assert access.Viewer(user=None).may_read("of-a-team")

    assert heard == [DagDetails(id="of-a-team"), DagDetails(id="of-a-team", team_name="north")]


@pytest.mark.parametrize(
    ("user", "welcome"),
    [
        (SimpleNamespace(is_active=True), True),
        (SimpleNamespace(), True),
        (SimpleNamespace(is_active=False), False),
    ],
    ids=["active", "of a manager that dismisses nobody", "dismissed"],
)
def test_a_dismissed_user_is_let_in_by_no_token(
    monkeypatch: pytest.MonkeyPatch, user: Any, welcome: bool
) -> None:
    class Asked(SimpleAuthManager):
        async def get_user_from_token(self, token: str) -> Any:
            assert token == "theirs"
            return user

    monkeypatch.setattr(access, "get_auth_manager", Asked)
    request: Any = SimpleNamespace(headers={"Authorization": "Bearer theirs"}, cookies={})

    def answer() -> Any:
        # As a page is asked for: in a thread beside the event loop.
        return anyio.run(anyio.to_thread.run_sync, lambda: access.authenticate(request))

    if welcome:
        assert answer().user is user
    else:
        with pytest.raises(access.BadToken):
            answer()


def test_the_header_serves_as_well_as_the_cookie(server: Any) -> None:
    bearer = {"Authorization": f"Bearer {server.tokens['admin']}"}

    assert server.get(ROUTES["/run"], None, headers=bearer).status_code == 200


def test_the_header_wins_over_the_cookie(server: Any) -> None:
    bearer = {"Authorization": f"Bearer {server.tokens['nobody']}"}

    assert server.get(ROUTES["/run"], "admin", headers=bearer).status_code == 403


def test_of_two_headers_the_first_counts(server: Any) -> None:
    admin, nobody = (("Authorization", f"Bearer {server.tokens[name]}") for name in ("admin", "nobody"))

    assert server.get(ROUTES["/run"], None, headers=[admin, nobody]).status_code == 200
    assert server.get(ROUTES["/run"], None, headers=[nobody, admin]).status_code == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("visitor", ["admin", "nobody", None])
def test_no_request_changes_anything(
    server: Any, airflow_home: Path, method: str, visitor: str | None
) -> None:
    with closing(sqlite3.connect(airflow_home / "airflow.db")) as database:

        def changes() -> int:
            """Return what SQLite counts on whenever anyone else has committed a change."""
            (number,) = database.execute("PRAGMA data_version").fetchone()
            return int(number)

        before = changes()
        for path in ROUTES.values():
            server.client.cookies.clear()
            cookies = {} if visitor is None else {"Cookie": f"_token={server.tokens[visitor]}"}
            answer = server.client.request(method, BASE + path, headers=cookies, follow_redirects=False)
            assert answer.status_code < 500
            assert method in ("GET", "HEAD", "OPTIONS") or answer.status_code in (400, 401, 403, 405)
            assert not INNER.search(answer.text.split("plotly.js v")[0])

        assert changes() == before


def test_no_route_takes_more_than_questions(server: Any) -> None:
    """One that changes something needs a CSRF token, and a test of it here."""
    for rule in flask_app(server).url_map.iter_rules():
        if rule.rule.startswith("/segmentation"):
            assert (rule.methods or set()) <= {"GET", "HEAD", "OPTIONS"}, rule.rule


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Dest": "document"}, {"Accept": "text/html,*/*;q=0.8"}])
def test_a_browser_is_sent_to_log_in_and_comes_back(server: Any, headers: dict[str, str]) -> None:
    response = server.get(ROUTES["/run"], None, headers=headers)

    assert response.status_code == 302
    target = urlsplit(response.headers["Location"])
    assert target.path.rstrip("/") == "/auth/login"
    assert parse_qs(target.query)["next"] == [BASE + ROUTES["/run"]]


@pytest.mark.parametrize(
    ("page", "url"),
    [
        ("/auth/login", "/auth/login?next=%2Fa%3Fb%3D1%26c"),
        ("/auth/login?theme=dark", "/auth/login?theme=dark&next=%2Fa%3Fb%3D1%26c"),
        ("/auth/login?next=%2Felsewhere", "/auth/login?next=%2Felsewhere"),
    ],
)
def test_an_auth_manager_that_leaves_the_way_back_to_its_callers_is_helped(
    monkeypatch: pytest.MonkeyPatch, page: str, url: str
) -> None:
    class Asked(SimpleAuthManager):
        def get_url_login(self, **given: Any) -> str:
            assert given == {"next_url": "/a?b=1&c"}
            return page

    monkeypatch.setattr(access, "get_auth_manager", Asked)

    assert access.login_url("/a?b=1&c") == url


def test_a_tab_inside_airflow_says_that_the_session_has_ended(server: Any) -> None:
    response = server.get(ROUTES["/run"], None, headers={"Sec-Fetch-Dest": "iframe", "Accept": "text/html"})

    assert response.status_code == 401
    assert "You are not logged in" in response.text


@pytest.mark.parametrize("path", [*ROUTES.values(), "/run?dag_id=open&run_id=nope"])
@pytest.mark.parametrize("user", ["admin", "nobody", None])
def test_no_answer_is_cached_sniffed_framed_elsewhere_or_scripted_inline(
    server: Any, path: str, user: str | None
) -> None:
    headers = server.get(path, user).headers
    policy = dict(directive.split(" ", 1) for directive in headers["Content-Security-Policy"].split("; "))

    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["frame-ancestors"] == "'self'"
    assert not any("unsafe" in sources or "http" in sources for sources in policy.values())
