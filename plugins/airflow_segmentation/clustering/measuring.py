"""The exact size and SSE of each segment, for all k at once, over as many rows as come.

Rows are parted into cells, by the nearest of the last centres, and halved where many others are near. Of each
k only those centres are looked at that may be the nearest to a row of the cell: the filtering algorithm of
Kanungo and others, "An efficient k-means clustering algorithm" (2002). Where that is one, the cell's weight,
sum and sum of squares tell its part of the SSE.
"""

from __future__ import annotations

import numpy as np

from airflow_segmentation.clustering.points import Floats, Ints, assign, at_a_time, blocks, grouped

FEWEST_ROWS, SEVERAL = 8192, 2.2
"""A cell is halved where it has more rows, and more centres near to it, for each k. Of smaller cells fewer
distances were taken, but in steps so short that threads would wait for Python's lock most of the time."""


def measure(rows: Floats, weights: Floats | None, centers: list[Floats]) -> list[Floats]:
    """Return for each k the size, SSE and spread of each segment over `rows`, shape (k, 3).

    A row between two centres belongs to the first.
    """
    several = [each for each in centers if len(each) > 1]
    found = iter(_by_cells(rows, weights, several) if several else ())
    return [next(found) if len(each) > 1 else _of_one(rows, weights, each) for each in centers]


def _of_one(rows: Floats, weights: Floats | None, center: Floats) -> Floats:
    """Return what all rows amount to as one segment, whatever the other k are."""
    amounts = np.zeros((1, 3))
    for block in blocks(len(rows)):
        offsets = rows[block] - center
        squares = np.einsum("ij,ij->i", offsets, offsets)
        own = np.ones_like(squares) if weights is None else weights[block]
        amounts += own @ np.column_stack([np.ones_like(squares), squares, np.sqrt(squares)])
    return amounts


def _by_cells(rows: Floats, weights: Floats | None, centers: list[Floats]) -> list[Floats]:
    every = _Centers(centers)
    amounts = np.zeros((len(every.all), 3))
    hubs = centers[-1]
    for which in grouped(assign(rows, hubs), len(hubs)):
        if len(which):
            cell = np.ascontiguousarray(rows.take(which, axis=0).T)
            _add(amounts, every, cell, _taken(weights, which))
    return np.split(amounts, every.begins[1:])


class _Centers:
    """The centres of all k, one after another."""

    def __init__(self, centers: list[Floats]) -> None:
        self.all: Floats = np.concatenate(centers)
        sizes = [len(each) for each in centers]
        self.begins: Ints = np.cumsum([0, *sizes[:-1]])
        self.owner: Ints = np.repeat(np.arange(len(sizes)), sizes)
        """The place of the k that each is of."""
        self.count = len(sizes)

    def near(self, middle: Floats, half: Floats, radius: float) -> Ints:
        """Return which centres may be the nearest of their k to some row of a cell.

        The others are farther from all of it than that which is nearest to its middle: from its box, of sides
        twice `half`, or from the ball of this radius.
        """
        offsets = self.all - middle
        gaps = np.einsum("ij,ij->i", offsets, offsets)
        least = np.minimum.reduceat(gaps, self.begins)
        reached = np.flatnonzero(gaps <= ((np.sqrt(least) + 2.0 * radius) ** 2 * (1.0 + 1e-9))[self.owner])
        owner, gap = self.owner[reached], gaps[reached]
        nearest = np.empty(self.count, np.intp)
        hits = np.flatnonzero(gap == least[owner])[::-1]
        nearest[owner[hits]] = reached[hits]
        apart = np.abs(self.all[reached] - self.all[nearest[owner]])
        reach = np.minimum(apart @ half, radius * np.sqrt(np.einsum("ij,ij->i", apart, apart)))
        return reached[gap - least[owner] <= 2.0 * reach * (1.0 + 1e-9)]


def _taken(weights: Floats | None, which: Ints) -> Floats | None:
    return None if weights is None else weights.take(which)


