"""Arrow columns as numpy arrays and back, without pandas, which pyarrow's own ways import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Floats = NDArray[np.float64]


def as_floats(column: Any) -> Floats:
    """Return an Arrow column of numbers as float64, of shape (n_rows,); missing values are NaN.

    Whole numbers beyond 2**53 are rounded; true is 1 and false 0.
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


def as_matrix(batch: pa.RecordBatch | pa.Table, columns: Sequence[str]) -> Floats:
    """Return numeric columns as float64 of shape (n_rows, n_columns); missing values are NaN."""
    return np.stack([as_floats(batch.column(name)) for name in columns]).T


def as_array(values: NDArray[Any], present: NDArray[Any] | None = None) -> pa.Array:
    """Return numbers as an Arrow array of their type, without a copy where they are contiguous.

    :param present: of bool, False where a value is missing; None where none is.
    """
    import pyarrow as pa

    bits = None if present is None else pa.py_buffer(np.packbits(present, bitorder="little"))
    buffers = [bits, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), buffers)


def _buffer(array: Any, kind: Any) -> NDArray[Any]:
    if not len(array):
        return np.empty(0, kind)
    return np.frombuffer(array.buffers()[1], kind, len(array), array.offset * np.dtype(kind).itemsize)
