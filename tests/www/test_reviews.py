"""What the pages say of reviews, and to whom they offer to answer: those whose answer Airflow takes."""

from __future__ import annotations

import gc
import html
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from airflow import settings
from airflow.api_fastapi.app import get_auth_manager
from airflow.models.dagrun import DagRun
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow_segmentation.reports.report import REVIEW_KEY
from made.metadata import add_run, push, push_report
from made.reports import HOSTILE, evidenced, make_report
from made.reviews import WAITS, add_review, ask, settled
from sqlalchemy import delete, event, select

NUMBER = 60
"""Hours after the others, so that its run stands first in the list."""


@pytest.fixture
def reviewed(filled: None) -> Iterator[Callable[..., str]]:
    """A function that adds a run with a review to the Dag "open", and returns the address of its page."""
    added: list[str] = []

    def add(
        state: str | None = WAITS, report: Any = None, mapped: Sequence[int] = (-1,), **review: Any
    ) -> str:
        run_id = f"reviewed-{len(added)}"
        added.append(run_id)
        tasks: dict[tuple[str, int], str | None] = {("choose", index): "success" for index in mapped}
        tasks |= {("review", index): state for index in mapped}
        with create_session(scoped=False) as session:
            run = add_run(
                session, "open", run_id, state=DagRunState.RUNNING, tasks=tasks, number=NUMBER + len(added)
            )
            for index in mapped:
                push_report(session, run, report or evidenced(make_report()), ("choose", index))
                add_review(session, run, ("review", index), **review)
        return f"/run?dag_id=open&run_id={run_id}"

    yield add
    with create_session(scoped=False) as session:
        session.execute(delete(DagRun).where(DagRun.run_id.in_(added)))


def card(page: str) -> str:
    """Return the card of the first review of a page."""
    found = re.search(r'<section class="card review".*?</section>', page, re.DOTALL)
    assert found
    return html.unescape(found[0])


def api(address: str) -> str:
    """Return where Airflow takes answers to the review of a page."""
    run_id = address.partition("run_id=")[2]
    return f"/api/v2/dags/open/dagRuns/{run_id}/taskInstances/review/-1/hitlDetails"


def answer(server: Any, address: str, user: str) -> int:
    """Answer the review of a page as a user, past the page."""
    server.client.cookies.clear()
    server.client.cookies.set("_token", server.tokens[user])
    return server.client.patch(api(address), json={"chosen_options": ["Approve"]}).status_code


def test_a_form_is_offered_to_those_whose_answer_airflow_takes(server: Any, reviewed: Any) -> None:
    offered = {}
    for user in ("admin", "viewer", "nobody", *({"one", "some"} & server.tokens.keys())):
        address = reviewed()
        shown = server.get(address, user)
        offered[user] = "data-answer=" in shown.text
        assert (answer(server, address, user) == 200) is offered[user], user
        if shown.status_code == 200:
            assert ("A review waits" in card(shown.text)) is not offered[user]
    assert offered["admin"]
    assert not offered["viewer"]


def test_those_who_may_answer_can_be_named(server: Any, reviewed: Any) -> None:
    address = reviewed(assigned=("somebody else",))

    page = server.get(address).text

    assert "It is not for you to answer" in card(page)
    assert "data-answer=" not in page
    assert "data-number=" not in page
    assert answer(server, address, "admin") == 403


def test_the_form_takes_the_k_that_is_looked_at_and_the_names_of_its_segments(
    server: Any, reviewed: Any
) -> None:
    address = reviewed()

    page = server.get(f"{address}&k=5").text

    assert f'data-answer="{api(address)}" data-k="5"' in card(page)
    assert "Approve k = 5" in card(page)
    assert "k = 8 was chosen" in card(page)
    assert re.findall(r'data-number="(\d+)"', page) == ["0", "1", "2", "3", "4"]


def test_names_are_of_published_segments_by_number(server: Any, reviewed: Any) -> None:
    page = server.get(reviewed(report=settled(make_report(k=5)), k=5)).text

    assert re.findall(r'value="([^"]*)" data-number="(\d+)"', page) == [
        ("Savers", "10"),
        *(("", str(number)) for number in range(11, 15)),
    ]


def test_a_decision_is_shown_ever_after(server: Any, reviewed: Any) -> None:
    address = reviewed(
        state="success",
        decision="Approve",
        k=5,
        names={"0": "Savers"},
        by="anna",
        at="2026-03-14T09:26:53+00:00",
        reason="Five are enough",
    )

    for user in ("admin", "viewer"):
        text = re.sub(r"<[^>]+>", "", card(server.get(address, user).text))
        assert "Approved: k = 5" in text
        assert "By anna, 2026-03-14 09:26 UTC. Five are enough" in text
        assert "Segment 0 is Savers." in text
    assert "data-decide" not in server.get(address).text


@pytest.mark.parametrize(
    ("state", "review", "said"),
    [
        ("success", {"decision": "Reject", "by": "anna"}, "Rejected: k = 8"),
        ("success", {"decision": "Approve", "reason": "Nothing changed"}, "Nothing changed"),
        ("failed", {}, "Nobody answered in time, or the task failed"),
        ("running", {}, "The task that asks is running."),
        (WAITS, {"refused": "k=99 was not swept"}, "The last answer could not be taken: k=99 was not swept"),
    ],
)
def test_how_a_review_stands_is_said(
    server: Any, reviewed: Any, state: str, review: dict[str, Any], said: str
) -> None:
    assert said in re.sub(r"<[^>]+>", "", card(server.get(reviewed(state=state, **review)).text))


