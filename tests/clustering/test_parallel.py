from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import pytest
from airflow_segmentation.clustering.parallel import parallel_map
from airflow_segmentation.tables.ahead import map_ahead


class Held:
    """A function whose calls wait until they are let go, and the threads that they ran in."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.let_go = threading.Event()

    def __call__(self, item: int) -> int:
        self.threads.add(threading.get_ident())
        assert self.let_go.wait(60)
        return -item


@pytest.mark.parametrize(
    ("n_jobs", "threads"), [(None, 0), (1, 0), (2, 2), (3, 3), (-1, 4), (-2, 3), (-4, 0), (-9, 0)]
)
def test_as_many_calls_run_at_once_as_n_jobs_says(
    monkeypatch: pytest.MonkeyPatch, n_jobs: int | None, threads: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    call = Held()

    with parallel_map(n_jobs) as mapped:
        results = mapped(call, range(8))
        call.let_go.set()
        assert list(results) == [-item for item in range(8)]

    assert len(call.threads - {threading.get_ident()}) == threads


def test_where_cores_cannot_be_counted_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: None)

    with parallel_map(-1) as mapped:
        assert mapped is map


def taken_one_by_one(taken: list[int], at_end: Callable[[], None]) -> Iterator[int]:
    """Yield eight numbers, and note which were taken."""
    for item in range(8):
        taken.append(item)
        yield item
    at_end()


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_items_are_mapped_in_order_by_n_jobs_threads(n_jobs: int) -> None:
    call = Held()

    results = list(map_ahead(call, taken_one_by_one([], call.let_go.set), n_jobs, ahead=9))

    assert results == [-item for item in range(8)]
    assert len(call.threads) == n_jobs


@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_no_more_items_are_in_memory_than_ahead_says(ahead: int) -> None:
    taken: list[int] = []

    results = map_ahead(lambda item: item, taken_one_by_one(taken, lambda: None), 1, ahead)

    for result in results:
        assert len(taken) == min(result + ahead, 8)
    assert len(taken) == 8
