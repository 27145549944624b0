"""What runs on a cluster's executors, with numpy and pyarrow and nothing of Airflow.

Each batch that comes has one column more than was asked for, the last: in the first row of a part it holds
the part's mark, and nothing elsewhere. So the part is known where it is read, whichever task reads it.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa

Batches = Iterator[pa.RecordBatch]
Arrays = list[np.ndarray]
Prepare = Callable[[int, Batches], Batches]
"""Makes the rows of a table of what was read of a part, known by its place."""

RESULT = "place bigint, part int, value binary, error string"
"""What comes back: the place of a part, the number of the task that read it, what was made of it."""
JOINED = "place bigint, value binary, error string"
_RESULT = pa.schema(
    [("place", pa.int64()), ("part", pa.int32()), ("value", pa.binary()), ("error", pa.string())]
)
_JOINED = pa.schema([("place", pa.int64()), ("value", pa.binary()), ("error", pa.string())])

EMPTY = -1
"""The place of what has no rows, such as a file of a header alone."""
CHANGED = "SEGMENTATION_FILES_CHANGED"
"""What an error begins with where a part is not one of those there were when the table was opened."""


@dataclass(frozen=True)
class Visited:
    """Visits a part, and returns what the visit makes as one row."""

    visit: Callable[[int, Batches], Arrays]
    places: Mapping[str, int]
    """The place of each part by its mark."""
    names: tuple[str, ...]
    """Of the columns that are read: Spark itself has others for them."""
    prepare: Prepare | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Batches:
        part = _placed(batches, self.names, self.places)
        if part is None:
            return
        place, rows = part
        with one_thread():
            read = rows if self.prepare is None else self.prepare(place, rows)
            error, value = None, None
            try:
                value = packed(self.visit(place, read))
            except ValueError as refused:
                # The data is at fault, and would be in each of Spark's own tries.
                error = str(refused)
            _drain(rows)
        yield pa.record_batch([[place], [_task()], [value], [error]], schema=_RESULT)


@dataclass(frozen=True)
class Marked:
    """Returns the mark of a part, and what it is told to find out, before there are places."""

    look: Callable[[str, Batches], bytes]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Batches:
        part = _parted(batches, ("value",))
        if part is None:
            return
        mark, rows = part
        with one_thread():
            value = self.look(mark, rows)
        yield pa.record_batch([[None], [_task()], [value], [mark]], schema=_RESULT)


@dataclass(frozen=True)
class Changed:
    """Makes the rows of one part of another table."""

    change: Callable[[Batches], Batches]
    places: Mapping[str, int]
    tasks: Mapping[int, int]
    """The place of the part that each task of Spark's is to read, by the task's number."""
    schema: pa.Schema
    names: tuple[str, ...]
    prepare: Prepare | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Batches:
        part = _placed(batches, self.names, self.places)
        if part is None:
            return
        place, rows = part
        if self.tasks.get(_task()) != place:
            raise RuntimeError(f"{CHANGED}: task {_task()} reads part {place}")
        with one_thread():
            for batch in self.change(rows if self.prepare is None else self.prepare(place, rows)):
                if batch.num_rows:
                    yield batch.cast(self.schema) if batch.schema != self.schema else batch
            _drain(rows)


def joining(join: Callable[[Arrays, Arrays], Arrays]) -> Callable[[pa.Table], pa.Table]:
    """Return what joins what was made of some parts, in their order: so it has the same bits at any time."""

    def joined(results: pa.Table) -> pa.Table:
        results = results.sort_by("place")
        errors = [error for error in results.column("error").to_pylist() if error is not None]
        value = None
        if not errors:
            parts = (unpacked(each.as_py()) for each in results.column("value"))
            total: Arrays = reduce(join, parts)
            value = packed(total)
        columns = [[results.column("place")[0].as_py()], [value], [errors[0] if errors else None]]
        return pa.table(columns, schema=_JOINED)

    return joined


def packed(arrays: Sequence[Any]) -> bytes:
    """Return arrays as bytes that hold numbers and text, and no pickle."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, *[np.asarray(array) for array in arrays])  # noqa: B026
    return file.getvalue()


def unpacked(value: bytes) -> Arrays:
    """Return the arrays that :func:`packed` made bytes of."""
    with np.load(io.BytesIO(value), allow_pickle=False) as arrays:
        return [arrays[f"arr_{index}"] for index in range(len(arrays.files))]


def unchanged(batches: Batches) -> Batches:
    """Return rows as they are."""
    return batches


class one_thread:
    """Runs what is within in one thread: Spark gives each of its tasks one core, and sums the same bits."""

    def __enter__(self) -> None:
        pa.set_cpu_count(1)
        try:
            from threadpoolctl import threadpool_limits
        except ImportError:
            return
        self._limits = threadpool_limits(1)

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_limits"):
            self._limits.restore_original_limits()


def _placed(
    batches: Iterable[pa.RecordBatch], names: Sequence[str], places: Mapping[str, int]
) -> tuple[int, Batches] | None:
    """Return the place of a part, and its rows; None where there are no rows."""
    part = _parted(batches, names)
    if part is None:
        return None
    mark, rows = part
    if mark not in places:
        raise RuntimeError(f"{CHANGED}: {mark}")
    if places[mark] == EMPTY:
        _drain(rows)
        return None
    return places[mark], rows


def _parted(batches: Iterable[pa.RecordBatch], names: Sequence[str]) -> tuple[str, Batches] | None:
    """Return the mark of a part, and its rows without the mark; None where there are no rows."""
    filled = (batch for batch in batches if batch.num_rows)
    first = next(filled, None)
    if first is None:
        return None
    mark = first.column(first.num_columns - 1)[0].as_py()
    if mark is None:
        raise RuntimeError(f"{CHANGED}: a part without a mark")
    return mark, _without_mark(itertools.chain([first], filled), names)


def _without_mark(batches: Batches, names: Sequence[str]) -> Batches:
    marks = 0
    for batch in batches:
        last = batch.num_columns - 1
        marks += batch.num_rows - batch.column(last).null_count
        if marks > 1:
            raise RuntimeError(f"{CHANGED}: two parts are read as one")
        yield pa.record_batch(batch.columns[:last], names=list(names))


def _drain(batches: Batches) -> None:
    """Take what is left: Spark's own protocol wants all of a part taken."""
    for _ in batches:
        pass


def _task() -> int:
    """Return the number of the Spark task in its stage; the name of what it writes has it, too."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.partitionId() if context else 0
