"""Reading a CSV by pyarrow: in blocks of whole lines, on all cores."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from airflow_segmentation.tables import advice
from airflow_segmentation.tables.ahead import map_ahead
from airflow_segmentation.tables.csv_files import file as files
from airflow_segmentation.tables.csv_files.file import Csv, Source, endless, opened
from airflow_segmentation.tables.csv_files.quotes import Quotes
from airflow_segmentation.tables.csv_files.reading import (
    Layout,
    Reading,
    nameless,
    on_one_line,
    renamed,
    unnamed,
)

if TYPE_CHECKING:
    import pyarrow as pa

# What pandas.read_csv takes as missing unless told otherwise.
MISSING = [
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
]  # fmt: skip
TRUE, FALSE = ["True", "TRUE", "true"], ["False", "FALSE", "false"]


@contextlib.contextmanager
def read(csv: Csv, layout: Layout) -> Iterator[Reading]:
    """Read a plain file.

    :raises ArrowInvalid: where pandas may read it, or reads it otherwise.
    """
    import pyarrow as pa

    quotes = Quotes(csv.sep.encode())
    with opened(csv) as source:
        cores = os.cpu_count() or 1
        ahead = 2 * cores
        blocks = _blocks(csv, source, quotes, kept=ahead)
        begin = next(blocks, memoryview(b""))
        header = _header_end(begin, csv)
        found = layout.names or _parsed(begin[:header], csv, None, {}).schema.names
        names = _names(found)
        first = _parsed(begin[header:], csv, names, dict.fromkeys(csv.as_text, pa.string()))
        kept = csv.wanted(names)
        _require_as_pandas(first.drop_columns(csv.as_text))
        kinds = {name: first.schema.field(name).type for name in kept}
        notes = [*(layout.notes or renamed(csv, found))]
        if layout.empty:
            if not pa.types.is_null(first.schema.field(layout.empty).type):
                raise pa.lib.ArrowInvalid("a field beyond the header that is not empty")
            kinds[layout.empty] = pa.null()
        if (
            csv.columns is None
            and names[-1] == unnamed(len(names) - 1)
            and pa.types.is_null(kinds[names[-1]])
        ):
            kept = kept[:-1]
            notes.append(nameless(csv))
        schema = pa.schema([(name, kinds[name]) for name in kept])
        others = map_ahead(lambda block: _parsed(block, csv, names, kinds, kinds), blocks, cores, ahead)
        with contextlib.closing(others):
            tables = (table.select(kept) for table in itertools.chain([first], others))
            yield Reading(schema, (b for table in tables for b in table.to_batches()), quotes, notes)


def require_rectangle(csv: Csv, names: Sequence[str]) -> None:
    """Raise an error of pyarrow's unless each row has as many fields as there are names."""
    import pyarrow as pa

    with opened(csv) as source:
        blocks = _blocks(csv, source, Quotes(csv.sep.encode()), kept=1)
        for number, block in enumerate(blocks):
            rows = block[_header_end(block, csv) :] if number == 0 else block
            _parsed(rows, csv, names, {names[0]: pa.string()}, names[:1])


def _header_end(block: memoryview, csv: Csv) -> int:
    """Return where the first line ends that is not blank; a line break between quotes does not end it."""
    begin = bytes(block)
    start = len(begin) - len(begin.lstrip(b"\r\n"))
    for line_break in re.finditer(rb"\r?\n|\r", begin[start:]):
        header = bytearray(begin[: start + line_break.end()])
        if Quotes(csv.sep.encode()).take(header, len(header)) == len(header):
            return len(header)
    return len(begin)


def _names(found: Sequence[str]) -> list[str]:
    """Return the names of the columns as pandas has them, each on one line."""
    import pyarrow as pa

    names = [on_one_line(name) or unnamed(place) for place, name in enumerate(found)]
    if len(set(names)) < len(names):
        raise pa.lib.ArrowInvalid("two columns have the same name, which pandas tells apart")
    if not "".join(found).strip():
        raise pa.lib.ArrowInvalid("a blank line, which pandas passes over")
    return names


