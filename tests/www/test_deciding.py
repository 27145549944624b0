"""Reviews answered on the page, in a real Chromium, through Airflow's real API, by people who logged in."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow_segmentation.reports.report import REVIEW_KEY, Review
from browser import serious, shown
from made.metadata import add_run, push, push_report
from made.reports import HOSTILE, evidenced, make_report
from made.reviews import WAITS, add_review
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import delete, select, update

PEOPLE = {"anna": "admin", "vera": "viewer"}
NOW = "2026-03-14T09:26:53+00:00"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The settings of an Airflow that knows them, each by a password."""
    path = tmp_path_factory.mktemp("people") / "passwords.json"
    path.write_text(json.dumps({name: f"{name}'s own" for name in PEOPLE}))
    return {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(map(":".join, PEOPLE.items())),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(path),
    }


@pytest.fixture(scope="module")
def guarded(browser: Browser, serve: Any, people: dict[str, str]) -> Iterator[str]:
    """The address of the page, where people log in."""
    with serve(**people) as address:
        yield address


@pytest.fixture
def log_in(guarded: str, page: Page) -> Callable[[str], Page]:
    """A function that logs somebody in."""
    return partial(logged_in, page, guarded)


def logged_in(page: Page, address: str, name: str) -> Page:
    """Log somebody in by Airflow's own form."""
    page.goto(address.replace("/pluginsv2/segmentation/", "/auth/login"))
    page.locator("input[name=username]").fill(name)
    page.locator("input[name=password]").fill(f"{name}'s own")
    page.locator("button[type=submit]").click()
    page.wait_for_function("() => !location.pathname.includes('/auth/')")
    return page


class Waiting:
    """A run of the Dag "open" whose review waits. Unless it goes on, its page does not look for news."""

    def __init__(self, run_id: str, goes_on: bool = False, **review: Any) -> None:
        self.run_id, self.path = run_id, f"run?dag_id=open&run_id={run_id}"
        tasks = {("choose", -1): "success", ("review", -1): WAITS}
        state = DagRunState.RUNNING if goes_on else DagRunState.SUCCESS
        with create_session(scoped=False) as session:
            run = add_run(session, "open", run_id, state=state, tasks=tasks, number=80)
            push_report(session, run, evidenced(make_report()))
            add_review(session, run, **review)

    @property
    def detail(self) -> HITLDetail:
        """What Airflow knows of it."""
        with create_session(scoped=False) as session:
            return session.scalars(select(HITLDetail).where(HITLDetail.ti_id == self._ti_id(session))).one()

    def change(self, **values: Any) -> None:
        """Change what Airflow knows of it."""
        with create_session(scoped=False) as session:
            session.execute(
                update(HITLDetail).where(HITLDetail.ti_id == self._ti_id(session)).values(**values)
            )

    def taken(self, review: Review) -> None:
        """Have the task take an answer."""
        with create_session(scoped=False) as session:
            run = session.scalars(select(DagRun).where(DagRun.run_id == self.run_id)).one()
            push(session, run, ("review", -1), REVIEW_KEY, review.to_json())
            session.execute(
                update(TaskInstance).where(TaskInstance.run_id == self.run_id).values(state="success")
            )

    def _ti_id(self, session: Any) -> Any:
        return session.scalar(select(TaskInstance.id).filter_by(run_id=self.run_id, task_id="review"))


@pytest.fixture
def waiting(filled: None) -> Iterator[Callable[..., Waiting]]:
    """A function that makes a run whose review waits."""
    yield partial(Waiting, "waiting")
    with create_session(scoped=False) as session:
        session.execute(delete(DagRun).where(DagRun.run_id == "waiting"))


def test_another_k_is_approved_with_names_and_shown_from_then_on(
    guarded: str, log_in: Any, waiting: Any
) -> None:
    asked, page = waiting(goes_on=True), log_in("anna")
    shown(page, guarded + asked.path)
    page.evaluate("window.same = true")

    page.locator("#k").fill("5")
    expect(page.get_by_role("button", name="Approve k = 5")).to_be_visible()
    page.get_by_label("Name of segment 0").fill("Savers")
    page.get_by_label("Name of segment 3").fill("  ")
    page.get_by_label("Name of segment 4").fill("Big <spenders>")
    page.get_by_label("Reason").fill("Five are enough")
    page.get_by_role("button", name="Approve k = 5").click()

    expect(page.get_by_role("heading", name="Answered: Approve")).to_be_visible()
    expect(page.locator(".review")).to_contain_text("By anna")
    expect(page.get_by_label("Name of segment 0")).to_have_count(0)
    detail = asked.detail
    assert detail.chosen_options == ["Approve"]
    assert detail.params_input == {
        "k": 5,
        "names": {"0": "Savers", "4": "Big <spenders>"},
        "reason": "Five are enough",
    }
    assert detail.responded_by == {"id": "anna", "name": "anna"}

    taken = Review("choose", "?", 5, "Approve", {"4": "Big <spenders>"}, "anna", NOW, "Five are enough")
    asked.taken(taken)

    expect(page.get_by_role("heading", name="Approved: k = 5")).to_be_visible()
    expect(page.locator(".review")).to_contain_text("Segment 4 is Big <spenders>.")
    assert page.evaluate("window.same")


