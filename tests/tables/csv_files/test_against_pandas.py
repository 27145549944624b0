"""Files that Hypothesis makes, read by us and by pandas: the same columns, rows and nulls, or a word of it.

`DIFFERENTIAL_CASES=10000` compares as many files; `-rP` prints how many, and what became of them.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import math
import os
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import mock

import pandas as pd
from airflow_segmentation.errors import InputError
from airflow_segmentation.tables.csv_files import Csv, by_pandas, by_pyarrow, csv_to_table, file, several
from airflow_segmentation.tables.csv_files.reading import on_one_line
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("DIFFERENTIAL_CASES", "300"))

NUMBERS = [
    "0",
    "1",
    "-7",
    "007",
    "+5",
    " 3",
    "4 ",
    "2.5",
    ".5",
    "5.",
    "1e3",
    "1E-5",
    "-0.0",
    "123456789012345678",
]
MORE_NUMBERS = ["9007199254740993", "18446744073709551615", "99999999999999999999", "1e400", "-1e-320", "inf"]
NULLS = ["", "NA", "NaN", "null", "None", "n/a", "#N/A", '""', '"NA"', "-nan", "<NA>"]
WORDS = ["x", "True", "false", "TRUE", "0x1F", "1_000", "1,5", "NAN", "Inf", "-", " ", "ä", "e5", "1 2", "$5"]
DATES = ["2024-01-31", "2024-02-30", "2024-01-31 10:00:00", "10:00", "31.01.2024"]
QUOTED = ['"a,b"', '"say ""no"""', '"two\nlines"', '"1"', '"end"x', '""""', '"\n"', '" "']
STRAY = ['"open', 'mid"dle', '"a"b"c', '5"', '""x', '"', 'x"\ny', '"z\n']

fields = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(NUMBERS),
    st.sampled_from(NULLS),
    st.sampled_from(NUMBERS + MORE_NUMBERS + NULLS + WORDS + DATES + QUOTED),
    st.sampled_from(STRAY),
)


@st.composite
def columns(draw: Any) -> Any:
    """Return what the fields of one column are drawn from: mostly of one kind, so that types come about."""
    kinds = [NUMBERS, NUMBERS + NULLS, NUMBERS + MORE_NUMBERS, ["True", "False", "true", ""], WORDS + NULLS]
    kinds += [DATES[:1] + NULLS, QUOTED + NUMBERS, NUMBERS + WORDS, NULLS, QUOTED + STRAY]
    return st.sampled_from(draw(st.sampled_from(kinds)))


@st.composite
def files(draw: Any) -> tuple[bytes, tuple[str, Callable[[bytes], bytes]], dict[str, Any]]:
    """Return the bytes of a file, its name and what compresses it, and the options to read it with."""
    width = draw(st.integers(1, 4))
    sep = draw(st.sampled_from([",", ",", ",", ";", "\t"]))
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    names = draw(st.sampled_from([["A", "B", "C", "D"], ["A", "A", "", "B"], ["", "x y", '"q"', "ä"]]))[
        :width
    ]
    if draw(st.integers(0, 19)) == 0:
        names = [*names, ""]
    kinds = [draw(columns()) for _ in range(width)]
    head = draw(st.lists(st.tuples(*kinds), min_size=0, max_size=6))
    rows = [list(row) for row in head * draw(st.sampled_from([1, 1, 1, 8]))]
    rows += [list(row) for row in draw(st.lists(st.tuples(*kinds), max_size=4))]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2])) if rows else 0):
        row = draw(st.integers(0, len(rows) - 1))
        rows[row][draw(st.integers(0, width - 1))] = draw(fields)
    shape = draw(
        st.sampled_from(
            ["even"] * 12 + ["trailing", "quoted trailing", "row names", "one longer", "one shorter"]
        )
    )
    if shape == "trailing":
        rows = [[*row, ""] for row in rows]
    elif shape == "quoted trailing":
        rows = [[*row, '""'] for row in rows]
    elif shape == "row names":
        rows = [[f"r{number}", *row] for number, row in enumerate(rows)]
    elif rows and shape != "even":
        row = draw(st.integers(0, len(rows) - 1))
        rows[row] = (
            [*rows[row], draw(st.sampled_from(["", "7"]))] if shape == "one longer" else rows[row][:-1]
        )
    lines = [sep.join(map(str, line)) for line in [names, *rows]]
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1]))):
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(["", "  "])))
    text = end.join(lines) + draw(st.sampled_from([end, end, "", end * 2]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "latin-1", "utf-16"]))
    options: dict[str, Any] = {} if sep == "," else {"sep": sep}
    if encoding in ("latin-1", "utf-16"):
        options["encoding"] = encoding
    if draw(st.integers(0, 5)) == 0:
        options["skipinitialspace"] = True
    ending, packed = draw(
        st.sampled_from([("", bytes)] * 6 + [(".gz", gzip.compress), (".bz2", bz2.compress)])
    )
    if draw(st.integers(0, 19)) == 0:
        ending, packed = draw(st.sampled_from([(".xz", lzma.compress), (".zip", zipped)]))
    return text.encode(encoding), (f"file.csv{ending}", packed), options


def zipped(content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("folder/", "")
        archive.writestr("folder/file.csv", content)
    return target.getvalue()


def same_value(one: Any, other: Any) -> bool:
    """Tell whether two values are the same to a person who reads the file."""
    if pd.isna(one) or pd.isna(other) or other in by_pyarrow.MISSING:
        # Beside a whole number of too many digits pandas leaves what is missing as text.
        return bool(pd.isna(one) and (pd.isna(other) or other in by_pyarrow.MISSING))
    if str(one) == str(other):
        return True
    try:
        left, right = float(one), float(other)
    except (TypeError, ValueError):
        return str(one).replace("T", " ") == str(other) or str(one)[: len(str(other))] == str(other)
    return left == right or math.isclose(left, right, rel_tol=1e-14)


def is_number(values: pd.Series) -> bool:
    """Tell whether a column holds numbers; pandas has truth values beside nulls as objects."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def difference(ours: pd.DataFrame, theirs: pd.DataFrame) -> str | None:
    """Return in what two readings of a file differ."""
    theirs = theirs.rename(columns=on_one_line)
    if list(ours.columns) != list(theirs.columns):
        return f"columns {list(ours.columns)} and {list(theirs.columns)}"
    if len(ours) != len(theirs):
        return f"{len(ours)} rows and {len(theirs)}"
    for name in ours:
        # A whole number of too many digits makes text of a column to pandas if it comes first.
        if is_number(theirs[name]) and not is_number(ours[name]) and not ours[name].isna().all():
            return f"column {name!r} holds {ours[name].dtype} and {theirs[name].dtype}"
        for row, pair in enumerate(zip(ours[name].tolist(), theirs[name].tolist(), strict=True)):
            if not same_value(*pair):
                return f"column {name!r}, row {row}: {pair[0]!r} and {pair[1]!r}"
    return None


