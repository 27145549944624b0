"""K-means for every k by one chain: each k starts from its neighbour's centres instead of from chance.

Going up, one centre is added where it saves most, and Lloyd's iterations follow; going down, the centre that
is missed least is dropped, and Lloyd's iterations follow; the better of the two stays. Only numpy is needed,
whose import takes a tenth of scikit-learn's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

BLOCK = 2048
"""Rows whose distances to all centres are taken at once: 2,048 x 49 of them stay in a core's cache."""


class Points:
    """Weighted rows in the shapes that distances and sums are taken from.

    Equal rows are merged and rows are sorted. So the order of the rows does not change a bit of the result, a
    weight of two is exactly a row that occurs twice, and the number of points is the largest k that there is.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
    weights : ndarray of shape (n_rows,), none negative; rows of weight 0 are left out
    """

    def __init__(self, rows: Floats, weights: Floats) -> None:
        rows, self.weights = _distinct(rows, weights)
        self.mean = self.weights @ rows / self.weights.sum()
        self.centred = rows - self.mean
        self.squares = np.einsum("ij,ij->i", self.centred, self.centred)
        self.total = float(self.weights @ self.squares)
        ones = np.ones((len(rows), 1))
        self.augmented = np.hstack([self.centred, ones])
        self.weighted = self.augmented * self.weights[:, None]

    def __len__(self) -> int:
        return len(self.weights)


@dataclass(frozen=True)
class Fit:
    """Centres for one k, in the points' centred coordinates."""

    centers: Floats
    inertia: float
    n_iter: int


@dataclass
class Partition:
    """Each point's nearest centre, and squared distances to that and to the second nearest."""

    labels: Ints
    nearest: Floats
    second: Floats


def single(points: Points) -> Fit:
    """Return the fit for k = 1: the mean."""
    return Fit(np.zeros((1, points.centred.shape[1])), points.total, 0)


def grown(
    points: Points, fit: Fit, rng: np.random.Generator, candidates: int, tol: float, max_iter: int
) -> Fit:
    """Return a fit with one centre more: of some points drawn, the one that saves the most SSE.

    Points are drawn with probability proportional to weight times squared distance, as k-means++ does (Arthur
    and Vassilvitskii, 2007).
    """
    partition = assign(points, fit.centers)
    share = np.cumsum(points.weights * partition.nearest)
    drawn = np.searchsorted(share, rng.random(candidates) * share[-1])
    rivals = points.centred[np.unique(np.minimum(drawn, len(points) - 1))]
    saved = np.zeros(len(rivals))
    for block in _blocks(len(points)):
        gain = partition.nearest[block] - _distances(rivals, points, block)
        saved += np.maximum(gain, 0.0, out=gain) @ points.weights[block]
    newcomer = rivals[[saved.argmax()]]
    distance = _distances(newcomer, points, slice(None))[0]
    closer = distance < partition.nearest
    partition.second = np.where(closer, partition.nearest, np.minimum(partition.second, distance))
    partition.nearest = np.where(closer, distance, partition.nearest)
    partition.labels[closer] = len(fit.centers)
    return relaxed(points, np.vstack([fit.centers, newcomer]), partition, tol, max_iter)


def shrunk(points: Points, fit: Fit, tol: float, max_iter: int) -> Fit:
    """Return a fit with one centre less: the one whose points lose least by going to their second nearest."""
    partition = assign(points, fit.centers)
    loss = np.bincount(
        partition.labels, points.weights * (partition.second - partition.nearest), len(fit.centers)
    )
    dropped = int(loss.argmin())
    centers = np.delete(fit.centers, dropped, axis=0)
    orphans = np.flatnonzero(partition.labels == dropped)
    partition.labels -= partition.labels > dropped
    partition.labels[orphans], partition.nearest[orphans], partition.second[orphans] = _two_nearest(
        centers, points, orphans
    )
    return relaxed(points, centers, partition, tol, max_iter)


