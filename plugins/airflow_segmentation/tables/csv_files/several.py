"""The CSV files of a folder or a pattern as the one table that they would be in one file."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_segmentation.errors import InputError
from airflow_segmentation.storage.files import files_at
from airflow_segmentation.storage.scratch import scratch_folder
from airflow_segmentation.tables.csv_files import by_pandas
from airflow_segmentation.tables.csv_files.file import Csv
from airflow_segmentation.tables.csv_files.loading import Loaded, load
from airflow_segmentation.tables.csv_files.reading import require_same_names
from airflow_segmentation.tables.parquet import Table, table_written

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Part:
    """A file that was loaded by itself."""

    csv: Csv
    uri: str
    """Where its table is."""
    loaded: Loaded
    kinds: dict[str, pa.DataType]
    """Types of its columns, of long numbers as :func:`by_pandas.common` knows them."""


def csv_to_table(csv: Csv, uri: str) -> Loaded:
    """Write a CSV file, or those of a folder or a pattern, as a Parquet table, and log its notes as warnings.

    :raises InputError: if a file cannot be read as CSV, there are no rows, a column is lacking, or files have
        other columns than the first; nothing is written then.
    """
    csv.require_options()
    found = files_at(csv.uri, csv.conn_id)
    loaded = load(csv, uri) if found is None else _load_all(csv, *found, uri)
    for note in loaded.notes:
        log.warning("%s", note)
    return loaded


def _load_all(csv: Csv, files: Sequence[str], folders: Sequence[str], uri: str) -> Loaded:
    """Write files as one table: each as a table of its own first, whose types tell those of all."""
    headers: dict[str, list[str]] = {}
    filled = []
    for file in (replace(csv, uri=name) for name in files):
        if (header := by_pandas.header_of(file)) is not None:
            headers[file.uri], has_rows = header
            filled += [file] if has_rows else []
    if not headers:
        raise InputError(f"{csv.name} is empty; look at what should have written it")
    require_same_names(headers)
    if not filled:
        raise InputError(f"{csv.name} has a header and no rows; there is nothing to segment")
    with scratch_folder() as folder:
        parts = [_part(file, f"{folder}/{place}.parquet") for place, file in enumerate(filled)]
        # A last column without a name is left out of a file where it is empty, so headers count, too.
        names = {part.csv.uri: list(dict.fromkeys([*part.kinds, *headers[part.csv.uri]])) for part in parts}
        require_same_names(names)
        parts, kinds = _with_one_type(parts)
        first = next(iter(headers))
        order = dict.fromkeys([*names.get(first, headers[first]), *kinds])
        wanted = csv.wanted([name for name in order if name in kinds])
        return _joined(csv, parts, {name: kinds[name] for name in wanted}, folders, uri)


def _part(csv: Csv, uri: str) -> _Part:
    import pyarrow as pa

    loaded = load(csv, uri)
    with Table(uri) as table:
        kinds = {
            item.name: pa.decimal128(38) if item.name in loaded.long_numbers else item.type
            for item in table.schema
        }
    return _Part(csv, uri, loaded, kinds)


def _with_one_type(parts: Sequence[_Part]) -> tuple[list[_Part], dict[str, pa.DataType]]:
    """Return the parts, and the types that hold the values of all.

    What is text in one file is read as text from the others, too, as it stands there: 7 may be 007.
    """
    import pyarrow as pa

    parts = list(parts)
    while True:
        kinds: dict[str, pa.DataType] = {}
        for part in parts:
            for name, kind in part.kinds.items():
                kinds[name] = by_pandas.common(kinds.get(name, pa.null()), kind)
        text = {name for name, kind in kinds.items() if _is_text(kind)}
        others = [place for place, part in enumerate(parts) if _has_values_but_text(part, text)]
        if not others:
            return parts, {name: pa.string() if name in text else kind for name, kind in kinds.items()}
        for place in others:
            part = parts[place]
            parts[place] = _part(replace(part.csv, text=sorted(text & part.kinds.keys())), part.uri)


def _has_values_but_text(part: _Part, columns: Iterable[str]) -> bool:
    import pyarrow as pa

    kinds = (part.kinds.get(name, pa.null()) for name in columns)
    return not all(_is_text(kind) or pa.types.is_null(kind) for kind in kinds)


def _is_text(kind: pa.DataType) -> bool:
    """Tell whether a column is text in its table; long numbers are."""
    import pyarrow as pa

    return pa.types.is_string(kind) or pa.types.is_decimal(kind)


def _joined(
    csv: Csv, parts: Sequence[_Part], kinds: dict[str, pa.DataType], folders: Sequence[str], uri: str
) -> Loaded:
    import pyarrow as pa

    schema = pa.schema(list(kinds.items()))
    with table_written(uri, schema) as writer:
        for part in parts:
            with Table(part.uri) as table:
                for batch in table.batches():
                    writer.write(_cast(batch, schema))
        writer.facts = {"id_column": csv.id_column}
    missing = {
        name: sum(part.loaded.missing.get(name, part.loaded.rows) for part in parts) for name in schema.names
    }
    notes = [note for part in parts for note in part.loaded.notes]
    if folders:
        notes.insert(0, f"{csv.name} leads to folders, too, such as {folders[0]!r}; no file in them was read")
    return Loaded(writer.rows, missing, tuple(notes), schema=schema)


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = []
    for item in schema:
        if item.name not in batch.schema.names:
            arrays.append(pa.nulls(batch.num_rows, item.type))
            continue
        values = batch.column(item.name)
        if pa.types.is_floating(item.type) and pa.types.is_string(values.type):
            # Long numbers, of which Arrow knows fewer spellings than Python and pandas.
            values = pa.array([None if text is None else float(text) for text in values.to_pylist()])
        arrays.append(values.cast(item.type, safe=False))
    return pa.record_batch(arrays, schema=schema)
