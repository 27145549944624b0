"""What a hostile or broken task leaves where records should be costs its own run's page, and nothing else."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow_segmentation.reports.report import MAX_REPORT_BYTES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made.metadata import add_dag, add_run, push, push_report
from made.reports import evidenced, make_progress, make_report, succeeding
from processor_time import within
from sqlalchemy import delete, inspect, text

CASES = 300
SMALL = succeeding(evidenced(make_report(k_max=10)), "Savers")
REPORT = {**SMALL.to_json(), "sample": SMALL.to_json()["sample"][:3]}
SUMMARY, PROGRESS = SMALL.summary().to_json(), make_progress(done=5).to_json()
ADDRESSES = [
    "/?dag_id=hostile",
    "/?dag_id=hostile&sort=-sse",
    "/?dag_id=hostile&sort=k",
    "/dag?dag_id=hostile",
    "/dag?dag_id=hostile&before=good&after=bad",
    "/run?dag_id=hostile&run_id=bad",
    "/run?dag_id=hostile&run_id=bad&k=3&axis=seconds&log=1&order=-1",
    "/run/sweep.csv?dag_id=hostile&run_id=bad",
    "/run/segments.csv?dag_id=hostile&run_id=bad&k=3",
    "/run/report.json?dag_id=hostile&run_id=bad",
    "/run/charts.html?dag_id=hostile&run_id=bad",
    "/run?dag_id=hostile&run_id=going",
]
"""Every page that reads the records of the run "bad", or of a run still going."""
LISTS = [path for path in ADDRESSES if not path.startswith("/run")]


@pytest.fixture
def pushed(filled: None) -> Iterator[Callable[..., None]]:
    """A Dag with a good run, and what pushes records as they are in the runs "bad" and "going"."""
    with create_session(scoped=False) as session:
        add_dag(session, "hostile")
        push_report(session, add_run(session, "hostile", "good"), make_report())
        runs = {
            "bad": add_run(session, "hostile", "bad", number=1),
            "going": add_run(
                session,
                "hostile",
                "going",
                state=DagRunState.RUNNING,
                tasks={("sweep", -1): "running"},
                number=2,
            ),
        }
        push_report(session, runs["bad"], make_report(seed=1))

    def push_as_is(**texts: str) -> None:
        with create_session(scoped=False) as session:
            tables = [
                name for name in inspect(session.get_bind()).get_table_names() if name.startswith("xcom")
            ]
            for name, held in texts.items():
                run, task = ("going", "sweep") if name == "progress" else ("bad", "choose")
                push(session, runs[run], (task, -1), f"segmentation_{name}", "held")
                for table in tables:
                    statement = f"UPDATE {table} SET value = :held WHERE value = '\"held\"'"
                    session.execute(text(statement), {"held": held})

    yield push_as_is
    with create_session(scoped=False) as session:
        session.execute(delete(DagRun).where(DagRun.dag_id == "hostile"))


@pytest.mark.parametrize("server", ["simple"], indirect=True)
@pytest.mark.parametrize(
    ("report", "summary"),
    [
        (
            {**REPORT, "warnings": ["x" * 10_000_000]},
            {**SUMMARY, "curve": [[k, 1.0] for k in range(1, 300_001)]},
        ),
        ({**REPORT, "sensitivity": 10**400}, {**SUMMARY, "sse": 10**400}),
        ({**REPORT, "sensitivity": math.nan}, {**SUMMARY, "sse": math.nan}),
        ({**REPORT, "sensitivity": math.inf}, {**SUMMARY, "silhouette": -math.inf}),
        ({**REPORT, "rows": -1}, {**SUMMARY, "rows": -1}),
        ({**REPORT, "decided_by": "magic"}, {**SUMMARY, "decided_by": "magic"}),
    ],
    ids=["too long", "huge", "NaN", "infinite", "negative", "unknown method"],
)
def test_one_bad_record_costs_its_own_page_alone(
    server: Any, pushed: Any, report: dict[str, Any], summary: dict[str, Any]
) -> None:
    pushed(
        report=json.dumps(report), summary=json.dumps(summary), progress=json.dumps({**PROGRESS, "done": -1})
    )
    for path in ADDRESSES:
        with within(2):
            answer = server.get(path)
        assert answer.status_code == (422 if "run_id=bad" in path else 200), path
        assert "run_id=bad" not in path or "This report cannot be read" in answer.text
        assert path not in LISTS or "run_id=good" in answer.text
    assert "This report cannot be read" in server.get("/?dag_id=hostile").text


@pytest.mark.parametrize("server", ["simple"], indirect=True)
@pytest.mark.parametrize("held", ["", "null", "{}", '{"uri": "x", "columns": 7}', '{"uri": "x", "rows": -1}'])
def test_a_bad_record_of_assigned_customers_is_passed_over(server: Any, pushed: Any, held: str) -> None:
    pushed(report=json.dumps(REPORT), assignment=held)
    answer = server.get("/run?dag_id=hostile&run_id=bad")
    assert answer.status_code == 200
    assert "Customers assigned" not in answer.text


@pytest.mark.parametrize("server", ["simple"], indirect=True)
@pytest.mark.parametrize(
    "held",
    [
        "",
        "nonsense",
        "null",
        '"text"',
        "[" * 20_000,
        '{"k":' * 5_000,
        '{"sse": 1' + "0" * 5_000 + "}",
        '["\\ud800"]',
    ],
    ids=["empty", "nonsense", "null", "text", "deep", "deeper", "long number", "half a character"],
)
def test_what_no_parser_reads_costs_its_own_page_alone(server: Any, pushed: Any, held: str) -> None:
    pushed(report=held, summary=held, progress=held, assignment=held)
    for path in ADDRESSES:
        assert server.get(path).status_code == (422 if "run_id=bad" in path else 200), path


@pytest.mark.parametrize("server", ["simple"], indirect=True)
def test_numbers_that_no_chart_can_show_leave_the_others_shown(server: Any, pushed: Any) -> None:
    tiny = {"sse": 1e-308, "curve": [[1, 1e150], [8, 1e150]]}
    features = [{**feature, "minimum": 0, "maximum": 1e-308} for feature in REPORT["features"]]
    for changes in (tiny, {"sse": 0}):
        pushed(
            summary=json.dumps({**SUMMARY, **changes}),
            report=json.dumps({**REPORT, "features": features}),
        )
        for path in ADDRESSES:
            answer = server.get(path)
            assert answer.status_code == 200
            for chart in re.findall(r'<script type="application/json">(.*?)</script>', answer.text):
                json.loads(chart, parse_constant=pytest.fail)


@pytest.mark.parametrize("server", ["simple"], indirect=True)
def test_half_a_character_in_a_text_is_refused(server: Any, pushed: Any) -> None:
    pushed(report=json.dumps({**REPORT, "warnings": ["\ud800 careful"]}))
    assert server.get("/run?dag_id=hostile&run_id=bad").status_code == 422


@pytest.mark.parametrize("server", ["simple"], indirect=True)
def test_the_largest_record_that_is_read_is_shown_in_time(server: Any, pushed: Any) -> None:
    segments = 500
    point = {"k": segments, "sse": 1.0, "explained": 0.5, "sizes": [1] * segments}
    worst = {
        **{
            name: REPORT[name]
            for name in REPORT
            if name not in ("profiles", "published", "rules", "stability", "warnings")
        },
        "k": segments,
        "features": [{"name": "n" * 200, "minimum": 0, "maximum": 9}] * 200,
        "curve": [{"k": k, "sse": 1, "explained": 0} for k in range(1, 500)]
        + [{**point, "centers": [[1] * 200] * segments}],
        "sample": [[1] * 200] * 600,
        "plane": {"center": [1] * 200, "axes": [[1] * 200] * 2, "shares": [0.5, 0.2], "rows": 9},
        "choices": [],
        "half_range": None,
    }
    held = json.dumps(worst)
    assert 700_000 < len(held) < 2 * MAX_REPORT_BYTES
    pushed(report=held)
    for path in ADDRESSES:
        if "run_id=bad" in path or "before" in path:
            with within(6):
                assert server.get(path).status_code == 200, path


NUMBERS = st.sampled_from(
    [
        0,
        -1,
        1,
        2,
        10**9,
        10**400,
        -(10**400),
        0.0,
        -0.0,
        1e-308,
        1e150,
        -1e150,
        1e308,
        math.nan,
        math.inf,
        -math.inf,
    ]
)
ODD = st.one_of(
    NUMBERS,
    st.none() | st.booleans() | st.text(max_size=5),
    st.sampled_from(["given", "chord", "x" * 300, "\u202e", "\0", [], {}, [[]], [None], [0.0] * 9, ["", ""]]),
)


@st.composite
def damaged(draw: st.DrawFn, record: dict[str, Any]) -> str:
    """Return a record as JSON of which up to four parts, anywhere in it, are gone, odd or twice there."""
    value = json.loads(json.dumps(record))
    for _ in range(draw(st.integers(1, 4))):
        item: Any = value
        while True:
            place = draw(st.sampled_from(sorted(item) if isinstance(item, dict) else range(len(item))))
            inner = item[place]
            if not isinstance(inner, (dict, list)) or not inner or draw(st.booleans()):
                break
            item = inner
        match draw(st.sampled_from(["odd", "odd", "odd", "gone", "twice"])):
            case "odd":
                item[place] = deepcopy(draw(ODD))
            case "gone":
                del item[place]
            case "twice" if isinstance(item, list):
                item.append(inner)
        if not value:
            break
    return json.dumps(value)


@pytest.mark.parametrize("server", ["simple"], indirect=True)
def test_no_damaged_record_breaks_a_page(server: Any, pushed: Any) -> None:
    answers = {200: 0, 422: 0}

    @settings(max_examples=CASES, database=None, suppress_health_check=list(HealthCheck))
    @given(damaged(REPORT), damaged(SUMMARY), damaged(PROGRESS), st.sampled_from(ADDRESSES))
    def ask(report: str, summary: str, progress: str, path: str) -> None:
        pushed(report=report, summary=summary, progress=progress)
        for address in {path, *LISTS[:2]}:
            answer = server.get(address)
            status = answer.status_code
            for chart in re.findall(r'<script type="application/json">(.*?)</script>', answer.text):
                json.loads(chart, parse_constant=pytest.fail)
            assert status in answers, address
            assert status == 200 or "run_id=bad" in address, address
            answers[status] += 1

    ask()

    assert min(answers.values()) > CASES / 20, answers
    print(f"{sum(answers.values())} pages of {CASES} damaged records: {answers}")
