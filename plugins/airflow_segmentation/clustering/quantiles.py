"""Quantiles of columns within segments, in passes over rows that may be too many for memory.

Of as many rows as may be gathered they are exact. Of more, each is searched for. A first pass draws rows, as
many of each segment, which tell between which two values a quantile lies almost surely. A second cuts what is
between them into bins, and counts the rows in each, at the two values themselves, where many may be the same,
and below; as a rule that is all. The bin that holds the quantile is cut likewise as long as it is wide, and
where the rows drawn were wrong, what is beyond. What is returned is the mean of the values in the last bin,
which is exact wherever these are all the same. Else it is off by a ten-thousandth of the segment's range and
a thousandth of its rows at most, or by a millionth of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from airflow_segmentation.clustering.points import Floats, Ints, blocks, grouped
from airflow_segmentation.clustering.rows import Arrays, Parted
from airflow_segmentation.clustering.tallies import Batch, Segmenting, Sum, Tally, tallied

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
SAMPLE_ROWS, SAMPLE_VALUES = 2**17, 2**20
"""Rows and values at most that tell where to look for the quantiles."""
SURE = 4.0
"""Standard errors of a sample's quantile within which that of all rows is taken to be."""


@dataclass(frozen=True)
class Described:
    """Columns over segments, and last over all rows; NaN where a column has no value there."""

    columns: Sequence[str]
    mean: Floats
    """Of shape (n_columns, k + 1)."""
    quantiles: Floats
    """Of shape (n_columns, k + 1, n_quantiles)."""
    gathered: int | None
    """Of more rows than this quantiles are searched for, as they were; None where they are exact."""


@dataclass(frozen=True)
class LookTally(Tally):
    """Tells of each column in each segment, and last in all rows: how many values there are, their sum, the
    least and the largest, all of shape (n_columns, k + 1); then the place of segments and rows drawn of each.
    """

    columns: Sequence[str]
    chances: Sequence[float]
    """Of a row to be drawn, for each segment and last for all rows."""
    width = 6

    def of(self, batch: Batch) -> Arrays:
        """Return what is told of a batch."""
        shape = (len(self.columns), len(self.chances))
        count, total = np.zeros(shape), np.zeros(shape)
        low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
        for index, name in enumerate(self.columns):
            for segment, values in enumerate(batch.by_segment(batch.column(name))):
                held = values[~np.isnan(values)] if np.isnan(values.sum()) else values
                if len(held):
                    at = (index, segment)
                    count[at], total[at], low[at], high[at] = len(held), held.sum(), held.min(), held.max()
        drawn = batch.drawn(self.chances, seed=0)
        own = np.repeat(np.arange(len(drawn)), [len(which) for which in drawn])
        return [count, total, low, high, own, batch.taken(self.columns, np.concatenate(drawn))]

    def both(self, before: Arrays, after: Arrays) -> Arrays:
        """Return what is told of all rows."""
        (count, total, low, high, *drawn), (more, added, lower, higher, *others) = before, after
        return [
            *(count + more, total + added, np.minimum(low, lower), np.maximum(high, higher)),
            *map(_joined, drawn, others),
        ]