def _parsed(
    block: memoryview,
    csv: Csv,
    names: Sequence[str] | None,
    kinds: Mapping[str, pa.DataType],
    only: Sequence[str] | Mapping[str, pa.DataType] | None = None,
) -> pa.Table:
    """Return the rows of a block of whole lines.

    :param names: names of the columns; None where the first line is the header.
    :param kinds: types of columns; others get the type that fits the block.
    :param only: the columns to read; None for all.
    """
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    if not len(block) and names is not None:
        return pa.table({name: pa.array([], kinds.get(name, pa.null())) for name in only or names})
    table = pa_csv.read_csv(
        pa.BufferReader(block),
        pa_csv.ReadOptions(
            use_threads=False, block_size=len(block) + 1, column_names=names, encoding=csv.encoding
        ),
        pa_csv.ParseOptions(delimiter=csv.sep, newlines_in_values=True),
        pa_csv.ConvertOptions(
            column_types=kinds,
            include_columns=None if only is None else list(only),
            null_values=MISSING,
            true_values=TRUE,
            false_values=FALSE,
            strings_can_be_null=True,
        ),
    )
    _require_values_of_pandas(table, block, is_narrow=names is not None and len(names) == 1)
    return table


def _require_values_of_pandas(table: pa.Table, block: memoryview, is_narrow: bool) -> None:
    """Raise an error where pyarrow made a number of what is text to pandas, 0x1F or NAN, or a row of a blank.

    :param is_narrow: whether a row has one field, so that a blank line may be one.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if any(pa.types.is_integer(item.type) for item in table.schema) and _has_hexadecimal(block):
        raise pa.lib.ArrowInvalid("hexadecimal digits, which are text to pandas")
    for column in table.columns:
        if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
            raise pa.lib.ArrowInvalid("a word that is no number to pandas")
        may_be_blank = is_narrow and pa.types.is_string(column.type)
        if may_be_blank and pc.any(pc.match_substring_regex(column, r"^\s+$")).as_py():
            raise pa.lib.ArrowInvalid("blank lines, which pandas passes over")


def _has_hexadecimal(block: memoryview) -> bool:
    """Tell whether 0x or 0X is in a block: by numpy, as Python finds two bytes 20 times slower than one."""
    import numpy as np

    # What the block is a part of is looked through without a copy; most files have no such letter at all.
    if isinstance(block.obj, bytearray) and block.obj.find(b"x") < 0 and block.obj.find(b"X") < 0:
        return False
    text = np.frombuffer(block, np.uint8)
    marks = np.flatnonzero((text[1:] == ord("x")) | (text[1:] == ord("X")))
    return bool((text[marks] == ord("0")).any())


def _require_as_pandas(first: pa.Table) -> None:
    """Raise an error where the first rows are of other types to pandas, which it is to read then."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for column in first.columns:
        if pa.types.is_binary(column.type):
            raise pa.lib.ArrowInvalid("a column is not text in this encoding")
        if pa.types.is_floating(column.type) and (pc.max(pc.abs(column)).as_py() or 0) >= 2.0**63:
            raise pa.lib.ArrowInvalid("perhaps whole numbers of more digits than a number here has")
        if pa.types.is_string(column.type):
            some = [value.strip() for value in column.drop_null().slice(0, 1000).to_pylist()]
            if some and all(advice.is_number(value) for value in some if value):
                raise pa.lib.ArrowInvalid("text that may be numbers to pandas")


def _blocks(csv: Csv, file: Source, quotes: Quotes, kept: int) -> Iterator[memoryview]:
    """Yield the file in blocks of whole lines.

    A block is overwritten once `kept` more are asked for: fresh memory would cost more than the reading.
    Memory is taken as blocks come, as to fill all of it with zeros takes longer than to parse the first.
    """
    size = files.BLOCK_BYTES
    buffers = deque(bytearray() for _ in range(kept))
    rest = bytearray()
    place = 0
    while True:
        begin = len(rest)
        if len(buffers[0]) < begin + size:
            buffers[0] = bytearray(2 * begin + size)
        buffer = buffers[0]
        buffer[:begin] = rest
        end = begin + file.readinto(memoryview(buffer)[begin : begin + size])
        if end == begin:
            break
        lines = quotes.take(buffer, end)
        rest = buffer[lines:end]
        place += lines
        if lines:
            yield memoryview(buffer)[:lines]
            buffers.rotate(-1)
        if len(rest) > files.LONGEST_LINE:
            raise endless(csv, quotes, place)
    if quotes.open is not None:
        raise endless(csv, quotes, place)
    if rest:
        yield memoryview(rest)
