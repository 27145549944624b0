"""Starting centres for every k, by chains that lead from each k to its neighbours.

Going up, a chain adds one centre where it saves most, and runs Lloyd's iterations; going down, it drops the
centre that is missed least, and runs Lloyd's iterations; for each k the better of the two stays. Of few
centres a chain may have the wrong ones and no way to the right ones, so each k is begun anew as well, the
more often the fewer centres there are. All this happens on some hundred cells instead of all points, for
several chains at once, so it takes the same fraction of a second however large the data is. What it finds is
where Lloyd's iterations over all points begin.

Where there is one feature, chains are not needed: see `line.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from airflow_segmentation.clustering.line import on_a_line
from airflow_segmentation.clustering.points import Floats, Ints, Points, distance_product, summed

CELLS_PER_SEGMENT = 16
LEAST_CELLS = 1200
POINTS_PER_CELL = 80
CELLS_ON_A_LINE = 2**12
CANDIDATES = 8
"""Cells drawn for each new centre. More gain little."""
BEGUN = 64
"""How often each chain begins anew, times the square of k."""
MOST_BEGUN = 8
RIVALS = 3
"""Cells drawn for each centre of a beginning: fewer, so that beginnings differ."""
TURNS = 3
"""How often the best chain goes up and down once more."""
TOL = 2e-3
MAX_ITER = 50
CACHED = 2**17
"""Distances of as many chains as are taken at once: so many stay in a core's cache."""


@dataclass(frozen=True)
class Starts:
    """Each chain's starting centres for each k, in the points' centred coordinates."""

    centers: list[Floats]
    """For each k an array of shape (n_chains, k, n_features), the best on the cells first."""
    left: float
    """Share of the total SSE that the last of them leave."""
    hidden: float
    """Share of what they leave that lies within the cells, where chains do not see it."""

    def at(self, k: int) -> Floats:
        """Return those for k, or the last there are."""
        return self.centers[min(k, len(self.centers)) - 1]

    def moved(self, offset: Floats) -> Starts:
        """Return the same with all coordinates moved by `offset`."""
        return replace(self, centers=[centers + offset for centers in self.centers])


def starts(points: Points, k_max: int, chains: int, seed: int, thoroughness: int = 1) -> Starts:
    """Find starting centres for each k from 1 to `k_max`: where there is one feature, the best there are.

    Parameters
    ----------
    thoroughness : int
        How many times as many chains there are, and as many beginnings anew.
    """
    if points.centred.shape[1] == 1:
        means, weights, _ = cells(points, max(CELLS_ON_A_LINE, CELLS_PER_SEGMENT * k_max))
        order = means[:, 0].argsort()
        found = on_a_line(means[order, 0], weights[order], min(k_max, len(means)))
    else:
        means, weights, _ = rough_cells(points, k_max)
        chains *= thoroughness
        rough = Cells(means, np.broadcast_to(weights, (chains, len(weights))))
        found = walk(rough, k_max, seed, thoroughness)
        _turn(Cells(means, weights[None]), found, seed)
    within = max(points.total - float(weights @ np.einsum("ij,ij->i", means, means)), 0.0)
    left = within + float(found[-1][1].min())
    tiny = np.finfo(float).tiny
    return Starts(
        [centers[costs.argsort(kind="stable")] for centers, costs in found],
        left=left / max(points.total, tiny),
        hidden=within / max(left, tiny),
    )


