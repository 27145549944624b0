"""A CSV file to a Parquet table, by whoever can read it, with what a person should know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_segmentation.errors import InputError
from airflow_segmentation.tables import advice
from airflow_segmentation.tables.csv_files import by_pandas, by_pyarrow
from airflow_segmentation.tables.csv_files.file import Csv, beginning, line_at
from airflow_segmentation.tables.csv_files.reading import Layout, Reading, is_about_the_file
from airflow_segmentation.tables.data import text_columns
from airflow_segmentation.tables.parquet import table_written

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Loaded:
    """What went into the table."""

    rows: int
    missing: dict[str, int]
    """Missing values in each column."""
    notes: tuple[str, ...] = ()
    """What a person should know about the file, each a sentence."""
    schema: pa.Schema = field(kw_only=True)
    """The table's columns and their types."""
    long_numbers: frozenset[str] = frozenset()
    """Columns that are text only as they hold whole numbers of more digits than an integer has."""


def load(csv: Csv, uri: str) -> Loaded:
    """Write a CSV file as a Parquet table.

    :raises InputError: if the file cannot be read as CSV, has no rows, or lacks a column; nothing is written
        then.
    """
    loaded = _loaded_by_pyarrow(csv, uri, Layout()) if csv.is_plain else None
    if loaded is None:
        layout = by_pandas.layout_of(csv)
        if csv.is_plain and layout.names:
            loaded = _loaded_by_pyarrow(csv, uri, layout)
    if loaded is None:
        with by_pandas.read(csv, layout) as reading:
            loaded = _written(csv, uri, reading)
    return loaded


def _loaded_by_pyarrow(csv: Csv, uri: str, layout: Layout) -> Loaded | None:
    """Return what went into the table, or None where pandas may make more of the file."""
    try:
        with by_pyarrow.read(csv, layout) as reading:
            return _written(csv, uri, reading)
    except Exception as error:
        # Whatever pyarrow cannot make sense of, pandas may, or else says best what is wrong.
        if not is_about_the_file(error):
            raise
        return None


def _written(csv: Csv, uri: str, reading: Reading) -> Loaded:
    missing = dict.fromkeys(reading.schema.names, 0)
    last: pa.RecordBatch | None = None
    with table_written(uri, reading.schema) as writer:
        for batch in reading.batches:
            writer.write(batch)
            last = batch if batch.num_rows else last
            for name, column in zip(reading.schema.names, batch.columns, strict=True):
                missing[name] += column.null_count
        if last is None:
            raise InputError(f"{csv.name} has a header and no rows; there is nothing to segment")
        writer.facts = {"id_column": csv.id_column}
    notes = [*reading.notes, *_notes_on_header(csv, reading.schema.names), *_notes_on_total(csv, last)]
    if reading.quotes is not None and reading.quotes.first_broken is not None:
        notes.append(
            f"{reading.quotes.broken} line breaks of {csv.name} lie between quotes and were read as part of "
            f"a value, the first after the quote in line {line_at(csv, reading.quotes.first_broken)}. If "
            "rows are missing there, that quote does not end where it should: close or remove it, or read "
            f"quotes as text: {advice.call_with({'quoting': 3})}"
        )
    return Loaded(writer.rows, missing, tuple(notes), frozenset(reading.long_numbers), schema=writer.schema)


def _notes_on_header(csv: Csv, names: Sequence[str]) -> Iterator[str]:
    if len(names) == 1 and (found := advice.for_lines(beginning(csv), csv.sep)):
        yield (
            f"{csv.name} has a single column, {names[0][:60]!r}; if it has more, read it with "
            f"{advice.call_with(found)}"
        )
    elif not {"names", "header", "skiprows"} & csv.options.keys() and advice.is_no_header(beginning(csv)):
        found = advice.for_lines(beginning(csv), csv.sep)
        yield (
            f"The first line of {csv.name} is no header, and was read as one; skip it: "
            f"{advice.call_with(found or {'skiprows': 1})}"
        )
    elif advice.is_numeric_header(names):
        yield (
            f"The first line of {csv.name} looks like a customer and was read as the header; if there is no "
            f"header, name the columns: {advice.call_with({'header': None, 'names': ['…']})}"
        )


def _notes_on_total(csv: Csv, last: pa.RecordBatch) -> Iterator[str]:
    for name in text_columns(last.schema):
        value = last.column(name)[-1].as_py()
        if value is not None and advice.is_total(value):
            yield (
                f"The last row of {csv.name} has {value.strip()[:20]!r} in column {name!r}, as a row of "
                "totals has, and is read as a customer; cut it off, or tell how many rows to read: "
                f"{advice.call_with({'nrows': 1000})}"
            )
            return