def test_the_card_answers_below_a_base_path_too(
    serve: Any, people: dict[str, str], page: Page, waiting: Any
) -> None:
    asked = waiting()
    with serve(**people, AIRFLOW__API__BASE_URL="http://127.0.0.1/some/team/") as address:
        assert "/some/team/" in address
        logged_in(page, address, "anna")
        shown(page, address + asked.path)

        page.get_by_role("button", name="Approve k = 8").click()

        expect(page.get_by_role("heading", name="Answered: Approve")).to_be_visible()
    assert asked.detail.responded_by == {"id": "anna", "name": "anna"}


def test_segments_are_rejected(guarded: str, log_in: Any, waiting: Any) -> None:
    asked, page = waiting(), log_in("anna")
    shown(page, guarded + asked.path)

    page.get_by_label("Reason").fill("None of them")
    page.get_by_role("button", name="Reject").click()

    expect(page.get_by_role("heading", name="Answered: Reject")).to_be_visible()
    assert (asked.detail.chosen_options, asked.detail.params_input["reason"]) == (["Reject"], "None of them")


def test_what_was_typed_outlives_a_look_at_another_k(guarded: str, log_in: Any, waiting: Any) -> None:
    asked, page = waiting(goes_on=True), log_in("anna")
    shown(page, guarded + asked.path)
    page.get_by_label("Name of segment 7").fill("Savers")
    page.get_by_label("Reason").fill("Because")

    page.locator("#k").fill("7")
    expect(page.get_by_role("button", name="Approve k = 7")).to_be_visible()
    expect(page.get_by_label("Name of segment 7")).to_have_count(0)
    expect(page.get_by_label("Name of segment 6")).to_have_value("")
    page.locator("#k").fill("8")
    expect(page.get_by_role("button", name="Approve k = 8")).to_be_visible()
    asked.taken(Review("choose", "?", 8, refused="Too long"))
    asked.change(subject="Once more")

    expect(page.get_by_label("Name of segment 7")).to_have_value("Savers")
    expect(page.get_by_label("Reason")).to_have_value("Because")


def test_that_somebody_else_has_decided_meanwhile_is_said(guarded: str, log_in: Any, waiting: Any) -> None:
    asked, page = waiting(), log_in("anna")
    shown(page, guarded + asked.path)
    asked.change(
        responded_at=asked.detail.created_at,
        responded_by={"id": "otto", "name": "otto"},
        chosen_options=["Reject"],
    )

    page.get_by_role("button", name="Approve k = 8").click()

    expect(page.locator("#decide-note")).to_have_text("Somebody else has decided meanwhile; that stands.")
    expect(page.get_by_role("heading", name="Answered: Reject")).to_be_visible()
    expect(page.locator(".review")).to_contain_text("By otto")
    assert asked.detail.chosen_options == ["Reject"]


def test_that_the_right_was_lost_meanwhile_is_said(guarded: str, log_in: Any, waiting: Any) -> None:
    asked, page = waiting(), log_in("anna")
    shown(page, guarded + asked.path)
    asked.change(assignees=[{"id": "otto", "name": "otto"}])

    page.get_by_role("button", name="Approve k = 8").click()

    expect(page.locator("#decide-note")).to_contain_text("you may not answer this review, or no longer")
    expect(page.get_by_role("heading", name="A review waits")).to_be_visible()
    assert asked.detail.responded_at is None


def test_that_the_session_is_over_is_said_and_nothing_typed_is_lost(
    guarded: str, log_in: Any, waiting: Any
) -> None:
    asked, page = waiting(), log_in("anna")
    shown(page, guarded + asked.path)
    page.get_by_label("Reason").fill("Because")
    page.context.clear_cookies()

    page.get_by_role("button", name="Approve k = 8").click()

    expect(page.locator("#decide-note")).to_contain_text("Your session has ended, and nothing was decided.")
    expect(page.get_by_label("Reason")).to_have_value("Because")
    assert asked.detail.responded_at is None


def test_that_the_review_is_gone_is_said(guarded: str, log_in: Any, waiting: Any) -> None:
    asked, page = waiting(), log_in("anna")
    shown(page, guarded + asked.path)
    with create_session(scoped=False) as session:
        session.execute(delete(HITLDetail))

    page.get_by_role("button", name="Approve k = 8").click()

    expect(page.locator("#decide-note")).to_contain_text("This review is no longer there")


