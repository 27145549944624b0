"""CSV files on a cluster: a file, a folder or a pattern, read as one table."""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_segmentation.engines.spark.addresses import for_cluster, require_allowed
from airflow_segmentation.engines.spark.data import Part, Source, SparkData, mark
from airflow_segmentation.engines.spark.session import PIECE_BYTES, Session, run
from airflow_segmentation.errors import InputError
from airflow_segmentation.provider import setting
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.tables import advice
from airflow_segmentation.tables.csv_files import Csv, Loaded
from airflow_segmentation.tables.csv_files.by_pyarrow import FALSE, MISSING, TRUE
from airflow_segmentation.tables.csv_files.file import BEGINNINGS, ENCODINGS
from airflow_segmentation.tables.csv_files.reading import (
    given_twice,
    on_one_line,
    require_same_names,
    told_apart,
    unnamed,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from airflow_segmentation.engines.spark.lines import Dialect

log = logging.getLogger(__name__)

OPTIONS = (
    *("sep", "delimiter", "encoding", "header", "names", "quotechar", "doublequote", "quoting", "escapechar"),
    *("decimal", "na_values", "keep_default_na", "true_values", "false_values", "compression"),
)
"""Arguments of `pandas.read_csv` that are taken here."""
_NO_QUOTES = 3
"""What the module csv calls QUOTE_NONE."""


@dataclass(frozen=True)
class Piece:
    """What was found in a piece of a file."""

    part: Part
    seen: Mapping[str, Any]


def load(session: Session, csv: Csv, uri: str) -> Loaded:
    """Write CSV files as a table, and log as warnings what a person should know about them.

    :raises InputError: if a file cannot be read as CSV, there are no rows, or a column is lacking; nothing is
        written then.
    """
    from airflow_segmentation.engines.spark.executors import unchanged

    data, missing, notes = opened(session, csv)
    data.write(uri, data.schema, unchanged, facts=data.facts)
    for note in notes:
        log.warning("%s", note)
    return Loaded(data.rows, missing, tuple(notes), schema=data.schema)


def opened(session: Session, csv: Csv) -> tuple[SparkData, dict[str, int], list[str]]:
    """Look through CSV files in one pass; return the table, how many values each column misses, and notes."""
    import pyarrow as pa

    from airflow_segmentation.engines.spark import lines

    dialect = dialect_of(csv)
    path = for_cluster(csv.uri, csv.conn_id, may_match=True)
    pieces = _pieces(session, csv, path, dialect)
    first = [piece for piece in pieces if piece.part.start == 0]
    names = {piece.part.path: _names(csv, piece) for piece in first}
    require_same_names(names)
    _require_shape(csv, pieces, names)
    found = next(iter(names.values()))
    kinds: dict[str, str] = dict.fromkeys(found, "null")
    missing = dict.fromkeys(found, 0)
    for piece in pieces:
        own = names[piece.part.path]
        for name, kind, count in zip(own, piece.seen["kinds"], piece.seen["missing"], strict=True):
            kinds[name] = lines.common(kinds[name], kind)
            missing[name] += count
    notes = list(_notes(csv, pieces, found))
    wanted = csv.wanted(found)
    if csv.columns is None and found[-1] == unnamed(len(found) - 1) and kinds[found[-1]] == "null":
        wanted.remove(found[-1])
        notes.append(f"The last field of every row of {csv.name} is empty and has no name; it was left out")
    types = {name: _type(kind) for name, kind in kinds.items()}
    for piece in first:
        # As to pandas, a second column of that name is text, too.
        called = zip(names[piece.part.path], _given(csv, piece), strict=True)
        types |= {name: pa.string() for name, given in called if csv.id_column in (name, given)}
    headers = list(dict.fromkeys(map(tuple, names.values())))
    filled = [piece for piece in pieces if piece.seen["rows"]]
    rows = lines.Rows(
        dialect,
        tuple(headers),
        tuple(headers.index(tuple(names[piece.part.path])) for piece in filled),
        frozenset(place for place, piece in enumerate(filled) if piece.part.start == 0),
        types,
        tuple(wanted),
    )
    source = Source(
        frame=lambda: _frame(session, path),
        schema=pa.schema([(name, types[name]) for name in wanted]),
        parts=[piece.part for piece in filled],
        empty=[piece.part.mark for piece in pieces if not piece.seen["rows"]],
        facts={"id_column": csv.id_column},
        columns=("value",),
        prepare=lambda columns: lines.Rows(**{**vars(rows), "wanted": tuple(columns)}),
        split=True,
    )
    return SparkData(session, csv.uri, source), {name: missing[name] for name in wanted}, notes


def dialect_of(csv: Csv) -> Dialect:
    """Return how the files are written.

    :raises InputError: naming an option that is not taken on Spark.
    """
    from airflow_segmentation.engines.spark.lines import Dialect

    csv.require_options()
    options = dict(csv.options)
    others = [name for name in options if name not in OPTIONS]
    if others:
        raise InputError(
            f"read_csv_kwargs sets {others[0]!r}, which Spark does not take; it takes {', '.join(OPTIONS)}. "
            "Leave it out, or load the file on one machine, with spark_conn_id=None"
        )
    encoding = csv.encoding.lower()
    if encoding not in ENCODINGS:
        raise InputError(
            f"read_csv_kwargs sets encoding={csv.encoding!r}, and Spark reads one of "
            f"{', '.join(sorted(ENCODINGS))}; write the file so, or load it on one machine, with "
            "spark_conn_id=None"
        )
    for name in ("sep", "quotechar", "escapechar", "decimal"):
        value = csv.sep if name == "sep" else options.get(name)
        if value is not None and not (isinstance(value, str) and len(value) == 1 and value.isascii()):
            raise InputError(f"read_csv_kwargs sets {name}={value!r}, and Spark takes one ASCII character")
    if options.get("compression", "infer") not in ("infer", None):
        raise InputError(
            f"read_csv_kwargs sets compression={options['compression']!r}, and Spark tells it by the ending "
            "of the name: .gz, .bz2 or .zst"
        )
    header, given = options.get("header", "infer"), options.get("names")
    if header not in ("infer", None, 0) or isinstance(header, bool):
        raise InputError(f"read_csv_kwargs sets header={header!r}, and Spark takes 0, None or 'infer'")
    has_header = header == 0 or (header == "infer" and given is None)
    if given is None and not has_header:
        raise InputError(
            "read_csv_kwargs sets header=None and no names; name all: "
            f"{advice.call_with({'header': None, 'names': ['…']})}"
        )
    quoting = options.get("quoting", 0)
    words = options.get("na_values", [])
    if isinstance(words, Mapping):
        raise InputError(
            "read_csv_kwargs sets na_values for single columns, and Spark takes them for all; give a list"
        )
    words = [words] if isinstance(words, (str, int, float)) else list(words)
    known = MISSING if options.get("keep_default_na", True) else []
    return Dialect(
        sep=csv.sep,
        encoding=encoding,
        quote=None if quoting == _NO_QUOTES else options.get("quotechar", '"'),
        doubled=bool(options.get("doublequote", True)),
        escape=options.get("escapechar"),
        decimal=options.get("decimal", "."),
        missing=tuple(dict.fromkeys([*known, *map(str, words)])),
        true=(*TRUE, *options.get("true_values", [])),
        false=(*FALSE, *options.get("false_values", [])),
        has_header=has_header,
    )


def _frame(session: Session, path: str) -> DataFrame:
    # Only line feeds end a line here: a carriage return stays where it is, and bytes come as they are.
    return session.spark.read.text(path, lineSep="\n")


def _pieces(session: Session, csv: Csv, path: str, dialect: Dialect) -> list[Piece]:
    """Return what is in each piece, in the order of the files' names.

    :raises InputError: if there is no file, or what is in one is no CSV.
    """
    from airflow_segmentation.engines.spark import executors, lines

    session.split(True)
    with session.told(csv.uri):
        frame = _frame(session, path).select("value", mark())
        looked = frame.mapInArrow(executors.Marked(lines.Look(dialect)), executors.RESULT)
        rows = list(run(looked))
    found = [(row, json.loads(bytes(row["value"]))) for row in rows]
    pieces = [Piece(Part(row["error"], seen["rows"], row["part"]), seen) for row, seen in found]
    pieces.sort(key=lambda piece: (piece.part.path, piece.part.start))
    require_allowed(piece.part.mark.partition(" ")[2] for piece in pieces)
    if not pieces:
        raise InputError(f"{csv.name} is empty; look at what should have written it")
    _require_uncut(pieces)
    for piece in pieces:
        _require_csv(piece)
    return pieces


def _require_uncut(pieces: Sequence[Piece]) -> None:
    """Raise an error where a file was cut within quotes, or may have been."""
    from airflow_segmentation.engines.spark import lines

    counts = Counter(piece.part.path for piece in pieces)
    for piece in pieces:
        is_open = lines.UNCLOSED in piece.seen.get("error", "")
        if (piece.seen["broken"] or is_open) and counts[piece.part.path] > 1:
            raise InputError(
                f"{without_secrets(piece.part.path)} has line breaks between quotes and is larger than "
                f"{PIECE_BYTES >> 20} MB, so that Spark, which reads it in pieces, cannot tell where a row "
                "ends; split the file, or load it on one machine, with spark_conn_id=None"
            )


def _require_csv(piece: Piece) -> None:
    """Raise an error where a piece is of no CSV, or one too large."""
    name = without_secrets(piece.part.path)
    begin = bytes.fromhex(piece.seen.get("begin", ""))
    for magic, (compression, what) in BEGINNINGS.items():
        if begin.startswith(magic):
            cure = "; give its name the ending of one" if compression else ""
            raise InputError(f"{name} is no CSV but {what}{cure}")
    if "error" in piece.seen:
        said = on_one_line(piece.seen["error"])[:200].strip().rstrip(".")
        raise InputError(
            f"{name} cannot be read as CSV: {said}. Tell its separator, encoding or quoting with "
            f"read_csv_kwargs, of which Spark takes {', '.join(OPTIONS)}, or load it on one machine, with "
            "spark_conn_id=None"
        )


def _names(csv: Csv, piece: Piece) -> list[str]:
    """Return the names of a file's columns."""
    name, given = without_secrets(piece.part.path), _given(csv, piece)
    found = [on_one_line(item) for item in (told_apart(given) if csv.options.get("names") is None else given)]
    twice = [item for item, count in Counter(found).items() if count > 1]
    if twice:
        raise InputError(
            f"{name} has two columns named {twice[0]!r}; give each a name of its own: "
            f"{advice.call_with({'header': 0, 'names': ['…']})}"
        )
    if not found:
        raise InputError(f"{name} is empty; look at what should have written it")
    return found


def _given(csv: Csv, piece: Piece) -> list[str]:
    """Return the names of a file's columns as an option gives them, or else its header."""
    if csv.options.get("names") is not None:
        return [str(item) for item in csv.options["names"]]
    return [cell or unnamed(place) for place, cell in enumerate(piece.seen.get("names") or [])]


def _require_shape(csv: Csv, pieces: Sequence[Piece], names: Mapping[str, Sequence[str]]) -> None:
    """Raise an error where rows are not as wide as the header, a file is too large, or there is no row."""
    limit = int(setting("max_csv_bytes"))
    sizes: dict[str, int] = defaultdict(int)
    for piece in pieces:
        path = piece.part.path
        sizes[path] += piece.seen["bytes"]
        found, expected = len(piece.seen["kinds"]), len(names.get(path, ()))
        if piece.seen["rows"] and found != expected:
            raise InputError(
                f"Rows of {without_secrets(path)} have {found} fields, and its header {expected}, so that "
                f"nobody knows which column a value belongs to; name all: "
                f"{advice.call_with({'header': 0, 'names': ['…']})}"
            )
        if sizes[path] > limit:
            raise InputError(
                f"{without_secrets(path)} is larger than {limit} bytes once decompressed, the limit of "
                "[segmentation] max_csv_bytes; split it, or ask the administrator of this Airflow for more"
            )
    if not any(piece.seen["rows"] for piece in pieces):
        raise InputError(f"{csv.name} has a header and no rows; there is nothing to segment")


def _notes(csv: Csv, pieces: Sequence[Piece], names: Sequence[str]) -> Iterator[str]:
    """Yield what a person should know about the files, each a sentence."""
    if len(names) == 1:
        yield f"The files have a single column, {names[0][:60]!r}; if it has more, name their separator: sep"
    elif advice.is_numeric_header(names):
        yield (
            f"The first line of {csv.name} looks like a customer and was read as the header; if there is no "
            f"header, name the columns: {advice.call_with({'header': None, 'names': ['…']})}"
        )
    yield from dict.fromkeys(note for piece in pieces for note in given_twice(csv, _given(csv, piece)))
    broken = sum(piece.seen["broken"] for piece in pieces)
    if broken:
        yield (
            f"{broken} line breaks of {csv.name} lie between quotes and were read as part of a value. If "
            "rows are missing there, a quote does not end where it should: close or remove it, or read "
            f"quotes as text: {advice.call_with({'quoting': 3})}"
        )
    for text in pieces[-1].seen["last"]:
        if text is not None and advice.is_total(text):
            yield (
                f"The last row of {without_secrets(pieces[-1].part.path)} has {text.strip()[:20]!r} in a "
                "column, as a row of totals has, and is read as a customer; cut it off"
            )
            return


def _type(kind: str) -> pa.DataType:
    """Return the type of a column on Spark, which has none for a column without a value."""
    import pyarrow as pa

    plain = {
        "null": pa.int32(),
        "bool": pa.bool_(),
        "int64": pa.int64(),
        "double": pa.float64(),
        "date32[day]": pa.date32(),
    }
    if kind.startswith("timestamp"):
        return pa.timestamp("us", "UTC" if "tz" in kind else None)
    return plain.get(kind, pa.string())
