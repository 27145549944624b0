"""Rows to look at closely: some of every segment, and few enough for memory whatever the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from airflow_segmentation.clustering.points import Floats, Ints, assign
from airflow_segmentation.clustering.rows import Rows

ROWS, VALUES = 20_000, 2**21
"""Rows and values that are drawn at most, about."""
FEW = 20
"""Rows that are drawn of the smallest segments, about, or all where there are fewer."""


@dataclass(frozen=True)
class Studied:
    """Rows drawn of a table, at most :data:`ROWS`, for what would take too long over all of them."""

    rows: Floats
    """Of shape (n_rows, n_features)."""
    weights: Floats
    """How many rows of the table each stands for; shape (n_rows,)."""
    segments: Ints
    """The segment of each, shape (n_rows,)."""

    def few(self, count: int, least: int, k: int, seed: int) -> Ints:
        """Return which rows to show, in any order: `count` uniformly drawn, `least` of each segment first.

        All of a segment that has fewer, and more than `count` where k segments need them.
        """
        chance = np.random.default_rng(seed).random(len(self.rows)) / self.weights
        order = np.argsort(chance, kind="stable")
        place = np.empty(len(order), np.intp)
        for segment in range(k):
            own = order[self.segments[order] == segment]
            place[own] = np.arange(len(own))
        needed = order[place[order] < least]
        others = order[place[order] >= least]
        return np.concatenate([needed, others[: max(0, count - len(needed))]])


@dataclass(frozen=True)
class _Chances:
    """With what chance a row is drawn, by its segment; picklable, since other machines may draw."""

    centers: Floats
    by_segment: Floats

    def __call__(self, rows: Floats) -> tuple[Floats, Ints]:
        own = assign(rows, self.centers)
        return self.by_segment[own], own


def study(rows: Rows, centers: Floats, sizes: Sequence[int], seed: int) -> Studied:
    """Draw rows, in one pass: all of few; of many about as many of each segment as its size asks for.

    A row stands for the more, the lower its chance is (Horvitz and Thompson, 1952).

    :param centers: of shape (k, n_features).
    :param sizes: rows in each segment.
    """
    share = min(1.0, ROWS / rows.count, VALUES / (rows.features * rows.count))
    counts = np.maximum(np.asarray(sizes, np.float64), 1)
    by_segment = np.minimum(1.0, np.maximum(share, FEW / counts))
    drawn, weights = rows.drawn(_Chances(np.asarray(centers, np.float64), by_segment), seed)
    return Studied(drawn, weights, assign(drawn, centers))
