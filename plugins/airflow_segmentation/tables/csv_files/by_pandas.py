"""Reading a CSV by pandas: whatever it can read, in pieces, once for the types and once for the rows."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from airflow_segmentation.errors import InputError
from airflow_segmentation.tables import advice
from airflow_segmentation.tables.csv_files import by_pyarrow
from airflow_segmentation.tables.csv_files import file as files
from airflow_segmentation.tables.csv_files.file import Csv, beginning, endless, opened
from airflow_segmentation.tables.csv_files.quotes import Quotes
from airflow_segmentation.tables.csv_files.reading import (
    Layout,
    Reading,
    given_twice,
    is_about_the_file,
    nameless,
    on_one_line,
    renamed,
    unnamed,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CHUNK_ROWS = 100_000
LOOKED_AT = 1_000
"""Rows at the beginning that tell how the columns lie."""
_NUMBER = r"(?i)^\s*[+-]?(\d+\.?\d*|\.\d+|inf(inity)?$)(e[+-]?\d+)?\s*$"
_BLANK_AFTER_RETURN = re.compile(rb"\r[ \t]")
LONGEST_ERROR = 200
"""Characters of an error of pandas, which may quote what is in the file."""


def layout_of(csv: Csv) -> Layout:
    """Look how the columns lie. pandas takes the first fields of rows longer than the header for an index.

    :raises InputError: if it is not known which column the values of a row belong to.
    """
    with _open_text(csv, csv.quotes()) as file, told(csv):
        rows = next(_pandas_chunks(file, _as_they_stand(csv), LOOKED_AT), None)
    if rows is None:
        return Layout()
    names = [str(name) for name in rows.columns]
    notes = (*given_twice(csv, _first_line(csv)), *renamed(csv, names))
    given = {on_one_line(name): name for name in (*map(str, rows.index.names), *names)}
    if "index_col" in csv.options or _is_numbered(rows):
        return Layout(notes=notes, given=given)
    beyond = rows.index.nlevels
    fields = rows.reset_index().fillna("")
    if beyond == 1 and not _is_no_header(csv, fields):
        is_empty = fields == ""
        if is_empty.iloc[:, -1].all():
            return Layout((*names, unnamed(len(names))), "empty last", notes, given)
        can_be_names = fields.iloc[:, 0].is_unique and not is_empty.iloc[:, 0].any()
        if can_be_names and not is_empty.iloc[:, -1].any():
            first = unnamed(0)
            note = (
                f"The header of {csv.name} has one field less than the rows; the first field of a row is "
                f"taken for its name, as R writes it, and is called {first!r} here"
            )
            return Layout((first, *names), "row names", (*notes, note), given)
    raise _unlike_the_header(csv, len(names) + beyond, len(names))


def header_of(csv: Csv) -> tuple[list[str], bool] | None:
    """Return the names in the header, and whether there is a row below; None if nothing is in the file.

    :raises InputError: if pandas cannot read it.
    """
    with told(csv), _open_text(csv, csv.quotes()) as file:
        if not file.peek(1):
            return None
        for rows in _pandas_chunks(file, _as_they_stand(csv), 1):
            _require_names(csv, rows)
            return list(rows.columns), len(rows) > 0
    return [], False


def _as_they_stand(csv: Csv) -> dict[str, Any]:
    """Return options by which all is text, and what is said to be missing stays as it is written."""
    of_values = ("dtype", "converters", "parse_dates", "date_format", "na_values", "keep_default_na")
    options = {name: value for name, value in csv.options.items() if name not in of_values}
    return {**options, "dtype": "str", "na_filter": False}


def _unlike_the_header(csv: Csv, fields: int, names: int) -> InputError:
    found = advice.for_lines(beginning(csv), csv.sep)
    cure = (
        f"read it with {advice.call_with(found)}"
        if found
        else f"name all: {advice.call_with({'header': 0, 'names': ['…']})}"
    )
    return InputError(
        f"Rows of {csv.name} have {fields} fields, and its header {names}, so that nobody knows which column "
        f"a value belongs to; {cure}"
    )


def _is_no_header(csv: Csv, rows: pd.DataFrame) -> bool:
    """Tell whether the header is none: the first row names numbers, or other separators make a table."""
    begin = beginning(csv)
    if advice.is_no_header(begin) or "sep" in advice.for_lines(begin, csv.sep):
        return True
    first, others = rows.iloc[0], rows.iloc[1:]
    named = all(value.strip() and not advice.is_number(value) for value in first)
    numbers = len(others) and any(others[column].map(advice.is_number).all() for column in others)
    return bool(named and numbers)


def _first_line(csv: Csv) -> list[str]:
    """Return the names as they stand in the header, where it is the first line; else none."""
    if {"names", "header", "skiprows"} & csv.options.keys():
        return []
    with contextlib.suppress(Exception), _open_text(csv) as file:
        options = {**csv.options, "header": None, "dtype": "str", "nrows": 1}
        for row in _pandas_chunks(file, options, 1):
            return list(row.iloc[0].dropna())
    return []


@contextlib.contextmanager
def read(csv: Csv, layout: Layout) -> Iterator[Reading]:
    """Read a file.

    :raises InputError: if pandas cannot read it, with what to try.
    """
    import pyarrow as pa

    if layout.names and layout.beyond == "row names" and csv.is_plain:
        try:
            by_pyarrow.require_rectangle(csv, layout.names)
        except Exception as error:
            if not is_about_the_file(error):
                raise
            raise _unlike_the_header(csv, len(layout.names), len(layout.names) - 1) from None
    quotes = csv.quotes()
    kinds: dict[str, pa.DataType] = {}
    long_numbers = set()
    for chunk in _chunks(csv, layout, csv.as_text, quotes):
        for name in chunk:
            kind = _kind(chunk[name])
            kinds[name] = common(kinds.get(name, pa.null()), kind)
            if pa.types.is_decimal(kind):
                long_numbers.add(name)
    if not kinds:
        raise InputError(f"{csv.name} has no rows where read_csv_kwargs looks for them")
    notes = list(layout.notes)
    last = next(reversed(kinds))
    if csv.columns is None and last == unnamed(len(kinds) - 1) and pa.types.is_null(kinds[last]):
        del kinds[last]
        notes.append(nameless(csv))
    kinds |= dict.fromkeys(csv.text, pa.string())
    digits = {name for name, kind in kinds.items() if pa.types.is_decimal(kind)}
    kinds |= dict.fromkeys(digits, pa.string())
    text = [name for name, kind in kinds.items() if pa.types.is_string(kind) or name in long_numbers]
    schema = pa.schema(list(kinds.items()))
    batches = (_batch(chunk, schema) for chunk in _chunks(csv, layout, text, None))
    yield Reading(schema, batches, quotes, notes, digits)


def _chunks(
    csv: Csv, layout: Layout, as_text: Sequence[str], quotes: Quotes | None
) -> Iterator[pd.DataFrame]:
    """Yield the wanted columns in pieces as pandas reads them."""
    kinds = csv.options.get("dtype") or {}
    if as_text and not isinstance(kinds, Mapping):
        raise InputError(
            f"read_csv_kwargs has dtype={kinds!r}; give a dict of column to type, as an id is text"
        )
    options = {"dtype_backend": "numpy_nullable", **csv.options}
    given = [layout.given.get(name, name) for name in as_text]
    options["dtype"] = {**kinds, **dict.fromkeys(given, "str")} or None
    if layout.names:
        options["header"] = csv.options.get("header", None if "names" in csv.options else 0)
        options["names"] = list(layout.names)
    with _open_text(csv, quotes) as file, told(csv):
        for chunk in _pandas_chunks(file, options, CHUNK_ROWS):
            chunk = _with_index(chunk)
            _require_names(csv, chunk)
            if layout.empty and chunk[layout.empty].notna().any():
                raise _unlike_the_header(csv, chunk.shape[1], chunk.shape[1] - 1)
            if layout.beyond == "row names" and not csv.is_plain and chunk.iloc[:, -1].isna().any():
                raise _unlike_the_header(csv, chunk.shape[1], chunk.shape[1] - 1)
            yield chunk[csv.wanted(list(chunk.columns))]


def _pandas_chunks(file: IO[bytes], options: Mapping[str, Any], rows: int) -> Iterator[pd.DataFrame]:
    import pandas as pd

    by_c = options.get("engine", "c") == "c" and len(options.get("sep") or ",") == 1
    own = {"low_memory": False} if by_c else {"engine": "python"}
    given = {name: value for name, value in options.items() if name != "compression"}
    yield from pd.read_csv(file, chunksize=rows, **{**own, **given})


def _is_numbered(chunk: pd.DataFrame) -> bool:
    """Tell whether the index numbers the rows, and holds no data."""
    import pandas as pd

    return isinstance(chunk.index, pd.RangeIndex)


def _with_index(chunk: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with what the options made an index of them as the first columns."""
    if _is_numbered(chunk):
        return chunk
    names = [unnamed(place) if name is None else name for place, name in enumerate(chunk.index.names)]
    return chunk.reset_index(names=names)


