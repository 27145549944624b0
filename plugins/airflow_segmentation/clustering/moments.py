"""Mean and standard deviation of rows, in one pass over parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from airflow_segmentation.clustering.points import Floats, blocks
from airflow_segmentation.clustering.rows import Arrays
from airflow_segmentation.clustering.tallies import Batch, Tally


class Moments:
    """Mean and standard deviation of rows that come in batches.

    Each block's own sums of squares are put together (Chan, Golub and LeVeque, 1983): a column of small
    differences around a large value keeps them, and one of a single value has a deviation of exactly 0.
    """

    def __init__(self, *parts: Arrays) -> None:
        self._rows = 0
        self._first: Floats = np.zeros(1)
        self._mean: Floats = np.zeros(1)
        self._squares: Floats = np.zeros(1)
        for part in parts:
            self.put_together(part)

    def add(self, rows: Floats) -> None:
        """Take in a batch of rows, of shape (n_rows, n_features)."""
        for block in blocks(len(rows)):
            some = rows[block]
            # Of differences from the first row: those of a column of one value are exactly 0.
            moved = some - some[0]
            mean = moved.mean(axis=0)
            moved -= mean
            squares = np.einsum("ij,ij->j", moved, moved)
            self.put_together([np.array(len(some)), some[0], mean, squares])

    def put_together(self, part: Arrays) -> None:
        """Take in the number of rows, the first, the mean of what differs from that, and the squares of what
        differs from the mean.
        """
        count, (first, mean, squares) = int(part[0]), part[1:]
        before, self._rows = self._rows, self._rows + count
        if not before:
            self._first, self._mean, self._squares = first, mean, squares
            return
        gap = (first - self._first) + (mean - self._mean)
        self._mean = self._mean + gap * (count / self._rows)
        self._squares = self._squares + squares + gap**2 * (before * count / self._rows)

    @property
    def parts(self) -> Arrays:
        """What :meth:`put_together` takes in."""
        return [np.array(self._rows), self._first, self._mean, self._squares]

    @property
    def mean(self) -> Floats:
        """Mean of all rows, of shape (n_features,)."""
        return self._first + self._mean

    @property
    def deviation(self) -> Floats:
        """Standard deviation of all rows, as StandardScaler has it: their number is the divisor."""
        return np.sqrt(self._squares / self._rows)


@dataclass(frozen=True)
class MomentsTally(Tally):
    """Tells the moments of columns."""

    columns: Sequence[str]
    width = 4

    def of(self, batch: Batch) -> Arrays:
        """Return those of a batch."""
        moments = Moments()
        moments.add(batch.matrix(self.columns))
        return moments.parts

    def both(self, before: Arrays, after: Arrays) -> Arrays:
        """Return those of all rows."""
        return Moments(before, after).parts
