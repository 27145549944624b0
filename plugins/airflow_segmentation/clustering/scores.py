"""Quality scores for every k of a sweep at once, equal to scikit-learn's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from airflow_segmentation.clustering.methods import SCORES
from airflow_segmentation.clustering.parallel import parallel_map
from airflow_segmentation.clustering.points import Floats, Ints, assign, blocks, nearest
from airflow_segmentation.clustering.rows import Chances, Rows
from airflow_segmentation.clustering.sweep import Sweep

Scores = NDArray[np.float64]
SAMPLE = 5_000
"""Rows, of more, that the silhouette is taken over, but for some more of small segments."""
FEW = 20
"""Rows of a segment that are enough to tell its silhouette; all of one that has no more."""
BLOCK = 250
"""Rows whose distances to all sampled rows are summed up at a time."""


def compute_score(
    name: str, rows: Rows, sweep: Sweep, seed: int = 0, n_jobs: int | None = None
) -> tuple[Scores, int]:
    """Return a score at each k, and the number of rows that it was taken over.

    Parameters
    ----------
    name : str
        One of :data:`~airflow_segmentation.clustering.methods.SCORES`.
    """
    functions: dict[str, Callable[..., Scores]] = {
        "silhouette": partial(silhouette, n_jobs=n_jobs),
        "calinski_harabasz": calinski_harabasz,
        "davies_bouldin": davies_bouldin,
    }
    compute = functions[name]
    if SCORES[name].sampled:
        sample, weights = silhouette_sample(rows, sweep, seed)
        return compute(sweep, sample, weights), len(sample)
    return compute(sweep), sweep.rows


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


def silhouette(sweep: Sweep, rows: Any, weights: Any = None, *, n_jobs: int | None = None) -> Scores:
    """Return the mean silhouette (Rousseeuw, 1987) at each k; NaN where all rows are in one segment.

    All distances between the rows are taken once. Their sums by segment are carried from each k to the next,
    as only some rows go from one segment to another.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        All rows, or those that :func:`silhouette_sample` draws of many: time and memory grow with the square.
    weights : ndarray of shape (n_rows,)
        How many rows each stands for; None for 1 each. All means are weighted: those of distances, too.
    n_jobs : int or None
        Blocks of rows summed up at the same time; None is 1, -1 is one for each core. Does not change a bit.
    """
    with threadpool_limits(limits=1):
        rows = np.asarray(rows, float)
        weights = np.ones(len(rows)) if weights is None else np.asarray(weights, float)
        steps = list(_steps([assign(rows, centers) for centers in sweep.cluster_centers], weights))
        rows = rows - rows.mean(axis=0)

        def summed(block: slice) -> list[float]:
            distances = _distances(rows, rows[block]).astype(np.float32)
            sums = np.zeros((1, distances.shape[1]))
            found = []
            for step in steps:
                sums = np.vstack([sums[step.parents], np.zeros_like(sums[:1])])
                sums[step.changed] += step.moves @ distances[step.movers]
                values = _silhouettes(step, block, sums[:-1], weights[block])
                found.append(float(values @ weights[block]))
            return found

        with parallel_map(n_jobs) as mapped:
            found = np.sum(list(mapped(summed, blocks(len(rows), BLOCK))), axis=0)
        several = np.array([len(step.sizes) > 1 for step in steps])
        return np.where(several, found / weights.sum(), np.nan)


def silhouette_sample(rows: Rows, sweep: Sweep, seed: int = 0) -> tuple[Floats, Floats]:
    """Return rows to take the silhouette over, and how many rows each stands for: all of few, 1 each.

    Of more than :data:`SAMPLE` that many are drawn, by segment, and more of segments too small to have
    :data:`FEW` among them, whatever the k at which they are small: a dozen rows far away may decide which k
    is best, and would hardly ever be met. A row stands for the more, the lower its chance is (Horvitz and
    Thompson, 1952), so the mean stays where it is.
    """
    if rows.count <= SAMPLE:
        return rows.drawn(lambda batch: (np.ones(len(batch)), np.zeros(len(batch), np.intp)), seed)
    with threadpool_limits(limits=1):
        return rows.drawn(_chances(sweep), seed)


def _chances(sweep: Sweep) -> Chances:
    """Return what tells each row's chance to be drawn, the largest that its segment has at any k.

    Its stratum is its segment at the last k. Most rows cannot be of a small segment at any k, which their
    distance to the centre of that stratum, their hub, shows by the triangle inequality. The others are
    assigned at every k.
    """
    share = SAMPLE / sweep.rows
    small = [np.flatnonzero(share * sizes < FEW) for sizes in sweep.sizes]
    by_segment = [np.maximum(share, FEW / np.maximum(sizes, FEW)) for sizes in sweep.sizes]
    hubs = sweep.cluster_centers[-1]
    reach = np.full((len(small), len(hubs)), np.inf)
    """How far from its hub a row is at least that may be in a small segment, at each k but the last."""
    for index, (centers, which) in enumerate(zip(sweep.cluster_centers[:-1], small[:-1], strict=True)):
        if len(which):
            gaps = np.linalg.norm(hubs[:, None] - centers, axis=2)
            reach[index] = (gaps[:, which].min(axis=1) - gaps.min(axis=1)) / 2 * (1 - 1e-6)
    least = reach.min(axis=0)

    def chances(rows: Floats) -> tuple[Floats, Ints]:
        own, squares = nearest(rows, hubs)
        chance = by_segment[-1][own]
        far = np.sqrt(squares)
        some = np.flatnonzero(far >= least[own])
        rows, far, hub, highest = rows[some], far[some], own[some], chance[some]
        for centers, segments, beyond in zip(sweep.cluster_centers, by_segment, reach, strict=True):
            near = np.flatnonzero(far >= beyond[hub])
            if len(near):
                highest[near] = np.maximum(highest[near], segments[assign(rows[near], centers)])
        chance[some] = highest
        return chance, own

    return chances


@dataclass(frozen=True)
class _Step:
    """The segments of one k, and how they come from those of the k before and an empty one."""

    labels: NDArray[np.intp]
    """Of all rows, with no gaps."""
    sizes: NDArray[np.intp]
    totals: Floats
    """Weight of each segment's rows."""
    parents: NDArray[np.intp]
    """The segment of the k before that each differs least from; the last is the empty one."""
    changed: NDArray[np.intp]
    """The segments that differ from their parent."""
    movers: NDArray[np.intp] | slice
    """The rows in which they differ."""
    moves: NDArray[np.float32]
    """A row's weight where it joins, less than 0 where it leaves, in shape (n_changed, n_movers)."""


def _steps(labels: list[NDArray[np.intp]], weights: Floats) -> Iterator[_Step]:
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
        weighted = moves[changed][:, movers] * weights[movers].astype(np.float32)
        totals = np.bincount(own, weights).astype(np.float64)
        yield _Step(own, sizes, totals, parents, changed, movers, weighted)
        before, count = own, k


def _silhouettes(step: _Step, block: slice, sums: Any, weights: Floats) -> Scores:
    """Return the silhouettes of a block of rows, from their summed distances to the rows of each segment."""
    labels = step.labels[block]
    every = np.arange(len(labels))
    alone = step.sizes[labels] == 1
    inner = sums[labels, every] / np.where(alone, 1.0, step.totals[labels] - weights)
    means = sums / step.totals[:, None]
    means[labels, every] = np.inf
    outer = means.min(axis=0)
    largest = np.maximum(inner, outer)
    apart = ~alone & np.isfinite(outer) & (largest > 0)
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
