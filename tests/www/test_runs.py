"""Reading the database: a fixed number of queries, whatever there is to read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from airflow import settings
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from made.metadata import add_dag, add_run, push_report
from made.reports import make_report
from sqlalchemy import delete, event


@contextmanager
def counted() -> Iterator[list[str]]:
    """Collect the statements sent to the database."""
    statements: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    event.listen(settings.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(settings.engine, "before_cursor_execute", note)


@pytest.fixture
def many(filled: None) -> Iterator[None]:
    """Sixty more reports, over a Dag of their own."""
    with create_session(scoped=False) as session:
        add_dag(session, "many")
        for number in range(60):
            push_report(session, add_run(session, "many", f"run{number}", number=number), make_report())
    yield
    with create_session(scoped=False) as session:
        session.execute(delete(DagRun).where(DagRun.dag_id == "many"))


MOST = {
    "/": 10,
    "/?q=a&sort=-k": 10,
    "/run?dag_id=open&run_id=manual__0": 8,
    "/run?dag_id=open&run_id=running": 10,
    "/run?dag_id=open&run_id=spread": 10,
    "/dag?dag_id=open&task_id=choose": 9,
}
"""Addresses, and the most statements that one may send: those of Airflow's own authentication included."""


@pytest.mark.parametrize("user", ["admin", "viewer"])
def test_the_number_of_queries_is_bounded_and_does_not_grow(server: Any, user: str, request: Any) -> None:
    def queries(path: str) -> int:
        server.get(path, user)  # whatever is cached, is cached now
        with counted() as statements:
            assert server.get(path, user).status_code == 200
        return len(statements)

    few = {path: queries(path) for path in MOST}
    request.getfixturevalue("many")

    assert all(few[path] <= most for path, most in MOST.items()), few
    assert {path: queries(path) for path in MOST} == few
    assert queries("/dag?dag_id=many") <= MOST["/dag?dag_id=open&task_id=choose"]


def test_a_list_of_many_is_paged(server: Any, many: None) -> None:
    pages = [server.get(f"/?dag_id=many&sort=time&page={page}").text for page in (1, 2, 3)]
    run_ids = [
        [f"run{n}" for n in range(60) if f"run_id=run{n}&" in page.replace("&amp;", "&")] for page in pages
    ]

    assert [len(ids) for ids in run_ids] == [25, 25, 10]
    assert [run_id for ids in run_ids for run_id in ids] == [f"run{n}" for n in range(60)]
    assert "Page 3 of 3" in pages[2]
