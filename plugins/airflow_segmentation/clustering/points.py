"""Weighted points, their segments, and Lloyd's iterations over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

BLOCK = 8192
"""Rows whose distances to all centres are taken at once: 2,048 x 49 of them stay in a core's cache."""

DISTANCES = 2**18
"""Distances that are taken at a time: what of them is needed stays in a core's cache."""

BEYOND = 0.8
"""How far centres go beyond the means of their points, in parts of the way there."""

RINGS = 4
"""Rings around each centre, as wide as the next centre is far, by which the other centres are told apart."""

RINGED = 2**19
"""Points times centres from which that pays."""


@dataclass(frozen=True)
class Segments:
    """The centres for one k, and what their segments amount to."""

    centers: Floats
    sizes: Floats
    """Weight of each segment."""
    sse: Floats
    """Weighted sum of squared distances to the centre in each segment."""
    spread: Floats
    """Weighted sum of distances to the centre in each segment."""

    @property
    def inertia(self) -> float:
        """SSE over all segments."""
        return float(self.sse.sum())

    def moved(self, offset: Floats) -> Segments:
        """Return the same segments with all coordinates moved by `offset`."""
        return Segments(self.centers + offset, self.sizes, self.sse, self.spread)

    def by_falling_size(self) -> Segments:
        """Return the segments with the largest first; equal sizes in the order of their centres."""
        order = np.lexsort((*self.centers.T[::-1], -self.sizes))
        return Segments(self.centers[order], self.sizes[order], self.sse[order], self.spread[order])


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
        self.centred: Floats
        self.centred, self.weights = _distinct(rows, weights)
        self.mean: Floats = self.weights @ self.centred / self.weights.sum()
        self.centred -= self.mean
        self.squares: Floats = np.einsum("ij,ij->i", self.centred, self.centred)
        self.total = float(self.weights @ self.squares)
        ones = np.ones((len(self), 1))
        self.augmented: NDArray[np.floating[Any]] = np.hstack([self.centred, ones])
        self.weighted: Floats = self.augmented * self.weights[:, None]
        self.scale = 1.0

    def __len__(self) -> int:
        return len(self.weights)

    def compare_in_single_precision(self) -> None:
        """Find out which centre is nearest in single precision from now on; sums stay in double.

        That takes little more than half the time. A point between two centres may be taken for the other's.
        """
        # A power of two, near the standard deviation: no square is too large for single precision.
        self.scale = 2.0 ** np.round(np.log2(self.total / self.weights.sum()) / 2)
        self.augmented[:, :-1] /= self.scale
        self.augmented = self.augmented.astype(np.float32)

    def thinned(self, size: int) -> Points:
        """Return about `size` of the points, weighted to stand for all; rows are these points' centred ones.

        All where there are no more. Which of them are taken is evenly spread and no matter of chance.
        """
        chance = np.ones(len(self))
        if size < len(self):
            chance = chances(self.weights, self.squares, size, float(self.weights.sum()), self.total)
        passed = np.floor(np.cumsum(chance))
        taken = np.diff(passed, prepend=0.0) > 0
        return Points(self.centred[taken], self.weights[taken] / chance[taken])


def chances(weights: Any, squares: Floats, size: int, weight: float, total: float) -> Floats:
    """Return with what chance each row should be drawn, shape (n_rows,), to draw about `size`.

    Half of them uniformly, half in proportion to their squared distance from the mean: a uniform sample needs
    four times the rows for the same SSE where features have long tails (Bachem and others, "Scalable k-means
    clustering via lightweight coresets", 2018). A row drawn stands for its weight by its chance.

    Parameters
    ----------
    weights, squares : ndarray of shape (n_rows,)
        Weights, and squared distances from the mean.
    weight, total : float
        Sum of the weights and total SSE, of all rows that are drawn from.
    """
    return np.minimum(size * weights * (0.5 / weight + 0.5 * squares / total), 1.0)


