"""How sure the choice of k is, and how sure each segment: the sweep repeated on resamples of the rows.

Whether k would be chosen again does not tell whether the segments are there: resamples of noise agree, too.
Whether a segment comes again does, segment by segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from airflow_segmentation.clustering.chain import Cells, rough_cells, walk
from airflow_segmentation.clustering.points import Floats, Ints, Points, assign

Curve = tuple[Sequence[int], Sequence[float]]
"""Values of k, and the SSE at each."""


@dataclass(frozen=True)
class Resamples:
    """What came of sweeping bootstrap resamples."""

    curves: list[Curve]
    """One for each resample."""
    jaccard: list[list[float]]
    """For each k and each of its segments the mean over resamples of the largest Jaccard similarity to one of
    the resample's segments (Hennig, "Cluster-wise assessment of cluster stability", 2007): 1 where it always
    comes again whole."""


def sweep_resamples(
    rows: Any,
    *,
    resamples: int = 20,
    k_min: int = 1,
    k_max: int = 49,
    random_state: int = 0,
    cluster_centers: Sequence[Any] = (),
) -> Resamples:
    """Sweep bootstrap resamples of the rows (Efron, 1979), all at once.

    A resample draws as many rows as there are, with replacement. It is swept on the cells in which a sweep
    looks for its starting centres: how many of its rows fall into a cell is all that differs from one
    resample to the next, and their scatter within the cells is added to the SSE.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
    cluster_centers : sequence of ndarrays of shape (k, n_features), none of more than `k_max` rows
        The segments that are held against those of the resamples.
    """
    rows = np.asarray(rows, float)
    with threadpool_limits(limits=1):
        points = Points(rows, np.ones(len(rows)))
        means, weights, cell = rough_cells(points, k_max)
        share = points.weights / len(rows)
        drawn = np.array(
            [
                np.bincount(cell, rng.multinomial(len(rows), share), len(means))
                for rng in np.random.default_rng(random_state).spawn(resamples)
            ]
        )
        within = max(points.total - float(weights @ np.einsum("ij,ij->i", means, means)), 0.0)
        rough = Cells(means, drawn)
        found = walk(rough, k_max, random_state)
        jaccard = [
            _jaccard(assign(means, centers - points.mean), rough, found[min(len(centers), len(found)) - 1][0])
            for centers in cluster_centers
        ]
    curves = np.minimum.accumulate(np.maximum([cost for _, cost in found], 0.0) + within).T
    # A resample has no more segments than cells that it drew rows from.
    ends = np.minimum((drawn > 0).sum(axis=1), len(found))
    starts = np.minimum(ends, k_min)
    return Resamples(
        [
            (list(range(start, end + 1)), curve[start - 1 : end].tolist())
            for curve, start, end in zip(curves, starts.tolist(), ends.tolist(), strict=True)
        ],
        jaccard,
    )


def _jaccard(labels: Ints, rough: Cells, centers: Floats) -> list[float]:
    """Return how much each segment of the cells is like that of each resample which is most like it.

    The mean is over resamples that drew rows of it; 0 where none did. It has two digits: more are chance.

    Parameters
    ----------
    labels : ndarray of shape (n_cells,)
    centers : ndarray of shape (n_resamples, k, n_features)
    """
    k = centers.shape[1]
    found = np.full((len(centers), k), np.nan)
    labels_of = rough.distances(centers).argmin(axis=1)
    for own, weights, nearest in zip(found, rough.weights, labels_of, strict=True):
        shared = np.bincount(labels * k + nearest, weights, k * k).reshape(k, k)
        sizes = shared.sum(axis=1, keepdims=True)
        either = sizes + shared.sum(axis=0) - shared
        own[:] = np.divide(shared, either, out=np.zeros_like(shared), where=either > 0).max(axis=1)
        own[sizes[:, 0] == 0] = np.nan
    drawn = ~np.isnan(found)
    means = np.where(drawn, found, 0.0).sum(axis=0) / np.maximum(drawn.sum(axis=0), 1)
    return [round(mean, 2) for mean in means.tolist()]
