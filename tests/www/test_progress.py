"""What the page says of a run that is under way, and of one that failed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow_segmentation.reports.report import FAILURE_KEY, Failure, Progress, Report
from made.metadata import add_run, push, push_progress, push_report
from made.reports import HOSTILE, make_report
from sqlalchemy import delete

ADDRESS = "/run?dag_id=open&run_id=standing"


@pytest.fixture
def standing(server: Any) -> Iterator[Any]:
    """A function that makes a run with tasks in given states, what they pushed, and returns its page."""

    def page(
        tasks: Mapping[tuple[str, int], str | None],
        progress: Mapping[tuple[str, int], Progress] | None = None,
        failures: Mapping[tuple[str, int], Any] | None = None,
        report: Report | None = None,
        state: DagRunState = DagRunState.RUNNING,
        user: str = "admin",
    ) -> str:
        with create_session(scoped=False) as session:
            run = add_run(session, "open", "standing", state=state, tasks=tasks, number=50)
            for task, value in (progress or {}).items():
                push_progress(session, run, value, task)
            for task, value in (failures or {}).items():
                push(session, run, task, FAILURE_KEY, value)
            if report:
                push_report(session, run, report)
        response = server.get(ADDRESS, user=user)
        assert response.status_code == 200
        text: str = response.text
        return text

    yield page
    with create_session(scoped=False) as session:
        session.execute(delete(DagRun).where(DagRun.run_id == "standing"))


def heading(page: str) -> str:
    """Return what the run is said to be doing."""
    return re.findall("<h2>(.*?)</h2>", page)[0]


ONE, PART = ("sweep", -1), [("sweep", index) for index in range(3)]
DONE, HALF = Progress(done=4, total=4), Progress(done=2, total=4)


@pytest.mark.parametrize(
    ("tasks", "progress", "doing"),
    [
        ({ONE: "running"}, {}, "Waiting for the sweep"),
        ({ONE: "running"}, {ONE: HALF}, "Sweeping"),
        ({ONE: "running"}, {ONE: DONE}, "Taking scores"),
        ({ONE: "success", ("choose", -1): "running"}, {ONE: DONE}, "Choosing k"),
        ({PART[0]: "success", PART[1]: "running"}, {PART[0]: DONE}, "Sweeping"),
        ({PART[0]: "success", PART[1]: "success"}, {PART[0]: DONE, PART[1]: DONE}, "Choosing k"),
    ],
)
def test_it_says_what_the_run_is_doing(standing: Any, tasks: Any, progress: Any, doing: str) -> None:
    page = standing(tasks, progress)

    assert heading(page) == doing
    running = [task_id for (task_id, index), state in tasks.items() if state == "running"]
    assert [f"Running: <bdi>{task_id}" in page for task_id in running] == [True] * len(running)


def test_it_says_how_long_the_sweep_has_taken_and_about_what_is_left(standing: Any) -> None:
    began = datetime.now(timezone.utc) - timedelta(minutes=10, seconds=5)
    progress = Progress(done=5, total=15, started_at=began.isoformat(), updated_at=began.isoformat())

    page = standing({ONE: "running"}, {ONE: progress})

    assert "5 of 15 steps done in 10 minutes; at this pace about 20 minutes left." in page


def failing(**more: Any) -> dict[str, Any]:
    """Return the states of a run whose sweep failed."""
    return {
        "tasks": {("sweep", -1): "failed", ("choose", -1): "upstream_failed"},
        "state": DagRunState.FAILED,
        **more,
    }


def test_the_page_of_a_failed_run_says_why(standing: Any) -> None:
    page = standing(**failing(failures={ONE: Failure("k_min=9 should be <= k_max=3").to_json()}))

    reason = page.index("<bdi>k_min=9 should be &lt;= k_max=3</bdi>")
    assert reason < page.index("Log of sweep")


def test_a_reason_is_text_whatever_it_holds(standing: Any) -> None:
    page = standing(**failing(failures={ONE: Failure(HOSTILE).to_json()}))

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(
    "broken", [{"message": 3}, "text", {}, {"schema_version": 99, "message": "no"}, None]
)
def test_a_reason_that_cannot_be_read_is_left_out(standing: Any, broken: Any) -> None:
    page = standing(**failing(failures={ONE: broken}))

    assert "Log of sweep" in page
    assert "<bdi>no</bdi>" not in page


def test_of_mapped_tasks_each_has_its_own_reason(standing: Any) -> None:
    states = {PART[0]: "failed", PART[1]: "success", PART[2]: "failed"}
    told = {PART[0]: Failure("one").to_json(), PART[2]: Failure("two").to_json()}

    page = standing(states, failures=told, state=DagRunState.FAILED)

    assert re.findall(r"<bdi>(one|two)</bdi>.*?mapped/(\d)", page, re.DOTALL) == [("one", "0"), ("two", "2")]


def test_what_a_task_left_that_goes_on_by_now_is_no_reason(standing: Any) -> None:
    page = standing({ONE: "running"}, failures={ONE: Failure("of an earlier try").to_json()})

    assert "earlier try" not in page


@pytest.mark.parametrize(
    ("user", "told", "logged"), [("admin", True, True), ("one", True, False), ("xcoms-only", False, False)]
)
def test_a_run_that_reported_tells_why_a_later_task_failed(
    standing: Any, server: Any, user: str, told: bool, logged: bool
) -> None:
    if user not in server.tokens:
        pytest.skip("The simple auth manager has no such user")
    page = standing(
        {("choose", -1): "success", ("score", -1): "failed"},
        failures={("score", -1): Failure("No <customers>").to_json()},
        report=make_report(),
        state=DagRunState.FAILED,
        user=user,
    )

    assert ("Failed in this run" in page, "<bdi>No &lt;customers&gt;</bdi>" in page) == (told, told)
    assert ("Log of score" in page) == logged


def test_a_run_of_which_nothing_failed_says_nothing_of_it(server: Any) -> None:
    assert "Failed in this run" not in server.get("/run?dag_id=open&run_id=manual__0").text


def test_who_may_not_read_tasks_sees_reasons_and_no_link_to_a_log(standing: Any, server: Any) -> None:
    if "one" not in server.tokens:
        pytest.skip("The simple auth manager has no such user")
    page = standing(**failing(failures={ONE: Failure("k_min=9").to_json()}), user="one")

    assert "<bdi>k_min=9</bdi>" in page
    assert "/tasks/sweep" not in page
    assert "k_min=9" not in server.get(ADDRESS, user="xcoms-only").text