def _require_names(csv: Csv, chunk: pd.DataFrame) -> None:
    unnameable = [name for name in chunk.columns if not isinstance(name, str)]
    if unnameable:
        raise InputError(
            f"{csv.name} has columns that are named {unnameable[0]!r} and such; read one line as "
            "the header, or name them with read_csv_kwargs={'header': None, 'names': […]}"
        )
    chunk.columns = [on_one_line(name) for name in chunk.columns]
    twice = chunk.columns[chunk.columns.duplicated()]
    if len(twice):
        raise InputError(
            f"{csv.name} has two columns called {twice[0]!r} but for line breaks; name all: "
            f"{advice.call_with({'header': 0, 'names': ['…']})}"
        )


def _kind(values: pd.Series) -> pa.DataType:
    """Return the type of a column's values; text where Arrow has none for them.

    To pandas a column is text where a whole number comes first that has more digits than an integer, but is
    a number where a fraction does: here it is a decimal until all pieces are seen.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.isna().all():
        return pa.null()
    try:
        found = pa.array(values, from_pandas=True)
    except (pa.lib.ArrowInvalid, pa.lib.ArrowTypeError, OverflowError):
        return pa.string()
    if not (pa.types.is_string(found.type) or pa.types.is_large_string(found.type)):
        return found.type
    # Of numbers of too many digits pandas 3 loses what is missing, where it is to return nullable types.
    missing = pc.is_in(found, pa.array(by_pyarrow.MISSING, found.type))
    are_numbers = pc.all(pc.or_(missing, pc.match_substring_regex(found, _NUMBER))).as_py()
    return pa.decimal128(38) if are_numbers else pa.string()


def common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return the type that holds the values of both: text where none does.

    Of whole numbers of more digits than an integer has, which are text unless fractions are among them, the
    type is a decimal here.
    """
    import pyarrow as pa

    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if not (_is_number(one) and _is_number(other)):
        return pa.string()
    digits = [kind for kind in (one, other) if pa.types.is_decimal(kind)]
    floats = any(pa.types.is_floating(kind) for kind in (one, other))
    return digits[0] if digits and not floats else pa.float64()


