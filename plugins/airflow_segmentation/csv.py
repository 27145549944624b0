"""CSV files to Parquet tables, in bounded memory.

pyarrow reads a plain CSV in blocks, on all cores, but takes each column's type from the
first block. Where that proves wrong, or where the file needs what only `pandas.read_csv` knows, pandas reads
it: once to find the types that fit every row, once for the rows.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import lzma
import os
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from airflow_segmentation.clustering.parallel import map_ahead
from airflow_segmentation.errors import InputError, missing_column
from airflow_segmentation.scratch import scratch_folder
from airflow_segmentation.storage import open_for_reading, without_secrets
from airflow_segmentation.tables import Table, is_bare, table_written

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

BLOCK_BYTES = 2 << 20
"""Bytes parsed at a time; much larger blocks fall out of the processor's cache."""
LONGEST_LINE = 16 << 20
"""More bytes than a line has, if it has line breaks between quotes: the quote is a stray one."""
CHUNK_ROWS = 100_000

# The options of pandas.read_csv that pyarrow takes in the same sense.
_ARROW_OPTIONS = {"sep", "delimiter", "encoding"}
# Encodings in which a byte that is a line break or a quote is nothing else.
_ARROW_ENCODINGS = {"utf-8", "utf8", "latin-1", "latin1", "iso-8859-1", "cp1252", "ascii"}
_OWN_OPTIONS = {"filepath_or_buffer", "chunksize", "iterator", "storage_options", "usecols"}
# What pandas.read_csv takes as missing unless told otherwise.
_MISSING = [
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
]  # fmt: skip