def test_without_a_network_one_decides_again(guarded: str, log_in: Any, waiting: Any) -> None:
    asked, page = waiting(), log_in("anna")
    shown(page, guarded + asked.path)
    page.get_by_label("Reason").fill("Because")
    page.route("**/hitlDetails", lambda route: route.abort())

    page.get_by_role("button", name="Approve k = 8").click()

    expect(page.locator("#decide-note")).to_contain_text("Airflow cannot be reached")
    page.unroute("**/hitlDetails")
    page.get_by_role("button", name="Approve k = 8").click()
    expect(page.get_by_role("heading", name="Answered: Approve")).to_be_visible()
    expect(page.locator("#decide-note")).to_be_empty()
    assert asked.detail.params_input["reason"] == "Because"


def test_who_may_not_answer_sees_that_a_review_waits(guarded: str, log_in: Any, waiting: Any) -> None:
    asked, page = waiting(), log_in("vera")
    shown(page, guarded + asked.path)

    expect(page.get_by_role("heading", name="A review waits")).to_be_visible()
    expect(page.locator("[data-decide], [data-typed]")).to_have_count(0)


@pytest.mark.parametrize("width", [1366, 390])
def test_the_card_is_readable_by_all_and_nothing_scrolls_sideways(
    guarded: str, log_in: Any, waiting: Any, width: int
) -> None:
    asked, page = waiting(subject=HOSTILE, refused=HOSTILE), log_in("anna")
    page.set_viewport_size({"width": width, "height": 900})
    shown(page, guarded + asked.path)

    for mode in ("light", "dark"):
        page.emulate_media(color_scheme=mode)
        expect(page.locator("html")).to_have_attribute("data-mode", mode)
        assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    expect(page.locator(".review")).to_contain_text(HOSTILE[:30])


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[int]:
    """The port of somebody else's pages."""

    class Pages(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>A page of somebody else</title>")

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


ATTEMPTS = """async target => {
  const answered = [];
  const body = JSON.stringify({ chosen_options: ["Approve"], params_input: {} });
  for (const [method, mode, type] of [
    ["PATCH", "cors", "application/json"], ["PATCH", "cors", "text/plain"],
    ["PATCH", "no-cors", "text/plain"], ["POST", "no-cors", "text/plain"],
    ["POST", "cors", "application/json"],
  ]) {
    try {
      const headers = { "Content-Type": type };
      if (mode === "cors") headers["X-HTTP-Method-Override"] = "PATCH";
      const response = await fetch(target, { method, mode, credentials: "include", headers, body });
      answered.push([method, mode, response.type, response.status]);
    } catch { answered.push([method, mode, "refused", 0]); }
  }
  return answered;
}"""
SENT_BY_A_FORM = """target => {
  const form = document.createElement("form");
  Object.assign(form, { action: target + "?_method=PATCH", method: "post", enctype: "text/plain" });
  const field = document.createElement("input");
  form.append(Object.assign(field, { name: '{"chosen_options":["Approve"],"x":"', value: '"}' }));
  document.body.append(form);
  form.submit();
}"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["same site", "other site"])
def test_a_page_of_another_origin_cannot_answer(
    guarded: str, log_in: Any, waiting: Any, elsewhere: int, host: str
) -> None:
    asked, page = waiting(), log_in("anna")
    root = guarded.replace("/pluginsv2/segmentation/", "")
    target = f"{root}/api/v2/dags/open/dagRuns/waiting/taskInstances/review/-1/hitlDetails"
    (cookie,) = [one for one in page.context.cookies() if one["name"] == "_token"]
    assert cookie["sameSite"] == "Lax"

    page.goto(f"http://{host}:{elsewhere}/")
    answered = page.evaluate(ATTEMPTS, target)

    assert [each for each in answered if each[0] == "PATCH" and each[2] != "refused"] == []
    assert [each for each in answered if each[2] not in ("refused", "opaque")] == []
    page.evaluate(SENT_BY_A_FORM, target)
    page.wait_for_url(f"{target}?**")
    assert asked.detail.responded_at is None

    page.goto(f"{root}/static/pin_32.png")  # what counts is the origin: from here the same is taken
    assert page.evaluate(ATTEMPTS, target)[0] == ["PATCH", "cors", "basic", 200]
    assert asked.detail.chosen_options == ["Approve"]


def test_a_page_of_another_origin_cannot_show_the_card_in_a_frame(
    guarded: str, log_in: Any, waiting: Any, elsewhere: int
) -> None:
    asked, page = waiting(), log_in("anna").context.new_page()
    page.goto(f"http://127.0.0.1:{elsewhere}/")
    frame = (
        "address => document.body.append(Object.assign(document.createElement('iframe'), { src: address }))"
    )

    with page.expect_console_message(lambda message: "frame-ancestors" in message.text):
        page.evaluate(frame, guarded + asked.path)

    assert page.frame_locator("iframe").locator(".review").count() == 0
