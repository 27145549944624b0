"""CSV files on executors: lines as Spark reads them, to rows as pyarrow does.

Spark finds and cuts up the files and hands on their lines as they are; pyarrow reads them by the same rules
as on one machine. Needs pyarrow and numpy only, and nothing of Airflow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

Batches = Iterator[pa.RecordBatch]

LONGEST = 32 << 20
"""Bytes between two quotes that are taken for one value."""
MARKED = 64
"""First bytes of a file that tell what it is."""
UNCLOSED = "a quote that opens does not end, and would make one value of all that follows"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEXADECIMAL = (b"0x", b"0X")
_WHOLE = r"^\s*[+-]?\d+\s*$"


@dataclass(frozen=True)
class Dialect:
    """How CSV files are written."""

    sep: str = ","
    encoding: str = "utf-8"
    quote: str | None = '"'
    doubled: bool = True
    """Whether two quotes within a value are one."""
    escape: str | None = None
    decimal: str = "."
    missing: tuple[str, ...] = ("",)
    """What stands where a value is missing."""
    true: tuple[str, ...] = ("true",)
    false: tuple[str, ...] = ("false",)
    has_header: bool = True

    def parsed(
        self,
        block: Any,
        names: Sequence[str] | None,
        kinds: Mapping[str, pa.DataType],
        only: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the rows of whole lines.

        :param names: of the columns; None for `f0`, `f1` and so on.
        :param kinds: types of columns; others get the type that fits.
        :param only: the columns to read; None for all.
        """
        return pa_csv.read_csv(
            pa.BufferReader(block),
            pa_csv.ReadOptions(
                use_threads=False,
                block_size=len(block) + 1,
                column_names=names,
                autogenerate_column_names=names is None,
                encoding=self.encoding,
            ),
            pa_csv.ParseOptions(
                delimiter=self.sep,
                quote_char=self.quote or False,
                double_quote=self.doubled,
                escape_char=self.escape or False,
                newlines_in_values=self.quote is not None,
            ),
            pa_csv.ConvertOptions(
                column_types=kinds,
                include_columns=None if only is None else list(only),
                null_values=list(self.missing),
                true_values=list(self.true),
                false_values=list(self.false),
                decimal_point=self.decimal,
                strings_can_be_null=True,
            ),
        )


@dataclass(frozen=True)
class Look:
    """Finds out what is in a piece of a CSV, as JSON: header, types, missing values, and what is wrong."""

    dialect: Dialect

    def __call__(self, mark: str, batches: Batches) -> bytes:
        seen: dict[str, Any] = {"bytes": 0, "broken": 0, "rows": 0, "kinds": [], "missing": [], "last": []}
        is_first = mark.startswith("0 ")
        try:
            for block, broken in blocks(batches, self.dialect):
                if is_first and "begin" not in seen:
                    seen["begin"] = bytes(block[:MARKED]).hex()
                    block, names = headed(block, self.dialect)
                    seen["names"] = names
                seen["bytes"] += len(block)
                seen["broken"] += broken
                if len(block):
                    self._add(seen, block)
        except (ValueError, LookupError) as error:  # pyarrow's own errors are ValueErrors
            seen["error"] = str(error)
        return json.dumps(seen).encode()

    def _add(self, seen: dict[str, Any], block: Any) -> None:
        table = self.dialect.parsed(block, None, {})
        if not table.num_rows:
            return
        if seen["kinds"] and table.num_columns != len(seen["kinds"]):
            raise ValueError(f"Expected {len(seen['kinds'])} columns, got {table.num_columns}")
        kinds = self._kinds(table, block)
        missing = [column.null_count for column in table.columns]
        before = seen["kinds"] or ["null"] * len(kinds)
        seen["kinds"] = [common(*pair) for pair in zip(before, kinds, strict=True)]
        seen["missing"] = [
            sum(pair) for pair in zip(seen["missing"] or [0] * len(kinds), missing, strict=True)
        ]
        seen["rows"] += table.num_rows
        texts = [column if pa.types.is_string(column.type) else None for column in table.columns]
        seen["last"] = [None if text is None else (text[-1].as_py() or "")[:40] for text in texts]

    def _kinds(self, table: pa.Table, block: Any) -> list[str]:
        """Return the type of each column, as pandas sees it."""
        kinds = [str(column.type) for column in table.columns]
        text = bytes(block)
        has_hexadecimal = any(mark in text for mark in _HEXADECIMAL)
        for place, column in enumerate(table.columns):
            kind = column.type
            if pa.types.is_binary(kind):
                raise ValueError(f"column {place + 1} is not {self.dialect.encoding} text")
            if pa.types.is_integer(kind) and has_hexadecimal and self._matches(table, block, place, "0[xX]"):
                kinds[place] = "string"
            if pa.types.is_floating(kind):
                if pc.any(pc.is_nan(column)).as_py():
                    kinds[place] = "string"  # a word that is no number to pandas
                elif (pc.max(pc.abs(column)).as_py() or 0) >= 2.0**63:
                    # More digits than a whole number has here: text, unless fractions are among them.
                    is_whole = not self._matches(table, block, place, _WHOLE, invert=True)
                    kinds[place] = "decimal" if is_whole else kinds[place]
            if pa.types.is_time(kind):
                kinds[place] = "string"  # which Spark has no type for
        return kinds

    def _matches(self, table: pa.Table, block: Any, place: int, pattern: str, invert: bool = False) -> bool:
        name = table.schema.names[place]
        column = self.dialect.parsed(block, None, {name: pa.string()}, [name]).column(0).drop_null()
        found = pc.match_substring_regex(column, pattern)
        return bool(pc.any(pc.invert(found) if invert else found).as_py())


