"""Work on the next parts of a file beside that on the one at hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


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
