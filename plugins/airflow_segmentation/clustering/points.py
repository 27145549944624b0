"""Weighted points, their segments, and Lloyd's iterations over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

BLOCK = 2048
"""Rows whose distances to all centres are taken at once: 2,048 x 49 of them stay in a core's cache."""

MEASURED = 2**15
"""Rows that are measured at once, against the few centres near them."""


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
        rows, self.weights = _distinct(rows, weights)
        self.mean: Floats = self.weights @ rows / self.weights.sum()
        self.centred: Floats = rows - self.mean
        self.squares: Floats = np.einsum("ij,ij->i", self.centred, self.centred)
        self.total = float(self.weights @ self.squares)
        self.augmented = np.hstack([self.centred, np.ones((len(rows), 1))])
        self.weighted = self.augmented * self.weights[:, None]

    def __len__(self) -> int:
        return len(self.weights)

    def thinned(self, least: int) -> Points:
        """Return every so many of the points, `least` or more; their rows are these points' centred ones."""
        step = max(1, len(self) // least)
        return Points(self.centred[::step], self.weights[::step])


def lloyd(points: Points, centers: Floats, tol: float, max_iter: int) -> tuple[Segments, int]:
    """Run Lloyd's iterations from `centers`, in the points' centred coordinates.

    Returns the segments and the number of iterations, which end where one would lower the SSE by `tol` of it
    or less. A centre without points starts again at the point that costs most. Distances are taken again only
    for points whose label the moves of the centres may have changed, by the bounds of Hamerly, "Making
    k-means even faster" (2010).
    """
    k = len(centers)
    labels, nearest, second = _assigned(points, centers)
    counts = np.bincount(labels, minlength=k)
    if not counts.all():
        empty = np.flatnonzero(counts == 0)
        centers = centers.copy()
        centers[empty] = points.centred[(points.weights * nearest).argsort()[::-1][: len(empty)]]
        return lloyd(points, centers, tol, max_iter)
    upper, lower = np.sqrt(nearest), np.sqrt(second)
    sums = _sums(labels, points.weighted, k)
    previous = np.inf
    n_iter = 0
    while n_iter < max_iter:
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
        if not counts.all():
            return lloyd(points, centers, tol, max_iter)
        sums += _sums(joined, points.weighted[movers], k) - _sums(left, points.weighted[movers], k)
    return _measured(points, centers, labels), n_iter


def with_farthest(points: Points, centers: Floats) -> Floats:
    """Return the centres and, as one more, the point that costs most; the SSE can only fall."""
    _, nearest, _ = _assigned(points, centers)
    return np.vstack([centers, points.centred[[(points.weights * nearest).argmax()]]])


def assign(rows: Floats, centers: Floats) -> Ints:
    """Return each row's nearest centre, shape (n_rows,)."""
    offset = centers.mean(axis=0)
    product = _product(centers - offset)
    labels = np.empty(len(rows), np.intp)
    for block in blocks(len(rows)):
        labels[block] = ((rows[block] - offset) @ product[:, :-1].T + product[:, -1]).argmin(axis=1)
    return labels


def cells(points: Points, limit: int) -> tuple[Floats, Floats, Ints]:
    """Return the means and the weights of at most `limit` cells that part the points, and each point's cell.

    Cells of more than their share of the SSE are halved at their mean, across the feature in which they vary
    most, until there are `limit` (Su and Dy, "In search of deterministic methods for initializing K-means",
    2007). Means are in the points' centred coordinates.
    """
    labels = np.zeros(len(points), np.intp)
    every = np.arange(len(points))
    count = 1
    while True:
        sums = _sums(labels, points.weighted, count)
        means = sums[:, :-1] / sums[:, -1:]
        offsets = points.centred - means[labels]
        scatter = _sums(labels, offsets**2 * points.weights[:, None], count)
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


def measure(rows: Floats, weights: Floats | None, centers: list[Floats]) -> list[Floats]:
    """Return for each k the size, SSE and spread of each segment over `rows`, shape (k, 3).

    This is exact. Rows are grouped by their nearest of the last centres, and for each k only those centres
    are looked at that may be nearest to a row of the group, by the triangle inequality.
    """
    amounts = [np.zeros((len(each), 3)) for each in centers]
    for group, hub in _groups(rows, centers[-1]):
        # From the hub, coordinates are as small as can be, and so are the rounding errors of products.
        members = rows[group] - hub
        moved = [each - hub for each in centers]
        near = _near(moved, np.sqrt(np.einsum("ij,ij->i", members, members).max()))
        products = [_product(each[which]) for each, which in zip(moved, near, strict=True)]
        for block in blocks(len(members), MEASURED):
            augmented = np.vstack([members[block].T, np.ones(len(members[block]))])
            squares = np.einsum("ij,ij->i", members[block], members[block])
            parts = np.ones((len(squares), 3))
            own_weights = None if weights is None else weights[group[block], None]
            for product, which, amount in zip(products, near, amounts, strict=True):
                own, nearest = _owned(product @ augmented)
                squared = np.maximum(nearest + squares, 0.0)
                parts[:, 1] = squared
                np.sqrt(squared, out=parts[:, 2])
                amount[which] += own @ (parts if own_weights is None else parts * own_weights)
    return amounts


def _near(centers: list[Floats], radius: float) -> list[Ints]:
    """Return for each k which centres may be the nearest to some row within `radius` of the origin."""
    gaps = [np.sqrt(np.einsum("ij,ij->i", each, each)) for each in centers]
    return [np.flatnonzero(gap <= (gap.min() + 2.0 * radius) * (1.0 + 1e-9)) for gap in gaps]


def _owned(distances: Floats) -> tuple[Floats, Floats]:
    """Return which centre each point belongs to, 1 or 0 in shape (n_centers, n_points), and its distance."""
    if len(distances) == 1:
        return np.ones(distances.shape), distances[0]
    nearest = distances.min(axis=0)
    hits = distances == nearest
    if np.count_nonzero(hits) > len(nearest):  # a point between two centres belongs to the first
        hits = distances.argmin(axis=0) == np.arange(len(distances))[:, None]
    return hits.astype(float), nearest


def _groups(rows: Floats, hubs: Floats) -> Iterator[tuple[Ints, Floats]]:
    """Yield which rows are nearest to each hub, and the hub."""
    labels = assign(rows, hubs)
    # Sixteen bits are sorted by radix, in a tenth of the time.
    order = labels.astype(np.uint16 if len(hubs) < 2**16 else np.intp).argsort(kind="stable")
    ends = np.bincount(labels, minlength=len(hubs)).cumsum()
    for group, hub in zip(np.split(order, ends[:-1]), hubs, strict=True):
        if len(group):
            yield group, hub


def _measured(points: Points, centers: Floats, labels: Ints) -> Segments:
    k = len(centers)
    # Distances by subtraction: those by a matrix product lose digits where a segment is small and far off.
    offsets = points.centred - centers[labels]
    squared = np.einsum("ij,ij->i", offsets, offsets)
    parts = np.column_stack([points.weights, points.weights * squared, points.weights * np.sqrt(squared)])
    return Segments(centers, *_sums(labels, parts, k).T)


def _distinct(rows: Floats, weights: Floats) -> tuple[Floats, Floats]:
    rows, weights = rows[weights > 0], weights[weights > 0]
    order = np.lexsort(rows.T[::-1])
    rows, weights = rows[order], weights[order]
    first = np.ones(len(rows), bool)
    first[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return rows[first], np.add.reduceat(weights, np.flatnonzero(first))


def blocks(length: int, size: int = BLOCK) -> Iterator[slice]:
    """Yield slices that part `length` rows."""
    return (slice(start, start + size) for start in range(0, length, size))


def _assigned(points: Points, centers: Floats) -> tuple[Ints, Floats, Floats]:
    """Return what :func:`_two_nearest` returns, for all points."""
    labels = np.empty(len(points), np.intp)
    nearest, second = np.empty((2, len(points)))
    for block in blocks(len(points)):
        labels[block], nearest[block], second[block] = _two_nearest(centers, points, block)
    return labels, nearest, second


def _product(centers: Floats) -> Floats:
    """Return what times (x, 1) is |x - c|^2 - |x|^2 = |c|^2 - 2 x.c, for every centre."""
    product = np.empty((len(centers), centers.shape[1] + 1))
    np.multiply(centers, -2.0, out=product[:, :-1])
    np.einsum("ij,ij->i", centers, centers, out=product[:, -1])
    return product


def _two_nearest(centers: Floats, points: Points, which: slice | Ints) -> tuple[Ints, Floats, Floats]:
    """Return the nearest centre's index, and squared distances to the nearest and the second nearest.

    The second is infinite where there is only one centre.
    """
    distances = _product(centers) @ points.augmented[which].T
    nearest = distances.min(axis=0)
    # An argmin over the first axis copies the matrix; looking for where the minimum lies is faster.
    hits = np.flatnonzero(distances == nearest)
    labels = np.empty(len(nearest), np.intp)
    centre, point = np.divmod(hits, len(nearest))
    labels[point] = centre
    distances[labels, np.arange(len(nearest))] = np.inf
    second = distances.min(axis=0)
    squares = points.squares[which]
    return labels, np.maximum(nearest + squares, 0.0), np.maximum(second + squares, 0.0)


def _sums(labels: Ints, values: Any, k: int) -> Floats:
    """Return the sums of rows of values by label, shape (k, n_columns)."""
    columns = values.shape[1]
    places = (labels * columns)[:, None] + np.arange(columns)
    return np.bincount(places.ravel(), values.ravel(), k * columns).astype(float).reshape(k, columns)


def _largest_other(moves: Floats) -> Floats:
    """Return for each centre how far the farthest moved of the others has moved."""
    farthest = int(moves.argmax())
    largest = np.full(len(moves), moves[farthest])
    others = moves.copy()
    others[farthest] = 0.0
    largest[farthest] = others.max()
    return largest
