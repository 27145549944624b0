"""Calls at the same time, on as many cores as `n_jobs` says."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def parallel_map(n_jobs: int | None) -> Iterator[Callable[..., Any]]:
    """Give a `map` that runs up to `n_jobs` calls at the same time, and returns their results in order."""
    jobs = 1 if n_jobs is None else n_jobs if n_jobs > 0 else (os.cpu_count() or 1) + 1 + n_jobs
    if jobs <= 1:
        yield map
        return
    with ThreadPoolExecutor(jobs) as pool:
        yield pool.map


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], n_jobs: int, ahead: int
) -> Generator[Result, None, None]:
    """Yield what a function makes of items, in order, with up to `ahead` of them in memory.

    Items are taken in the calling thread, and `n_jobs` calls run beside it. To be closed if not used up.
    """
    with ThreadPoolExecutor(n_jobs) as pool:
        results: deque[Future[Result]] = deque()
        for item in items:
            results.append(pool.submit(function, item))
            if len(results) >= ahead:
                yield results.popleft().result()
        while results:
            yield results.popleft().result()