def rough_cells(points: Points, k_max: int) -> tuple[Floats, Floats, Ints]:
    """Return what :func:`cells` does for some hundred of them: enough for `k_max` segments."""
    return cells(points, max(LEAST_CELLS, CELLS_PER_SEGMENT * k_max, len(points) // POINTS_PER_CELL))


def cells(points: Points, limit: int) -> tuple[Floats, Floats, Ints]:
    """Return the means and the weights of at most `limit` cells that part the points, and each point's cell.

    Of no more points than that each is a cell. Else cells of more than their share of the SSE are halved at
    their mean, across the feature in which they vary most, until there are `limit` (Su and Dy, "In search of
    deterministic methods for initializing K-means", 2007). Means are in the points' centred coordinates.
    """
    every = np.arange(len(points))
    if len(points) <= limit:
        return points.centred, points.weights, every
    labels = np.zeros(len(points), np.intp)
    count = 1
    while True:
        sums = summed(labels, points.weighted, count)
        means = sums[:, :-1] / sums[:, -1:]
        offsets = points.centred - means[labels]
        scatter = summed(labels, offsets**2 * points.weights[:, None], count)
        beyond = offsets[every, scatter.argmax(axis=1)[labels]] > 0
        # A cell of one point may seem to vary, by a rounding error; it has nothing to halve.
        far, whole = np.bincount(labels, beyond, count), np.bincount(labels, minlength=count)
        sse = np.where((far > 0) & (far < whole), scatter.sum(axis=1), 0.0)
        worst = (-sse).argsort(kind="stable")[: limit - count]
        halved = worst[sse[worst] > sse.sum() / limit]
        if not len(halved):
            return means, sums[:, -1], labels
        halves = np.full(count, -1)
        halves[halved] = count + np.arange(len(halved))
        moved = beyond & (halves[labels] >= 0)
        labels[moved] = halves[labels[moved]]
        count += len(halved)


class Cells:
    """Cells, as their means and their weights in each chain, in the shapes that sums are taken from.

    Parameters
    ----------
    means : ndarray of shape (n_cells, n_features), or (n_chains, n_cells, n_features)
        The same for all chains, or each chain's own.
    weights : ndarray of shape (n_chains, n_cells)
    """

    def __init__(self, means: Floats, weights: Floats) -> None:
        self.means, self.weights = means, weights
        self.squares = np.einsum("...j,...j->...", means, means)
        self.augmented = np.concatenate([means, np.ones((*means.shape[:-1], 1))], axis=-1)
        self._transposed = np.swapaxes(self.augmented, -1, -2).copy()
        self._is_shared = means.ndim == 2

    def __len__(self) -> int:
        return self.weights.shape[1]

    def of(self, chains: Any) -> Cells:
        """Return those of some chains."""
        some = object.__new__(Cells)
        vars(some).update(vars(self))  # in a fifth of the time of a copy, some thousand times
        some.weights = self.weights[chains]
        if not self._is_shared:
            for name in ("means", "squares", "augmented", "_transposed"):
                setattr(some, name, getattr(self, name)[chains])
        return some

    def at(self, drawn: Ints) -> Floats:
        """Return the means of the cells drawn in each chain, shape (n_chains, n_drawn, n_features)."""
        return self.means[drawn] if self._is_shared else np.take_along_axis(self.means, drawn[..., None], 1)

    def distances(self, centers: Floats) -> Floats:
        """Return |x - c|^2 - |x|^2, shape (n_chains, n_centers, n_cells)."""
        chains, k, features = centers.shape
        product = distance_product(centers.reshape(-1, features))
        if self._is_shared:
            return (product @ self._transposed).reshape(chains, k, -1)
        return product.reshape(chains, k, -1) @ self._transposed


Found = list[tuple[Floats, Floats]]
"""For each k the centres of all chains, of shape (n_chains, k, n_features), and their SSE, (n_chains,)."""


def walk(rough: Cells, k_max: int, seed: int, thoroughness: int = 1) -> Found:
    """Go up to `k_max` and back down; return what all chains found for each k, with the SSE over cells."""
    total = rough.weights.sum(axis=1, keepdims=True)
    mean = (rough.weights[:, None] @ rough.means)[:, 0] / total
    scatter = (rough.weights * rough.squares).sum(axis=1) - total[:, 0] * np.einsum("ij,ij->i", mean, mean)
    found = [(mean[:, None], np.maximum(scatter, 0.0))]
    for k in range(2, min(k_max, len(rough)) + 1):
        rng = np.random.default_rng([seed, k])
        own = _lloyd(rough, _grown(rough, found[-1][0], rng))
        for _ in range(min(thoroughness * BEGUN // k**2, MOST_BEGUN)):
            _take_better(own, _lloyd(rough, _begun(rough, k, rng)))
        found.append(own)
    _go_down(rough, found)
    return found


def _turn(rough: Cells, found: Found, seed: int) -> None:
    """Go up and down again from the best that was found for each k, and put what is better in its place.

    :param rough: the cells, as those of a single chain.
    """
    best = [int(costs.argmin()) for _, costs in found]
    own = [(centers[[i]], costs[[i]]) for (centers, costs), i in zip(found, best, strict=True)]
    for turn in range(1, TURNS + 1):
        for k, one in enumerate(own[1:], start=2):
            rng = np.random.default_rng([seed, k, turn])
            _take_better(one, _lloyd(rough, _grown(rough, own[k - 2][0], rng)))
        _go_down(rough, own)
    for (centers, costs), i, one in zip(found, best, own, strict=True):
        centers[i], costs[i] = one[0][0], one[1][0]


def _go_down(rough: Cells, found: Found) -> None:
    """Put what is better from the last k down to the second in the place of what was found."""
    for above, own in zip(found[:1:-1], found[-2:0:-1], strict=True):
        _take_better(own, _lloyd(rough, _shrunk(rough, above[0])))


def _take_better(own: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> None:
    """Put another's centres and SSE in the place of a chain's own where they are better."""
    better = other[1] < own[1]
    own[0][better], own[1][better] = other[0][better], other[1][better]


def _lloyd(rough: Cells, centers: Floats) -> tuple[Floats, Floats]:
    """Run Lloyd's iterations for all chains; return their centres and SSE."""
    together = max(1, CACHED // (centers.shape[1] * len(rough)))
    groups = [slice(start, start + together) for start in range(0, len(centers), together)]
    found = [_lloyd_together(rough.of(group), centers[group]) for group in groups]
    return np.concatenate([centers for centers, _ in found]), np.concatenate([costs for _, costs in found])


def _lloyd_together(rough: Cells, centers: Floats) -> tuple[Floats, Floats]:
    centers = centers.copy()
    weighted = rough.weights[:, :, None] * rough.augmented
    costs = np.full(len(centers), np.inf)
    active = np.arange(len(centers))
    for _ in range(MAX_ITER):
        distances = rough.distances(centers[active])
        nearest = distances.min(axis=1)
        cost = np.einsum("ij,ij->i", nearest + rough.squares, rough.weights)
        falling = costs[active] - cost > TOL * cost
        costs[active] = cost
        if not falling.any():
            break
        if not falling.all():
            distances, nearest, active = distances[falling], nearest[falling], active[falling]
            rough = rough.of(falling)
        sums = (distances == nearest[:, None]).astype(float) @ weighted[active]
        inside = sums[..., -1:]
        means = sums[..., :-1] / np.where(inside > 0, inside, 1.0)
        centers[active] = np.where(inside > 0, means, centers[active])
    return centers, costs


def _begun(rough: Cells, k: int, rng: np.random.Generator) -> Floats:
    """Return k centres for each chain, drawn as the greedy k-means++ does (see :func:`_grown`)."""
    nearest = np.ones_like(rough.weights)
    centers = np.empty((len(nearest), 0, rough.means.shape[-1]))
    for _ in range(k):
        rivals = _drawn(rough, nearest, RIVALS, rng)
        apart = np.maximum(rough.distances(rivals) + rough.squares[..., None, :], 0.0)
        if centers.shape[1]:
            np.minimum(apart, nearest[:, None], out=apart)
        best = np.einsum("ijk,ik->ij", apart, rough.weights).argmin(axis=1)
        chains = np.arange(len(best))
        centers = np.concatenate([centers, rivals[chains, best, None]], axis=1)
        nearest = apart[chains, best]
    return centers


def _drawn(rough: Cells, nearest: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Draw cells for each chain, with a chance in proportion to weight times squared distance."""
    share = np.cumsum(nearest * rough.weights, axis=1)
    marks = rng.random((len(share), count)) * share[:, -1:]
    drawn = np.array([np.searchsorted(own, mark) for own, mark in zip(share, marks, strict=True)])
    return rough.at(np.minimum(drawn, len(rough) - 1))


def _grown(rough: Cells, centers: Floats, rng: np.random.Generator) -> Floats:
    """Add to each chain, of some cells drawn, the one that saves the most SSE.

    Cells are drawn with probability proportional to weight times squared distance, as k-means++ does (Arthur
    and Vassilvitskii, 2007).
    """
    nearest = np.maximum(rough.distances(centers).min(axis=1) + rough.squares, 0.0)
    rivals = _drawn(rough, nearest, CANDIDATES, rng)
    gain = (nearest - rough.squares)[:, None] - rough.distances(rivals)
    saved = np.einsum("ijk,ik->ij", np.maximum(gain, 0.0, out=gain), rough.weights)
    newcomers = rivals[np.arange(len(centers)), saved.argmax(axis=1)]
    return np.concatenate([centers, newcomers[:, None]], axis=1)


def _shrunk(rough: Cells, centers: Floats) -> Floats:
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
