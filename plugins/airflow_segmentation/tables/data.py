"""A table as an engine opened it: what is known of it, and the passes over its rows."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_segmentation.errors import InputError
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.tables import advice
from airflow_segmentation.tables.passes import texts

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_segmentation.clustering.rows import Arrays, Join, Visit
    from airflow_segmentation.tables.passes import Change

LOOKED_AT = 10_000
"""Different values of a column of text that are looked at for what may make numbers of them."""


class Data(ABC):
    """A table at a URI, visited part by part; what a part is, the engine decides."""

    uri: str
    gathered = 1_000_000
    """Rows that a table has at most for its values to be brought together, some columns at a time."""

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """The table's columns and their types."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many rows there are."""

    @property
    @abstractmethod
    def facts(self) -> Mapping[str, Any]:
        """What the operator that wrote the table left with it; empty for a table of others."""

    @abstractmethod
    def parts(self, columns: Sequence[str]) -> int:
        """Return how many results :meth:`each` yields where it is told how to join them."""

    @abstractmethod
    def each(
        self, columns: Sequence[str], visit: Visit, *, join: Join | None = None, n_jobs: int = 1
    ) -> Iterator[Arrays]:
        """Yield what a visit makes of each part that has rows, in order.

        :param join: makes the arrays of two parts, one after the other, those of one; where it is given,
            consecutive parts may come as one.
        :param n_jobs: parts visited at the same time, where that is for the caller to say.
        """

    @abstractmethod
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
        :param facts: what the new table is to tell of itself.
        """

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order."""
        return self.schema.names

    @property
    def id_column(self) -> str | None:
        """Name of the column that names the customer, where one was given when the table was loaded."""
        return self.facts.get("id_column")

    @property
    def numeric_columns(self) -> list[str]:
        """Names of the columns that hold numbers, in order."""
        return [field.name for field in self.schema if is_number(field.type)]

    @contextlib.contextmanager
    def facts_understood(self) -> Iterator[None]:
        """Raise an error in words where :attr:`facts` are not what our operators leave."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{without_secrets(self.uri)} tells of itself what cannot be read ({error!r}): it was "
                "changed, or written by another version of airflow-segmentation; run the task that wrote it "
                "again"
            ) from None

    def require_numeric(self, columns: Iterable[str]) -> None:
        """Raise an error unless each of the columns is there and holds numbers, or nothing.

        :raises InputError: naming the first column that does not.
        """
        import pyarrow as pa

        where = without_secrets(self.uri)
        for column in columns:
            if column not in self.columns:
                raise advice.missing_column(column, where, self.columns)
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
        for (found,) in self.each([column], partial(texts, column=column, most=LOOKED_AT)):
            values |= dict.fromkeys(found.tolist())
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


def is_number(kind: pa.DataType) -> bool:
    """Tell whether a column of this type can be clustered; true is 1 and false is 0."""
    import pyarrow.types as types

    return (
        types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    )


def text_columns(schema: pa.Schema) -> list[str]:
    """Return the names of the columns that hold text."""
    import pyarrow.types as types

    return [item.name for item in schema if types.is_string(item.type) or types.is_large_string(item.type)]
