"""Rows that may be too many for memory: what the sweep asks of whatever holds them.

Only two kinds of pass touch all rows, whatever the range of k: one draws a sample, one measures the segments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from airflow_segmentation.clustering.measuring import measure
from airflow_segmentation.clustering.parallel import map_ahead
from airflow_segmentation.clustering.points import Floats, Ints, blocks, chances

Chances = Callable[[Floats], tuple[Floats, Ints]]
"""Tells with what chance each row is drawn, and which stratum it is of, both of shape (n_rows,)."""

BATCH = 2**22
"""Values that are read, or measured, at a time: so many that threads seldom wait for one another."""


@dataclass(frozen=True)
class Sample:
    """Weighted rows that stand for all rows."""

    rows: Floats
    weights: Floats | None
    """None where the sample is all rows, and each counts once."""
    mean: Floats
    """Mean of all rows."""


class Rows(Protocol):
    """What holds the rows: memory or a file here, or an engine on many machines."""

    count: int
    """Number of rows."""
    features: int
    """Number of values in each."""
    parts: int
    """Number of parts that :meth:`measured` yields."""
    weighted: bool
    """Whether rows have weights of their own."""

    def sample(self, size: int, seed: int) -> Sample:
        """Draw about `size` rows, all where there are no more.

        Each is drawn by its :func:`chances`, and weighted to make up for it.

        :raises ValueError: if a value is missing or infinite.
        """

    def measured(self, centers: list[Floats]) -> Iterator[list[Floats]]:
        """Yield, for each part of the rows, what :func:`measure` returns; the parts add up to all rows."""

    def drawn(self, chances: Chances, seed: int) -> tuple[Floats, Floats]:
        """Draw rows, each by its own chance, and of each stratum as many as that makes, but for one.

        Returns the rows, shape (n, n_features), and 1 by the chance of each, shape (n,).
        """


class ArrayRows:
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

    def sample(self, size: int, seed: int) -> Sample:
        """Draw about `size` rows."""
        return _drawn(self._batches, self.count, size, seed)

    def measured(self, centers: list[Floats]) -> Iterator[list[Floats]]:
        """Yield what each batch of rows adds to the segments."""
        for rows, weights in self._batches():
            yield measure(rows, weights, centers)

    def drawn(self, chances: Chances, seed: int) -> tuple[Floats, Floats]:
        """Draw rows, each by its own chance, batch by batch."""
        return _drawn_by(chances, self._batches, seed)

    def _batches(self) -> Iterator[tuple[Floats, Floats | None]]:
        for batch in blocks(self.count, self._batch):
            yield self._rows[batch], None if self._weights is None else self._weights[batch]


class ParquetRows:
    """The rows of a Parquet file, read in batches that fit in memory.

    Parameters
    ----------
    source : path or binary file object that can seek
    columns : list of str
        The features.
    n_jobs : int
        Batches measured at the same time. Does not change a bit of the result.
    """

    weighted = False

    def __init__(self, source: Any, columns: list[str], n_jobs: int = 1) -> None:
        from pyarrow.parquet import ParquetFile

        self._file = ParquetFile(source)
        self._columns = list(columns)
        self._n_jobs = n_jobs
        self.count: int = self._file.metadata.num_rows
        self.features = len(self._columns)
        self._batch = max(1, BATCH // self.features)
        self.parts = -(-self.count // self._batch)

    def sample(self, size: int, seed: int) -> Sample:
        """Draw about `size` rows."""
        return _drawn(self._batches, self.count, size, seed)

    def uniform(self, size: int, seed: int) -> Floats:
        """Draw `size` rows without replacement, each as likely, in the order of the file; all if no more."""
        chosen = np.arange(self.count)
        if size < self.count:
            chosen = np.sort(np.random.default_rng(seed).choice(self.count, size, replace=False))
        kept, start = [], 0
        for rows, _ in self._batches():
            first, last = np.searchsorted(chosen, [start, start + len(rows)])
            kept.append(rows[chosen[first:last] - start])
            start += len(rows)
        return np.concatenate(kept)

    def measured(self, centers: list[Floats]) -> Iterator[list[Floats]]:
        """Yield what each batch adds to the segments, in the order of the file."""
        return map_ahead(
            lambda batch: measure(*batch, centers), self._batches(), self._n_jobs, ahead=self._n_jobs + 1
        )

    def drawn(self, chances: Chances, seed: int) -> tuple[Floats, Floats]:
        """Draw rows, each by its own chance, batch by batch."""
        return _drawn_by(chances, self._batches, seed)

    def _batches(self) -> Iterator[tuple[Floats, None]]:
        for batch in self._file.iter_batches(self._batch, columns=self._columns):
            # Columns come in the order of the file.
            rows = np.column_stack([as_floats(batch.column(name)) for name in self._columns])
            if not np.isfinite(rows).all():
                bad = self._columns[int((~np.isfinite(rows)).any(axis=0).argmax())]
                raise ValueError(f"Column {bad!r} has missing or infinite values; drop or fill them first")
            yield rows, None


def as_floats(column: Any) -> Floats:
    """Return an Arrow column of numbers as float64, of shape (n_rows,); missing values are NaN.

    Whole numbers beyond 2**53 are rounded; true is 1 and false 0.

    Arrow's own `to_numpy` imports pandas on the way, which takes a third of a second.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = column.cast(pa.float64(), safe=False)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    values = _buffer(column, np.float64)
    if column.null_count:
        values = np.where(_buffer(pc.is_null(column).cast(pa.int8()), np.int8), np.nan, values)
    return values


