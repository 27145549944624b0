"""What the page of a Dag shows of the segments that it published, and of the customers that it scored."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow_segmentation.reports.report import ASSIGNMENT_KEY, PUBLICATION_KEY, Drift, Shift, Shown
from airflow_segmentation.www.runs import MAX_TREND, publications, scorings
from made.charts import chart
from made.metadata import add_dag, add_run, push, push_report
from made.reports import HOSTILE, make_assignment, make_publication, make_report, make_scoring
from markupsafe import escape
from plotly.graph_objects import Figure
from sqlalchemy import delete, event


@pytest.fixture
def made(filled: None) -> Iterator[Any]:
    """A function that makes a Dag of runs that each pushed some records, an hour apart."""

    def make(*runs: dict[str, Any], reported: bool = False) -> str:
        with create_session(scoped=False) as session:
            add_dag(session, "released")
            for number, records in enumerate(runs):
                run = add_run(session, "released", f"run-{number}", number=number)
                if reported:
                    push_report(session, run, make_report())
                for key, record in records.items():
                    push(session, run, ("choose", -1), key, record)
        return "/dag?dag_id=released"

    yield make
    with create_session(scoped=False) as session:
        session.execute(delete(DagRun).where(DagRun.dag_id == "released"))


def published(version: int = 1, **changes: Any) -> dict[str, Any]:
    return {PUBLICATION_KEY: make_publication(version, **changes).to_json()}


def scored(psi: float = 0.05, **changes: Any) -> dict[str, Any]:
    return {ASSIGNMENT_KEY: make_scoring(psi, **changes).to_json()}


def text_of(page: str) -> str:
    """Return what a page says, without its tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_the_latest_version_stands_first_and_its_history_below(server: Any, made: Any) -> None:
    text = text_of(
        server.get(
            made(
                published(1),
                published(2, reviewer="Ada", reason="As last month", verdict=None, k=2, segments=()),
                published(3, restores=1),
            )
        ).text
    )
    assert "Version 3 of customers , 3 segments: published 2026-03-14 09:26 UTC" in text
    assert "0: Savers , 50.0% 4, 30.0% 2: Spenders of all they have , 20.0%" in text
    rows = [
        "3 as 1 was 2026-03-14 09:26 3 Clear groups nobody was asked run-2",
        "2 2026-03-14 09:26 2 n/a Ada As last month run-1",
        "1 2026-03-14 09:26 3 Clear groups nobody was asked run-0",
    ]
    start = text.index("Run 3") + 4
    assert text[start:].startswith(" ".join(rows))
    assert "Drift of scored customers" not in text


def test_a_dag_that_chose_k_shows_both_its_reports_and_what_it_published(server: Any, made: Any) -> None:
    page = server.get(made(published(), published(2, reviewer="Ada", reason="So"), reported=True)).text
    assert 'id="published"' in page
    assert "approved by \u2068Ada\u2069: So" in text_of(page)
    assert 'id="trends"' in page


def test_the_drift_of_scored_customers_is_drawn_over_the_runs_with_its_limits(server: Any, made: Any) -> None:

    page = server.get(made(scored(0.05), scored(0.4, outside=0.03, version=3))).text
    figure = chart(page, "scored")
    Figure(figure)
    psi, shares, outside, *limits = figure["data"]
    assert (psi["y"], shares["y"], outside["y"]) == ([0.05, 0.4], [0.025, 0.2], [0.002, 0.03])
    assert [limit["y"] for limit in limits] == [[0.25] * 4, [0.01] * 4]
    told = [f"\u2068run-{number}\u2069<br>version {number + 2}<br>\u2068BALANCE\u2069" for number in range(2)]
    assert psi["customdata"] == told
    text = text_of(page)
    assert "The latest run scored 1,234 customers by version 3, who have drifted: " in text
    assert "Customers of 1 of 2 runs had drifted." in text


def test_customers_whose_drift_failed_the_task_are_drawn_and_have_no_table(server: Any, made: Any) -> None:
    address = made(scored(0.05), scored(0.4, uri="", columns={}, sizes=()), reported=True)
    page = server.get(address).text
    assert chart(page, "scored")["data"][0]["y"] == [0.05, 0.4]
    text = text_of(page)
    assert "The latest run would have scored 1,234 customers by version 2, who have drifted: " in text
    assert "yes, and none was scored" in text
    runs = [server.get(f"/run?dag_id=released&run_id=run-{number}").text for number in range(2)]
    assert ["Customers assigned by choose" in run for run in runs] == [True, False]


def test_a_run_that_scored_by_a_model_of_its_own_has_no_drift(server: Any, made: Any) -> None:
    page = server.get(made({ASSIGNMENT_KEY: make_assignment().to_json()})).text
    assert "No report yet" in page


def test_without_bins_the_drift_of_shares_and_ranges_is_drawn_alone(server: Any, made: Any) -> None:
    scoring = make_scoring()
    assert scoring.drift is not None
    drift = dataclasses.replace(scoring.drift, features=())
    page = server.get(made({ASSIGNMENT_KEY: make_scoring(drift=drift).to_json()})).text
    assert chart(page, "scored")["data"][0]["y"] == [None]
    assert "who have not drifted." in text_of(page)


def test_what_people_and_tables_say_stays_text(server: Any, made: Any) -> None:
    shown = tuple(Shown(number, 0.5, HOSTILE[:80]) for number in range(2))
    drift = Drift(0.1, 0.1, 0.25, 0.01, (Shift(HOSTILE, 1.0),), (HOSTILE,))
    page = server.get(
        made(
            {
                **published(name=HOSTILE, path=HOSTILE, reviewer=HOSTILE, reason=HOSTILE, segments=shown),
                **scored(drift=drift),
            }
        )
    ).text
    assert "<script>alert" not in page
    assert page.count(str(escape(HOSTILE))) >= 5
    assert "<" not in re.sub("<br>", "", chart(page, "scored")["data"][0]["customdata"][0])


@pytest.mark.parametrize("record", [{"schema_version": 99}, {"k": "eight"}, "text", [1]])
def test_a_record_that_cannot_be_read_hides_no_other(server: Any, made: Any, record: Any) -> None:
    page = server.get(made(published(1), {PUBLICATION_KEY: record, ASSIGNMENT_KEY: record})).text
    assert "Version 1 of" in text_of(page)


def test_as_many_versions_are_listed_as_reports(server: Any, made: Any) -> None:
    page = server.get(made(*(published(number) for number in range(1, MAX_TREND + 3)))).text
    assert page.count('<th scope="row">') == MAX_TREND
    assert f"Version {MAX_TREND + 2} of" in text_of(page)


def test_the_number_of_queries_does_not_grow_with_what_was_published(filled: None, made: Any) -> None:
    made(*({**published(number), **scored()} for number in range(1, 30)))
    with create_session(scoped=False) as session:
        asked: list[str] = []
        event.listen(session.get_bind(), "before_cursor_execute", lambda *given: asked.append(given[2]))
        assert (len(publications(session, "released")), len(scorings(session, "released"))) == (29, 29)
    assert len(asked) == 2


@pytest.mark.parametrize("user", ["nobody", None])
def test_who_may_not_read_the_dag_sees_nothing_of_it(server: Any, made: Any, user: str | None) -> None:
    answer = server.get(made(published()), user=user)
    assert answer.status_code in (302, 401, 403)
    assert "Savers" not in answer.text