def _add(amounts: Floats, every: _Centers, columns: Floats, weights: Floats | None) -> None:
    """Add what the rows of a cell amount to, of shape (n_features, n_rows)."""
    low, high = columns.min(axis=1), columns.max(axis=1)
    middle, half = (low + high) / 2, (high - low) / 2
    # From the middle, coordinates are as small as can be, and so are the rounding errors of products. Below
    # them are a row of ones, and the square of the distance to the middle.
    features, count = columns.shape
    points = np.ones((features + 2, count))
    np.subtract(columns, middle[:, None], out=points[:-2])
    np.einsum("ij,ij->j", points[:-2], points[:-2], out=points[-1])
    near = every.near(middle, half, float(np.sqrt(points[-1].max())))
    if count > FEWEST_ROWS and len(near) > SEVERAL * every.count:
        widest = points[half.argmax()]
        above = widest > widest.mean()
        if above.any():
            for side in (np.flatnonzero(~above), np.flatnonzero(above)):
                _add(amounts, every, columns.take(side, axis=1), _taken(weights, side))
            return
    offsets = every.all[near] - middle
    product = np.hstack([-2.0 * offsets, np.einsum("ij,ij->i", offsets, offsets)[:, None]])
    ends = np.flatnonzero(np.diff(every.owner[near], append=-1)) + 1
    sizes = np.diff(ends, prepend=0)
    alone = np.repeat(sizes == 1, sizes)
    amounts[near[alone]] += _alone(points, weights, product[alone])
    if not alone.all():
        amounts[near[~alone]] += _shared(points, weights, product[~alone], sizes[sizes > 1])


def _alone(points: Floats, weights: Floats | None, product: Floats) -> Floats:
    """Return what rows amount to that are all of one segment, for one centre of each of some k."""
    sums = points.sum(axis=1) if weights is None else points @ weights
    found = np.empty((len(product), 3))
    found[:, 0] = sums[-2]
    found[:, 1] = np.maximum(product @ sums[:-1] + sums[-1], 0.0)
    found[:, 2] = 0.0
    for block in blocks(points.shape[1], at_a_time(len(product))):
        squares = _squares(product @ points[:-1, block], points[-1, block])
        distances = np.sqrt(squares, out=squares)
        found[:, 2] += distances.sum(axis=1) if weights is None else distances @ weights[block]
    return found


def _shared(points: Floats, weights: Floats | None, product: Floats, sizes: Ints) -> Floats:
    """Return what rows amount to that may be of several segments, for so many centres of each of some k.

    All k with equally many centres are looked at together: few large steps take less time than many small
    ones, and threads seldom wait for Python's lock.
    """
    found = np.empty((len(product), 3))
    firsts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes).tolist():
        own = firsts[sizes == size, None] + np.arange(size)
        found[own] = _compared(points, weights, product[own])
    return found


def _compared(points: Floats, weights: Floats | None, product: Floats) -> Floats:
    """Return the same, of shape (n_k, n_centers, 3), where every k has equally many centres."""
    count, size, _ = product.shape
    found = np.zeros((count, size, 3))
    flat = product.reshape(count * size, -1)
    for block in blocks(points.shape[1], at_a_time(len(flat))):
        distances = (flat @ points[:-1, block]).reshape(count, size, -1)
        nearest = distances.min(axis=1)
        hits = distances == nearest[:, None]
        if np.count_nonzero(hits) > nearest.size:  # a point between two centres belongs to the first
            hits = distances.argmin(axis=1)[:, None] == np.arange(size)[:, None]
        measures = np.empty((count, 3, nearest.shape[1]))
        measures[:, 0] = 1.0
        squares = _squares(nearest, points[-1, block], out=measures[:, 1])
        np.sqrt(squares, out=measures[:, 2])
        if weights is not None:
            measures *= weights[block]
        found += hits.astype(float) @ measures.transpose(0, 2, 1)
    return found


def _squares(products: Floats, own: Floats, out: Floats | None = None) -> Floats:
    """Return squared distances, of |c|^2 - 2 x.c and |x|^2; in place unless `out` is given."""
    squares = np.add(products, own, out=products if out is None else out)
    return np.maximum(squares, 0.0, out=squares)