def read_by_pandas(content: bytes, options: dict[str, Any]) -> pd.DataFrame | None:
    """Return what pandas reads, without what it takes for an index; None where it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pd.read_csv(io.BytesIO(content), low_memory=False, **options)
        except Exception:
            return None


def test_a_file_is_what_pandas_makes_of_it_or_a_person_is_told(tmp_path, monkeypatch):
    outcomes: Counter[str] = Counter()
    monkeypatch.setattr(by_pandas, "CHUNK_ROWS", 5)
    monkeypatch.setattr(several.log, "disabled", True)

    @seed(20261125)
    @settings(
        max_examples=CASES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(files(), st.sampled_from([7, 64, 1 << 20]))
    def compare(made: tuple[bytes, Any, dict[str, Any]], block: int) -> None:
        content, (name, packed), options = made
        path = tmp_path / name
        path.write_bytes(packed(content))
        theirs = read_by_pandas(content, options)
        with mock.patch.object(file, "BLOCK_BYTES", block):
            try:
                loaded = csv_to_table(Csv(str(path), options=options), str(tmp_path / "table.parquet"))
            except InputError:
                outcomes["refused by both" if theirs is None or theirs.empty else "refused by us alone"] += 1
                return
        assert theirs is not None, "pandas refuses it"
        ours = pd.read_parquet(tmp_path / "table.parquet", dtype_backend="numpy_nullable")
        unlike = difference(ours, theirs)
        told = any("was left out" in note or "as R writes it" in note for note in loaded.notes)
        assert unlike is None or told, unlike
        outcomes["told" if loaded.notes else "the same"] += 1

    compare()
    print(f"files compared: {outcomes.total()}; {dict(outcomes)}; differences without a word: 0")
    assert outcomes["the same"] > outcomes.total() / 5
    assert outcomes["refused by us alone"] < outcomes.total() / 10
