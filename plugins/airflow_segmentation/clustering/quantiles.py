"""Quantiles of columns within segments, in passes over rows that may be too many for memory.

Of as many rows as may be gathered they are exact. Of more, each is searched for. A first pass draws a sample,
which tells between which two values a quantile lies almost surely. A second cuts what is between them into
bins, and counts the rows in each, at the two values themselves, where many may be the same, and below; as a
rule that is all. The bin that holds the quantile is cut likewise as long as it is wide, and where the sample
was wrong, what is beyond. What is returned is the mean of the values in the last bin, which is exact wherever
these are all the same. Else it is off by a
ten-thousandth of the segment's range and a thousandth of its rows at most, or by a millionth of itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from airflow_segmentation.clustering.arrow import as_floats, as_matrix
from airflow_segmentation.clustering.points import Floats, Ints, assign, grouped
from airflow_segmentation.clustering.rows import Arrays, Parted, added_up

if TYPE_CHECKING:
    import pyarrow as pa

VALUES = 2**23
"""Values that are held at a time where quantiles are exact, and those of a column at least."""
COUNTS = 2**15
"""Numbers in one table of counts: a quarter of a megabyte, as each part of a table makes two."""
MOST_BINS, FEWEST_BINS = 1024, 40
MOST_CUTS = 5
NARROW, NARROWEST = 1e-6, 1e-9
"""Width of a bin that is narrow enough, as a share of the values in it, and of their range."""
SMALL, FEW = 1e-4, 1e-3
"""Width of a bin, as a share of the range, that is narrow enough if it holds so small a share of the rows."""
SAMPLE_ROWS, SAMPLE_VALUES = 2**16, 2**20
"""Rows and values at most that tell where to look for the quantiles."""
SURE = 4.0
"""Standard errors of a sample's quantile within which that of all rows is taken to be."""


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
    groups = [values[which] for which in grouped(labels, k)]
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
    share = min(SAMPLE_ROWS, SAMPLE_VALUES // len(columns)) / table.rows
    looked = list(visited(partial(_looked, segmenting=segmenting, columns=columns, share=share)))
    counts, sums = (np.sum([part[index] for part in looked], axis=0) for index in (0, 1))
    least, most = np.min([part[2] for part in looked], axis=0), np.max([part[3] for part in looked], axis=0)
    empty = counts == 0
    least[empty], most[empty] = 0.0, 0.0
    labels, rows = (np.concatenate([part[index] for part in looked]) for index in (4, 5))
    low, high = _brackets(labels, rows, least, most, probabilities)
    # The place among a segment's values, from 0.
    place = np.floor(np.multiply.outer(np.maximum(counts, 1) - 1, probabilities))
    bins = int(np.clip(COUNTS // place.size, FEWEST_BINS, MOST_BINS))
    for _ in range(MOST_CUTS):
        count = partial(_counts, segmenting=segmenting, columns=columns, low=low, high=high, bins=bins)
        within, totals, below = added_up(visited(count, added=True))
        chosen = (below[..., None] + within.cumsum(axis=3) <= place[..., None]).sum(axis=3)
        before, after = below > place, chosen == bins + 2
        chosen = chosen.clip(0, bins + 1)
        held, total = (np.take_along_axis(each, chosen[..., None], 3)[..., 0] for each in (within, totals))
        is_low, is_high = chosen == 0, chosen == bins + 1
        step = (high - low) / bins
        width = np.where(is_low | is_high, 0.0, step)
        start = np.where(is_low, low, np.where(is_high, high, low + (chosen - 1) * step))
        end = np.where(is_low, low, np.where(chosen >= bins, high, low + chosen * step))
        span = (most - least)[..., None]
        small = (held <= FEW * counts[..., None]) & (width <= SMALL * span)
        narrow = width <= np.maximum(NARROW * np.maximum(np.abs(start), np.abs(end)), NARROWEST * span)
        if (empty[..., None] | ~before & ~after & (small | narrow)).all():
            break
        low, high = (
            np.where(before, least[..., None], np.where(after, high, start)),
            np.where(before, low, np.where(after, most[..., None], end)),
        )
    found = np.divide(total, held, out=(start + end) / 2, where=held > 0)
    found[empty] = np.nan
    mean = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=~empty)
    return list(zip(mean, found, strict=True))


def _brackets(
    labels: Ints, rows: Floats, least: Floats, most: Floats, probabilities: Sequence[float]
) -> tuple[Floats, Floats]:
    """Return between which values each quantile is almost surely, by a sample of rows and their segments.

    :param least: the least values, of shape (n_columns, k); `most` is likewise.
    """
    shares = np.array(probabilities)
    low, high = (np.repeat(each[..., None], len(shares), axis=2) for each in (least, most))
    for segment in range(least.shape[1]):
        for column, values in enumerate(np.sort(rows[labels == segment], axis=0).T):
            count = np.count_nonzero(~np.isnan(values))  # which are sorted to the end
            if not count:
                continue
            error = SURE * np.sqrt(count * shares * (1 - shares)) + 1
            first, last = (np.floor(shares * (count - 1) + off).astype(int) for off in (-error, error + 1))
            low[column, segment, first >= 0] = values[first[first >= 0]]
            high[column, segment, last < count] = values[last[last < count]]
    return low, high


def _looked(
    place: int,
    batches: Iterator[pa.RecordBatch],
    segmenting: Segmenting,
    columns: Sequence[str],
    share: float,
) -> Arrays:
    """Return count, sum, minimum, maximum of each column in each segment, and segments and values drawn."""
    shape = (len(columns), segmenting.k)
    count, total = np.zeros(shape), np.zeros(shape)
    low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
    rng, own, drawn = np.random.default_rng(place), [], []
    for labels, values in _read(segmenting, columns, batches):
        taken = np.flatnonzero(rng.random(len(labels)) < share)
        own.append(labels[taken])
        drawn.append(np.column_stack([column[taken] for column in values]))
        for index, segment, group in _groups(labels, values, segmenting.k):
            count[index, segment] += len(group)
            total[index, segment] += group.sum()
            low[index, segment] = min(low[index, segment], group.min())
            high[index, segment] = max(high[index, segment], group.max())
    return [count, total, low, high, np.concatenate(own), np.concatenate(drawn)]


def _groups(labels: Ints, values: list[Floats], k: int) -> Iterator[tuple[int, int, Floats]]:
    """Yield the place of a column, a segment, and its values there, none of them missing."""
    groups = grouped(labels, k)
    for index, column in enumerate(values):
        for segment, which in enumerate(groups):
            group = column[which]
            missing = np.isnan(group)
            held = group[~missing] if missing.any() else group
            if len(held):
                yield index, segment, held


def _counts(
    place: int,
    batches: Iterator[pa.RecordBatch],
    segmenting: Segmenting,
    columns: Sequence[str],
    low: Floats,
    high: Floats,
    bins: int,
) -> Arrays:
    """Return how many values are in each bin from `low` to `high`, their sums, and how many lie below.

    `low` and `high` are of shape (n_columns, k, n_ranges), and the first and the last bin are theirs alone.
    """
    shape = (*low.shape, bins + 2)
    within, totals, below = np.zeros(shape), np.zeros(shape), np.zeros(low.shape)
    scale = bins / np.where(high > low, high - low, 1.0)
    for labels, values in _read(segmenting, columns, batches):
        for index, segment, group in _groups(labels, values, segmenting.k):
            for which in range(low.shape[2]):
                at = (index, segment, which)
                before = group < low[at]
                below[at] += np.count_nonzero(before)
                held = group[~before & (group <= high[at])]
                bin_of = ((held - low[at]) * scale[at]).astype(np.intp).clip(0, bins - 1) + 1
                bin_of[held == high[at]] = bins + 1
                bin_of[held == low[at]] = 0
                within[at] += np.bincount(bin_of, minlength=bins + 2)
                totals[at] += np.bincount(bin_of, held, bins + 2)
    return [within, totals, below]
