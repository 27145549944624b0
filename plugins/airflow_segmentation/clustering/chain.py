"""Starting centres for every k, by chains that lead from each k to its neighbours.

Going up, a chain adds one centre where it saves most, and runs Lloyd's iterations; going down, it drops the
centre that is missed least, and runs Lloyd's iterations; for each k the better of the two stays. This happens
on some hundred cells instead of all points, for several chains at once, so it takes the same fraction of a
second however large the data is. What it finds is where Lloyd's iterations over all points begin.
"""

from __future__ import annotations

import numpy as np

from airflow_segmentation.clustering.points import Floats, Points, _product, cells

CELLS_PER_SEGMENT = 16
LEAST_CELLS = 800
CANDIDATES = 16
"""Points drawn for each new centre. More gain little; fewer make the chains differ, and higher k worse."""
TOL = 1e-3
MAX_ITER = 50
CACHED = 2**16
"""Distances of as many chains as are taken at once: so many stay in a core's cache."""


def starts(points: Points, k_max: int, chains: int, seed: int) -> list[Floats]:
    """Return starting centres for each k from 1 to `k_max`, in the points' centred coordinates."""
    rough = _Cells(*cells(points, max(LEAST_CELLS, CELLS_PER_SEGMENT * k_max)))
    features = rough.rows.shape[1]
    centers = [np.zeros((chains, 1, features))]
    costs = [np.full(chains, np.inf)]
    for k in range(2, min(k_max, len(rough.rows)) + 1):
        rng = np.random.default_rng([seed, k])
        found, cost = _lloyd(rough, _grown(rough, centers[-1], rng))
        centers.append(found)
        costs.append(cost)
    for i in range(len(centers) - 2, 0, -1):
        found, cost = _lloyd(rough, _shrunk(rough, centers[i + 1]))
        better = cost < costs[i]
        centers[i][better], costs[i][better] = found[better], cost[better]
    return [found[cost.argmin()] for found, cost in zip(centers, costs, strict=True)]


class _Cells:
    """Weighted means of cells, in the shapes that distances and sums are taken from."""

    def __init__(self, rows: Floats, weights: Floats) -> None:
        self.rows, self.weights = rows, weights
        self.squares = np.einsum("ij,ij->i", rows, rows)
        augmented = np.hstack([rows, np.ones((len(rows), 1))])
        self.augmented = augmented.T.copy()
        self.weighted = augmented * weights[:, None]

    def distances(self, centers: Floats) -> Floats:
        """Return |x - c|^2 - |x|^2, shape (n_chains, n_centers, n_cells)."""
        chains, k, features = centers.shape
        return (_product(centers.reshape(-1, features)) @ self.augmented).reshape(chains, k, -1)


def _lloyd(rough: _Cells, centers: Floats) -> tuple[Floats, Floats]:
    """Run Lloyd's iterations for all chains; return their centres and SSE."""
    together = max(1, CACHED // (centers.shape[1] * len(rough.rows)))
    groups = [_lloyd_together(rough, centers[i : i + together]) for i in range(0, len(centers), together)]
    return np.concatenate([found for found, _ in groups]), np.concatenate([cost for _, cost in groups])


def _lloyd_together(rough: _Cells, centers: Floats) -> tuple[Floats, Floats]:
    centers = centers.copy()
    costs = np.full(len(centers), np.inf)
    active = np.arange(len(centers))
    for _ in range(MAX_ITER):
        distances = rough.distances(centers[active])
        nearest = distances.min(axis=1)
        cost = (nearest + rough.squares) @ rough.weights
        falling = costs[active] - cost > TOL * cost
        costs[active] = cost
        if not falling.any():
            break
        distances, nearest, active = distances[falling], nearest[falling], active[falling]
        sums = (distances == nearest[:, None]).astype(float) @ rough.weighted
        weights = sums[..., -1:]
        means = sums[..., :-1] / np.where(weights > 0, weights, 1.0)
        centers[active] = np.where(weights > 0, means, centers[active])
    return centers, costs


def _grown(rough: _Cells, centers: Floats, rng: np.random.Generator) -> Floats:
    """Add to each chain, of some cells drawn, the one that saves the most SSE.

    Cells are drawn with probability proportional to weight times squared distance, as k-means++ does (Arthur
    and Vassilvitskii, 2007).
    """
    nearest = np.maximum(rough.distances(centers).min(axis=1) + rough.squares, 0.0)
    share = np.cumsum(nearest * rough.weights, axis=1)
    marks = rng.random((len(centers), CANDIDATES)) * share[:, -1:]
    drawn = np.array([np.searchsorted(own, mark) for own, mark in zip(share, marks, strict=True)])
    rivals = rough.rows[np.minimum(drawn, len(rough.rows) - 1)]
    gain = (nearest - rough.squares)[:, None] - rough.distances(rivals)
    saved = np.maximum(gain, 0.0, out=gain) @ rough.weights
    newcomers = rivals[np.arange(len(centers)), saved.argmax(axis=1)]
    return np.concatenate([centers, newcomers[:, None]], axis=1)


def _shrunk(rough: _Cells, centers: Floats) -> Floats:
    """Drop from each chain the centre whose cells lose least by going to their second nearest."""
    chains, k, features = centers.shape
    distances = rough.distances(centers)
    nearest = distances.min(axis=1)
    own = distances == nearest[:, None]
    distances[own] = np.inf
    loss = (distances.min(axis=1) - nearest) * rough.weights
    kept = np.ones((chains, k), bool)
    kept[np.arange(chains), (own * loss[:, None]).sum(axis=2).argmin(axis=1)] = False
    return centers[kept].reshape(chains, k - 1, features)
