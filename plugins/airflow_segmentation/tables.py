"""Parquet tables at a URI, read and written in batches of bounded size."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_segmentation import advice
from airflow_segmentation.addresses import without_secrets
from airflow_segmentation.errors import InputError, missing_column
from airflow_segmentation.storage import open_for_reading, written_whole

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

METADATA_KEY = b"segmentation"
"""Key in a Parquet file's metadata under which our own facts about the table stand, as JSON."""

LOOKED_AT = 10_000
"""Different values of a column of text that are looked at for what may make numbers of them."""

BATCH_ROWS = 131_072
"""Rows read at a time: a few megabytes for a dozen columns, and large enough for Arrow to be fast."""


ROW_GROUP_BYTES = 2**25
"""Bytes of rows that are encoded at a time: a column's dictionary is made anew for each of them."""
DICTIONARY_BYTES = 2**17
"""A column of more different values is written plainly: to look them all up costs time and saves no space."""


class Table:
    """A Parquet table at a URI, read in batches of bounded size."""

    def __init__(self, uri: str, conn_id: str | None = None) -> None:
        import pyarrow.lib
        import pyarrow.parquet as pq

        self.uri = uri
        self.file = open_for_reading(uri, conn_id)
        """The open Parquet file."""
        try:
            self._parquet = pq.ParquetFile(self.file)
        except (pyarrow.lib.ArrowInvalid, OSError) as error:
            self.file.close()
            if isinstance(error, OSError) and not is_bare(error):
                raise
            raise InputError(
                f"{without_secrets(uri)} is not a whole Parquet table ({str(error).strip()}); give the URI "
                "that an operator returned, or write the file again"
            ) from None
        twice = [name for name, count in Counter(self.columns).items() if count > 1]
        if twice:
            self.file.close()
            raise InputError(f"{without_secrets(uri)} has two columns named {twice[0]!r}; rename one of them")

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *_: object) -> None:
        self._parquet.close()
        self.file.close()

    @cached_property
    def schema(self) -> pa.Schema:
        """The table's columns and their types."""
        return self._parquet.schema_arrow

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order."""
        return self.schema.names

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self._parquet.metadata.num_rows

    @property
    def metadata(self) -> dict[str, Any]:
        """The facts that the operator which wrote the table left with it; empty for a table of others."""
        with self.facts_understood():
            return dict(json.loads((self._parquet.metadata.metadata or {}).get(METADATA_KEY, b"{}")))

    @contextlib.contextmanager
    def facts_understood(self) -> Iterator[None]:
        """Raise an error in words where :attr:`metadata` is not what our operators leave."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{without_secrets(self.uri)} tells of itself what cannot be read ({error!r}): it was "
                "changed, or written by another version of airflow-segmentation; run the task that wrote it "
                "again"
            ) from None

    @property
    def id_column(self) -> str | None:
        """Name of the column that names the customer, where one was given when the table was loaded."""
        return self.metadata.get("id_column")

    @property
    def numeric_columns(self) -> list[str]:
        """Names of the columns that hold numbers, in order."""
        return [field.name for field in self.schema if is_number(field.type)]

    def require_numeric(self, columns: Iterable[str]) -> None:
        """Raise an error unless each of the columns is there and holds numbers, or nothing.

        :raises InputError: naming the first column that does not.
        """
        import pyarrow as pa

        where = without_secrets(self.uri)
        for column in columns:
            if column not in self.columns:
                raise missing_column(column, where, self.columns)
            kind = self.schema.field(column).type
            if not is_number(kind) and not pa.types.is_null(kind):
                example, cure = self._example(column)
                raise InputError(
                    f"Column {column!r} of {where} holds {example}, and only numbers can be clustered"
                    f"{cure}; numeric columns are: {', '.join(self.numeric_columns) or 'none'}"
                )

    def _example(self, column: str) -> tuple[str, str]:
        """Return the type of a column's values, of text the first that is no number, and what may help."""
        if column not in text_columns(self.schema):
            return str(self.schema.field(column).type), ""
        values: dict[str, None] = {}
        for batch in self.batches([column]):
            values |= dict.fromkeys(batch.column(0).unique().drop_null().to_pylist())
            if len(values) > LOOKED_AT:
                break
        example = next((value for value in values if not advice.is_number(value)), None)
        if example is None:
            return "numbers as text", "; CsvLoadOperator reads them as numbers unless they are its id_column"
        call = advice.for_values(column, values)
        return (
            f"text such as {example[:40]!r}",
            f"; to make numbers of it, load it with {call}" if call else "",
        )

    def batches(
        self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Yield the table in order, at most `rows` rows at a time."""
        return self._parquet.iter_batches(batch_size=rows, columns=None if columns is None else list(columns))

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the whole table, or some of its columns, in memory."""
        return self._parquet.read(columns=None if columns is None else list(columns))


def is_bare(error: Exception) -> bool:
    """Tell whether an error is an OSError of no system call: Arrow and bz2 raise such about bad data."""
    return type(error) is OSError and error.errno is None


def is_number(kind: pa.DataType) -> bool:
    """Tell whether a column of this type can be clustered; true is 1 and false is 0."""
    import pyarrow.types as types

    return (
        types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    )


def as_matrix(batch: pa.RecordBatch | pa.Table, columns: Sequence[str]) -> np.ndarray:
    """Return numeric columns as float64 of shape (n_rows, n_columns); missing values are NaN."""
    import numpy as np

    from airflow_segmentation.clustering.rows import as_floats

    return np.stack([as_floats(batch.column(name)) for name in columns]).T


def as_array(values: np.ndarray, present: np.ndarray | None = None) -> pa.Array:
    """Return numbers as an Arrow array of their type, without a copy where they are contiguous.

    :param present: of bool, False where a value is missing; None where none is.

    `pa.array` would do, but imports pandas to find out that these are not pandas' own.
    """
    import numpy as np
    import pyarrow as pa

    bits = None if present is None else pa.py_buffer(np.packbits(present, bitorder="little"))
    buffers = [bits, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), buffers)