def _batch(chunk: pd.DataFrame, schema: pa.Schema) -> pa.RecordBatch:
    import pandas as pd
    import pyarrow as pa

    columns = []
    for item in schema:
        values = chunk[item.name]
        if values.isna().all():
            columns.append(pa.nulls(len(values), item.type))
            continue
        if pa.types.is_string(item.type) and values.dtype == object:
            values = values.map(str, na_action="ignore")
        elif pd.api.types.is_string_dtype(values) and _is_number(item.type):
            # Numbers of many digits, or pandas read them as text since another column of the name is.
            present = values.dropna().astype("string")
            fractions = pa.types.is_floating(item.type)
            values = (present.map(float).astype("Float64") if fractions else pd.to_numeric(present)).reindex(
                values.index
            )
        columns.append(pa.array(values, from_pandas=True).cast(item.type, safe=False))
    return pa.record_batch(columns, schema=schema)


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


class _Watched(io.RawIOBase):
    """Hands over a file, and follows its lines and quotes meanwhile."""

    def __init__(self, csv: Csv, file: io.RawIOBase, quotes: Quotes | None) -> None:
        self._csv = csv
        self._file = file
        self._quotes = quotes
        self._rest = bytearray()
        self._place = 0
        self._last = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)  # type: ignore[attr-defined]
        block = memoryview(buffer)[:count]
        self._require_ends(block)
        self._rest += block
        if self._quotes is not None:
            lines = self._quotes.take(self._rest, len(self._rest))
        else:
            lines = max(self._rest.rfind(b"\n"), self._rest.rfind(b"\r")) + 1
        del self._rest[:lines]
        self._place += lines
        is_open = self._quotes is not None and self._quotes.open is not None
        if len(self._rest) > files.LONGEST_LINE or (is_open and not count):
            raise endless(self._csv, self._quotes, self._place)
        return count

    def _require_ends(self, block: memoryview) -> None:
        """Refuse what makes pandas 2 read one line over and over, until memory is full."""
        if not _reads_lines_twice() or "lineterminator" in self._csv.options:
            return
        begins = self._last + block[:1]
        self._last = bytes(block[-1:])
        if _BLANK_AFTER_RETURN.search(block) or _BLANK_AFTER_RETURN.search(begins):
            raise InputError(
                f"{self._csv.name} has a line that begins with a blank after a carriage return alone, which "
                "this version of pandas misreads; install pandas 3, end the lines with line feeds or, if no "
                f"line ends with one, tell so: {advice.call_with({'lineterminator': chr(13)})}"
            )


