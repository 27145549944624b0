"""What pyarrow and pandas have in common when they read a CSV."""

from __future__ import annotations

import gzip
import lzma
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from airflow_segmentation.errors import InputError
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.tables.csv_files.file import Csv
from airflow_segmentation.tables.csv_files.quotes import Quotes
from airflow_segmentation.tables.parquet import is_bare

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Layout:
    """How the columns of a file lie, where its header alone does not tell."""

    names: tuple[str, ...] | None = None
    """Names of all fields of a row; None for those of the header."""
    beyond: Literal["empty last", "row names"] | None = None
    """The field that the header has no name for: a last one that is to be empty in every row, or a first one
    that R writes, the name of a row."""
    notes: tuple[str, ...] = ()
    """What a person should know about it."""
    given: Mapping[str, str] = field(default_factory=dict)
    """The name of each column in the file, by its name here, which is on one line."""

    @property
    def empty(self) -> str | None:
        """Name of the field that is to be empty in every row."""
        return self.names[-1] if self.names and self.beyond == "empty last" else None


@dataclass(frozen=True)
class Reading:
    """A file that is being read."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    quotes: Quotes | None
    """What is known of its quotes once all batches are read; None where usual rules do not hold."""
    notes: Sequence[str]
    """What a person should know about it."""
    long_numbers: Collection[str] = ()
    """Columns that are text only as they hold whole numbers of more digits than an integer has."""


def is_about_the_file(error: Exception) -> bool:
    """Tell whether an error is about what is in the file or how it is read, not about reaching it."""
    damage = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
    return isinstance(error, (ValueError, TypeError, LookupError, *damage)) or is_bare(error)


def unnamed(place: int) -> str:
    """Return what pandas calls a column without a name."""
    return f"Unnamed: {place}"


def on_one_line(name: str) -> str:
    """Return the name of a column without line breaks and the like, which would plant lines in a log."""
    return re.sub(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]+", " ", name)


def renamed(csv: Csv, names: Iterable[str]) -> list[str]:
    """Return the notes on columns that are called otherwise than in the file."""
    return [
        f"Column {name!r} of {csv.name} is called {on_one_line(name)!r} here, on one line"
        for name in names
        if on_one_line(name) != name
    ]


def given_twice(csv: Csv, names: Iterable[str]) -> list[str]:
    """Return the notes on names that stand in a header more than once; :func:`told_apart` tells them."""
    twice = [on_one_line(name) for name, count in Counter(names).items() if count > 1]
    return [
        f"Column {name!r} is in {csv.name} twice; the second is called {f'{name}.1'!r} here" for name in twice
    ]


def told_apart(names: Sequence[str]) -> list[str]:
    """Return the names of a header as pandas tells them apart: the second `x` is called `x.1`."""
    there, counts = set(names), Counter[str]()
    found = []
    for name in names:
        own, number = name, counts[name]
        while number and (own := f"{name}.{number}") in there:
            number += 1
        counts[name] = number + 1
        found.append(own)
    return found


def nameless(csv: Csv) -> str:
    """Return the note on a column that was left out."""
    return f"The last field of every row of {csv.name} is empty and has no name; it was left out"


def require_same_names(names: Mapping[str, Sequence[str]]) -> None:
    """Raise an error unless all files have the same columns, in whatever order.

    :param names: the names of the columns of each file, by its URI.
    """
    (first, columns), *others = names.items()
    for uri, own in others:
        lacking = [name for name in columns if name not in own]
        beyond = [name for name in own if name not in columns]
        if lacking or beyond:
            what = f"lacks column {lacking[0]!r}" if lacking else f"has a column {beyond[0]!r} more"
            raise InputError(
                f"{without_secrets(uri)} {what} than {without_secrets(first)}; files that are read as one "
                "table have the same columns: leave it out, or put it right"
            )