@dataclass(frozen=True)
class Rows:
    """Makes rows of the lines of a piece."""

    dialect: Dialect
    headers: tuple[tuple[str, ...], ...]
    """The different orders of the columns."""
    header: tuple[int, ...]
    """Which of them holds, by the place of the piece."""
    first: frozenset[int]
    """Places of the pieces that begin with a header."""
    kinds: Mapping[str, pa.DataType]
    wanted: tuple[str, ...]

    def __call__(self, place: int, batches: Batches) -> Batches:
        schema = pa.schema([(name, self.kinds[name]) for name in self.wanted])
        names = self.headers[self.header[place]]
        is_first = place in self.first
        for block, _ in blocks(batches, self.dialect):
            if is_first:
                block, _ = headed(block, self.dialect)
                is_first = False
            if len(block):
                table = self.dialect.parsed(block, names, self.kinds, self.wanted)
                yield from table.select(list(self.wanted)).cast(schema).combine_chunks().to_batches()


def common(one: str, other: str) -> str:
    """Return the type that holds the values of both: text where none does. As pandas, see `by_pandas`."""
    if one == other or other == "null":
        return one
    if one == "null":
        return other
    numbers = {"int64", "double", "decimal"}
    if not {one, other} <= numbers:
        return "string"
    return "double" if "double" in (one, other) else "decimal"


def blocks(batches: Batches, dialect: Dialect) -> Iterator[tuple[Any, int]]:
    """Yield whole lines, and how many line breaks in them lie between quotes.

    A value goes on from one batch to the next where a quote is open.
    """
    rest: Any = b""
    is_open = False
    for batch in batches:
        lines = batch.column(0).cast(pa.binary())
        open_after = _open_after(lines, dialect, is_open)
        is_open = bool(open_after[-1])
        broken = int(open_after.sum())
        closed = np.flatnonzero(~open_after)
        whole = int(closed[-1]) + 1 if len(closed) else 0
        rest = b"".join((rest, _joined(lines.slice(0, whole))))
        if whole:
            yield memoryview(rest), broken
            rest = b""
        rest = b"".join((rest, _joined(lines.slice(whole))))
        if len(rest) > LONGEST:
            raise ValueError(UNCLOSED)
    if len(rest):
        if is_open:
            raise ValueError(UNCLOSED)
        yield memoryview(rest), 0


def headed(block: Any, dialect: Dialect) -> tuple[Any, list[str] | None]:
    """Return a file's first lines without byte order mark and header, and the names in it."""
    begin = bytes(block)
    begin = begin.removeprefix(_BYTE_ORDER_MARK)
    if not dialect.has_header:
        return memoryview(begin), None
    start = len(begin) - len(begin.lstrip(b"\r\n"))
    quote = (dialect.quote or "").encode()
    for line_break in re.finditer(rb"\n|\r(?!\n)", begin[start:]):
        end = start + line_break.end()
        if not quote or begin[start:end].count(quote) % 2 == 0:
            break
    else:
        end = len(begin)
    table = dialect.parsed(begin[start:end], None, {})
    first = dialect.parsed(begin[start:end], None, dict.fromkeys(table.schema.names, pa.string()))
    cells = [column.cast(pa.string())[0].as_py() if len(column) else "" for column in first.columns]
    return memoryview(begin)[end:], [cell or "" for cell in cells]


def _open_after(lines: pa.Array, dialect: Dialect, is_open: bool) -> np.ndarray:
    """Tell for each line whether it ends between quotes."""
    if dialect.quote is None:
        return np.zeros(len(lines), bool)
    counts = pc.count_substring(lines, dialect.quote.encode())
    if dialect.escape:
        counts = pc.subtract(counts, pc.count_substring(lines, (dialect.escape + dialect.quote).encode()))
    return (np.cumsum(counts.to_numpy(zero_copy_only=False)) + is_open) % 2 == 1


def _joined(lines: pa.Array) -> Any:
    """Return lines as the bytes that they were in the file."""
    if not len(lines):
        return b""
    offsets = pa.array([0, len(lines)], pa.int32())
    joined = pc.binary_join(pa.ListArray.from_arrays(offsets, lines), b"\n")[0]
    return b"".join((memoryview(joined.as_buffer()), b"\n"))
