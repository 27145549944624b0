"""Odd addresses: whatever stands in the query string, the page answers, never with an error of its own.

`FUZZ_CASES=2000` asks for as many; `-rP` prints how many, and what they were answered.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("FUZZ_CASES", "1000"))
PARAMETERS = {
    "/": ["q", "dag_id", "since", "until", "sort", "page"],
    "/run": [
        "dag_id",
        "run_id",
        "task_id",
        "map_index",
        "k",
        "axis",
        "log",
        "x",
        "y",
        "order",
        "column",
        "other",
    ],
    "/dag": ["dag_id", "task_id", "map_index", "curves", "before", "after"],
    "/run/sweep.csv": ["dag_id", "run_id", "task_id", "map_index"],
    "/run/segments.csv": ["dag_id", "run_id", "task_id", "map_index", "k"],
    "/run/report.json": ["dag_id", "run_id", "task_id", "map_index"],
    "/run/charts.html": ["dag_id", "run_id", "task_id", "map_index", "k", "axis", "x", "y", "order"],
}
"""What each route reads from its address."""

REAL = {
    "dag_id": ["open", "open", "open", "secret", "empty", "there-is-none"],
    "run_id": [
        "manual__0",
        "manual__1",
        "manual__2",
        "older",
        "evidenced",
        "mapped",
        "running",
        "failed",
        "broken",
    ],
    "task_id": ["choose", "choose", "sweep"],
    "map_index": ["-1", "-1", "0"],
}
"""Values that lead to something, so that odd ones beside them are looked at."""

ODD = st.one_of(
    st.integers().map(str),
    st.integers(-(10**40), 10**40).map(str),
    st.floats().map(str),
    st.dates().map(str) | st.sampled_from(["0001-01-01", "9999-12-31", "2026-02-30"]),
    st.sampled_from(
        ["k", "-k", "-sse", "dag", "--time", "silhouette", "seconds", "-again", "rows; DROP TABLE xcom"]
    ),
    st.sampled_from(
        ["\0", "%", "'", '"', "\\", "../../etc/passwd", "{{7*7}}", "\u0663", "1e400", "x" * 8000]
    ),
    st.text(max_size=40),
).map(lambda text: quote(text, safe="", errors="replace")) | st.binary(max_size=12).map(quote)


@st.composite
def addresses(draw: st.DrawFn) -> str:
    """Return an address: a route, most of its parameters with real values, some odd, in any order."""
    route = draw(st.sampled_from(sorted(PARAMETERS)))
    pairs = []
    for name in PARAMETERS[route]:
        kind = draw(st.sampled_from(["real"] * 7 + ["odd", "absent"]))
        if kind == "real" and name in REAL:
            pairs.append((name, draw(st.sampled_from(REAL[name]))))
        elif kind != "absent":
            pairs.append((name, draw(ODD)))
    pairs += draw(st.lists(st.tuples(ODD | st.sampled_from(PARAMETERS[route]), ODD), max_size=2))
    return f"{route}?" + "&".join(f"{name}={value}" for name, value in draw(st.permutations(pairs)))


@pytest.mark.parametrize("server", ["simple"], indirect=True)
def test_no_query_string_breaks_a_page(server: Any) -> None:
    answers = Counter[int]()

    @settings(max_examples=CASES, database=None)
    @given(addresses())
    def ask(address: str) -> None:
        response = server.get(address)
        answers[response.status_code] += 1
        assert response.status_code in (200, 404, 422), address

    ask()
    if answers[200] <= CASES / 4:  # what Hypothesis draws hangs together: many may be of no run that there is
        ask()

    assert sum(answers.values()) >= CASES
    assert answers[200] > CASES / 4, answers
    print(f"{sum(answers.values())} requests: {dict(answers)}")
