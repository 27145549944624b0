"""Single points that go to another segment, where Lloyd's iterations have come to an end.

A segment's mean follows a point that joins it, so a point may lower the SSE where it goes to a segment whose
centre is not the nearest. Where segments have few points that is worth several per cent of the SSE.
"""

from __future__ import annotations

import numpy as np

from airflow_segmentation.clustering.points import Floats, Ints, Points, distance_product, summed

LEAST_GAIN = 1e-9
"""Share of a point's cost that it has to save, lest a rounding error sends it to and fro."""


def exchanged(points: Points, centers: Floats, tol: float, rounds: int) -> Floats:
    """Return the means after points went, one by one, where they cost less (Hartigan and Wong, 1979).

    In each round those go that save most, of each segment one at most. The last is the one that would lower
    the SSE by `tol` of it or less.
    """
    squared = _distances(points, centers)
    labels = squared.argmin(axis=0)
    sums = summed(labels, points.weighted, len(centers))
    counts = np.bincount(labels, minlength=len(centers))
    if not counts.all():
        return centers
    changed = np.arange(len(centers))
    for _ in range(rounds):
        centers = sums[:, :-1] / sums[:, -1:]
        squared[changed] = _distances(points, centers[changed])
        now, then, target = _costs(points, squared, labels, sums[:, -1], counts)
        saved = now - then
        movers = np.flatnonzero(saved > LEAST_GAIN * now)
        movers = movers[(-saved[movers]).argsort(kind="stable")]
        movers = movers[_first_of_each(labels[movers], target[movers])]
        if saved[movers].sum() <= tol * (points.weights @ squared[labels, np.arange(len(points))]):
            break
        left, joined, moved = labels[movers], target[movers], points.weighted[movers]
        sums[left] -= moved
        sums[joined] += moved
        counts[left] -= 1
        counts[joined] += 1
        labels[movers] = joined
        changed = np.concatenate([left, joined])
    return centers


def _distances(points: Points, centers: Floats) -> Floats:
    """Return squared distances, shape (n_centers, n_points)."""
    product = distance_product(centers)
    return np.maximum(product[:, :-1] @ points.centred.T + product[:, -1:] + points.squares, 0.0)


def _costs(
    points: Points, squared: Floats, labels: Ints, sizes: Floats, counts: Ints
) -> tuple[Floats, Floats, Ints]:
    """Return what each point costs where it is, what it would cost elsewhere, and where that is least.

    Each with what it moves the mean by. A point that is alone stays.
    """
    every = np.arange(len(labels))
    weights, own = points.weights, sizes[labels]
    rest = np.where(counts[labels] > 1, own - weights, np.inf)
    now = squared[labels, every] * weights * own / rest
    there = squared * (weights * sizes[:, None] / (sizes[:, None] + weights))
    there[labels, every] = np.inf
    target = there.argmin(axis=0)
    return now, there[target, every], target


def _first_of_each(left: Ints, joined: Ints) -> list[int]:
    """Return the moves before which no other leaves or joins either of their segments."""
    busy: set[int] = set()
    first = []
    for place, pair in enumerate(zip(left.tolist(), joined.tolist(), strict=True)):
        if busy.isdisjoint(pair):
            busy.update(pair)
            first.append(place)
    return first
