"""The stack of docker-compose.yaml, one for all tests here: each module starts it the way that it needs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import browser as browser
from made.s3 import connected as connected
from made.s3 import connection as connection
from made.s3 import s3 as s3
from made.s3 import s3_server as s3_server
from made.stack import Stack
from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A stack of which nothing runs yet; PostgreSQL and Redis run from the first `up` to the end."""
    with tempfile.TemporaryDirectory(prefix="segmentation-stack-") as home:
        Path(home).chmod(0o755)  # PostgreSQL runs as another user
        stack = Stack(Path(home))
        with stack:
            yield stack


@pytest.fixture(scope="module")
def up(stack: Stack) -> Stack:
    """The stack as it is with no `.env`, for modules that do not start it in a way of their own."""
    stack.up()
    return stack


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window of nobody: not logged in."""
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    yield context.new_page()
    context.close()
