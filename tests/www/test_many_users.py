"""Fifty users at once: each is answered, and nothing of them stays."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from airflow import settings
from sqlalchemy.pool import QueuePool

USERS = 50
PAGE = "/pluginsv2/segmentation/run?dag_id=open&run_id=manual__0"
MEGABYTES = 30
"""What five rounds of fifty requests may add to memory once two have filled every cache."""


@pytest.fixture
def users() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(USERS) as users:
        yield users


def test_fifty_users_at_once_leave_no_session_open_and_no_memory_taken(
    server: Any, users: ThreadPoolExecutor
) -> None:
    together = threading.Barrier(USERS)
    bearer = {"Authorization": f"Bearer {server.tokens['viewer']}"}
    server.client.cookies.clear()

    def look(_: int) -> int:
        together.wait()
        return server.client.get(PAGE, headers=bearer).status_code

    def rounds(count: int) -> float:
        for _ in range(count):
            assert Counter(users.map(look, range(USERS))) == {200: USERS}
        gc.collect()
        return psutil.Process().memory_info().rss / 1e6

    before = rounds(2)
    after = rounds(5)

    pool = settings.engine.pool if settings.engine else None
    assert isinstance(pool, QueuePool)
    # Before Airflow 3.3, FAB's provider keeps one of its own, to know the user with.
    assert pool.checkedout() <= 1
    assert after - before < MEGABYTES
    print(f"{USERS} users: {before:.0f} MB, then {after:.0f} MB")
