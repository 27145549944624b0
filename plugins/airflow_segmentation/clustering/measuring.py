"""The exact size and SSE of each segment, for all k at once, over as many rows as come."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from airflow_segmentation.clustering.points import Floats, Ints, assign, blocks, distance_product

MEASURED = 2**15
"""Rows that are measured at once, against the few centres near them."""


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
        products = [distance_product(each[which]) for each, which in zip(moved, near, strict=True)]
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