def relaxed(points: Points, centers: Floats, partition: Partition, tol: float, max_iter: int) -> Fit:
    """Run Lloyd's iterations until one lowers the SSE by less than `tol` of it, and return the fit.

    A centre that lost all its points starts again at the point that costs most. Distances are taken again
    only for points whose label the moves of the centres may have changed, by the bounds of Hamerly, "Making
    k-means even faster" (2010).
    """
    k = len(centers)
    labels, upper, lower = partition.labels, np.sqrt(partition.nearest), np.sqrt(partition.second)
    sums = _sums(labels, points.weighted, k)
    counts = np.bincount(labels, minlength=k)
    previous = np.inf
    n_iter = 0
    while n_iter < max_iter and counts.all():
        means = sums[:, :-1] / sums[:, -1:]
        inertia = points.total - float(np.einsum("ij,ij->", sums[:, :-1], means))
        if previous - inertia <= tol * max(inertia, 0.0):
            break
        previous = inertia
        n_iter += 1
        moves = np.sqrt(((means - centers) ** 2).sum(axis=1))
        centers = means
        upper += moves[labels]
        lower -= _largest_other(moves)[labels]
        doubtful = np.flatnonzero(upper > lower)
        if not len(doubtful):
            continue
        found, nearest, second = _two_nearest(centers, points, doubtful)
        upper[doubtful], lower[doubtful] = np.sqrt(nearest), np.sqrt(second)
        changed = found != labels[doubtful]
        movers, joined, left = doubtful[changed], found[changed], labels[doubtful[changed]]
        labels[movers] = joined
        counts += np.bincount(joined, minlength=k) - np.bincount(left, minlength=k)
        sums += _sums(joined, points.weighted[movers], k) - _sums(left, points.weighted[movers], k)
    partition = assign(points, centers)
    if not counts.all():
        farthest = (points.weights * partition.nearest).argsort()[::-1]
        centers[counts == 0] = points.centred[farthest[: np.count_nonzero(counts == 0)]]
        return relaxed(points, centers, assign(points, centers), tol, max_iter)
    return Fit(centers, float(points.weights @ partition.nearest), n_iter)


def assign(points: Points, centers: Floats) -> Partition:
    """Assign every point to its nearest centre."""
    labels = np.empty(len(points), np.intp)
    nearest, second = np.empty((2, len(points)))
    for block in _blocks(len(points)):
        labels[block], nearest[block], second[block] = _two_nearest(centers, points, block)
    return Partition(labels, nearest, second)


def _distinct(rows: Floats, weights: Floats) -> tuple[Floats, Floats]:
    rows, weights = rows[weights > 0], weights[weights > 0]
    order = np.lexsort(rows.T[::-1])
    rows, weights = rows[order], weights[order]
    first = np.ones(len(rows), bool)
    first[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return rows[first], np.add.reduceat(weights, np.flatnonzero(first))


def _blocks(length: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, length, BLOCK)]


def _distances(centers: Floats, points: Points, which: slice | Ints) -> Floats:
    """Return squared distances, shape (n_centers, n_points): |x|^2 - 2 x.c + |c|^2, by one matrix product."""
    product = np.hstack([-2.0 * centers, np.einsum("ij,ij->i", centers, centers)[:, None]])
    distances: Floats = product @ points.augmented[which].T
    distances += points.squares[which]
    np.maximum(distances, 0.0, out=distances)
    return distances


def _two_nearest(centers: Floats, points: Points, which: slice | Ints) -> tuple[Ints, Floats, Floats]:
    """Return the nearest centre's index, and squared distances to the nearest and the second nearest.

    The second is infinite where there is only one centre.
    """
    distances = _distances(centers, points, which)
    nearest = distances.min(axis=0)
    # An argmin over the first axis copies the matrix; looking for where the minimum lies is faster.
    hits = np.flatnonzero(distances == nearest)
    labels = np.empty(len(nearest), np.intp)
    centre, point = np.divmod(hits, len(nearest))
    labels[point] = centre
    distances[labels, np.arange(len(nearest))] = np.inf
    return labels, nearest, distances.min(axis=0)


def _sums(labels: Ints, weighted: Floats, k: int) -> Floats:
    """Return the sums of rows by label, shape (k, n_columns)."""
    columns = weighted.shape[1]
    cells = (labels * columns)[:, None] + np.arange(columns)
    return np.bincount(cells.ravel(), weighted.ravel(), k * columns).astype(float).reshape(k, columns)


def _largest_other(moves: Floats) -> Floats:
    """Return for each centre how far the farthest moved of the others has moved."""
    farthest = int(moves.argmax())
    largest = np.full(len(moves), moves[farthest])
    largest[farthest] = np.delete(moves, farthest).max(initial=0.0)
    return largest