def lloyd(
    points: Points, centers: Floats, tol: float, max_iter: int, beyond: float | None = None
) -> tuple[Segments, int]:
    """Run Lloyd's iterations from `centers`, in the points' centred coordinates.

    Returns the segments and the number of iterations, which end where one would lower the SSE by `tol` of it
    or less. A centre without points starts again at the point that costs most. Distances are taken again only
    for points whose label the moves of the centres may have changed, by the bounds of Hamerly, "Making
    k-means even faster" (2010).

    As long as that lowers the SSE, centres go beyond the means, by a part of their last move: many small
    moves the same way become few large ones (Salakhutdinov and Roweis, "Adaptive overrelaxed bound
    optimization methods", 2003). That part is :data:`BEYOND` unless given.
    """
    k = len(centers)
    beyond = BEYOND if beyond is None else beyond
    labels, nearest, second = _two_nearest(centers, points)
    counts = np.bincount(labels, minlength=k)
    if not counts.all():
        empty = np.flatnonzero(counts == 0)
        centers = centers.copy()
        centers[empty] = points.centred[(points.weights * nearest).argsort()[::-1][: len(empty)]]
        return lloyd(points, centers, tol, max_iter, beyond)
    upper, lower = np.sqrt(nearest), np.sqrt(second)
    sums = summed(labels, points.weighted, k)
    previous = np.inf
    n_iter = 0
    while n_iter < max_iter:
        means = sums[:, :-1] / sums[:, -1:]
        inertia = points.total - float(np.einsum("ij,ij->", sums[:, :-1], means))
        if previous - inertia <= tol * max(inertia, 0.0):
            if not beyond:
                break
            beyond = 0.0
        aims = means + beyond * (means - centers) if n_iter else means
        previous = inertia
        n_iter += 1
        moves = np.sqrt(((aims - centers) ** 2).sum(axis=1))
        centers = aims
        upper += moves.take(labels)
        lower -= _approach(centers, moves, labels, upper + lower)
        doubtful = np.flatnonzero(upper > lower)
        if not len(doubtful):
            continue
        found, nearest, second = _two_nearest(centers, points, doubtful)
        upper[doubtful], lower[doubtful] = np.sqrt(nearest), np.sqrt(second)
        changed = found != labels[doubtful]
        movers, joined = doubtful[changed], found[changed]
        left = labels[movers]
        labels[movers] = joined
        counts += np.bincount(joined, minlength=k) - np.bincount(left, minlength=k)
        if not counts.all():
            # From here no centre goes beyond the means, so that the SSE falls each time, and this ends.
            return lloyd(points, centers, tol, max_iter, beyond=0.0)
        sums += summed(joined, points.weighted[movers], k) - summed(left, points.weighted[movers], k)
    return _measured(points, centers, labels), n_iter


def with_farthest(points: Points, centers: Floats, k: int) -> Floats:
    """Return the centres and, one by one up to k, the point that costs most; the SSE can only fall."""
    while len(centers) < k:
        _, nearest, _ = _two_nearest(centers, points)
        centers = np.vstack([centers, points.centred[[(points.weights * nearest).argmax()]]])
    return centers


def without_least(points: Points, centers: Floats, k: int) -> Floats:
    """Return the centres but, one by one down to k, the one whose points lose least by going elsewhere."""
    while len(centers) > k:
        labels, nearest, second = _two_nearest(centers, points)
        loss = np.bincount(labels, points.weights * (second - nearest), len(centers))
        centers = np.delete(centers, loss.argmin(), axis=0)
    return centers


def assign(rows: Floats, centers: Floats) -> Ints:
    """Return each row's nearest centre, shape (n_rows,)."""
    return nearest(rows, centers)[0]


def nearest(rows: Floats, centers: Floats) -> tuple[Ints, Floats]:
    """Return each row's nearest centre, the first of several, and the squared distance to it, by products.

    Both are of shape (n_rows,). Where a value is missing or infinite, the distance is NaN.
    """
    labels, squares = np.empty(len(rows), np.intp), np.empty(len(rows))
    with np.errstate(invalid="ignore"):
        for block, moved, distances in _compared(rows, centers):
            least = distances.min(axis=0)
            labels[block] = _first_where(distances == least)
            squares[block] = least + np.einsum("ij,ij->j", moved, moved)
    return labels, np.maximum(squares, 0.0, out=squares)


def nearest_two(rows: Floats, centers: Floats) -> tuple[Ints, Ints]:
    """Return each row's nearest centre, and the second nearest of two at least; each of shape (n_rows,)."""
    labels, seconds = np.empty((2, len(rows)), np.intp)
    for block, _, distances in _compared(rows, centers):
        labels[block] = own = _first_where(distances == distances.min(axis=0))
        distances[own, np.arange(len(own))] = np.inf
        seconds[block] = _first_where(distances == distances.min(axis=0))
    return labels, seconds


def _compared(rows: Floats, centers: Floats) -> Iterator[tuple[slice, Floats, Floats]]:
    """Yield blocks of rows: which, in coordinates from the centres' mean, of shape (n_features, n), and their
    squared distances to all centres, less their own squares, of shape (k, n).
    """
    offset = centers.mean(axis=0)
    product = distance_product(centers - offset)
    size = at_a_time(len(centers))
    # Rows stand side by side, with ones below: a product and its least are taken several rows at a time.
    held = np.ones((product.shape[1], min(size, len(rows))))
    for block in blocks(len(rows), size):
        own = rows[block].T
        moved = held[:, : own.shape[1]]
        np.subtract(own, offset[:, None], out=moved[:-1])
        yield block, moved[:-1], product @ moved


def _measured(points: Points, centers: Floats, labels: Ints) -> Segments:
    k = len(centers)
    # Distances by subtraction: those by a matrix product lose digits where a segment is small and far off.
    offsets = points.centred - centers[labels]
    squared = np.einsum("ij,ij->i", offsets, offsets)
    parts = np.column_stack([points.weights, points.weights * squared, points.weights * np.sqrt(squared)])
    return Segments(centers, *summed(labels, parts, k).T)


