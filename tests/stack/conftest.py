"""The stack of docker-compose.yaml, one for all tests here: each module starts it the way that it needs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import browser as browser
from made.stack import Stack
from playwright.sync_api import Browser, Page

DAG_ID = "customer_segmentation"
TASKS = ["load", "scale", "sweep", "choose", "assign"]


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A stack of which nothing runs yet; PostgreSQL and Redis run from the first `up` to the end."""
    with tempfile.TemporaryDirectory(prefix="segmentation-stack-") as home:
        Path(home).chmod(0o755)  # PostgreSQL runs as another user
        stack = Stack(Path(home))
        with stack:
            yield stack


@pytest.fixture(scope="module")
def run_dag() -> Callable[[Stack], str]:
    """Runs the example Dag to its end and gives the run's id."""

    def run(stack: Stack) -> str:
        stack.wait_for_dag(DAG_ID)
        run_id = stack.trigger(DAG_ID)
        states = {task["task_id"]: task["state"] for task in stack.follow(DAG_ID, run_id)}
        assert states == dict.fromkeys(TASKS, "success"), states
        return run_id

    return run


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window of nobody: not logged in."""
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    yield context.new_page()
    context.close()
