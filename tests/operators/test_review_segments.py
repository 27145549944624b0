"""Reviews: asked in real runs, and answered through Airflow's own API as its UI and the page do."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator, task_group
from airflow_segmentation.operators import ReviewSegmentsOperator, Unchanged
from airflow_segmentation.reports.records import push_record
from airflow_segmentation.reports.report import FAILURE_KEY, REPORT_KEY, REVIEW_KEY, Report
from made.reports import HOSTILE, evidenced, hostile, make_report
from made.reviews import settled
from markdown_it import MarkdownIt
from reviewing import APPROVED, OVERDUE, Reviewer, needs_dag_test_that_waits
from reviewing import airflow as airflow
from running import Run
from starlette.testclient import TestClient

REPORT = evidenced(make_report())
"""Of k from 1 to 30, and 8 chosen."""
REJECTED = {"chosen_options": ["Reject"], "params_input": {"k": None, "names": None, "reason": "Too few"}}

pytestmark = needs_dag_test_that_waits
SETTLED = settled(make_report(k=5))
"""Of the segments that are published, kept."""


class Choosing(BaseOperator):
    """Pushes a report, as ElbowOperator does, or one with another k."""

    template_fields = ("k",)

    def __init__(self, *, report: Report, k: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.report = report
        self.k = k

    def execute(self, context: Any) -> None:
        report = make_report(k=self.k) if self.k else self.report
        push_record(context, REPORT_KEY, report.to_json())


@pytest.fixture
def reviewed(
    run_dag: Callable[..., Run], airflow: TestClient, request: pytest.FixtureRequest
) -> Callable[..., tuple[Run, Reviewer]]:
    """A function that runs a Dag whose segments are reviewed, and answers as it is told."""

    def run(*answers: dict[str, Any], report: Report = REPORT, **kwargs: Any) -> tuple[Run, Reviewer]:
        dag_id = re.sub(r"\W+", "_", request.node.name)
        with DAG(dag_id, schedule=None) as dag:
            choose = Choosing(task_id="choose", report=report)
            review = ReviewSegmentsOperator(task_id="review", choose=choose, **kwargs)
            review >> EmptyOperator(task_id="publish")
        reviewer = Reviewer(airflow, dag_id, answers)
        reviewer.start()
        run = run_dag(dag)
        reviewer.join(10)
        return run, reviewer

    return run


def test_approval_carries_k_names_who_when_and_why(reviewed: Any) -> None:
    form = {"k": 2, "names": {"0": " Savers ", "1": ""}, "reason": "Two are enough\nfor us"}

    run, reviewer = reviewed({"chosen_options": ["Approve"], "params_input": form})

    assert reviewer.statuses == [200]
    assert set(run.states.values()) == {"success"}
    result = run.xcom("review")
    assert result.pop("at").startswith("20")
    assert result == {
        "k": 2,
        "names": {"0": "Savers"},
        "decision": "Approve",
        "by": "Anonymous",
        "reason": "Two are enough for us",
    }
    assert run.xcom("review", REVIEW_KEY)["names"] == {"0": "Savers"}


def test_an_approval_without_a_form_takes_the_chosen_k(reviewed: Any) -> None:
    run, _ = reviewed(APPROVED)

    assert (run.xcom("review")["k"], run.xcom("review")["names"]) == (8, {})


def test_the_question_tells_k_verdict_and_the_way_to_the_page(reviewed: Any) -> None:
    _, reviewer = reviewed(APPROVED, body="Mind the **budget**.")

    asked = reviewer.asked[0]
    assert asked["subject"].endswith("k = 8?")
    assert asked["body"].startswith("Mind the **budget**.\n\n- **k = 8**, of 1 to 30, decided by kneedle")
    assert "**Clear groups**" in asked["body"]
    assert "/pluginsv2/segmentation/run?dag_id=" in asked["body"]
    assert asked["options"] == ["Approve", "Reject"]
    k = asked["params"]["k"]
    assert (k["value"], k["schema"]["minimum"], k["schema"]["maximum"]) == (8, 1, 30)


def test_after_a_rejection_nothing_is_published(reviewed: Any) -> None:
    run, _ = reviewed(REJECTED)

    assert run.states == {"choose": "success", "review": "success", "publish": "skipped"}
    assert (run.xcom("review")["decision"], run.xcom("review")["reason"]) == ("Reject", "Too few")


def test_a_rejection_can_fail_the_task(reviewed: Any) -> None:
    run, _ = reviewed(REJECTED, fail_on_reject=True)

    assert (run.states["review"], run.states["publish"]) == ("failed", "upstream_failed")
    assert run.xcom("review", REVIEW_KEY)["decision"] == "Reject"


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"k": 31, "names": {}, "reason": ""}, "k=31 was not swept; take one of 1 to 30"),
        ({"k": 2.5, "names": {}, "reason": ""}, "k=2.5 should be an integer"),
        ({"k": 2, "names": {"2": "Savers"}, "reason": ""}, "no segment '2' to name; there are: 0, 1"),
        ({"k": 2, "names": {"0": "a", "1": "A"}, "reason": ""}, "Segments 0 and 1 are both named"),
        ({"k": 2, "names": {"0": "x" * 81}, "reason": ""}, "has 81 characters and may have 80"),
        ({"k": 2, "names": ["Savers"], "reason": ""}, "should be an object"),
        ({"k": 2, "names": {}, "reason": "x" * 1_001}, "should be text of at most 1000 characters"),
        ({"k": 2, "names": {}, "reason": "x\x07"}, "should be text of at most 1000 characters"),
    ],
    ids=["k not swept", "half a k", "no such segment", "twice", "long", "list", "long reason", "control"],
)
def test_what_cannot_be_done_is_refused_and_asked_for_again(reviewed: Any, form: Any, why: str) -> None:
    run, reviewer = reviewed({"chosen_options": ["Approve"], "params_input": form}, APPROVED)

    assert reviewer.statuses == [200, 200]
    assert run.xcom("review")["k"] == 8
    assert set(run.states.values()) == {"success"}
    assert run.tries["review"] == 1
    assert reviewer.refused[0] is None
    assert why in (reviewer.refused[1] or "")


def test_a_rejection_needs_no_form_that_makes_sense(reviewed: Any) -> None:
    form = {"k": 99, "names": {"99": "x"}, "reason": "None of them"}

    run, _ = reviewed({"chosen_options": ["Reject"], "params_input": form})

    assert (run.xcom("review")["k"], run.xcom("review")["names"]) == (8, {})


@pytest.mark.parametrize("defaults", [None, "Approve"])
def test_when_nobody_answers_in_time_the_default_is_taken_if_there_is_one(
    reviewed: Any, defaults: str | None
) -> None:
    run, _ = reviewed(OVERDUE, defaults=defaults, response_timeout=timedelta(seconds=1))

    if defaults is None:
        assert (run.states["review"], run.states["publish"]) == ("failed", "upstream_failed")
        assert "decision" not in run.xcom("review", REVIEW_KEY)
        return
    result = run.xcom("review")
    assert (result["decision"], result["by"], result["k"]) == ("Approve", None, 8)
    assert result["reason"] == "Nobody answered in time, and this is the default."


def test_nobody_is_asked_where_nothing_changed_beyond_the_limits(reviewed: Any) -> None:
    run, _ = reviewed(report=SETTLED, skip_when=Unchanged(psi=0.1))

    assert set(run.states.values()) == {"success"}
    result = run.xcom("review")
    assert (result["decision"], result["by"], result["k"], result["names"]) == ("Approve", None, 5, {})
    assert result["reason"] == "Nothing changed beyond the limits, a PSI of 0.1 among them."
    assert run.xcom("review", REVIEW_KEY)["subject"].endswith("k = 5?")


def test_somebody_is_asked_where_something_did(reviewed: Any) -> None:
    _, reviewer = reviewed(APPROVED, report=SETTLED, skip_when=Unchanged(psi=0.01))

    assert reviewer.statuses == [200]
    assert "1 of the published segments: 5 kept" in reviewer.asked[0]["body"]


def test_without_a_report_the_task_fails_at_once_and_says_why(run_dag: Any) -> None:
    with DAG("review_without_a_report", schedule=None) as dag:
        EmptyOperator(task_id="choose") >> ReviewSegmentsOperator(task_id="review", choose="choose")

    run = run_dag(dag)

    assert run.states == {"choose": "success", "review": "failed"}
    message = run.xcom("review", FAILURE_KEY)["message"]
    assert message.startswith("The task 'choose' pushed no report to review; name the ElbowOperator")


@pytest.mark.parametrize("grouped", [True, False], ids=["in a mapped group", "each mapped"])
def test_each_choice_of_a_mapped_task_has_a_review_of_its_own(
    run_dag: Any, airflow: Any, grouped: bool
) -> None:
    dag_id = f"mapped_choices_{'together' if grouped else 'apart'}"
    with DAG(dag_id, schedule=None) as dag:
        if grouped:

            @task_group
            def segmented(k: Any) -> None:
                choose = Choosing(task_id="choose", report=REPORT, k=k)
                ReviewSegmentsOperator(task_id="review", choose=choose)

            segmented.expand(k=[3, 5])
        else:
            (
                Choosing.partial(task_id="choose", report=REPORT).expand(k=[3, 5])
                >> ReviewSegmentsOperator.partial(task_id="review", choose="choose").expand(body=["A", "B"])
            )
    named = {**APPROVED, "params_input": {"k": 5, "names": {"4": "Savers"}, "reason": ""}}
    reviewer = Reviewer(airflow, dag_id, (named, APPROVED))
    reviewer.start()

    run = run_dag(dag)

    reviewer.join(10)
    assert set(run.states.values()) == {"success"}
    # Either may be the first to ask.
    order = [("k = 3?", "k = 5?").index(asked["subject"][-6:]) for asked in reviewer.asked]
    assert sorted(order) == [0, 1]
    for index, asked in zip(order, reviewer.asked, strict=True):
        assert f"map_index={index})" in asked["body"]
    task_id = "segmented.review" if grouped else "review"
    decided = [run.xcom(task_id, map_index=index) for index in order]
    own = (3, 5)[order[1]]
    assert [(each["k"], each["names"]) for each in decided] == [(5, {"4": "Savers"}), (own, {})]


def test_a_choice_that_is_mapped_is_not_reviewed_by_one_task(run_dag: Any) -> None:
    with DAG("review_of_mapped_choices", schedule=None) as dag:
        choose = Choosing.partial(task_id="choose", report=REPORT).expand(k=[3, 5])
        choose >> ReviewSegmentsOperator(task_id="review", choose="choose")

    run = run_dag(dag)

    assert run.states["review"] == "failed"
    assert "where that one is mapped, map this one alike" in run.xcom("review", FAILURE_KEY)["message"]


def test_foreign_text_is_no_markup_in_the_question(reviewed: Any) -> None:
    worst = f"{HOSTILE} https://evil.example www.evil.example a@evil.example ![](x) [x](y) `c` **b**\n# h"

    _, reviewer = reviewed(APPROVED, report=hostile(worst))

    body = reviewer.asked[0]["body"]
    rendered = MarkdownIt("gfm-like", {"html": True}).render(body)
    assert set(re.findall(r"<([a-z0-9]+)", rendered)) == {"ul", "li", "strong", "p", "a"}
    links = re.findall(r'href="([^"]*)"', rendered)
    assert [link.partition("?")[0] for link in links] == ["/pluginsv2/segmentation/run"]
    assert "**b**" in rendered