def test_an_answer_that_the_task_has_not_taken_yet_is_said(server: Any, reviewed: Any) -> None:
    address = reviewed()
    assert answer(server, address, "admin") == 200

    text = card(server.get(address).text)

    assert "Answered: Approve" in text
    assert re.search("By <bdi>admin( admin)?</bdi>", text)  # Airflow 3.4 tells the last name, too
    assert "data-answer" not in text


def test_a_review_of_another_task_is_not_shown(server: Any, reviewed: Any) -> None:
    assert 'class="card review"' not in server.get(reviewed(task_id="choose_again")).text


def test_each_choice_of_a_mapped_task_shows_its_own_review(server: Any, reviewed: Any) -> None:
    address = reviewed(mapped=range(12))

    for index in (0, 11):
        page = server.get(f"{address}&task_id=choose&map_index={index}").text
        assert re.findall(r"review/(\d+)/hitlDetails", page) == [str(index)]


def test_who_loses_the_right_while_looking_at_the_form_decides_nothing(
    server: Any, reviewed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "one" not in server.tokens:
        pytest.skip("The simple auth manager has a person's role in the token, for as long as that lasts")
    with get_application_builder() as builder:
        security = builder.sm
        names = dict.fromkeys(("username", "first_name", "last_name", "email", "password"), "reviewer")
        person = security.add_user(**names, role=security.find_role("Admin"))
        monkeypatch.setitem(server.tokens, "reviewer", get_auth_manager().generate_jwt(person))
        address = reviewed()
        assert "data-answer=" in server.get(address, "reviewer").text

        person.roles = [security.find_role("Viewer")]
        security.update_user(person)
    del person
    get_auth_manager().cache.clear()  # type: ignore[attr-defined]  # as it is after [fab] cache_ttl
    gc.collect()  # as long as anything refers to a person, FAB of Airflow 3.1 goes by the rights it noted

    assert answer(server, address, "reviewer") == 403
    page = server.get(address, "reviewer").text
    assert "A review waits" in card(page)
    assert "data-answer=" not in page
    assert answer(server, address, "admin") == 200


def test_foreign_text_in_a_review_is_text(server: Any, reviewed: Any) -> None:
    waiting = server.get(reviewed(subject=HOSTILE, refused=HOSTILE)).text
    decided = server.get(
        reviewed(state="success", decision="Approve", names={"0": HOSTILE}, by=HOSTILE, reason=HOSTILE)
    ).text

    for page, times in ((waiting, 2), (decided, 3)):
        assert "<script>alert" not in page
        assert card(page).count(f"<bdi>{HOSTILE}</bdi>") == times


def test_a_damaged_review_is_left_out(server: Any, reviewed: Any) -> None:
    address = reviewed(state="success", decision="Approve")
    with create_session(scoped=False) as session:
        run = session.scalars(select(DagRun).where(DagRun.run_id == "reviewed-0")).one()
        push(session, run, ("review", -1), REVIEW_KEY, {"k": "all"})

    answered = server.get(address)

    assert answered.status_code == 200
    assert 'class="card review"' not in answered.text


def test_a_run_that_waits_is_marked_in_the_list_and_on_its_dags_page(server: Any, reviewed: Any) -> None:
    reviewed()
    reviewed(state="success", decision="Approve")

    page = server.get("/?dag_id=open").text
    rows = re.findall(r"<tr>.*?</tr>", page.partition('id="list"')[2], re.DOTALL)
    marked = [re.search(r"run_id=([^&]+)&", row)[1] for row in rows if "waits for a decision" in row]  # type: ignore[index]
    assert marked == ["reviewed-0"]
    assert "reviewed-1" in page
    told = server.get("/dag?dag_id=open").text.partition('id="waiting"')[2].partition("</p>")[0]
    assert re.findall(r"<bdi>(.*?)</bdi>", told) == ["reviewed-0"]


def test_what_waits_and_is_no_review_of_ours_is_not_marked(server: Any) -> None:
    with create_session(scoped=False) as session:
        tasks = {("choose", -1): "success", ("ask", -1): WAITS}
        run = add_run(session, "open", "asked", tasks=tasks, number=NUMBER)
        push_report(session, run, make_report())
        ask(session, run, ("ask", -1), "Which day?")

    page = server.get("/?dag_id=open&q=asked").text
    with create_session(scoped=False) as session:
        session.execute(delete(DagRun).where(DagRun.run_id == "asked"))

    assert "run_id=asked" in page
    assert "waits for a decision" not in page


def test_reviews_cost_a_page_few_queries(server: Any, reviewed: Any) -> None:
    counted: list[str] = []

    def count(_: Any, __: Any, statement: str, *___: Any) -> None:
        counted.append(statement)

    def queries(path: str) -> int:
        counted.clear()
        event.listen(settings.engine, "before_cursor_execute", count)
        try:
            assert server.get(path).status_code == 200
        finally:
            event.remove(settings.engine, "before_cursor_execute", count)
        return len(counted)

    reviewed(state="success", decision="Approve")
    server.get("/")
    none, one_page = queries("/"), queries("/run?dag_id=open&run_id=reviewed-0")
    for _ in range(5):
        reviewed()
    assert queries("/") == none + 1
    assert queries("/run?dag_id=open&run_id=reviewed-3") <= one_page + 1
