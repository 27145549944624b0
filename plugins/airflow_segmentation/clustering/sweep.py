"""The sweep: K-means for every k of a range, as one function of arrays that needs nothing but numpy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from airflow_segmentation.clustering.fits import Fit, fit_all
from airflow_segmentation.clustering.points import Floats, Points, Segments, with_farthest
from airflow_segmentation.clustering.rows import ArrayRows, Rows

FULL = 2**16
"""Rows up to which centres are fitted on all of them."""
SAMPLED_ROWS, SAMPLED_VALUES = 2**14, 2**23
"""Rows of a sample for each feature, and the most values in it; there are :data:`FULL` rows at least."""


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
    spreads: list[NDArray[np.float64]]
    """One array of shape (k,) for each k: mean distance of a segment's rows to its centre."""
    n_iter: NDArray[np.int_]
    """Lloyd's iterations that led from the starting centres to these."""
    fit_seconds: NDArray[np.float64]
    total_inertia: float
    """SSE at k = 1, also where the range begins above."""
    rows: int
    fit_rows: int
    """Rows that the centres were fitted on: all, or a sample. SSE, sizes and spreads are over all rows."""


@dataclass(frozen=True)
class Step:
    """How far a sweep has come, and all that is needed to go on from there."""

    done: int
    """Steps done: each is one k, and then, where a sample was fitted, one part of all rows measured."""
    total: int
    k_values: NDArray[np.int_]
    inertias: NDArray[np.float64]
    """SSE at each k so far; an estimate where a sample was fitted."""
    state: Mapping[str, NDArray[Any]]
    """Plain arrays, to be saved with `numpy.savez`."""


def sweep_rows(rows: Any, weights: Any = None, **parameters: Any) -> Sweep:
    """Fit K-means for every k over rows in memory.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features), finite
    weights : ndarray of shape (n_rows,), none negative; None for 1 each
    **parameters
        As for :func:`sweep_table`.
    """
    return sweep_table(ArrayRows(rows, weights), **parameters)


def sweep_table(
    table: Rows,
    *,
    k_min: int = 1,
    k_max: int = 49,
    n_init: int = 4,
    max_iter: int = 300,
    tol: float = 0.0,
    random_state: int = 0,
    n_jobs: int | None = None,
    on_step: Callable[[Step], object] | None = None,
    state: Mapping[str, NDArray[Any]] | None = None,
) -> Sweep:
    """Fit K-means for every k from `k_min` to `k_max` over rows that may be too many for memory.

    Below `k_min` only k = 1 is fitted, for the total SSE: starting centres come from chains over some hundred
    cells, which begin at k = 1 whatever `k_min` is. So a range may be spread over several sweeps, each as
    good as one from 1 to its `k_max`.

    Of more than :data:`FULL` rows, centres are fitted on a sample; SSE, sizes and spreads are measured over
    all rows, in one pass for all k. The result depends on the rows, the parameters and `random_state` alone:
    not on threads, nor on whether the sweep was interrupted and went on from a saved state, nor, where no
    sample is drawn, on the order of the rows.

    Parameters
    ----------
    table : Rows
        For example a :class:`TableRows`.
    tol : float
        Lloyd's iterations end where one would lower the SSE by this share or less; 0 is where no row changes
        its segment. At least :data:`~airflow_segmentation.clustering.fits.SAMPLE_TOL` for a sample.
    n_init : int
        Chains that look for starting centres, each with its own chance. For each k the best is taken; of a
        sample with many features, where that is hard to tell, two are.
    n_jobs : int or None
        Values of k fitted at the same time; None is 1, -1 is one for each core.
    on_step : callable
        Called with a :class:`Step` after each step, in this thread.
    state : mapping of str to ndarray
        The `state` of a :class:`Step` of the same sweep, to go on from.

    Raises
    ------
    ValueError
        If there are fewer distinct rows than `k_min`, the range is none, or differences cannot be squared.
    """
    if not 1 <= k_min <= k_max:
        raise ValueError(f"k_min={k_min} and k_max={k_max} should be 1 <= k_min <= k_max")
    with threadpool_limits(limits=1):
        sampled = table.count > FULL
        sample = table.sample(_sample_size(table.features), random_state)
        weights = np.ones(len(sample.rows)) if sample.weights is None else sample.weights
        points, fit_rows = Points(sample.rows, weights), len(sample.rows)
        mean = sample.mean
        del sample  # which of many features is as large as all that the fits take
        if len(points) > 1 and points.total < np.finfo(np.float64).tiny:
            raise ValueError("The rows differ by so little that squares of it vanish; scale them first")
        k_max = _possible(k_max, k_min, len(points))
        k_values = sorted({1, *range(k_min, k_max + 1)})
        fits = _restored(state, k_values) if state is not None else []
        total = len(k_values) + (table.parts if sampled else 0)

        def report(measured: int = 0) -> None:
            if on_step is not None:
                on_step(_progress(fits, k_min, done=len(fits) + measured, total=total))

        if len(fits) < len(k_values):
            remaining = fit_all(
                points,
                k_values,
                sampled=sampled,
                below=fits[-1] if fits else None,
                n_init=n_init,
                tol=tol,
                max_iter=max_iter,
                random_state=random_state,
                n_jobs=n_jobs,
            )
            for fit in remaining:
                fits.append(fit)
                report()
        segments = [fit.segments.moved(points.mean) for fit in fits]
        if sampled:
            centers = [mean[None], *(one.centers for one in segments[1:])]
            segments = _measured(table, centers, report)
            while rising := [i for i in range(1, len(fits)) if segments[i].inertia > segments[i - 1].inertia]:
                # The sample ranks these k otherwise. The neighbour's centres and more never cost more.
                for i in rising:
                    centers[i] = (
                        with_farthest(points, centers[i - 1] - points.mean, k_values[i]) + points.mean
                    )
                again = _measured(table, [centers[i] for i in rising], lambda _: None)
                for i, one in zip(rising, again, strict=True):
                    segments[i] = one
    return _finished(fits, segments, k_min, table.count, fit_rows, whole=not table.weighted)


