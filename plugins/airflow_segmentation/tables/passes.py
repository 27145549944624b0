"""What is done to the batches of a table wherever they are: needs numpy and pyarrow, and no Airflow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from airflow_segmentation.clustering.assigning import Assigner
    from airflow_segmentation.clustering.rows import Arrays

Change = Callable[[Iterator["pa.RecordBatch"]], Iterator["pa.RecordBatch"]]
"""Makes the batches of one part of a new table of those of an old one."""


def ranges(
    place: int,
    batches: Iterator[pa.RecordBatch],
    features: Sequence[str],
    required: Sequence[str],
    keep_missing: bool,
) -> Arrays:
    """Return the rows that stay, how many miss each required column first, and of each feature over the rows
    that stay: minimum, maximum, the value farthest from 0, and whether one is infinite.

    :param keep_missing: whether rows stay that miss a value; the value is left out then.
    """
    import numpy as np

    from airflow_segmentation.clustering.arrow import as_matrix

    rows, missing = 0, np.zeros(len(required), np.int64)
    low, high = np.full(len(features), np.inf), np.full(len(features), -np.inf)
    farthest, infinite = np.zeros(len(features)), np.zeros(len(features), bool)
    for batch in batches:
        values = as_matrix(batch, features)
        if not keep_missing:
            first = first_missing(batch, required)
            missing += np.bincount(first[first >= 0], minlength=len(required))
            values = values[first < 0]
        rows += len(values)
        if not len(values):
            continue
        infinite |= np.isinf(values).any(axis=0)
        low, high = np.fmin(low, np.fmin.reduce(values)), np.fmax(high, np.fmax.reduce(values))
        extreme = np.where(low <= high, np.where(-low > high, low, high), 0.0)
        farthest = np.where(np.abs(extreme) > np.abs(farthest), extreme, farthest)
    return [np.array(rows), missing, low, high, farthest, infinite]


def first_missing(batch: pa.RecordBatch, columns: Sequence[str]) -> np.ndarray:
    """Return, of shape (n_rows,), the index of the first of the columns that misses a value, or -1."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from airflow_segmentation.clustering.arrow import as_floats

    first = np.full(batch.num_rows, -1)
    for index, name in enumerate(columns):
        absent = as_floats(pc.is_null(batch.column(name), nan_is_null=True).cast(pa.int8())) > 0
        first[absent & (first < 0)] = index
    return first


@dataclass(frozen=True)
class Scaled:
    """Scales features, and drops rows that miss a value."""

    schema: pa.Schema
    features: tuple[str, ...]
    required: tuple[str, ...]
    """Columns without whose value a row is dropped."""
    medians: tuple[float, ...] | None
    scale: np.ndarray
    offset: np.ndarray
    constant: Sequence[bool]
    low: float
    """What a constant feature becomes."""

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import numpy as np
        import pyarrow as pa

        from airflow_segmentation.clustering.arrow import as_array, as_matrix

        for batch in batches:
            if self.required:
                batch = batch.take(as_array(np.flatnonzero(first_missing(batch, self.required) < 0)))
            values = as_matrix(batch, self.features)
            if self.medians is not None:
                values = np.where(np.isnan(values), self.medians, values)
            values = np.where(self.constant, self.low, values * self.scale + self.offset)
            scaled = dict(zip(self.features, values.T, strict=True))
            columns: list[Any] = [
                as_array(scaled[name]) if name in scaled else batch.column(name) for name in self.schema.names
            ]
            yield pa.record_batch(columns, schema=self.schema)


ASSIGNED = {
    "segment": "int32",
    "segment_name": "string",
    "segment_distance": "float64",
    "segment_percentile": "float64",
    "second_segment": "int32",
}
"""The columns that are added where segments are assigned, and their types."""


