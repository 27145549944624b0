"""A CSV file: where it is, how it is to be read, and its bytes."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from airflow_segmentation.errors import InputError
from airflow_segmentation.provider import setting
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.storage.files import open_for_reading
from airflow_segmentation.tables import advice
from airflow_segmentation.tables.csv_files.quotes import Quotes

BLOCK_BYTES = 4 << 20
"""Bytes taken at a time; much larger blocks fall out of the processor's cache."""
LONGEST_LINE = 16 << 20
"""More bytes than a row of a table has."""
MAX_COLUMNS = 10_000
"""More columns than a table of customers has; each costs memory in every block."""

# The options of pandas.read_csv that pyarrow takes in the same sense, or that are ours to obey.
_ARROW_OPTIONS = {"sep", "delimiter", "encoding", "compression"}
# Encodings in which a byte that is a line break or a quote is nothing else.
ENCODINGS = {"utf-8", "utf8", "latin-1", "latin1", "iso-8859-1", "cp1252", "ascii"}
_OWN_OPTIONS = {"filepath_or_buffer", "chunksize", "iterator", "storage_options", "usecols"}
_RULES_OF_QUOTES = {"quoting", "quotechar", "escapechar", "doublequote", "lineterminator", "dialect"}
_COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}
BEGINNINGS = {
    b"\x1f\x8b": ("gzip", "a gzip file"),
    b"PK\x03\x04": ("zip", "a zip archive"),
    b"BZh": ("bz2", "a bzip2 file"),
    b"\xfd7zXZ\0": ("xz", "an xz file"),
    b"\x28\xb5\x2f\xfd": ("zstd", "a Zstandard file"),
    b"PAR1": (None, "a Parquet table; give it to the next operator as it is"),
    b"\xd0\xcf\x11\xe0": (None, "an Excel workbook; save the sheet as CSV"),
    b"%PDF": (None, "a PDF document; write the data as CSV"),
    b"SQLite format 3\0": (None, "a SQLite database; write the table as CSV"),
}
"""How files begin that are no text, with the compression or the cure, and what they are."""
_WORKBOOK = (b"[Content_Types].xml", b"xl/", b"_rels/")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Csv:
    """A CSV file: where it is and how to read it.

    :param uri: the file, plain or compressed; its name's ending tells, as with `pandas.read_csv`. What loads
        tables takes a folder or a pattern, too.
    :param conn_id: connection to the storage.
    :param columns: the columns wanted, in that order; None for all.
    :param id_column: a column that is read as text, so that `00123` stays what it is.
    :param options: keyword arguments of `pandas.read_csv`.
    :param text: other columns that are read as text.
    """

    uri: str
    conn_id: str | None = None
    columns: Sequence[str] | None = None
    id_column: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    text: Collection[str] = ()

    @property
    def name(self) -> str:
        """The file as a message may show it."""
        return without_secrets(self.uri)

    @property
    def sep(self) -> str:
        """What stands between two fields."""
        return self.options.get("sep") or self.options.get("delimiter") or ","

    @property
    def encoding(self) -> str:
        """How the file encodes text."""
        return self.options.get("encoding") or "utf-8"

    @property
    def as_text(self) -> list[str]:
        """The columns that are read as text."""
        return list(self.text) if self.id_column is None else [self.id_column, *self.text]

    @property
    def is_plain(self) -> bool:
        """Whether pyarrow reads it as pandas does."""
        return self.options.keys() <= _ARROW_OPTIONS and self.encoding in ENCODINGS

    @property
    def compression(self) -> str | None:
        """The compression that the options name, or else the ending of the name."""
        named = self.options.get("compression", "infer")
        named = named.get("method") if isinstance(named, Mapping) else named
        if named != "infer":
            return named
        return next(
            (kind for ending, kind in _COMPRESSIONS.items() if self.uri.lower().endswith(ending)), None
        )

    def require_options(self) -> None:
        """Raise an error where an option cannot be taken."""
        taken = _OWN_OPTIONS & self.options.keys()
        if taken:
            raise InputError(
                f"read_csv_kwargs sets {', '.join(sorted(taken))}, which the operator sets itself; "
                "choose columns with columns=[…], and storage with path and conn_id"
            )
        if self.options.get("engine") == "pyarrow":
            raise InputError(
                "read_csv_kwargs sets engine='pyarrow', which cannot read a file in pieces; leave it out: "
                "pyarrow reads whatever it can anyway"
            )
        if self.options.get("skipfooter"):
            raise InputError(
                f"read_csv_kwargs sets skipfooter={self.options['skipfooter']!r}, which pandas cannot do for "
                "a file that it reads in pieces; tell how many rows to read, for example "
                f"{advice.call_with({'nrows': 1000})}, or cut the footer off before"
            )
        if self.compression not in (None, *_COMPRESSIONS.values()):
            raise InputError(
                f"read_csv_kwargs sets compression={self.compression!r}, which should be one of "
                f"{', '.join(map(repr, _COMPRESSIONS.values()))}"
            )

    def wanted(self, present: Sequence[str]) -> list[str]:
        """Return the columns to keep of those present.

        :raises InputError: if one that is wanted is not there, or they are too many.
        """
        wanted = list(present if self.columns is None else self.columns)
        if self.id_column is not None and self.id_column not in wanted:
            wanted.insert(0, self.id_column)
        if len(wanted) > MAX_COLUMNS:
            raise InputError(
                f"{self.name} has {len(wanted)} columns, and a table has at most {MAX_COLUMNS}; name those "
                "that are needed with columns=[…]"
            )
        there = set(present)
        for column in wanted:
            if column not in there:
                raise advice.missing_column(column, self.name, present)
        return wanted

    def quotes(self) -> Quotes | None:
        """Return what follows the quotes of the file, or None where other rules hold for them than usual."""
        if _RULES_OF_QUOTES & self.options.keys() or len(self.sep) != 1 or not self.sep.isascii():
            return None
        try:
            if "\n".encode(self.encoding) != b"\n":
                return None
        except LookupError:  # which pandas tells
            return None
        return Quotes(self.sep.encode(), bool(self.options.get("skipinitialspace")))


