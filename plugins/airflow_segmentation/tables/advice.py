"""How to read a CSV that was not understood: what `read_csv_kwargs` would make of it what is meant.

Advice is tried here, on the lines or values at hand, before it is given.
"""

from __future__ import annotations

import csv
import difflib
import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from airflow_segmentation.errors import InputError, has_control

SEPARATORS = (",", ";", "\t", "|")
PLACEHOLDERS = {"?", "-", "--", ".", "..", "na", "n.a.", "n/a", "none", "null", "nil", "missing", "unknown"}
"""What people write where a value is missing, beside blanks; in small letters."""
MOST_PLACEHOLDERS = 3
"""More different words than these in a column of numbers are no placeholders."""
SHOWN = 12
"""Characters of a placeholder, at most."""

LONGEST_NAME = 60
"""Characters of a column's name that a message shows."""

_MARKS = {**dict.fromkeys("$€£¥₹%)", ""), "(": "-", "\u2212": "-"}
"""What is written about numbers and no option of pandas takes away, and what a number has in its place."""


def call_with(options: Mapping[str, Any]) -> str:
    """Return how to give options to the one operator that takes them."""
    return f"CsvLoadOperator(read_csv_kwargs={dict(options)!r})"


def for_values(column: str, values: Collection[str]) -> str | None:
    """Return what makes numbers of a column's values, ready to be copied; None where nothing is known to.

    :param values: the different values of the column, as they stand in the file.
    """
    words = [value for value in values if not re.search(r"\d", value)]
    numbers = [value for value in values if re.search(r"\d", value)]
    options: dict[str, Any] = {}
    if words:
        known = all(not word.strip() or word.strip().casefold() in PLACEHOLDERS for word in words)
        if not (known or numbers) or len(words) > MOST_PLACEHOLDERS or len(max(words, key=len)) > SHOWN:
            return None
        options["na_values"] = sorted(words)
    if all(is_number(value) for value in numbers):
        return call_with(options) if words else None
    if formats := _formats(numbers):
        return " or ".join(call_with({**found, **options}) for found in formats)
    if words:
        return None
    calls = [f"{{'converters': {{{column!r}: {source}}}}}" for source in _converters(numbers)]
    return " or ".join(f"CsvLoadOperator(read_csv_kwargs={call})" for call in calls) or None


def is_number(text: str) -> bool:
    """Tell whether a value is a number without more ado."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _formats(values: Sequence[str]) -> list[dict[str, Any]]:
    """Return the options under which all the values are numbers: one, or several where they are ambiguous."""
    found = []
    for decimal, thousands in itertools.product(".,", (None, ",", ".", " ", "\u00a0", "\u202f", "'")):
        if thousands == decimal:
            continue
        whole = rf"\d{{1,3}}({re.escape(thousands)}\d{{3}})+|\d+" if thousands else r"\d+"
        number = re.compile(rf"\s*[+-]?({whole})({re.escape(decimal)}\d*)?([eE][+-]?\d+)?\s*")
        if all(number.fullmatch(value) for value in values):
            options: dict[str, Any] = {"decimal": decimal} if decimal != "." else {}
            if thousands:
                options["thousands"] = thousands
                if not thousands.isascii():
                    options["engine"] = "python"  # pandas' own engine takes a byte
            found.append(options)
    # The fewest that explain the values.
    fewest = min((len(options) for options in found), default=0)
    return [options for options in found if len(options) == fewest]


def _converters(values: Sequence[str]) -> list[str]:
    """Return the source of functions that make numbers of the values: one, or several if ambiguous."""
    marks = {mark: instead for mark, instead in _MARKS.items() if any(mark in value for value in values)}
    bare = [_replaced(value, marks).strip() for value in values]
    if not marks:
        return []
    sources = []
    for found in [{}] if all(map(is_number, bare)) else _formats(bare):
        changes = {**marks, **{found[name]: to for name, to in _OF_NUMBERS.items() if name in found}}
        calls = "".join(f".replace({mark!r}, {instead!r})" for mark, instead in changes.items())
        sources.append(f"lambda text: float(text{calls} or 'nan')")
    return sources


def _replaced(value: str, changes: Mapping[str, str]) -> str:
    for mark, instead in changes.items():
        value = value.replace(mark, instead)
    return value


_OF_NUMBERS = {"thousands": "", "decimal": "."}
"""What Python has in place of a format's marks."""


