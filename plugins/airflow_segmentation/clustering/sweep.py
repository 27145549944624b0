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

from airflow_segmentation.clustering import chain
from airflow_segmentation.clustering.chain import Fit, Points

CANDIDATES = 32
"""Points drawn for each new centre; more cost time and gain next to nothing."""


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
    n_init: int = 2,
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
        Chains run, each from a seed of its own; for each k the best fit of all is taken.
    n_jobs : int or None
        Chains run at the same time; None is 1, -1 is one for each core.
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
        chains = [
            _Chain(points, k_max, (random_state, init), max_iter=max_iter, tol=tol) for init in range(n_init)
        ]
        done = 0
        if state is not None:
            done = int(state["done"])
            for init, one in enumerate(chains):
                one.restore({name: state[f"{name}_{init}"] for name in _Chain.STATE})
        steps = list(_steps(k_max))
        with _mapper(n_jobs, n_init) as at_once:
            for step in range(done, len(steps)):
                list(at_once(lambda one, k=steps[step]: one.advance(*k), chains))
                if on_step is not None:
                    on_step(_progress(step + 1, len(steps), k_min, chains))
        return _finished(points, k_min, chains, weighted=weights is not None)


class _Chain:
    """One chain: the best fit so far for each k."""

    STATE = ("centers", "inertia", "n_iter", "seconds")

    def __init__(
        self, points: Points, k_max: int, seed: tuple[int, int], *, max_iter: int, tol: float
    ) -> None:
        self.points, self.seed, self.max_iter, self.tol = points, seed, max_iter, tol
        self.fits: dict[int, Fit] = {1: chain.single(points)}
        self.seconds = np.zeros(k_max + 1)

    def advance(self, start: int, end: int) -> None:
        """Fit k = `end` from the fit for k = `start`, one more or one less, and keep the better fit."""
        started = time.perf_counter()
        if end > start:
            rng = np.random.default_rng([*self.seed, end])
            fit = chain.grown(self.points, self.fits[start], rng, CANDIDATES, self.tol, self.max_iter)
        else:
            fit = chain.shrunk(self.points, self.fits[start], self.tol, self.max_iter)
        if end not in self.fits or fit.inertia < self.fits[end].inertia:
            self.fits[end] = fit
        self.seconds[end] += time.perf_counter() - started

    def state(self) -> dict[str, NDArray[Any]]:
        fits = [self.fits[k] for k in sorted(self.fits)]
        return {
            "centers": np.vstack([fit.centers for fit in fits]),
            "inertia": np.array([fit.inertia for fit in fits]),
            "n_iter": np.array([fit.n_iter for fit in fits]),
            "seconds": self.seconds,
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        ends = np.cumsum(np.arange(1, len(state["inertia"]) + 1))
        centers = np.split(state["centers"], ends[:-1])
        fits = zip(centers, state["inertia"].tolist(), state["n_iter"].tolist(), strict=True)
        self.fits = {len(fit[0]): Fit(*fit) for fit in fits}
        self.seconds = np.array(state["seconds"])


def _steps(k_max: int) -> Iterator[tuple[int, int]]:
    """Yield the steps of a chain, as pairs of the k it comes from and the k it goes to."""
    yield from ((k, k + 1) for k in range(1, k_max))
    yield from ((k, k - 1) for k in range(k_max, 2, -1))


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
def _mapper(n_jobs: int | None, tasks: int) -> Iterator[Callable[..., Any]]:
    """Give a `map` that runs up to `n_jobs` tasks at the same time."""
    jobs = 1 if n_jobs is None else n_jobs if n_jobs > 0 else (os.cpu_count() or 1) + 1 + n_jobs
    if min(jobs, tasks) <= 1:
        yield map
        return
    with ThreadPoolExecutor(min(jobs, tasks)) as pool:
        yield pool.map


def _best(chains: list[_Chain], k: int) -> Fit:
    return min((one.fits[k] for one in chains), key=lambda fit: fit.inertia)


def _progress(done: int, total: int, k_min: int, chains: list[_Chain]) -> Progress:
    k_values = np.array([k for k in sorted(chains[0].fits) if k >= k_min], int)
    state: dict[str, NDArray[Any]] = {"done": np.array(done)}
    for init, one in enumerate(chains):
        state |= {f"{name}_{init}": values for name, values in one.state().items()}
    return Progress(done, total, k_values, np.array([_best(chains, k).inertia for k in k_values]), state)


def _finished(points: Points, k_min: int, chains: list[_Chain], *, weighted: bool) -> Sweep:
    k_values = np.array([k for k in sorted(chains[0].fits) if k >= k_min])
    fits = [_best(chains, k) for k in k_values]
    inertias, centers, sizes = [], [], []
    for fit in fits:
        labels = chain.assign(points, fit.centers).labels
        offsets = points.centred - fit.centers[labels]
        inertias.append(points.weights @ np.einsum("ij,ij->i", offsets, offsets))
        size = np.bincount(labels, points.weights, len(fit.centers))
        # Equal sizes stand in the order of their centres, so that labels do not hang on how they arose.
        order = np.lexsort((*fit.centers.T[::-1], -size))
        centers.append(fit.centers[order] + points.mean)
        sizes.append(size[order] if weighted else size[order].astype(int))
    return Sweep(
        k_values=k_values,
        # A curve of exact arithmetic never rises; of floating-point sums it may, by a rounding error.
        inertias=np.minimum.accumulate(inertias),
        cluster_centers=centers,
        sizes=sizes,
        n_iter=np.array([fit.n_iter for fit in fits]),
        fit_seconds=np.sum([one.seconds for one in chains], axis=0)[k_values],
        total_inertia=points.total,
    )