def look(table: Parted, columns: Sequence[str], segmenting: Segmenting) -> LookTally | None:
    """Return what :func:`describe` wants to be told first of many rows; None where there are few."""
    if table.rows <= table.gathered:
        return None
    sizes = segmenting.sizes or [table.rows // max(segmenting.k, 1)] * segmenting.k
    wanted = min(SAMPLE_ROWS, SAMPLE_VALUES // len(columns)) / (segmenting.k + 1)
    return LookTally(columns, [wanted / max(size, 1) for size in (*sizes, table.rows)])


def describe(
    table: Parted,
    columns: Sequence[str],
    segmenting: Segmenting,
    probabilities: Sequence[float],
    looked: Arrays | None = None,
) -> Described:
    """Return mean and quantiles of columns within each segment and over all; missing values are left out.

    :param looked: what :func:`look` asks for, where a pass has told it.
    """
    first = look(table, columns, segmenting)
    if first is None:
        found = _exact(table, columns, segmenting, probabilities)
    else:
        if looked is None:
            (looked,) = tallied(table, segmenting, first)
        together = max(1, COUNTS // ((segmenting.k + 1) * len(probabilities) * FEWEST_BINS))
        found = [
            one
            for some in blocks(len(columns), together)
            for one in _searched(table, columns[some], segmenting, probabilities, _of_columns(looked, some))
        ]
    mean, quantiles = (np.array(each) for each in zip(*found, strict=True))
    return Described(columns, mean, quantiles, None if first is None else table.gathered)


def _joined(before: Floats, after: Floats) -> Floats:
    return np.concatenate([before, after])


def _of_columns(looked: Arrays, some: slice) -> Arrays:
    *told, own, drawn = looked
    return [*(each[some] for each in told), own, drawn[:, some]]


def _exact(
    table: Parted, columns: Sequence[str], segmenting: Segmenting, probabilities: Sequence[float]
) -> list[tuple[Floats, Floats]]:
    """Return mean and quantiles of columns, as many of which are in memory as are :data:`VALUES`."""
    groups: list[Any] = [slice(None)]
    if segmenting.features:
        ((labels,),) = tallied(table, segmenting, _Gathered(()))
        groups = [*grouped(labels, segmenting.k), slice(None)]
    found = []
    for some in blocks(len(columns), max(1, VALUES // max(1, table.rows))):
        ((values,),) = tallied(table, Segmenting(), _Gathered(columns[some]))
        found += [_of_groups(column, groups, probabilities) for column in values.T]
    return found


def _of_groups(
    values: Floats, groups: Sequence[Any], probabilities: Sequence[float]
) -> tuple[Floats, Floats]:
    held = [group[~np.isnan(group)] for group in (values[which] for which in groups)]
    nothing = np.full(len(probabilities), np.nan)
    return (
        np.array([group.mean() if len(group) else np.nan for group in held]),
        np.array([np.quantile(group, probabilities) if len(group) else nothing for group in held]),
    )


@dataclass(frozen=True)
class _Gathered(Tally):
    """Brings columns of all rows together, or the segments where there are none."""

    columns: Sequence[str]
    width = 1

    def of(self, batch: Batch) -> Arrays:
        return [batch.matrix(self.columns) if self.columns else batch.segments]

    def both(self, before: Arrays, after: Arrays) -> Arrays:
        return [_joined(*before, *after)]


def _searched(
    table: Parted,
    columns: Sequence[str],
    segmenting: Segmenting,
    probabilities: Sequence[float],
    looked: Arrays,
) -> list[tuple[Floats, Floats]]:
    """Return mean and quantiles of a few columns, as :func:`_exact` does."""
    counts, sums, least, most, own, rows = looked
    empty = counts == 0
    least, most = np.where(empty, 0.0, least), np.where(empty, 0.0, most)
    low, high = _brackets(own, rows, least, most, probabilities)
    # The place among a segment's values, from 0.
    place = np.floor(np.multiply.outer(np.maximum(counts, 1) - 1, probabilities))
    bins = int(np.clip(COUNTS // place.size, FEWEST_BINS, MOST_BINS))
    for _ in range(MOST_CUTS):
        ((within, totals, below),) = tallied(table, segmenting, _BracketsTally(columns, low, high, bins))
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
    own: Ints, rows: Floats, least: Floats, most: Floats, probabilities: Sequence[float]
) -> tuple[Floats, Floats]:
    """Return between which values each quantile is almost surely, by rows drawn of each segment.

    :param least: the least values, of shape (n_columns, k); `most` is likewise.
    """
    shares = np.array(probabilities)
    low, high = (np.repeat(each[..., None], len(shares), axis=2) for each in (least, most))
    for segment in range(least.shape[1]):
        for column, values in enumerate(np.sort(rows[own == segment], axis=0).T):
            count = np.count_nonzero(~np.isnan(values))  # which are sorted to the end
            if not count:
                continue
            error = SURE * np.sqrt(count * shares * (1 - shares)) + 1
            first, last = (np.floor(shares * (count - 1) + off).astype(int) for off in (-error, error + 1))
            low[column, segment, first >= 0] = values[first[first >= 0]]
            high[column, segment, last < count] = values[last[last < count]]
    return low, high


@dataclass(frozen=True)
class _BracketsTally(Sum):
    """Tells how many values are in each bin from `low` to `high`, their sums, and how many lie below.

    `low` and `high` are of shape (n_columns, k + 1, n_ranges), and the first and the last bin theirs alone.
    """

    columns: Sequence[str]
    low: Floats
    high: Floats
    bins: int
    width = 3

    def of(self, batch: Batch) -> Arrays:
        shape = (*self.low.shape, self.bins + 2)
        within, totals, below = np.zeros(shape), np.zeros(shape), np.zeros(self.low.shape)
        scale = self.bins / np.where(self.high > self.low, self.high - self.low, 1.0)
        for index, name in enumerate(self.columns):
            for segment, values in enumerate(batch.by_segment(batch.column(name))):
                for at in ((index, segment, which) for which in range(self.low.shape[2])):
                    before = values < self.low[at]
                    # What is not beyond and not below: neither holds of a value that is missing.
                    held = values[(values <= self.high[at]) != before]
                    bin_of = ((held - self.low[at]) * scale[at]).astype(np.intp).clip(0, self.bins - 1) + 1
                    bin_of[held == self.high[at]] = self.bins + 1
                    bin_of[held == self.low[at]] = 0
                    within[at] = np.bincount(bin_of, minlength=self.bins + 2)
                    totals[at] = np.bincount(bin_of, held, self.bins + 2)
                    below[at] = np.count_nonzero(before)
        return [within, totals, below]