def _reads_lines_twice() -> bool:
    import pandas as pd

    return int(pd.__version__.partition(".")[0]) < 3


@contextlib.contextmanager
def _open_text(csv: Csv, quotes: Quotes | None = None) -> Iterator[io.BufferedReader]:
    with opened(csv) as source:
        yield io.BufferedReader(_Watched(csv, source, quotes), files.BLOCK_BYTES)


@contextlib.contextmanager
def told(csv: Csv) -> Iterator[None]:
    """Raise what pandas or a decompressor says of a file in words that tell what to try."""
    import pandas as pd

    try:
        yield
    except UnicodeDecodeError as error:
        encoding = "utf-16" if error.object[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
        raise InputError(
            f"{csv.name} is not {error.encoding} text ({error.reason}); "
            f"name its encoding, for example {advice.call_with({'encoding': encoding})}"
        ) from None
    except pd.errors.EmptyDataError:
        raise InputError(f"{csv.name} is empty; look at what should have written it") from None
    except Exception as error:
        if not is_about_the_file(error):
            raise
        said = str(error).strip().rstrip(".")[:LONGEST_ERROR]
        if not isinstance(error, (ValueError, TypeError, LookupError)):
            raise InputError(
                f"{csv.name} cannot be decompressed ({said}); it is cut off or damaged, or its "
                "name tells another compression than it has: write it again, or name it rightly"
            ) from None
        found = advice.for_lines(beginning(csv), csv.sep) if isinstance(error, pd.errors.ParserError) else {}
        cure = (
            f"Try {advice.call_with(found)}"
            if found
            else "Tell its separator, encoding or quoting with read_csv_kwargs, as pandas.read_csv takes them"
        )
        raise InputError(f"{csv.name} cannot be read as CSV: {said}. {cure}") from None
