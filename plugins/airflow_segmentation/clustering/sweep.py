"""The sweep: K-means for every k of a range, as one function of arrays that needs nothing but numpy."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from airflow_segmentation.clustering.chain import starts
from airflow_segmentation.clustering.points import Floats, Points, Segments, lloyd, with_farthest


class RangeCut(UserWarning):
    """The data has fewer distinct rows than the largest k asked for."""


@dataclass(frozen=True)
class Sweep:
    """K-means for every k of a range. In each k, segments are ordered by falling size."""

    k_values: NDArray[np.int_]
    inertias: NDArray[np.float64]
    """SSE at each k, over all rows; never rises."""
    cluster_centers: list[NDArray[np.float64]]
    """One array of shape (k, n_features) for each k."""
    sizes: list[NDArray[Any]]
    """One array of shape (k,) for each k: rows in each segment, or the sum of their weights."""
    n_iter: NDArray[np.int_]
    """Lloyd's iterations that led from the neighbouring k's centres to these."""
    fit_seconds: NDArray[np.float64]
    total_inertia: float
    """SSE at k = 1, also where the range begins above."""


@dataclass(frozen=True)
class Progress:
    """How far a sweep has come, and all that is needed to go on from there."""

    done: int
    """Steps done: each is one k, on the way up or down."""
    total: int
    k_values: NDArray[np.int_]
    inertias: NDArray[np.float64]
    """SSE at each k so far; what is still to come can only lower it."""
    state: Mapping[str, NDArray[Any]]
    """Plain arrays, to be saved with `numpy.savez`."""


def sweep_rows(
    rows: NDArray[Any],
    weights: NDArray[Any] | None = None,
    *,
    k_min: int = 1,
    k_max: int = 49,
    n_init: int = 8,
    max_iter: int = 100,
    tol: float = 1e-4,
    random_state: int = 0,
    n_jobs: int | None = None,
    on_step: Callable[[Progress], object] | None = None,
    state: Mapping[str, NDArray[Any]] | None = None,
) -> Sweep:
    """Fit K-means for every k from `k_min` to `k_max`.

    The result depends on the rows, their weights, the parameters and `random_state` alone: not on the order
    of the rows, nor on threads, nor on whether the sweep was interrupted and went on from a saved state.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features), finite
    weights : ndarray of shape (n_rows,), none negative; None for 1 each
    n_init : int
        Chains that look for starting centres, each with its own chance; for each k the best is taken.
    n_jobs : int or None
        Values of k fitted at the same time; None is 1, -1 is one for each core.
    on_step : callable
        Called with a :class:`Progress` after each k, in this thread.
    state : mapping of str to ndarray
        The `state` of a :class:`Progress` of the same sweep, to go on from.

    Raises
    ------
    ValueError
        If there are fewer distinct rows than `k_min`, or the range is none.
    """
    if not 1 <= k_min <= k_max:
        raise ValueError(f"k_min={k_min} and k_max={k_max} should be 1 <= k_min <= k_max")
    with threadpool_limits(limits=1):
        points = Points(
            np.asarray(rows, np.float64),
            np.ones(len(rows)) if weights is None else np.asarray(weights, np.float64),
        )
        k_max = _possible(k_max, k_min, len(points))
        fits = _restored(state) if state is not None else []
        begin = starts(points, k_max, n_init, random_state)

        def fitted(k: int) -> _Fit:
            return _fitted(points, begin[min(k, len(begin)) - 1], k, tol, max_iter)

        with _mapper(n_jobs) as mapped:
            for fit in mapped(fitted, range(len(fits) + 1, k_max + 1)):
                if fits and fit.segments.inertia > fits[-1].segments.inertia:
                    # Each k started on its own, so a curve that rises is a start that failed.
                    fit = _fitted(points, fits[-1].segments.centers, fit.k, tol, max_iter)
                fits.append(fit)
                if on_step is not None:
                    on_step(_progress(fits, k_min, k_max))
    return _finished(points, fits, k_min, weighted=weights is not None)


@dataclass(frozen=True)
class _Fit:
    segments: Segments
    n_iter: int
    seconds: float

    @property
    def k(self) -> int:
        return len(self.segments.sizes)


def _fitted(points: Points, centers: Floats, k: int, tol: float, max_iter: int) -> _Fit:
    """Fit k segments from starting centres, of which there may be too few."""
    started = time.perf_counter()
    while len(centers) < k:
        centers = with_farthest(points, centers)
    segments, n_iter = lloyd(points, centers, tol, max_iter)
    return _Fit(segments, n_iter, time.perf_counter() - started)


def _possible(k_max: int, k_min: int, distinct: int) -> int:
    if distinct < k_min:
        raise ValueError(
            f"k_min={k_min} should be <= {distinct}, the number of distinct rows; lower k_min or add rows"
        )
    if distinct < k_max:
        warnings.warn(
            f"k_max={k_max} is more than the {distinct} distinct rows, so the range ends at k={distinct}; "
            "lower k_max to get rid of this warning",
            RangeCut,
            stacklevel=3,
        )
    return min(k_max, distinct)


@contextmanager
def _mapper(n_jobs: int | None) -> Iterator[Callable[..., Any]]:
    """Give a `map` that runs up to `n_jobs` calls at the same time, and returns their results in order."""
    jobs = 1 if n_jobs is None else n_jobs if n_jobs > 0 else (os.cpu_count() or 1) + 1 + n_jobs
    if jobs <= 1:
        yield map
        return
    with ThreadPoolExecutor(jobs) as pool:
        yield pool.map


def _progress(fits: list[_Fit], k_min: int, k_max: int) -> Progress:
    shown = fits[k_min - 1 :]
    return Progress(
        done=len(fits),
        total=k_max,
        k_values=np.array([fit.k for fit in shown], int),
        inertias=np.array([fit.segments.inertia for fit in shown]),
        state={
            "segments": np.vstack(
                [np.column_stack([one.centers, one.sizes, one.sse, one.spread]) for one in _segments(fits)]
            ),
            "n_iter": np.array([fit.n_iter for fit in fits]),
            "seconds": np.array([fit.seconds for fit in fits]),
        },
    )


def _restored(state: Mapping[str, NDArray[Any]]) -> list[_Fit]:
    n_iter, seconds = state["n_iter"].tolist(), state["seconds"].tolist()
    ends = np.cumsum(np.arange(1, len(n_iter) + 1))
    parts = np.split(state["segments"], ends[:-1])
    segments = [Segments(part[:, :-3].copy(), *part[:, -3:].T.copy()) for part in parts]
    return [_Fit(*fit) for fit in zip(segments, n_iter, seconds, strict=True)]


def _segments(fits: list[_Fit]) -> list[Segments]:
    return [fit.segments for fit in fits]


def _finished(points: Points, fits: list[_Fit], k_min: int, *, weighted: bool) -> Sweep:
    shown = fits[k_min - 1 :]
    centers, sizes = [], []
    for one in _segments(shown):
        # Equal sizes stand in the order of their centres, so that labels do not hang on how they arose.
        order = np.lexsort((*one.centers.T[::-1], -one.sizes))
        centers.append(one.centers[order] + points.mean)
        sizes.append(one.sizes[order] if weighted else one.sizes[order].astype(int))
    return Sweep(
        k_values=np.array([fit.k for fit in shown]),
        # A curve of exact arithmetic never rises; of floating-point sums it may, by a rounding error.
        inertias=np.minimum.accumulate([one.inertia for one in _segments(shown)]),
        cluster_centers=centers,
        sizes=sizes,
        n_iter=np.array([fit.n_iter for fit in shown]),
        fit_seconds=np.array([fit.seconds for fit in shown]),
        total_inertia=points.total,
    )