def for_lines(text: str, sep: str = ",") -> dict[str, Any]:
    """Return the options under which lines from the beginning of a file are a table; empty where none are.

    :param sep: the separator that they were read with.
    """
    lines = text.splitlines(keepends=True)
    told = re.fullmatch(r'"?sep=(.)"?\s*', lines[0]) if lines else None
    if told:
        return {"skiprows": 1, **({"sep": told[1]} if told[1] != "," else {})}
    if lines and lines[0].startswith("#") and _start_of_table(lines, sep) != 0:
        commented = [line for line in lines if not line.startswith("#")]
        inner = for_lines("".join(commented), sep)
        return {"comment": "#", **({} if "skiprows" in inner else inner)}
    tables = []
    for candidate in dict.fromkeys((sep, *SEPARATORS)):
        start = _start_of_table(lines, candidate)
        if start is not None:
            tables.append((start, candidate))
    if not tables:
        return {}
    start, found = min(tables, key=lambda table: table[0])
    options: dict[str, Any] = {"skiprows": start} if start else {}
    if found != sep:
        options["sep"] = found
    return {**options, **_decimals(lines[start + 1 :], found)}


def _start_of_table(lines: Iterable[str], sep: str) -> int | None:
    """Return the line from which all that follow have as many fields as the last, two or more; None if none.

    It is to be a header, and not the only line.
    """
    reader = csv.reader(lines, delimiter=sep)
    rows, before = [], 0
    for row in reader:
        rows.append((before, row))
        before = reader.line_num
    rows = [(line, row) for line, row in rows if row]
    width = len(rows[-1][1]) if rows else 0
    count = sum(1 for _ in itertools.takewhile(lambda item: len(item[1]) == width, reversed(rows)))
    if width < 2 or count < 2:
        return None
    line, header = rows[-count]
    return line if line == 0 or not any(map(is_number, header)) else None


def _decimals(lines: Iterable[str], sep: str) -> dict[str, Any]:
    """Return how numbers are written, where they would be no numbers otherwise."""
    found: dict[str, Any] = {}
    for column in itertools.zip_longest(*csv.reader(lines, delimiter=sep), fillvalue=""):
        values = [value for value in column if value.strip()]
        if values and not all(is_number(value) for value in values):
            formats = _formats(values)
            if len(formats) == 1:
                found |= formats[0]
    return found


def is_numeric_header(names: Sequence[str]) -> bool:
    """Tell whether names of columns look like a row of numbers, so that the file has no header."""
    return bool(names) and all(map(is_number, names)) and any("." in name for name in names)


def is_no_header(text: str) -> bool:
    """Tell whether the first line is one for a spreadsheet alone, such as `sep=;`."""
    return re.match(r'"?sep=.', text) is not None


def is_total(value: str) -> bool:
    """Tell whether a value is what people write before a row of sums."""
    return _TOTAL.fullmatch(value.strip()) is not None


_TOTAL = re.compile(
    r"((grand|sub)[ -]?)?total(s|e|es|en)?\b.{0,20}|sum(me)?|somme|suma|totaux|gesamt(summe)?|insgesamt",
    re.IGNORECASE,
)


def missing_column(column: str, where: str, columns: Iterable[str]) -> InputError:
    """Return the error for a column that is not there, naming those that are and the likeliest meant."""
    known = list(columns)
    shown = ", ".join(map(_short, known[:30])) + (f" and {len(known) - 30} more" if len(known) > 30 else "")
    message = f"Column {column!r} is not in {where}; it has: {shown}"
    separators = [mark for mark in ";\t|" if len(known) == 1 and mark in known[0]]
    if separators:
        return InputError(
            f"{message}; if that is more than one, name their separator: {call_with({'sep': separators[0]})}"
        )
    if is_numeric_header(known):
        return InputError(
            f"{message}; if these are values, and the file has no header, name the columns: "
            f"{call_with({'header': None, 'names': ['…']})}"
        )
    # To compare takes long: not with what is no name, nor with names without end.
    by_folded = {name.strip().casefold(): name for name in known[:1000] if len(name) <= LONGEST_NAME}
    close = difflib.get_close_matches(column[:LONGEST_NAME].strip().casefold(), by_folded, n=1)
    if close:
        message += f"; did you mean {by_folded[close[0]]!r}?"
    return InputError(message)


def _short(name: str) -> str:
    """Return a column's name, or little of what is none, such as the content of another kind of file."""
    name = name.replace("\t", " ")  # of a whole header where the separator is another than told
    if has_control(name):
        return "(no name)"
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
