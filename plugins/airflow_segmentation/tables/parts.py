"""A folder of Parquet parts as one table, as Spark, dbt, Hive and pandas write it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow_segmentation.errors import InputError
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.storage.files import visible_files
from airflow_segmentation.tables import folders
from airflow_segmentation.tables.parquet import BATCH_ROWS, Batched, Table

if TYPE_CHECKING:
    import pyarrow as pa

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark call the folder of rows that have no value in the column of partitions."""


@dataclass(frozen=True)
class _Part:
    name: str
    """Below the folder."""
    uri: str
    rows: int
    schema: pa.Schema


class Parts(Batched):
    """The parts of a folder in the order of their names; hidden ones and those that begin with `_` are none.

    What our operators wrote on a cluster tells which parts there are, in which order.

    A folder called `column=value` on the way to a part makes a column, as in Hive.

    :raises InputError: if there is no part, one is no Parquet file, or it has other columns than the first.
    """

    def __init__(self, uri: str, conn_id: str | None = None) -> None:
        self.uri = uri
        self._conn_id = conn_id
        self._parts = []
        told = folders.written(uri, conn_id)
        self._facts: Mapping[str, Any] = {} if told is None else told.facts
        own = None if told is None else [f"{told.folder}/{name}" for name, _ in told.parts]
        for name in visible_files(uri, conn_id) if own is None else own:
            with _told(name, uri), Table(f"{uri.rstrip('/')}/{name}", conn_id) as table:
                self._parts.append(_Part(name, table.uri, table.rows, table.schema.remove_metadata()))
        if not self._parts:
            raise InputError(
                f"{without_secrets(uri)} is a folder without a Parquet file; give a file, or the folder of a "
                "table's parts"
            )

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the operator that wrote the table left with it; empty for a table of others."""
        return self._facts

    @property
    def rows(self) -> int:
        """How many rows all parts have."""
        return sum(part.rows for part in self._parts)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the parts, and then those that folders make."""
        import pyarrow as pa

        first, found = self._parts[0], self._parts[0].schema
        for part in self._parts[1:]:
            apart = set(part.schema.names) ^ set(first.schema.names)
            if apart:
                column = sorted(apart)[0]
                has, lacks = (part, first) if column in part.schema.names else (first, part)
                raise InputError(
                    f"{has.name} of {without_secrets(self.uri)} has a column {column!r} that {lacks.name} "
                    "has not; write all parts with the same columns"
                )
            try:
                found = pa.unify_schemas([found, part.schema], promote_options="permissive")
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise InputError(
                    f"{part.name} of {without_secrets(self.uri)} has columns of other types than "
                    f"{first.name} ({error}); write all parts with the same types"
                ) from None
        for name in self._folders[0]:
            if name in found.names:
                raise InputError(
                    f"{without_secrets(self.uri)} has a column {name!r} in its parts and in the names of its "
                    "folders; leave it out of one"
                )
            values = [folders[name] for folders in self._folders]
            whole = all(value is None or value.lstrip("-").isdigit() for value in values)
            found = found.append(pa.field(name, pa.int64() if whole and any(values) else pa.string()))
        return found

    @cached_property
    def _folders(self) -> list[dict[str, str | None]]:
        """Return column and value of the folders on the way to each part."""
        found: list[dict[str, str | None]] = []
        for part in self._parts:
            pairs = [step.partition("=") for step in part.name.split("/")[:-1] if "=" in step]
            found.append(
                {unquote(name): None if value == NO_VALUE else unquote(value) for name, _, value in pairs}
            )
            if found[0].keys() != found[-1].keys():
                raise InputError(
                    f"{part.name} and {self._parts[0].name} of {without_secrets(self.uri)} lie in folders of "
                    "other columns; write all parts with the same partitions"
                )
        return found

    def batches(
        self, columns: Sequence[str] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Yield the parts in order, at most `rows` rows at a time."""
        import pyarrow as pa

        names = self.columns if columns is None else list(columns)
        schema = pa.schema([self.schema.field(name) for name in names])
        for part, values in zip(self._parts, self._folders, strict=True):
            held = [name for name in names if name not in values]
            with Table(part.uri, self._conn_id) as table:
                # Of no column a Parquet file yields no rows.
                for batch in table.batches(held or table.columns[:1], rows):
                    arrays = [
                        pa.repeat(_scalar(values[name], schema.field(name).type), batch.num_rows)
                        if name in values
                        else batch.column(name).cast(schema.field(name).type)
                        for name in names
                    ]
                    yield pa.record_batch(arrays, schema=schema)

    def _lengths(self) -> list[int]:
        return [part.rows for part in self._parts]


@contextlib.contextmanager
def _told(name: str, uri: str) -> Iterator[None]:
    """Raise what to do with a CSV where a Parquet file should be."""
    try:
        yield
    except InputError:
        if ".csv" not in name.lower():
            raise
        raise InputError(
            f"{name} of {without_secrets(uri)} is no Parquet file; if the folder holds CSV files, load "
            "them with CsvLoadOperator(path=…), and give the URI that it returned"
        ) from None


def _scalar(value: str | None, kind: pa.DataType) -> pa.Scalar:
    import pyarrow as pa

    return pa.scalar(int(value) if value is not None and pa.types.is_integer(kind) else value, kind)