@dataclass(frozen=True)
class Csv:
    """A CSV file: where it is and how to read it.

    :param uri: the file, plain or compressed; its name's ending tells, as with `pandas.read_csv`.
    :param conn_id: connection to the storage.
    :param columns: the columns wanted, in that order; None for all.
    :param id_column: a column that is read as text, so that `00123` stays what it is.
    :param options: keyword arguments of `pandas.read_csv`.
    """

    uri: str
    conn_id: str | None = None
    columns: Sequence[str] | None = None
    id_column: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file as a message may show it."""
        return without_secrets(self.uri)

    def wanted(self, present: Sequence[str]) -> list[str]:
        """Return the columns to keep of those present.

        :raises InputError: if one that is wanted is not there.
        """
        wanted = list(present if self.columns is None else self.columns)
        if self.id_column is not None and self.id_column not in wanted:
            wanted.insert(0, self.id_column)
        for column in wanted:
            if column not in present:
                raise missing_column(column, self.name, present)
        return wanted


@dataclass(frozen=True)
class Loaded:
    """What went into the table."""

    rows: int
    missing: dict[str, int]
    """Missing values in each column."""


def csv_to_table(csv: Csv, uri: str) -> Loaded:
    """Write a CSV file as a Parquet table.

    :raises InputError: if the file cannot be read as CSV, has no rows, or lacks a column; nothing is written
        then.
    """
    taken = _OWN_OPTIONS & csv.options.keys()
    if taken:
        raise InputError(
            f"read_csv_kwargs sets {', '.join(sorted(taken))}, which the operator sets itself; "
            "choose columns with columns=[…], and storage with path and conn_id"
        )
    if csv.options.keys() <= _ARROW_OPTIONS and csv.options.get("encoding", "utf-8") in _ARROW_ENCODINGS:
        try:
            with _read_with_pyarrow(csv) as (schema, batches):
                return _write(csv, uri, schema, batches)
        except Exception as error:
            # Whatever pyarrow cannot make sense of, pandas may, or else says best what is wrong.
            if not _is_about_the_file(error):
                raise
    with _read_with_pandas(csv) as (schema, batches):
        return _write(csv, uri, schema, batches)


@contextlib.contextmanager
def open_data(uri: str, conn_id: str | None = None, id_column: str | None = None) -> Iterator[Table]:
    """Open the table that a task was given: Parquet as it is, anything else as a CSV with pandas' defaults.

    :param id_column: a column of the CSV that is read as text.

    :raises InputError: if there is no such file, or it is neither.
    """
    with open_for_reading(uri, conn_id) as file:
        is_parquet = file.read(4) == b"PAR1"
    if is_parquet:
        with Table(uri, conn_id) as table:
            yield table
        return
    with scratch_folder() as folder:
        copy = f"{folder}/table.parquet"
        csv_to_table(Csv(uri, conn_id, id_column=id_column), copy)
        with Table(copy) as table:
            table.uri = uri
            yield table


def _write(csv: Csv, uri: str, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Loaded:
    missing = dict.fromkeys(schema.names, 0)
    with table_written(uri, schema) as writer:
        for batch in batches:
            writer.write(batch)
            for name, column in zip(schema.names, batch.columns, strict=True):
                missing[name] += column.null_count
        if writer.rows == 0:
            raise InputError(f"{csv.name} has a header and no rows; there is nothing to segment")
        writer.metadata = {"id_column": csv.id_column}
    return Loaded(writer.rows, missing)


@contextlib.contextmanager
def _opened(csv: Csv) -> Iterator[IO[bytes]]:
    """Open the file, decompressed unless pandas is told to do that."""
    if "compression" in csv.options:
        kwargs = {}
    elif csv.uri.endswith(".zst"):
        import pyarrow as pa

        with open_for_reading(csv.uri, csv.conn_id) as file, pa.CompressedInputStream(file, "zstd") as plain:
            yield io.BufferedReader(plain)
            return
    elif csv.uri.endswith(".zip"):
        with open_for_reading(csv.uri, csv.conn_id) as file, zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
            if len(names) != 1:
                raise InputError(f"{csv.name} holds {len(names)} files; give one file, plain or compressed")
            with archive.open(names[0]) as member:
                yield member
            return
    else:
        kwargs = {"compression": "infer"}
    with open_for_reading(csv.uri, csv.conn_id, **kwargs) as file:
        yield file


@contextlib.contextmanager
def _read_with_pyarrow(csv: Csv) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    import pyarrow as pa

    with _opened(csv) as file:
        cores = os.cpu_count() or 1
        ahead = 4 * cores
        blocks = _blocks(file, kept=ahead)
        first = _parsed(next(blocks, memoryview(b"")), csv)
        names = first.schema.names
        if len(set(names)) < len(names):
            raise pa.lib.ArrowInvalid("two columns have the same name, which pandas tells apart")
        if any(pa.types.is_binary(column.type) for column in first.schema):
            raise pa.lib.ArrowInvalid("a column is not text in this encoding")
        schema = pa.schema([first.schema.field(name) for name in csv.wanted(names)])
        others = map_ahead(lambda block: _parsed(block, csv, names, schema), blocks, cores, ahead)
        with contextlib.closing(others):
            tables = itertools.chain([first.select(schema.names)], others)
            yield schema, (batch for table in tables for batch in table.to_batches())


def _parsed(
    block: memoryview, csv: Csv, names: Sequence[str] | None = None, schema: pa.Schema | None = None
) -> pa.Table:
    """Return the rows of a block of whole lines.

    :param names: names of the columns; None where the first line is the header.
    :param schema: the columns to read, and their types; None for all, with the types that fit the block.
    """
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    kinds: dict[str, pa.DataType] = {csv.id_column: pa.string()} if csv.id_column else {}
    if schema is not None:
        kinds = dict(zip(schema.names, schema.types, strict=True))
    return pa_csv.read_csv(
        pa.BufferReader(block),
        pa_csv.ReadOptions(
            use_threads=False,
            block_size=len(block) + 1,
            column_names=names,
            encoding=csv.options.get("encoding") or "utf8",
        ),
        pa_csv.ParseOptions(
            delimiter=csv.options.get("sep") or csv.options.get("delimiter") or ",", newlines_in_values=True
        ),
        pa_csv.ConvertOptions(
            column_types=kinds,
            include_columns=None if schema is None else schema.names,
            null_values=_MISSING,
            strings_can_be_null=True,
        ),
        # Arrow's own pool gives memory back, and gets it anew, with every block.
        memory_pool=pa.system_memory_pool(),
    )


def _blocks(file: IO[bytes], kept: int) -> Iterator[memoryview]:
    """Yield the file in blocks of whole lines. A line break between quotes ends no line.

    A block is overwritten once `kept` more are asked for: fresh memory would cost more than the reading.
    """
    import pyarrow.lib

    buffers = deque(bytearray(2 * BLOCK_BYTES) for _ in range(kept))
    rest = bytearray()
    while True:
        begin = len(rest)
        if len(buffers[0]) < begin + BLOCK_BYTES:
            buffers[0] = bytearray(2 * begin)
        buffer = buffers[0]
        buffer[:begin] = rest
        space = memoryview(buffer)[begin : begin + BLOCK_BYTES]
        end = begin + file.readinto(space)  # type: ignore[attr-defined]
        if end == begin:
            break
        lines = _whole_lines(buffer, end)
        rest = buffer[lines:end]
        if lines:
            yield memoryview(buffer)[:lines]
            buffers.rotate(-1)
        elif end > LONGEST_LINE:
            raise pyarrow.lib.ArrowInvalid("a quote does not end")
    if rest:
        yield memoryview(rest)


def _whole_lines(block: bytearray, end: int) -> int:
    """Return where the last whole line in `block[:end]` ends: at a line break with even quotes before it."""
    cut = block.rfind(b"\n", 0, end) + 1
    quotes = block.count(b'"', 0, cut) if b'"' in block else 0
    while quotes % 2:
        before = block.rfind(b"\n", 0, cut - 1) + 1
        quotes -= block.count(b'"', before, cut)
        cut = before
    return cut


@contextlib.contextmanager
def _read_with_pandas(csv: Csv) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
    import pyarrow as pa

    schema: pa.Schema | None = None
    for chunk in _chunks(csv, as_text=[csv.id_column] if csv.id_column else []):
        found = pa.Schema.from_pandas(chunk, preserve_index=False).remove_metadata()
        schema = found if schema is None else _common_schema(schema, found)
    if schema is None:
        raise InputError(f"{csv.name} has no rows where read_csv_kwargs looks for them")
    text = [item.name for item in schema if item.type == pa.string()]
    yield (
        schema,
        (
            pa.RecordBatch.from_pandas(chunk, schema=schema, preserve_index=False)
            for chunk in _chunks(csv, as_text=text)
        ),
    )


def _chunks(csv: Csv, as_text: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Yield the wanted columns in pieces as pandas reads them.

    :raises InputError: if pandas cannot, with what to try.
    """
    import pandas as pd

    by_c = csv.options.get("engine", "c") == "c" and len(csv.options.get("sep") or ",") == 1
    options: dict[str, Any] = {"low_memory": False} if by_c else {"engine": "python"}
    options |= csv.options
    kinds = options.pop("dtype", None) or {}
    if as_text and not isinstance(kinds, Mapping):
        raise InputError(
            f"read_csv_kwargs has dtype={kinds!r}; give a dict of column to type, as an id is text"
        )
    try:
        with _opened(csv) as file:
            chunks = pd.read_csv(
                file,
                chunksize=CHUNK_ROWS,
                dtype={**kinds, **dict.fromkeys(as_text, "str")} or None,
                **options,
            )
            for chunk in chunks:
                unnamed = [name for name in chunk.columns if not isinstance(name, str)]
                if unnamed:
                    raise InputError(
                        f"{csv.name} has columns that are named {unnamed[0]!r} and such; read one line as "
                        "the header, or name them with read_csv_kwargs={'header': None, 'names': […]}"
                    )
                yield chunk[csv.wanted(list(chunk.columns))]
    except UnicodeDecodeError as error:
        encoding = "utf-16" if error.object[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
        raise InputError(
            f"{csv.name} is not {error.encoding} text ({error.reason}); "
            f"name its encoding, for example read_csv_kwargs={{'encoding': {encoding!r}}}"
        ) from None
    except pd.errors.EmptyDataError:
        raise InputError(f"{csv.name} is empty; look at what should have written it") from None
    except Exception as error:
        if not _is_about_the_file(error):
            raise
        if not isinstance(error, (ValueError, TypeError, LookupError)):
            raise InputError(
                f"{csv.name} cannot be decompressed ({str(error).strip()}); it is cut off or damaged, or its "
                "name tells another compression than it has: write it again, or name it rightly"
            ) from None
        raise InputError(
            f"{csv.name} cannot be read as CSV: {str(error).strip().rstrip('.')}. Tell its separator, "
            "encoding or quoting with read_csv_kwargs, as pandas.read_csv takes them"
        ) from None


def _is_about_the_file(error: Exception) -> bool:
    """Tell whether an error is about what is in the file or how it is read, not about reaching it."""
    damage = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
    return isinstance(error, (ValueError, TypeError, LookupError, *damage)) or is_bare(error)


def _common_schema(first: pa.Schema, second: pa.Schema) -> pa.Schema:
    """Return the types that hold the values of both: text where one holds none."""
    import pyarrow as pa

    def common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
        if one == other or pa.types.is_null(other):
            return one
        if pa.types.is_null(one):
            return other
        if {one, other} == {pa.int64(), pa.float64()}:
            return pa.float64()
        return pa.string()

    return pa.schema([pa.field(item.name, common(item.type, second.field(item.name).type)) for item in first])