def text_columns(schema: pa.Schema) -> list[str]:
    """Return the names of the columns that hold text."""
    import pyarrow.types as types

    return [item.name for item in schema if types.is_string(item.type) or types.is_large_string(item.type)]


class TableWriter:
    """Takes the batches of a table that is being written, and the facts that go with it.

    Batches are gathered into row groups, and these encoded beside whatever makes the next batches.
    """

    def __init__(self, schema: pa.Schema, sink: pq.ParquetWriter, encoder: ThreadPoolExecutor) -> None:
        self.schema = schema
        self.metadata: dict[str, Any] = {}
        """Facts about the table, as JSON values; may be filled until the last batch is written."""
        self.rows = 0
        self._sink = sink
        self._encoder = encoder
        self._encoding: Future[None] | None = None
        self._group: list[pa.RecordBatch] = []
        self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append a batch, or nothing if it is empty.

        :raises OSError: if a batch before could not be written.
        """
        if batch.num_rows:
            self._group.append(batch)
            self._bytes += batch.nbytes
            self.rows += batch.num_rows
            if self._bytes >= ROW_GROUP_BYTES:
                self._encode()

    def finish(self) -> None:
        """Write what is left.

        :raises OSError: if a batch could not be written.
        """
        if self._group:
            self._encode()
        self._wait()

    def _encode(self) -> None:
        """Encode the group beside what comes next, once the group before it is written."""
        import pyarrow as pa

        self._wait()
        group = pa.Table.from_batches(self._group, self.schema)
        self._group, self._bytes = [], 0
        self._encoding = self._encoder.submit(self._sink.write_table, group)

    def _wait(self) -> None:
        if self._encoding is not None:
            self._encoding.result()


@contextlib.contextmanager
def table_written(uri: str, schema: pa.Schema, conn_id: str | None = None) -> Iterator[TableWriter]:
    """Write a table in batches; it takes its name when all is written, and not at all if that fails."""
    import pyarrow.parquet as pq

    with (
        written_whole(uri, conn_id) as file,
        pq.ParquetWriter(file, schema, dictionary_pagesize_limit=DICTIONARY_BYTES) as sink,
        ThreadPoolExecutor(1) as encoder,
    ):
        writer = TableWriter(schema, sink, encoder)
        yield writer
        writer.finish()
        sink.add_key_value_metadata({METADATA_KEY: json.dumps(writer.metadata).encode()})
