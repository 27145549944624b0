"""Parquet tables at a URI, read and written in batches of bounded size."""

from __future__ import annotations

import contextlib
import json
import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_segmentation.errors import InputError
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.storage.files import open_for_reading, written_whole
from airflow_segmentation.tables.ahead import map_ahead
from airflow_segmentation.tables.data import Data

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from airflow_segmentation.clustering.rows import Arrays, Join, Visit
    from airflow_segmentation.tables.passes import Change

METADATA_KEY = b"segmentation"
"""Key in a Parquet file's metadata under which our own facts about the table stand, as JSON."""

BATCH_ROWS = 131_072
"""Rows read at a time: a few megabytes for a dozen columns, and large enough for Arrow to be fast."""


ROW_GROUP_BYTES = 2**25
"""Bytes of rows that are encoded at a time: a column's dictionary is made anew for each of them."""
DICTIONARY_BYTES = 2**17
"""A column of more different values is written plainly: to look them all up costs time and saves no space."""
TRIED_ROWS, SMALLER = 2**16, 0.75
"""What makes a column's first rows so much smaller is done to all: text is compressed, most numbers not."""


class Batched(Data):
    """A table that is read here, in batches of bounded size."""

    @abstractmethod
    def batches(
        self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Yield the table in order, at most `rows` rows at a time."""

    @abstractmethod
    def _lengths(self) -> list[int]:
        """Return the rows of each file, none of whose batches holds rows of another."""

    def each(
        self, columns: Sequence[str], visit: Visit, *, join: Join | None = None, n_jobs: int = 1
    ) -> Iterator[Arrays]:
        """Yield what a visit makes of each part, in order: of so many rows as are read at a time."""
        parts = enumerate(self.batches(columns, self._part_rows(columns)))
        return map_ahead(lambda part: visit(part[0], iter(part[1:])), parts, n_jobs, ahead=n_jobs + 1)

    def parts(self, columns: Sequence[str]) -> int:
        """Return how many parts :meth:`each` visits."""
        rows = self._part_rows(columns)
        return sum(-(-length // rows) for length in self._lengths())

    def _part_rows(self, columns: Sequence[str]) -> int:
        from airflow_segmentation.clustering import rows

        return max(1, rows.BATCH // len(columns))

    def write(
        self,
        uri: str,
        schema: pa.Schema,
        change: Change,
        *,
        columns: Sequence[str] | None = None,
        facts: Mapping[str, Any],
    ) -> None:
        """Write what a change makes of this table's rows as another, whole or not at all.

        :param columns: the columns that the change needs; all by default.
        :param facts: what the table is to tell of itself as :attr:`facts`.
        """
        with table_written(uri, schema) as writer:
            for batch in change(self.batches(columns)):
                writer.write(batch)
            writer.facts = dict(facts)


class Table(Batched):
    """A Parquet table at a URI, read in batches of bounded size."""

    def __init__(self, uri: str, conn_id: str | None = None) -> None:
        import pyarrow.lib
        import pyarrow.parquet as pq

        self.uri = uri
        self.file = open_for_reading(uri, conn_id)
        """The open Parquet file."""
        try:
            # Buffered before, what was read of the file stays in memory until all is.
            self._parquet = pq.ParquetFile(self.file, pre_buffer=False)
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
    def rows(self) -> int:
        """How many rows there are."""
        return self._parquet.metadata.num_rows

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the operator that wrote the table left with it; empty for a table of others."""
        with self.facts_understood():
            return dict(json.loads((self._parquet.metadata.metadata or {}).get(METADATA_KEY, b"{}")))

    def batches(
        self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Yield the table in order, at most `rows` rows at a time."""
        return self._parquet.iter_batches(batch_size=rows, columns=None if columns is None else list(columns))

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the whole table, or some of its columns, in memory."""
        return self._parquet.read(columns=None if columns is None else list(columns))

    def _lengths(self) -> list[int]:
        return [self.rows]


def is_bare(error: Exception) -> bool:
    """Tell whether an error is an OSError of no system call: Arrow and bz2 raise such about bad data."""
    return type(error) is OSError and error.errno is None


class TableWriter:
    """Takes the batches of a table that is being written, and the facts that go with it.

    Batches are gathered into row groups, and these encoded beside whatever makes the next batches.
    """

    def __init__(
        self,
        schema: pa.Schema,
        opened: Callable[[pa.Table], pq.ParquetWriter],
        encoder: ThreadPoolExecutor,
    ) -> None:
        self.schema = schema
        self.facts: dict[str, Any] = {}
        """Facts about the table, as JSON values; may be filled until the last batch is written."""
        self.rows = 0
        self._opened = opened
        self._sink: pq.ParquetWriter | None = None
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
        """Write what is left, and the facts.

        :raises OSError: if a batch could not be written.
        """
        if self._group or self._sink is None:
            self._encode()
        self._wait()
        assert self._sink is not None
        self._sink.add_key_value_metadata({METADATA_KEY: json.dumps(self.facts).encode()})

    def _encode(self) -> None:
        """Encode the group beside what comes next, once the group before it is written."""
        import pyarrow as pa

        self._wait()
        group = pa.Table.from_batches(self._group, self.schema)
        self._group, self._bytes = [], 0
        self._encoding = self._encoder.submit(self._write, group)

    def _write(self, group: pa.Table) -> None:
        self._sink = self._sink or self._opened(group)
        if group.num_rows:
            self._sink.write_table(group)

    def _wait(self) -> None:
        if self._encoding is not None:
            self._encoding.result()


@contextlib.contextmanager
def table_written(uri: str, schema: pa.Schema, conn_id: str | None = None) -> Iterator[TableWriter]:
    """Write a table in batches; it takes its name when all is written, and not at all if that fails."""
    import pyarrow.parquet as pq

    with (
        written_whole(uri, conn_id) as file,
        contextlib.ExitStack() as sinks,
        ThreadPoolExecutor(1) as encoder,
    ):

        def opened(first: pa.Table) -> pq.ParquetWriter:
            sink = pq.ParquetWriter(
                file, schema, dictionary_pagesize_limit=DICTIONARY_BYTES, **_encoding(first)
            )
            return sinks.enter_context(sink)

        writer = TableWriter(schema, opened, encoder)
        yield writer
        writer.finish()


def _encoding(first: pa.Table) -> dict[str, Any]:
    """Return how to write each column: by a dictionary of its values, and compressed, where its first rows
    become a good deal smaller by it. Numbers of all digits become smaller by neither.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, tried = first.slice(0, TRIED_ROWS), pa.BufferOutputStream()
    pq.write_table(rows, tried, dictionary_pagesize_limit=DICTIONARY_BYTES)
    known = pq.read_metadata(pa.BufferReader(tried.getvalue()))
    written = [known.row_group(0).column(place) for place in range(known.num_columns if len(rows) else 0)]
    plain = dict(zip(rows.column_names, [SMALLER * column.nbytes for column in rows.columns], strict=True))
    sizes = {each.path_in_schema: each.total_uncompressed_size for each in written}
    return {
        # A column within another is not known here by its path, and has one.
        "use_dictionary": [path for path, size in sizes.items() if size < plain.get(path, math.inf)],
        "compression": {
            each.path_in_schema: "snappy"
            if each.total_compressed_size < SMALLER * each.total_uncompressed_size
            else "none"
            for each in written
        },
    }
