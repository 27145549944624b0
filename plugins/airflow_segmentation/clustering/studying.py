"""Rows to look at closely: some of every segment, and few enough for memory whatever the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from airflow_segmentation.clustering.points import Floats, Ints
from airflow_segmentation.clustering.rows import Arrays
from airflow_segmentation.clustering.tallies import Batch, Tally

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
class StudyTally(Tally):
    """Draws rows to study: all of few; of many about as many of each segment as its size asks for.

    A row stands for the more, the lower its chance is (Horvitz and Thompson, 1952). What is drawn of a batch
    is, of each segment, as many rows as its chance makes, but for one.
    """

    columns: Sequence[str]
    sizes: Sequence[int]
    """Rows in each segment."""
    seed: int
    width = 3

    def of(self, batch: Batch) -> Arrays:
        """Return the rows drawn of a batch, how many each stands for, and the segment of each."""
        chances = self._chances
        taken = np.sort(np.concatenate(batch.drawn(chances.tolist(), self.seed)))
        segments = batch.segments[taken]
        return [batch.taken(self.columns, taken), 1 / chances[segments], segments]

    def both(self, before: Arrays, after: Arrays) -> Arrays:
        """Return all rows that are drawn."""
        return [np.concatenate(each) for each in zip(before, after, strict=True)]

    @property
    def _chances(self) -> Floats:
        """The chance of each segment's rows."""
        rows = max(1, sum(self.sizes))
        share = min(1.0, ROWS / rows, VALUES / (len(self.columns) * rows))
        return np.minimum(1.0, np.maximum(share, FEW / np.maximum(self.sizes, 1)))