def _measured(table: Rows, centers: list[Floats], report: Callable[[int], None]) -> list[Segments]:
    """Measure the segments of all k over all rows."""
    amounts = [np.zeros((len(each), 3)) for each in centers]
    for part, added in enumerate(table.measured(centers), start=1):
        for amount, more in zip(amounts, added, strict=True):
            amount += more
        report(part)
    return [Segments(each, *amount.T) for each, amount in zip(centers, amounts, strict=True)]


def _sample_size(features: int) -> int:
    return max(FULL, min(SAMPLED_ROWS * features, SAMPLED_VALUES // features))


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


def _progress(fits: list[Fit], k_min: int, *, done: int, total: int) -> Step:
    shown = [fit for fit in fits if fit.k >= k_min]
    segments = [fit.segments for fit in fits]
    return Step(
        done=done,
        total=total,
        k_values=np.array([fit.k for fit in shown], int),
        inertias=np.array([fit.segments.inertia for fit in shown]),
        state={
            "segments": np.vstack(
                [np.column_stack([one.centers, one.sizes, one.sse, one.spread]) for one in segments]
            ),
            "n_iter": np.array([fit.n_iter for fit in fits]),
            "seconds": np.array([fit.seconds for fit in fits]),
        },
    )


def _restored(state: Mapping[str, NDArray[Any]], k_values: list[int]) -> list[Fit]:
    n_iter, seconds = state["n_iter"].tolist(), state["seconds"].tolist()
    ends = np.cumsum(k_values[: len(n_iter)])
    parts = np.split(state["segments"], ends[:-1])
    segments = [Segments(part[:, :-3].copy(), *part[:, -3:].T.copy()) for part in parts]
    return [Fit(*fit) for fit in zip(segments, n_iter, seconds, strict=True)]


def _finished(
    fits: list[Fit], segments: list[Segments], k_min: int, rows: int, fit_rows: int, *, whole: bool
) -> Sweep:
    total, within = segments[0].inertia, slice(0 if k_min == 1 else 1, None)
    fits, shown = fits[within], [one.by_falling_size() for one in segments[within]]
    return Sweep(
        k_values=np.array([fit.k for fit in fits]),
        # A curve of exact arithmetic never rises; of floating-point sums it may, by a rounding error.
        inertias=np.minimum.accumulate([one.inertia for one in shown]),
        cluster_centers=[one.centers for one in shown],
        sizes=[np.rint(one.sizes).astype(int) if whole else one.sizes for one in shown],
        spreads=[one.spread / np.where(one.sizes > 0, one.sizes, 1.0) for one in shown],
        n_iter=np.array([fit.n_iter for fit in fits]),
        fit_seconds=np.array([fit.seconds for fit in fits]),
        total_inertia=total,
        rows=rows,
        fit_rows=fit_rows,
    )