class Source(io.RawIOBase):
    """The bytes of a file, refused where they are no text, or more than the administrator allows."""

    def __init__(self, csv: Csv, file: IO[bytes]) -> None:
        self._csv = csv
        self._file = file
        self._count = 0
        self._limit = int(setting("max_csv_bytes"))

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, and return how many bytes."""
        count: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        first, self._count = not self._count, self._count + count
        if self._count > self._limit:
            raise InputError(
                f"{self._csv.name} is larger than {self._limit} bytes once decompressed, the limit of "
                "[segmentation] max_csv_bytes; split it, or ask the administrator of this Airflow for more"
            )
        if first and count:
            begin = bytes(buffer[: min(count, 4096)])
            self._require_text(begin)
            if begin.startswith(_BYTE_ORDER_MARK):
                count -= len(_BYTE_ORDER_MARK)
                buffer[:count] = bytes(buffer[len(_BYTE_ORDER_MARK) : count + len(_BYTE_ORDER_MARK)])
                return count or self.readinto(buffer)
        return count

    def _require_text(self, begin: bytes) -> None:
        found = next((told for magic, told in BEGINNINGS.items() if begin.startswith(magic)), None)
        if found is None:
            return
        compression, what = found
        if compression == "zip" and any(part in begin for part in _WORKBOOK):
            compression, what = BEGINNINGS[b"\xd0\xcf\x11\xe0"]
        if compression is not None:
            call = advice.call_with({"compression": compression})
            what += f"; give its name the ending of one, or say so: {call}"
        raise InputError(f"{self._csv.name} is no CSV but {what}")


@contextlib.contextmanager
def opened(csv: Csv) -> Iterator[Source]:
    """Open the file, decompressed."""
    kwargs = {"compression": csv.compression} if csv.compression in ("gzip", "bz2", "xz") else {}
    with contextlib.ExitStack() as stack:
        file: Any = stack.enter_context(open_for_reading(csv.uri, csv.conn_id, **kwargs))
        if csv.compression == "zstd":
            import pyarrow as pa

            file = stack.enter_context(pa.CompressedInputStream(file, "zstd"))
        elif csv.compression == "zip":
            archive = stack.enter_context(zipfile.ZipFile(file))
            names = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
            names = [name for name in names if not name.endswith("/")]
            if len(names) != 1:
                raise InputError(f"{csv.name} holds {len(names)} files; give one file, plain or compressed")
            file = stack.enter_context(archive.open(names[0]))
        yield Source(csv, file)


def beginning(csv: Csv) -> str:
    """Return the first lines, as far as they are text."""
    with opened(csv) as file:
        begin = io.BufferedReader(file).read(1 << 16)
    text = begin.decode(csv.encoding, errors="replace")
    whole, line_break, _ = text.rpartition("\n")
    return whole + line_break or text


def line_at(csv: Csv, place: int) -> int:
    """Return the number of the line in which a byte stands."""
    line = 1
    with opened(csv) as file:
        while place and (part := file.read(min(place, BLOCK_BYTES))):
            line += part.count(b"\n") or part.count(b"\r")
            place -= len(part)
    return line


def endless(csv: Csv, quotes: Quotes | None, place: int) -> InputError:
    """Return the error for a line, from `place` on, that does not end, or not within reason."""
    if quotes is None or quotes.open is None:
        return InputError(
            f"Line {line_at(csv, place)} of {csv.name} is longer than {LONGEST_LINE >> 20} MB, and so no row "
            "of a table; look at what should have written it"
        )
    return InputError(
        f"The quote that opens in line {line_at(csv, quotes.open)} of {csv.name} does not end, and would "
        "make one value of all that follows; close or remove it, or read quotes as text: "
        f"{advice.call_with({'quoting': 3})}"
    )
