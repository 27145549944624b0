"""Rows that may be too many for memory: what the sweep asks of whatever holds them.

Only two kinds of pass touch all rows, whatever the range of k: one draws a sample, one measures the segments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from airflow_segmentation.clustering.arrow import as_matrix
from airflow_segmentation.clustering.measuring import measure
from airflow_segmentation.clustering.points import Floats, Ints, blocks, by_label, chances

if TYPE_CHECKING:
    import pyarrow as pa

Chances = Callable[[Floats], tuple[Floats, Ints]]
"""Tells with what chance each row is drawn, and which stratum it is of, both of shape (n_rows,)."""

BATCH = 2**22 - 2**10
"""Values that are read, or measured, at a time: so many that threads seldom wait for one another, and less
than the 32 MB from which on the C library gets memory anew, page by page."""

Arrays = list[NDArray[Any]]
Visit = Callable[[int, Iterator["pa.RecordBatch"]], Arrays]
"""Makes arrays of one part of a table, given its place among the parts and its batches."""
Join = Callable[[Arrays, Arrays], Arrays]
"""Makes the arrays of two parts, one after the other, those of one."""
Block = tuple[Floats, Floats | None]
"""Rows, and their weights."""


@dataclass(frozen=True)
class Sample:
    """Weighted rows that stand for all rows."""

    rows: Floats
    weights: Floats | None
    """None where the sample is all rows, and each counts once."""
    mean: Floats
    """Mean of all rows."""


class Rows(ABC):
    """What a sweep asks of rows, wherever they are: each is a pass over parts of them.

    Raises a ValueError where a value is missing or infinite.
    """

    count: int
    """Number of rows."""
    features: int
    """Number of values in each."""
    parts: int
    """Number of parts that :meth:`measured` yields."""
    weighted = False
    """Whether rows have weights of their own."""

    @abstractmethod
    def _each(
        self, function: Callable[[int, Iterable[Block]], Arrays], sums: bool = False
    ) -> Iterator[Arrays]:
        """Yield what a function makes of each part, in order, given its place and its blocks of rows.

        :param sums: whether only sums are asked for, so that consecutive parts may come as one.
        """

    def sample(self, size: int, seed: int) -> Sample:
        """Draw about `size` rows, all where there are no more.

        Each is drawn by its :func:`chances`, and weighted to make up for it.
        """
        if self.count <= size:
            parts = list(self._each(_whole))
            rows = np.concatenate([rows for rows, _ in parts])
            weights = np.concatenate([own for _, own in parts]) if self.weighted else None
            return Sample(rows, weights, np.average(rows, axis=0, weights=weights))
        weight, total, squares = added_up(self._each(_moments, sums=True))
        mean = total / weight
        scatter = max(float((squares - weight * mean**2).sum()), np.finfo(float).tiny)
        drawn = partial(_far_ones, size=size, seed=seed, mean=mean, weight=float(weight), scatter=scatter)
        parts = list(self._each(drawn))
        return Sample(
            np.concatenate([rows for rows, _ in parts]), np.concatenate([own for _, own in parts]), mean
        )

    def measured(self, centers: list[Floats]) -> Iterator[list[Floats]]:
        """Yield, for each part of the rows, what :func:`measure` returns; the parts add up to all rows."""
        return self._each(partial(_measure, centers=centers), sums=True)

    def drawn(self, chances: Chances, seed: int) -> tuple[Floats, Floats]:
        """Draw rows, each by its own chance, of each stratum in a block as many as that makes, but for one.

        Returns the rows, shape (n, n_features), and 1 by the chance of each, shape (n,).
        """
        parts = list(self._each(partial(_by_chance, chances=chances, seed=seed)))
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([own for _, own in parts])

    def uniform(self, size: int, seed: int) -> Floats:
        """Draw `size` rows without replacement, each as likely, in their order; all if there are no more.

        Each row has a number by chance, and those with the smallest numbers are taken.
        """
        below = 1.0 if size >= self.count else (size + 6 * size**0.5 + 20) / self.count
        while True:
            parts = list(self._each(partial(_numbered, seed=seed, below=below)))
            rows, numbers = (np.concatenate(each) for each in zip(*parts, strict=True))
            if len(rows) >= min(size, self.count):
                return rows[np.sort(np.argsort(numbers, kind="stable")[:size])]
            below *= 2


class ArrayRows(Rows):
    """Rows in memory.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features), finite
    weights : ndarray of shape (n_rows,), none negative; None for 1 each
    """

    def __init__(self, rows: Any, weights: Any = None) -> None:
        self._rows: Floats = np.asarray(rows, np.float64)
        self._weights: Floats | None = None if weights is None else np.asarray(weights, np.float64)
        self.count, self.features = self._rows.shape
        self._batch = max(1, BATCH // self.features)
        self.parts = -(-self.count // self._batch)
        self.weighted = weights is not None

    def _each(
        self, function: Callable[[int, Iterable[Block]], Arrays], sums: bool = False
    ) -> Iterator[Arrays]:
        for place, batch in enumerate(blocks(self.count, self._batch)):
            weights = None if self._weights is None else self._weights[batch]
            yield function(place, [(self._rows[batch], weights)])


class Parted(Protocol):
    """A table that an engine passes over, part by part."""

    @property
    def rows(self) -> int:
        """How many rows there are."""

    @property
    def gathered(self) -> int:
        """Rows that a table has at most for its values to be brought together, some columns at a time."""

    def parts(self, columns: Sequence[str]) -> int:
        """Return how many results :meth:`each` yields where it is told how to join them."""

    def each(
        self, columns: Sequence[str], visit: Visit, *, join: Join | None = None, n_jobs: int = 1
    ) -> Iterator[Arrays]:
        """Yield what a visit makes of each part that has rows, in order.

        :param join: makes the arrays of two parts, one after the other, those of one; where it is given,
            consecutive parts may come as one.
        """


class TableRows(Rows):
    """The rows of a table, wherever an engine keeps it.

    Parameters
    ----------
    table : Parted
    columns : list of str
        The features.
    n_jobs : int
        Parts visited at the same time. Does not change a bit of the result.
    """

    def __init__(self, table: Parted, columns: Sequence[str], n_jobs: int = 1) -> None:
        self._table = table
        self._columns = list(columns)
        self._n_jobs = n_jobs
        self.count = table.rows
        self.features = len(self._columns)
        self.parts = table.parts(self._columns)

    def _each(
        self, function: Callable[[int, Iterable[Block]], Arrays], sums: bool = False
    ) -> Iterator[Arrays]:
        visit = partial(_visited, columns=self._columns, function=function)
        join = added if sums else None
        for bad, *found in self._table.each(self._columns, visit, join=join, n_jobs=self._n_jobs):
            if bad.any():
                raise not_finite(self._columns[int(bad.argmax())])
            yield found


def _visited(
    place: int,
    batches: Iterator[pa.RecordBatch],
    columns: list[str],
    function: Callable[[int, Iterable[Block]], Arrays],
) -> Arrays:
    """Return what a function makes of a part, after how many values of each column are missing or infinite.

    Where there are such values, they are taken for 0, so that what comes back has its shape.
    """
    bad = np.zeros(len(columns))

    def floats() -> Iterator[Block]:
        for batch in batches:
            rows = as_matrix(batch, columns)
            # Products are fastest of rows that lie in memory one after another.
            rows = np.ascontiguousarray(rows)
            there = np.isfinite(rows)
            if not there.all():
                bad[:] += (~there).sum(axis=0)
                rows = np.where(there, rows, 0.0)
            yield rows, None

    found = function(place, floats())
    return [bad, *found]


def not_finite(column: str) -> ValueError:
    """Return the error of a feature that is not a number in every row."""
    return ValueError(f"Column {column!r} has missing or infinite values; drop or fill them first")


def drawn_evenly(count: int, chance: float, rng: np.random.Generator) -> Ints:
    """Return which of so many rows are drawn, each as likely: as many as that makes, but for one."""
    if chance >= 1.0:
        return np.arange(count)
    return rng.choice(count, int(count * chance + rng.random()), replace=False, shuffle=False)


def added_up(parts: Iterable[Arrays]) -> Arrays:
    """Return the sums of the arrays of all parts; nothing where there are none."""
    remaining = iter(parts)
    return reduce(added, remaining, next(remaining, []))


def added(before: Arrays, after: Arrays) -> Arrays:
    """Return the sums of the arrays of two parts."""
    return [one + other for one, other in zip(before, after, strict=True)]


def _whole(place: int, blocks: Iterable[Block]) -> Arrays:
    rows, weights = zip(*blocks, strict=True)
    own = [np.ones(len(each)) if given is None else given for each, given in zip(rows, weights, strict=True)]
    return [np.concatenate(rows), np.concatenate(own)]


def _moments(place: int, blocks: Iterable[Block]) -> Arrays:
    """Return weight, weighted sum and weighted sum of squares."""
    weight, total, squares = np.zeros(()), np.zeros(()), np.zeros(())
    for rows, weights in blocks:
        weighted = rows if weights is None else rows * weights[:, None]
        weight = weight + (len(rows) if weights is None else weights.sum())
        total = total + np.einsum("ij->j", weighted)  # of few columns four times faster than sum
        squares = squares + np.einsum("ij,ij->j", weighted, rows)
    return [weight, total, squares]


def _far_ones(
    place: int,
    blocks: Iterable[Block],
    size: int,
    seed: int,
    mean: Floats,
    weight: float,
    scatter: float,
) -> Arrays:
    """Draw rows by their :func:`chances`; return them, and how many rows each stands for."""
    rng, kept = np.random.default_rng([seed, place]), []
    for rows, weights in blocks:
        own = np.ones(len(rows)) if weights is None else weights
        offsets = rows - mean
        far = np.einsum("ij,ij->i", offsets, offsets)
        chance = chances(own, far, size, weight, scatter)
        drawn = rng.random(len(rows)) < chance
        kept.append((rows[drawn], own[drawn] / chance[drawn]))
    return [np.concatenate(each) for each in zip(*kept, strict=True)]


def _measure(place: int, blocks: Iterable[Block], centers: list[Floats]) -> Arrays:
    return added_up(measure(rows, weights, centers) for rows, weights in blocks)


def _by_chance(place: int, blocks: Iterable[Block], chances: Chances, seed: int) -> Arrays:
    rng, kept = np.random.default_rng([seed, place]), []
    for rows, _ in blocks:
        chance, strata = chances(rows)
        order = rng.permutation(len(rows))
        order = order[by_label(strata[order], int(strata.max()) + 1)]
        # One row at each whole number that the chances add up to, from a start by chance (Madow, 1949).
        passed = np.floor(rng.random() + np.cumsum(chance[order]))
        drawn = np.sort(order[np.diff(passed, prepend=0.0) > 0])
        kept.append((rows[drawn], 1 / chance[drawn]))
    return [np.concatenate(each) for each in zip(*kept, strict=True)]


def _numbered(place: int, blocks: Iterable[Block], seed: int, below: float) -> Arrays:
    """Give each row a number from 0 to 1 by chance; return the rows with small ones, and these."""
    rng, kept = np.random.default_rng([seed, place]), []
    for rows, _ in blocks:
        numbers = rng.random(len(rows))
        drawn = numbers <= below
        kept.append((rows[drawn], numbers[drawn]))
    return [np.concatenate(each) for each in zip(*kept, strict=True)]
