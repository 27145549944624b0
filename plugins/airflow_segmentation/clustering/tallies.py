"""What is told of rows and their segments: several things in one pass, put together of parts of the rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from airflow_segmentation.clustering.arrow import as_floats, as_matrix
from airflow_segmentation.clustering.points import Floats, Ints, grouped, nearest
from airflow_segmentation.clustering.rows import Arrays, Parted, added, drawn_evenly, not_finite

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Segmenting:
    """Tells rows of a table their segment, that of the nearest centre; without features there is none."""

    features: Sequence[str] = ()
    centers: Any = None
    """Of shape (k, n_features)."""
    sizes: Sequence[int] = ()
    """Rows in each segment, where that is known."""

    @property
    def k(self) -> int:
        """How many segments there are."""
        return len(self.centers) if self.features else 0


class Batch:
    """Some rows of a table.

    :param at: the place of their part in the table, and theirs in the part.
    """

    def __init__(self, record: pa.RecordBatch, segmenting: Segmenting, at: tuple[int, int]) -> None:
        self.rows = record.num_rows
        self._record = record
        self._segmenting = segmenting
        self._at = at

    def column(self, name: str) -> Floats:
        """Return a column's values, NaN where one is missing."""
        return as_floats(self._record.column(name))

    def matrix(self, columns: Sequence[str]) -> Floats:
        """Return columns as one array of shape (n_rows, n_columns)."""
        return as_matrix(self._record, columns)

    def taken(self, columns: Sequence[str], which: Ints) -> Floats:
        """Return columns of some rows, of shape (n_rows, n_columns)."""
        return np.column_stack([self.column(name)[which] for name in columns])

    @property
    def segments(self) -> Ints:
        """The segment of each row.

        :raises ValueError: if the value of a feature is missing or infinite.
        """
        return self._nearest[0]

    @property
    def squares(self) -> Floats:
        """The squared distance of each row to the centre of its segment."""
        return self._nearest[1]

    @cached_property
    def groups(self) -> list[Ints]:
        """Which rows are in each segment."""
        return grouped(self.segments, self._segmenting.k) if self._segmenting.k else []

    def by_segment(self, values: Floats) -> Iterator[Floats]:
        """Yield what of a column's values is in each segment, and at last all of them."""
        for which in self.groups:
            yield values[which]
        yield values

    def drawn(self, chances: Sequence[float], seed: int) -> list[Ints]:
        """Return which rows are drawn of each segment, by so many chances; one more is that of all rows.

        Of each as many as its chance makes, but for one, and of any other batch differently.
        """
        rng = np.random.default_rng([seed, *self._at])
        groups = [*self.groups, np.arange(self.rows)][: len(chances)]
        return [
            which[drawn_evenly(len(which), chance, rng)]
            for which, chance in zip(groups, chances, strict=True)
        ]

    @cached_property
    def _nearest(self) -> tuple[Ints, Floats]:
        rows = self.matrix(self._segmenting.features)
        labels, squares = nearest(rows, self._segmenting.centers)
        if np.isnan(squares).any():
            raise not_finite(self._segmenting.features[int((~np.isfinite(rows)).any(axis=0).argmax())])
        return labels, squares


class Tally(ABC):
    """Something told of rows, as arrays; can be sent to where the rows are."""

    width: ClassVar[int]
    """How many arrays there are."""
    columns: Sequence[str]
    """Those that are looked at."""

    @abstractmethod
    def of(self, batch: Batch) -> Arrays:
        """Return what is told of a batch."""

    @abstractmethod
    def both(self, before: Arrays, after: Arrays) -> Arrays:
        """Return what is told of all rows, given that of some and of those that come after."""


class Sum(Tally):
    """A tally that only adds up, of a single array unless a class says otherwise."""

    width = 1

    def both(self, before: Arrays, after: Arrays) -> Arrays:
        """Return the sums."""
        return added(before, after)


def tallied(table: Parted, segmenting: Segmenting, *tallies: Tally) -> list[Arrays]:
    """Return what each tally tells of a table's rows, after one pass over them.

    :raises ValueError: if a segment is asked for, and the value of a feature is missing or infinite.
    """
    columns = dict.fromkeys([*segmenting.features, *(name for each in tallies for name in each.columns)])
    visit = _Visit(segmenting, tallies)
    return visit.of_each(reduce(visit.join, table.each(list(columns), visit, join=visit.join)))


@dataclass(frozen=True)
class _Visit:
    """Tells of a part what each tally does, one array after another."""

    segmenting: Segmenting
    tallies: Sequence[Tally]

    def __call__(self, place: int, batches: Iterator[pa.RecordBatch]) -> Arrays:
        told = (
            self._of(Batch(record, self.segmenting, (place, number))) for number, record in enumerate(batches)
        )
        return reduce(self.join, told)

    def join(self, before: Arrays, after: Arrays) -> Arrays:
        some = zip(self.tallies, self.of_each(before), self.of_each(after), strict=True)
        return [array for tally, *arrays in some for array in tally.both(*arrays)]

    def of_each(self, arrays: Arrays) -> list[Arrays]:
        ends = accumulate(each.width for each in self.tallies)
        return [arrays[end - each.width : end] for each, end in zip(self.tallies, ends, strict=True)]

    def _of(self, batch: Batch) -> Arrays:
        return [array for each in self.tallies for array in each.of(batch)]