@dataclass(frozen=True)
class Assigned:
    """Adds the columns of :data:`ASSIGNED` as the last: of each row its segment and what that is called, how
    far it lies from the centre, the percentile of that distance, and the segment that is second nearest.
    """

    schema: pa.Schema
    features: tuple[str, ...]
    assigner: Assigner
    numbers: tuple[int, ...]
    """What stands for each segment of the assigner's."""
    names: tuple[str, ...]
    distances: np.ndarray | None
    """Percentiles of the distances in each segment; None where they are not known."""

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import numpy as np
        import pyarrow as pa

        from airflow_segmentation.clustering.arrow import as_array, as_matrix
        from airflow_segmentation.clustering.distances import percentiles_of

        numbers, names = pa.array(self.numbers, pa.int32()), pa.array(self.names, pa.string())
        for batch in batches:
            found = self.assigner.place(as_matrix(batch, self.features))
            present = found.segments >= 0
            segments = as_array(found.segments, present)
            percentiles = np.zeros(len(present))
            if self.distances is not None:
                percentiles[present] = percentiles_of(
                    found.distances[present], found.segments[present], self.distances
                )
            columns = [
                *batch.columns,
                numbers.take(segments),
                names.take(segments),
                as_array(found.distances, present),
                as_array(percentiles, present & (self.distances is not None)),
                numbers.take(as_array(found.seconds, found.seconds >= 0)),
            ]
            yield pa.record_batch(columns, schema=self.schema)


def segments_counted(
    place: int,
    batches: Iterator[pa.RecordBatch],
    features: Sequence[str],
    column: str,
    percentile: str,
    numbers: Sequence[int],
    minimum: np.ndarray,
    maximum: np.ndarray,
) -> Arrays:
    """Return of rows with a segment in `column`: how many the segment of each number has, how many are
    outside the range of each feature, how many of any, and how many are farther out than 99 of 100 in
    `percentile`; of those without: how many there are, and how many lack each feature; and the number of the
    first row's segment, -1 where it has none.
    """
    import numpy as np

    from airflow_segmentation.clustering.arrow import as_floats, as_matrix

    order = np.argsort(numbers)
    rising, sizes, first = np.asarray(numbers)[order], np.zeros(len(order), np.int64), None
    outside, lacking = np.zeros(len(features), np.int64), np.zeros(len(features), np.int64)
    strange = far = without = 0
    for batch in batches:
        segments = as_floats(batch.column(column))
        assigned = ~np.isnan(segments)
        if first is None:
            first = int(segments[0]) if assigned[0] else -1
        places = np.searchsorted(rising, segments[assigned])
        sizes[order] += np.bincount(places, minlength=len(order))
        values = as_matrix(batch, features)
        beyond = ((values < minimum) | (values > maximum))[assigned]
        outside += beyond.sum(axis=0)
        strange += int(beyond.any(axis=1).sum())
        far += int((as_floats(batch.column(percentile)) > FAR).sum())
        without += int((~assigned).sum())
        lacking += (~np.isfinite(values[~assigned])).sum(axis=0)
    return [sizes, outside, np.array(strange), np.array(far), np.array(without), lacking, np.array(first)]


def shifts_counted(
    place: int,
    batches: Iterator[pa.RecordBatch],
    features: Sequence[str],
    edges: Sequence[np.ndarray],
    assigner: Assigner,
    minimum: np.ndarray,
    maximum: np.ndarray,
) -> Arrays:
    """Return how many rows are in each bin of each feature, how many the assigner gives each segment, and how
    many of these are outside the range of any feature.
    """
    import numpy as np

    from airflow_segmentation.clustering.arrow import as_matrix
    from airflow_segmentation.clustering.rows import added_up
    from airflow_segmentation.clustering.shifts import counted

    def of(rows: np.ndarray) -> Arrays:
        if assigner.medians is not None:
            rows = np.where(np.isnan(rows), assigner.medians, rows)
        segments = assigner.predict(rows)
        outside = ((rows < minimum) | (rows > maximum)).any(axis=1) & (segments >= 0)
        sizes = np.bincount(segments[segments >= 0], minlength=len(assigner.centers))
        return [counted(rows, edges), sizes, outside.sum()]

    return added_up(of(as_matrix(batch, features)) for batch in batches)


FAR = 99.0
"""Percentile of the distance to the centre beyond which a row lies far out."""


def texts(place: int, batches: Iterator[pa.RecordBatch], column: str, most: int) -> Arrays:
    """Return different texts of a column, as they come; few more than `most`."""
    import numpy as np

    found: dict[str, None] = {}
    for batch in batches:
        found |= dict.fromkeys(batch.column(column).unique().drop_null().to_pylist())
        if len(found) > most:
            break
    return [np.array(list(found), dtype=np.str_)]
