"""Calls at the same time, on as many cores as `n_jobs` says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any


@contextmanager
def parallel_map(n_jobs: int | None) -> Iterator[Callable[..., Any]]:
    """Give a `map` that runs up to `n_jobs` calls at the same time, and returns their results in order."""
    jobs = 1 if n_jobs is None else n_jobs if n_jobs > 0 else (os.cpu_count() or 1) + 1 + n_jobs
    if jobs <= 1:
        yield map
        return
    with ThreadPoolExecutor(jobs) as pool:
        yield pool.map