def _buffer(array: Any, kind: Any) -> NDArray[Any]:
    if not len(array):
        return np.empty(0, kind)
    return np.frombuffer(array.buffers()[1], kind, len(array), array.offset * np.dtype(kind).itemsize)


def _drawn(
    batches: Callable[[], Iterator[tuple[Floats, Floats | None]]], count: int, size: int, seed: int
) -> Sample:
    if count <= size:
        read = list(batches())
        rows = np.concatenate([part for part, _ in read])
        given = [weights for _, weights in read if weights is not None]
        weights = np.concatenate(given) if given else None
        return Sample(rows, weights, np.average(rows, axis=0, weights=weights))
    weight, total, squares = 0.0, np.zeros(1), np.zeros(1)
    for rows, weights in batches():
        weighted = rows if weights is None else rows * weights[:, None]
        weight += len(rows) if weights is None else weights.sum()
        total = total + weighted.sum(axis=0)
        squares = squares + np.einsum("ij,ij->j", weighted, rows)
    mean = total / weight
    scatter = max(float((squares - weight * mean**2).sum()), np.finfo(float).tiny)
    kept: list[tuple[Floats, Floats]] = []
    for part, (rows, weights) in enumerate(batches()):
        own = np.ones(len(rows)) if weights is None else weights
        far = ((rows - mean) ** 2).sum(axis=1)
        chance = chances(own, far, size, weight, scatter)
        drawn = np.random.default_rng([seed, part]).random(len(rows)) < chance
        kept.append((rows[drawn], own[drawn] / chance[drawn]))
    return Sample(np.concatenate([rows for rows, _ in kept]), np.concatenate([own for _, own in kept]), mean)


def _drawn_by(
    chances: Chances, batches: Callable[[], Iterator[tuple[Floats, Any]]], seed: int
) -> tuple[Floats, Floats]:
    kept: list[tuple[Floats, Floats]] = []
    for part, (rows, _) in enumerate(batches()):
        chance, strata = chances(rows)
        rng = np.random.default_rng([seed, part])
        order = rng.permutation(len(rows))
        order = order[strata[order].argsort(kind="stable")]
        # One row at each whole number that the chances add up to, from a start by chance (Madow, 1949).
        passed = np.floor(rng.random() + np.cumsum(chance[order]))
        drawn = np.sort(order[np.diff(passed, prepend=0.0) > 0])
        kept.append((rows[drawn], 1 / chance[drawn]))
    return np.concatenate([rows for rows, _ in kept]), np.concatenate([own for _, own in kept])
