"""Who may see what: every route refuses unless it is told otherwise."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from airflow.api_fastapi.app import get_auth_manager
from airflow_segmentation.www.view import SegmentationView
from flask import Flask, Response
from flask_appbuilder import expose
from starlette.routing import Mount

BASE = "/pluginsv2/segmentation"
RUN = "dag_id=open&run_id=manual__0"
ROUTES = {
    "/": "/",
    "/run": f"/run?{RUN}",
    "/dag": "/dag?dag_id=open",
    "/run/sweep.csv": f"/run/sweep.csv?{RUN}",
    "/run/report.json": f"/run/report.json?{RUN}",
    "/run/charts.html": f"/run/charts.html?{RUN}",
}
"""Every route with data, and an address of it that an admin can open."""
NAMING_A_DAG = [path for route, path in ROUTES.items() if route != "/"]
WITHOUT_DATA = "/static/<asked>/<name>"
"""The one rule that answers anyone: it serves scripts and styles."""


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


@pytest.mark.parametrize("path", ROUTES.values())
@pytest.mark.parametrize("user", ["admin", "viewer"])
def test_a_user_of_all_dags_sees_every_route(server: Any, path: str, user: str) -> None:
    assert server.get(path, user).status_code == 200


@pytest.mark.parametrize("path", NAMING_A_DAG)
def test_a_user_without_permission_is_refused(server: Any, path: str) -> None:
    response = server.get(path, "nobody")

    assert response.status_code == 403
    assert "manual__0" not in response.text


@pytest.mark.parametrize("path", NAMING_A_DAG)
@pytest.mark.parametrize("server", ["fab"], indirect=True)
def test_a_user_of_one_dag_sees_that_dag_only_and_nothing_tells_which_others_exist(
    server: Any, path: str
) -> None:
    own = server.get(path, "one")
    others = server.get(path.replace("dag_id=open", "dag_id=secret"), "one")
    unknown = server.get(path.replace("dag_id=open", "dag_id=there-is-none"), "one")

    assert own.status_code == 200
    assert others.status_code == unknown.status_code == 403
    assert others.text == unknown.text


@pytest.mark.parametrize("server", ["fab"], indirect=True)
def test_a_second_dag_id_does_not_slip_past_the_first(server: Any) -> None:
    for first, second in (("open", "secret"), ("secret", "open")):
        assert server.get(f"/run?dag_id={first}&dag_id={second}&run_id=manual__0", "one").status_code == 403


@pytest.mark.parametrize("path", NAMING_A_DAG)
@pytest.mark.parametrize("server", ["fab"], indirect=True)
def test_the_right_to_a_dag_without_its_xcoms_is_not_enough(server: Any, path: str) -> None:
    assert server.get(path, "no-xcoms").status_code == 403


@pytest.mark.parametrize("server", ["fab"], indirect=True)
@pytest.mark.parametrize(
    ("user", "listed"),
    [("admin", {"open", "secret"}), ("one", {"open"}), ("no-xcoms", set()), ("nobody", set())],
)
def test_the_list_holds_what_the_user_may_read(server: Any, user: str, listed: set[str]) -> None:
    page = server.get("/", user).text

    offered = set(re.findall(r"<option [^>]*>(open|secret)</option>", page))
    linked = set(re.findall(r"dag\?dag_id=(open|secret)", page))
    assert offered == listed
    assert linked <= listed


def test_the_header_serves_as_well_as_the_cookie(server: Any) -> None:
    bearer = {"Authorization": f"Bearer {server.tokens['admin']}"}

    assert server.get(ROUTES["/run"], None, headers=bearer).status_code == 200


def test_the_header_wins_over_the_cookie(server: Any) -> None:
    bearer = {"Authorization": f"Bearer {server.tokens['nobody']}"}

    assert server.get(ROUTES["/run"], "admin", headers=bearer).status_code == 403


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", ""])
def test_an_invalid_token_is_refused(server: Any, token: str) -> None:
    response = server.get(ROUTES["/run"], None, headers={"Authorization": f"Bearer {token}"})

    assert response.status_code == (403 if token else 401)


def test_a_token_signed_by_another_airflow_is_refused(server: Any) -> None:
    head, body, signature = server.tokens["admin"].split(".")
    forged = ".".join([head, body, signature[::-1]])

    assert server.get("/", None, headers={"Authorization": f"Bearer {forged}"}).status_code == 403


def test_an_expired_token_asks_to_log_in(server: Any) -> None:
    manager = get_auth_manager()
    generator = manager._get_token_signer(expiration_time_in_seconds=-3600)
    claims = manager._get_token_validator().validated_claims(server.tokens["admin"])
    expired = generator.generate({name: value for name, value in claims.items() if name in ("sub", "role")})

    assert server.get("/", None, headers={"Authorization": f"Bearer {expired}"}).status_code == 401


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Dest": "document"}, {"Accept": "text/html,*/*;q=0.8"}])
def test_a_browser_is_sent_to_log_in_and_comes_back(server: Any, headers: dict[str, str]) -> None:
    response = server.get(ROUTES["/run"], None, headers=headers)

    assert response.status_code == 302
    target = urlsplit(response.headers["Location"])
    assert target.path.rstrip("/") == "/auth/login"
    assert parse_qs(target.query)["next"] == [BASE + ROUTES["/run"]]


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
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["frame-ancestors"] == "'self'"
    assert not any("unsafe" in sources or "http" in sources for sources in policy.values())
