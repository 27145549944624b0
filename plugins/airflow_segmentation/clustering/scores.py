"""Quality scores for every k of a sweep at once, equal to scikit-learn's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from airflow_segmentation.clustering.parallel import parallel_map
from airflow_segmentation.clustering.points import assign, blocks
from airflow_segmentation.clustering.sweep import Sweep

Scores = NDArray[np.float64]
SAMPLE = 5_000
"""Rows that the silhouette is taken over."""
BLOCK = 250
"""Rows whose distances to all sampled rows are summed up at a time."""


def calinski_harabasz(sweep: Sweep) -> Scores:
    """Return the ratio of scatter between segments to that within (1974), NaN at k = 1 and where SSE is 0.

    In closed form from the SSE, as the scatter between segments is what it lacks of the total.
    """
    k, weight = sweep.k_values, sweep.sizes[0].sum()
    within, between = sweep.inertias, sweep.total_inertia - sweep.inertias
    possible = (k > 1) & (k < weight) & (within > 0)
    score = np.full(len(k), np.nan)
    np.divide(between * (weight - k), within * (k - 1), out=score, where=possible)
    return score


def davies_bouldin(sweep: Sweep) -> Scores:
    """Return how much like its most alike neighbour a segment is, in the mean (1979); NaN at k = 1.

    From each segment's mean distance to its centre, and the distances between centres.
    """
    return np.array(
        [_davies_bouldin(*each) for each in zip(sweep.cluster_centers, sweep.spreads, strict=True)]
    )


def silhouette(sweep: Sweep, rows: Any, *, seed: int = 0, n_jobs: int | None = None) -> Scores:
    """Return the mean silhouette (Rousseeuw, 1987) over a sample of rows; NaN where they are in one segment.

    All distances between the sampled rows are taken once. Their sums by segment are carried from each k to
    the next, as only some rows go from one segment to another.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Of more than :data:`SAMPLE` a sample is drawn.
    n_jobs : int or None
        Blocks of rows summed up at the same time; None is 1, -1 is one for each core. Does not change a bit.
    """
    with threadpool_limits(limits=1):
        rows = np.asarray(rows, float)
        if len(rows) > SAMPLE:
            rows = rows[np.random.default_rng(seed).choice(len(rows), SAMPLE, replace=False)]
        steps = list(_steps([assign(rows, centers) for centers in sweep.cluster_centers]))
        rows = rows - rows.mean(axis=0)

        def total(block: slice) -> list[float]:
            distances = _distances(rows, rows[block]).astype(np.float32)
            sums = np.zeros((1, distances.shape[1]))
            totals = []
            for step in steps:
                sums = np.vstack([sums[step.parents], np.zeros_like(sums[:1])])
                sums[step.changed] += step.moves @ distances[step.movers]
                means = sums[:-1] / step.sizes[:, None]
                totals.append(float(_silhouettes(means, step.sizes, step.labels[block]).sum()))
            return totals

        with parallel_map(n_jobs) as mapped:
            totals = np.sum(list(mapped(total, blocks(len(rows), BLOCK))), axis=0)
        several = np.array([len(step.sizes) > 1 for step in steps])
        return np.where(several, totals / len(rows), np.nan)


@dataclass(frozen=True)
class _Step:
    """The segments of one k, and how they come from those of the k before and an empty one."""

    labels: NDArray[np.intp]
    """Of all rows, with no gaps."""
    sizes: NDArray[np.intp]
    parents: NDArray[np.intp]
    """The segment of the k before that each differs least from; the last is the empty one."""
    changed: NDArray[np.intp]
    """The segments that differ from their parent."""
    movers: NDArray[np.intp] | slice
    """The rows in which they differ."""
    moves: NDArray[np.float32]
    """1 for a row that joins, -1 for one that leaves, in shape (n_changed, n_movers)."""


def _steps(labels: list[NDArray[np.intp]]) -> Iterator[_Step]:
    """Yield how the segments of each k come from those of the k before."""
    before, count = np.zeros_like(labels[0]), 0
    for own in labels:
        _, own, sizes = np.unique(own, return_inverse=True, return_counts=True)
        k = len(sizes)
        overlap = np.bincount(before * k + own, minlength=count * k)[: count * k].reshape(count, k)
        apart = np.vstack([overlap.sum(axis=1, keepdims=True) + sizes - 2 * overlap, sizes])
        parents = apart.argmin(axis=0)
        moves = (own == np.arange(k)[:, None]).astype(np.float32)
        moves[parents < count] -= before == parents[parents < count, None]
        changed, moved = np.flatnonzero(moves.any(axis=1)), np.flatnonzero(moves.any(axis=0))
        # To pick out most of the rows would cost more than to take them all.
        movers = moved if 2 * len(moved) < len(own) else slice(None)
        yield _Step(own, sizes, parents, changed, movers, moves[changed][:, movers])
        before, count = own, k


def _silhouettes(means: Any, counts: Any, labels: NDArray[np.intp]) -> Scores:
    """Return each row's silhouette, from its mean distance to the rows of each segment, itself included."""
    every = np.arange(len(labels))
    size = counts[labels]
    inner = means[labels, every] * size / np.maximum(size - 1, 1)
    means[labels, every] = np.inf
    outer = means.min(axis=0)
    largest = np.maximum(inner, outer)
    apart = (size > 1) & np.isfinite(outer) & (largest > 0)
    return np.divide(outer - inner, largest, out=np.zeros(len(labels)), where=apart, casting="same_kind")


def _davies_bouldin(centers: Scores, spread: Scores) -> float:
    if len(centers) < 2:
        return float("nan")
    gaps = np.sqrt(((centers[:, None] - centers) ** 2).sum(axis=2))
    np.fill_diagonal(gaps, np.inf)
    if np.allclose(spread, 0):
        return 0.0
    return float(((spread[:, None] + spread) / gaps).max(axis=1).mean())


def _distances(some: Scores, others: Scores) -> Scores:
    squared = some @ (-2.0 * others.T)
    squared += np.einsum("ij,ij->i", some, some)[:, None]
    squared += np.einsum("ij,ij->i", others, others)
    return np.sqrt(np.maximum(squared, 0.0, out=squared), out=squared)
