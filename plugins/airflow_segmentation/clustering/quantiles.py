"""Quantiles of columns within segments, in passes over rows that may be too many for memory.

Of as many rows as may be gathered they are exact. Of more, each is searched for: the range of a segment's
values is cut into bins and the rows in each are counted, then the bin that holds the quantile is cut
likewise, until it is narrow. What is returned is the mean of the values in the last bin, which is exact
wherever these are all the same, and else off by the bin's width at most: a millionth of the quantile, or what
:data:`MOST_CUTS` leave of the range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from airflow_segmentation.clustering.arrow import as_floats, as_matrix
from airflow_segmentation.clustering.points import Floats, Ints, assign
from airflow_segmentation.clustering.rows import Arrays, Parted, added_up

if TYPE_CHECKING:
    import pyarrow as pa

VALUES = 2**23
"""Values that are held at a time where quantiles are exact, and those of a column at least."""
COUNTS = 2**15
"""Numbers in one table of counts: a quarter of a megabyte, as each part of a table makes two."""
MOST_BINS, FEWEST_BINS = 1024, 40
MOST_CUTS = 5
NARROW = 1e-6
"""Width of a bin, as a share of the values in it, that is narrow enough."""


@dataclass(frozen=True)
class Described:
    """Columns over segments; NaN where a segment has no value in a column."""

    mean: Floats
    """Of shape (n_columns, n_segments)."""
    quantiles: Floats
    """Of shape (n_columns, n_segments, n_quantiles)."""


@dataclass(frozen=True)
class Segmenting:
    """Tells rows of a table their segment: that of the nearest centre, or 0 where there are no features."""

    features: Sequence[str] = ()
    centers: Any = None
    """Of shape (k, n_features)."""

    @property
    def k(self) -> int:
        """How many segments there are."""
        return len(self.centers) if self.features else 1

    def labels(self, batch: pa.RecordBatch) -> Ints:
        """Return the segment of each row."""
        if not self.features:
            return np.zeros(batch.num_rows, np.intp)
        return assign(as_matrix(batch, self.features), self.centers)


def describe(
    table: Parted, columns: Sequence[str], segmenting: Segmenting, probabilities: Sequence[float]
) -> Described:
    """Return mean and quantiles of columns within each segment; missing values are left out."""
    if table.rows <= table.gathered:
        found = _exact(table, columns, segmenting, probabilities)
    else:
        together = max(1, COUNTS // (segmenting.k * len(probabilities) * FEWEST_BINS))
        found = [
            one
            for some in _chunks(columns, together)
            for one in _searched(table, some, segmenting, probabilities)
        ]
    return Described(np.array([mean for mean, _ in found]), np.array([each for _, each in found]))


def _chunks(columns: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(columns), size):
        yield columns[start : start + size]


def _read(
    segmenting: Segmenting, columns: Sequence[str], batches: Iterator[pa.RecordBatch]
) -> Iterator[tuple[Ints, list[Floats]]]:
    for batch in batches:
        yield segmenting.labels(batch), [as_floats(batch.column(name)) for name in columns]


def _exact(
    table: Parted, columns: Sequence[str], segmenting: Segmenting, probabilities: Sequence[float]
) -> list[tuple[Floats, Floats]]:
    """Return mean and quantiles of columns, as many of which are in memory as are :data:`VALUES`."""
    if segmenting.features:
        parts = table.each(segmenting.features, partial(_labels, segmenting=segmenting))
        labels = np.concatenate([part for (part,) in parts])
    else:
        labels = np.zeros(table.rows, np.intp)
    found = []
    for some in _chunks(columns, max(1, VALUES // max(1, table.rows))):
        values = np.concatenate([part for (part,) in table.each(some, partial(_values, columns=some))])
        found += [_of_groups(labels, column, segmenting.k, probabilities) for column in values.T]
    return found


def _of_groups(labels: Ints, values: Floats, k: int, probabilities: Sequence[float]) -> tuple[Floats, Floats]:
    there = ~np.isnan(values)
    labels, values = labels[there], values[there]
    ends = np.bincount(labels, minlength=k).cumsum()
    groups = np.split(values[labels.argsort(kind="stable")], ends[:-1])
    nothing = np.full(len(probabilities), np.nan)
    return (
        np.array([group.mean() if len(group) else np.nan for group in groups]),
        np.array([np.quantile(group, probabilities) if len(group) else nothing for group in groups]),
    )


def _labels(place: int, batches: Iterator[pa.RecordBatch], segmenting: Segmenting) -> Arrays:
    return [np.concatenate([segmenting.labels(batch) for batch in batches])]


def _values(place: int, batches: Iterator[pa.RecordBatch], columns: Sequence[str]) -> Arrays:
    return [np.concatenate([as_matrix(batch, columns) for batch in batches])]


def _searched(
    table: Parted, columns: Sequence[str], segmenting: Segmenting, probabilities: Sequence[float]
) -> list[tuple[Floats, Floats]]:
    """Return mean and quantiles of a few columns, as :func:`_exact` does of one."""
    visited = partial(table.each, list(dict.fromkeys([*segmenting.features, *columns])))
    parts = list(visited(partial(_ranges, segmenting=segmenting, columns=columns)))
    counts, sums = (np.sum([part[index] for part in parts], axis=0) for index in (0, 1))
    low = np.min([part[2] for part in parts], axis=0)[..., None]
    high = np.max([part[3] for part in parts], axis=0)[..., None]
    empty = counts == 0
    low[empty], high[empty] = 0.0, 0.0
    # The place among a segment's values, from 0.
    place = np.floor(np.multiply.outer(np.maximum(counts, 1) - 1, probabilities))
    bins = int(np.clip(COUNTS // place.size, FEWEST_BINS, MOST_BINS))
    for cut in range(MOST_CUTS):
        count = partial(_counts, segmenting=segmenting, columns=columns, low=low, high=high, bins=bins)
        within, totals, below = added_up(visited(count, added=True))
        chosen = (below[..., None] + within.cumsum(axis=3) <= place[..., None]).sum(axis=3)
        chosen = chosen.clip(0, bins - 1)
        width = (high - low) / bins
        start, end = low + chosen * width, np.where(chosen == bins - 1, high, low + (chosen + 1) * width)
        if cut == MOST_CUTS - 1 or (width <= NARROW * np.maximum(np.abs(start), np.abs(end))).all():
            break
        low, high = start, end
    rows, total = (np.take_along_axis(each, chosen[..., None], 3)[..., 0] for each in (within, totals))
    found = np.divide(total, rows, out=(start + end) / 2, where=rows > 0)
    found[empty] = np.nan
    mean = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=~empty)
    return list(zip(mean, found, strict=True))


def _ranges(
    place: int, batches: Iterator[pa.RecordBatch], segmenting: Segmenting, columns: Sequence[str]
) -> Arrays:
    """Return count, sum, minimum and maximum of each column in each segment."""
    shape = (len(columns), segmenting.k)
    count, total = np.zeros(shape), np.zeros(shape)
    low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
    for labels, values in _read(segmenting, columns, batches):
        for index, column in enumerate(values):
            there = ~np.isnan(column)
            own, column = labels[there], column[there]
            count[index] += np.bincount(own, minlength=segmenting.k)
            total[index] += np.bincount(own, column, segmenting.k)
            np.minimum.at(low[index], own, column)
            np.maximum.at(high[index], own, column)
    return [count, total, low, high]


def _counts(
    place: int,
    batches: Iterator[pa.RecordBatch],
    segmenting: Segmenting,
    columns: Sequence[str],
    low: Floats,
    high: Floats,
    bins: int,
) -> Arrays:
    """Return how many values lie in each bin between `low` and `high`, their sums, and how many lie below.

    `low` and `high` are of shape (n_columns, k, n_ranges).
    """
    k = segmenting.k
    within, totals, below = np.zeros((*low.shape, bins)), np.zeros((*low.shape, bins)), np.zeros(low.shape)
    scale = bins / np.where(high > low, high - low, 1.0)
    for labels, values in _read(segmenting, columns, batches):
        for index, column in enumerate(values):
            there = ~np.isnan(column)
            own, column = labels[there], column[there]
            for which in range(low.shape[2]):
                start, end = low[index, own, which], high[index, own, which]
                inside = (column >= start) & (column <= end)
                held = column[inside]
                bin_of = ((held - start[inside]) * scale[index, own[inside], which]).astype(np.intp)
                cell = own[inside] * bins + bin_of.clip(0, bins - 1)
                within[index, :, which] += np.bincount(cell, minlength=k * bins).reshape(k, bins)
                totals[index, :, which] += np.bincount(cell, held, k * bins).reshape(k, bins)
                below[index, :, which] += np.bincount(own[column < start], minlength=k)
    return [within, totals, below]