def _distinct(rows: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return the different rows, sorted, and the weight of each; both are copies."""
    if not (weights > 0).all():
        rows, weights = rows[weights > 0], weights[weights > 0]
    order = rows[:, 0].argsort(kind="stable")
    if (np.diff(rows[order, 0]) == 0).any():  # the others decide, which takes as long for each of them
        order = np.lexsort(rows.T[::-1])
    rows, weights = rows[order], weights[order]
    first = np.ones(len(rows), bool)
    first[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    if first.all():
        return rows, weights
    return rows[first], np.add.reduceat(weights, np.flatnonzero(first))


def blocks(length: int, size: int = BLOCK) -> Iterator[slice]:
    """Yield slices that part `length` rows."""
    return (slice(start, start + size) for start in range(0, length, size))


def at_a_time(centers: int) -> int:
    """Return of how many rows the distances to so many centres are taken at a time."""
    return max(256, DISTANCES // max(1, centers))


def grouped(labels: NDArray[Any], count: int) -> list[Ints]:
    """Return which rows have each label from 0 to `count` - 1, in their order."""
    return np.split(by_label(labels, count), np.bincount(labels, minlength=count).cumsum()[:-1])


def by_label(labels: NDArray[Any], count: int) -> Ints:
    """Return the order of rows by their labels from 0 to `count` - 1; of one label, in their own."""
    # Sixteen bits are sorted by radix, in a tenth of the time.
    return labels.astype(np.uint16 if count < 2**16 else np.intp, copy=False).argsort(kind="stable")


def distance_product(centers: Floats) -> Floats:
    """Return what times (x, 1) is |x - c|^2 - |x|^2 = |c|^2 - 2 x.c, for every centre."""
    product = np.empty((len(centers), centers.shape[1] + 1))
    np.multiply(centers, -2.0, out=product[:, :-1])
    np.einsum("ij,ij->i", centers, centers, out=product[:, -1])
    return product


def _two_nearest(centers: Floats, points: Points, which: Ints | None = None) -> tuple[Ints, Floats, Floats]:
    """Return the nearest centre's index, and squared distances to the nearest and the second nearest.

    Of the points `which`, or of all. The second distance is infinite where there is only one centre.
    """
    product = distance_product(centers / points.scale).astype(points.augmented.dtype, copy=False)
    count = len(points) if which is None else len(which)
    labels = np.empty(count, np.intp)
    nearest, second = np.empty((2, count))
    for block in blocks(count):
        rows = points.augmented[block] if which is None else points.augmented.take(which[block], axis=0)
        distances = product @ rows.T
        nearest[block] = least = distances.min(axis=0)
        labels[block] = _first_where(distances == least)
        distances[labels[block], np.arange(len(least))] = np.inf
        second[block] = distances.min(axis=0)
    squares = points.squares if which is None else points.squares.take(which)
    for each in (nearest, second):
        each *= points.scale**2
        each += squares
        np.maximum(each, 0.0, out=each)
    return labels, nearest, second


def _first_where(hits: NDArray[np.bool_]) -> Ints:
    """Return in which row each column is first true.

    An argmax over the first axis would copy the matrix; the largest rank of a hit does not.
    """
    last = len(hits) - 1
    ranks = np.arange(last, -1, -1, dtype=np.min_scalar_type(last))[:, None]
    return last - (ranks * hits).max(axis=0).astype(np.intp)


def summed(labels: Ints, values: Any, k: int) -> Floats:
    """Return the sums of rows of values by label, shape (k, n_columns)."""
    columns = values.shape[1]
    places = (labels * columns)[:, None] + np.arange(columns)
    return np.bincount(places.ravel(), values.ravel(), k * columns).astype(float).reshape(k, columns)


def _approach(centers: Floats, moves: Floats, labels: Ints, reach: Floats) -> Floats:
    """Return for each point how much nearer any centre but its own may have come, where that matters.

    A centre that is farther from the point's own than `reach`, the sum of the point's bounds, stays beyond
    them (Rysavy and Hamerly, "Geometric methods to accelerate k-means algorithms", 2016). Reaches are
    rounded up to rings around each centre.
    """
    if len(labels) * len(centers) < RINGED:
        return _largest_other(moves).take(labels)
    offsets = centers[:, None] - centers
    between = np.sqrt(np.einsum("ijk,ijk->ij", offsets, offsets))
    np.fill_diagonal(between, np.inf)
    width = between.min(axis=1, keepdims=True)
    edges = width * [*range(1, RINGS), np.inf]
    largest = np.where(between[:, :, None] < edges[:, None], moves[:, None], 0.0).max(axis=1)
    ring = np.minimum(reach * (1.0 / width).take(labels), RINGS - 1).astype(np.intp)
    return largest.take(labels * RINGS + ring)


def _largest_other(moves: Floats) -> Floats:
    """Return for each centre how far the farthest moved of the others has moved."""
    farthest = int(moves.argmax())
    largest = np.full(len(moves), moves[farthest])
    others = moves.copy()
    others[farthest] = 0.0
    largest[farthest] = others.max()
    return largest
