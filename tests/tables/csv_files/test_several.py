"""The files of a folder, or that match a pattern, are the table that they would be in one file."""

from __future__ import annotations

import bz2
import datetime
import gzip
import logging
import tempfile
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.io import attach
from airflow_segmentation.errors import InputError
from airflow_segmentation.tables.csv_files import Csv, by_pandas, csv_to_table, several
from airflow_segmentation.tables.opening import open_data
from airflow_segmentation.tables.parquet import Table
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made.csv_files import ORDINARY, files


def loaded(path: Path | str, tmp_path: Path, **arguments) -> pa.Table:
    csv_to_table(Csv(str(path), **arguments), str(tmp_path / "out.parquet"))
    return pq.read_table(tmp_path / "out.parquet").replace_schema_metadata(None)


def test_files_come_in_the_order_of_their_names(tmp_path):
    folder = files(tmp_path / "in", c="x\n5\n", a="x\n1\n2\n", b="x\n3\n4\n")
    assert loaded(folder, tmp_path)["x"].to_pylist() == [1, 2, 3, 4, 5]
    assert loaded(f"{folder}/", tmp_path)["x"].to_pylist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("pattern", "expected"), [("a*", [1, 2]), ("a?.csv", [1, 2]), ("[!a]*.csv", [3]), ("*1.csv", [1, 3])]
)
def test_a_pattern_chooses_files(tmp_path, pattern, expected):
    folder = files(tmp_path / "in", a1="x\n1\n", a2="x\n2\n", b1="x\n3\n", _a3="x\n4\n")
    assert loaded(folder / pattern, tmp_path)["x"].to_pylist() == expected


def test_a_pattern_may_lie_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(files(tmp_path / "in", a="x\n1\n", b="x\n2\n"))
    assert loaded("*.csv", tmp_path)["x"].to_pylist() == [1, 2]


def test_a_file_that_is_called_like_a_pattern_is_that_file(tmp_path):
    folder = files(tmp_path / "in[1]", **{"a[b]": "x\n1\n", "ab": "x\n2\n"})
    assert loaded(folder / "a[b].csv", tmp_path)["x"].to_pylist() == [1]
    assert loaded(folder / "*b.csv", tmp_path)["x"].to_pylist() == [2]


def test_columns_go_by_their_names(tmp_path):
    folder = files(tmp_path / "in", a="x,y\n1,one\n", b="y,x\ntwo,2\n")
    expected = {"x": [1, 2], "y": ["one", "two"]}
    assert loaded(folder, tmp_path).to_pydict() == expected
    assert loaded(folder, tmp_path, columns=["y"]).to_pydict() == {"y": expected["y"]}
    assert loaded(folder, tmp_path, columns=["y", "x"]).column_names == ["y", "x"]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("y,z\n1,2\n", r"b\.csv lacks column 'x' than .*a\.csv; files that are read as one table have the"),
        ("z,y,x\n1,2,3\n", r"b\.csv has a column 'z' more than .*a\.csv"),
        ("z\n", r"b\.csv lacks column 'x'"),
    ],
)
def test_a_file_of_other_columns_is_named_before_any_is_loaded(tmp_path, monkeypatch, other, message):
    folder = files(tmp_path / "in", a="x,y\n1,2\n", b=other)
    monkeypatch.setattr(several, "load", None)
    with pytest.raises(InputError, match=message):
        loaded(folder, tmp_path)


def test_a_file_whose_rows_alone_have_names_is_named(tmp_path):
    folder = files(tmp_path / "in", a="x,y\n1,2\n", b="x,y\nfirst,1,2\nsecond,3,4\n")
    with pytest.raises(InputError, match=r"b\.csv has a column 'Unnamed: 0' more than .*a\.csv"):
        loaded(folder, tmp_path)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("1", "2.5", [1.0, 2.5]),
        ("", "2", [None, 2]),
        ("", "007x", [None, "007x"]),
        ("007", "x", ["007", "x"]),
        ("2.50", "x", ["2.50", "x"]),
        ("TRUE", "1", ["TRUE", "1"]),
        ("TRUE", "", [True, None]),
        ("2026-01-31", "", [datetime.date(2026, 1, 31), None]),
        ("2026-01-31", "soon", ["2026-01-31", "soon"]),
        ("007", "123456789012345678901", ["007", "123456789012345678901"]),
        ("123456789012345678901", "2.5", [123456789012345678901.0, 2.5]),
        ("123456789012345678901", "x", ["123456789012345678901", "x"]),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_column_has_the_type_that_fits_all_files(tmp_path, one, other, expected, is_first):
    texts = [f"x,y\n{one},1\n", f"x,y\n{other},2\n"]
    first, last = texts if is_first else reversed(texts)
    found = loaded(files(tmp_path / "in", a=first, b=last), tmp_path)["x"].to_pylist()
    assert found == (expected if is_first else expected[::-1])
    assert list(map(type, found)) == list(map(type, expected if is_first else expected[::-1]))


def test_dates_that_are_text_in_one_file_are_so_in_all(tmp_path):
    # pandas, which reads the first file for its hexadecimal digits, knows no dates.
    folder = files(tmp_path / "in", a="x,day,z\n5,2026-01-31,0x1F\n", b="x,day,z\nfive,2026-02-01,1\n")
    assert loaded(folder, tmp_path).to_pydict() == {
        "x": ["5", "five"],
        "day": ["2026-01-31", "2026-02-01"],
        "z": ["0x1F", "1"],
    }


def test_the_table_is_what_a_cluster_makes_of_the_folder(tmp_path):
    """See `test_a_large_file_is_read_in_pieces_that_keep_their_order` of tests/spark."""
    folder = files(
        tmp_path / "in",
        a="none,spent,id,age,active,name,since\n,0.5,7,1.5,,,\n",
        b=ORDINARY,
        c="",
        d__csv__gz=gzip.compress(ORDINARY.encode()),
        _not="x,y\n1,2\n",
    )
    result = csv_to_table(Csv(str(folder), id_column="id"), str(tmp_path / "out.parquet"))
    rows = pq.read_table(tmp_path / "out.parquet")
    assert (result.rows, result.missing["age"]) == (6001, 2 * 429)
    assert rows.column_names == ["none", "spent", "id", "age", "active", "name", "since"]
    assert rows["id"].to_pylist() == ["7", *(2 * [f"{n:05d}" for n in range(3000)])]
    kinds = [pa.null(), pa.float64(), pa.string(), pa.float64(), pa.bool_(), pa.string(), pa.string()]
    assert rows.schema.types == kinds


def test_numbers_that_are_text_elsewhere_take_no_slow_way(tmp_path, monkeypatch):
    monkeypatch.setattr(by_pandas, "layout_of", None)
    folder = files(tmp_path / "in", a="x,y\n007,1\n", b="x,y\nx,2\n")
    assert loaded(folder, tmp_path)["x"].to_pylist() == ["007", "x"]


def test_compressed_files_lie_among_plain_ones(tmp_path):
    texts = {"b__csv__gz": gzip.compress(b"x\n2\n"), "c__csv__bz2": bz2.compress(b"x\n3\n")}
    assert loaded(files(tmp_path / "in", a="x\n1\n", **texts), tmp_path)["x"].to_pylist() == [1, 2, 3]


def test_a_file_may_have_a_header_alone_or_nothing(tmp_path):
    folder = files(
        tmp_path / "in", a="", b="y,x\n", c="x,y\n1,2\n", d="x,y\n\n", e__csv__gz=gzip.compress(b"")
    )
    assert loaded(folder, tmp_path).to_pydict() == {"y": [2], "x": [1]}
    assert loaded(folder, tmp_path).column_names == ["y", "x"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"a": "x,y\n", "b": "x,y\n"}, r"in has a header and no rows; there is nothing to segment"),
        ({"a": "", "b": ""}, r"in is empty; look at what should have written it"),
        ({}, r"in is a folder without a file whose name begins with neither \. nor _; give a file, or the"),
        ({"_SUCCESS": ""}, r"in is a folder without a file whose name"),
    ],
)
def test_nothing_to_load_is_told(tmp_path, texts, message):
    with pytest.raises(InputError, match=message):
        loaded(files(tmp_path / "in", **texts), tmp_path)
    assert not (tmp_path / "out.parquet").exists()


def test_what_is_hidden_or_begins_with_an_underscore_is_passed_over(tmp_path):
    folder = files(tmp_path / "in", a="x\n1\n", _SUCCESS__="", _b="y\n1\n", __c="z\n1\n")
    (folder / ".a.csv.crc").write_bytes(b"\0crc")
    for path in (folder, folder / "*"):
        assert loaded(path, tmp_path).to_pydict() == {"x": [1]}


def test_folders_are_not_entered_and_named(tmp_path, caplog):
    folder = files(tmp_path / "in", a="x\n1\n")
    files(folder / "more", b="y\n2\n")
    files(folder / "_more", b="y\n2\n")
    assert loaded(folder, tmp_path).to_pydict() == {"x": [1]}
    assert f"{folder} leads to folders, too, such as 'more'; no file in them was read" in caplog.messages
    (folder / "a.csv").unlink()
    with pytest.raises(
        InputError, match="a folder without a file, but for folders such as 'more', whose name"
    ):
        loaded(folder, tmp_path)


@pytest.mark.parametrize("pattern", ["in/b*.csv", "none/*.csv", "in/[xy].csv"])
def test_a_pattern_without_a_match_is_told(tmp_path, pattern):
    files(tmp_path / "in", a="x\n1\n")
    with pytest.raises(InputError, match=r"^No file matches .*; check the path, and that this worker sees"):
        loaded(tmp_path / pattern, tmp_path)


def test_a_wildcard_for_folders_is_refused(tmp_path):
    files(tmp_path / "in", a="x\n1\n")
    with pytest.raises(InputError, match=r"i\*/a\.csv has a wildcard in the name of a folder, and only the"):
        loaded(tmp_path / "i*" / "a.csv", tmp_path)


def test_a_storage_that_is_away_may_come_back(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", str(tmp_path / "disk"))
    with pytest.raises(FileNotFoundError, match="is away; see that it is mounted"):
        loaded(tmp_path / "disk" / "*.csv", tmp_path)


@pytest.mark.parametrize("path", ["in", "in/*.csv"])
def test_a_link_that_leads_out_is_refused(tmp_path, monkeypatch, path):
    folder = files(tmp_path / "in", a="x\n1\n")
    outside = files(tmp_path / "outside", b="x\n2\n")
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__ALLOWED_PATHS", f"{folder}, {tmp_path}/out.parquet")
    assert loaded(tmp_path / path, tmp_path)["x"].to_pylist() == [1]
    (folder / "b.csv").symlink_to(outside / "b.csv")
    (tmp_path / "out.parquet").unlink()
    with pytest.raises(InputError, match=r"in/b\.csv is not under \[segmentation\] allowed_paths"):
        loaded(tmp_path / path, tmp_path)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("path", ["outside", "outside/*.csv", "outside/a.csv"])
def test_a_folder_that_is_not_allowed_is_not_listed(tmp_path, monkeypatch, path):
    files(tmp_path / "outside", a="x\n1\n")
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__ALLOWED_PATHS", f"{tmp_path}/in")
    with pytest.raises(InputError, match=r"outside\S* is not under \[segmentation\] allowed_paths"):
        loaded(tmp_path / path, tmp_path)


def test_a_file_that_is_none_is_named(tmp_path):
    folder = files(tmp_path / "in", a="x\n1\n", b=b"PAR1\nx")
    with pytest.raises(InputError, match=r"b\.csv is no CSV but a Parquet table"):
        loaded(folder, tmp_path)
    (folder / "b.csv").write_text('x\n"open\n')
    with pytest.raises(InputError, match=r"line 2 of .*b\.csv does not end"):
        loaded(folder, tmp_path)


def test_the_limit_of_bytes_is_for_each_file(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__MAX_CSV_BYTES", "1000")
    folder = files(tmp_path / "in", a="x\n" + "1\n" * 400, b="x\n" + "2\n" * 400)
    assert len(loaded(folder, tmp_path)) == 800
    files(folder, c="x\n" + "3\n" * 600)
    with pytest.raises(InputError, match=r"c\.csv is larger than 1000 bytes"):
        loaded(folder, tmp_path)


def test_an_id_is_text_in_every_file(tmp_path):
    folder = files(tmp_path / "in", a="id,x\n007,1\n", b="x,id\n2,008\n", c="id,x\n,3\n")
    table = loaded(folder, tmp_path, id_column="id")
    assert table["id"].to_pylist() == ["007", "008", None]
    assert loaded(folder, tmp_path, id_column="id", columns=["x"]).column_names == ["id", "x"]
    with Table(str(tmp_path / "out.parquet")) as told:
        assert told.id_column == "id"


def test_a_column_that_is_not_there_is_named(tmp_path):
    folder = files(tmp_path / "in", a="x,y\n1,2\n", b="x,y\n1,2\n")
    with pytest.raises(InputError, match="Column 'z' is not in"):
        loaded(folder, tmp_path, columns=["z"])


def test_rows_and_missing_values_are_those_of_all_files(tmp_path):
    folder = files(tmp_path / "in", a="x,y\n1,\n,\n", b="x,y\nNA,1\n4,x\n5,\n")
    result = csv_to_table(Csv(str(folder)), str(tmp_path / "out.parquet"))
    assert (result.rows, result.missing) == (5, {"x": 2, "y": 3})


def test_a_column_without_a_name_stays_if_any_file_has_a_value_in_it(tmp_path):
    folder = files(tmp_path / "in", a="x,y,\n1,2,\n", b="x,y,\n3,4,5\n")
    result = csv_to_table(Csv(str(folder)), str(tmp_path / "out.parquet"))
    assert pq.read_table(tmp_path / "out.parquet")["Unnamed: 2"].to_pylist() == [None, 5]
    assert result.missing == {"x": 0, "y": 0, "Unnamed: 2": 1}
    files(folder, b="x,y,\n3,4,\n")
    assert loaded(folder, tmp_path).column_names == ["x", "y"]


def test_notes_name_the_file_that_each_is_about(tmp_path, caplog):
    folder = files(
        tmp_path / "in", a="x,n\n1,2\nTotal,3\n", b="x,n\n1,3\n", c='x,n\n"one\ntwo",5\n', d="x,n\n6,7\n"
    )
    with caplog.at_level(logging.WARNING):
        result = csv_to_table(Csv(str(folder)), str(tmp_path / "out.parquet"))
    assert [note.partition(" ")[0] for note in result.notes] == ["The", "1"]
    assert f"The last row of {folder}/a.csv has 'Total'" in result.notes[0]
    assert f"1 line breaks of {folder}/c.csv lie between quotes" in result.notes[1]
    assert tuple(caplog.messages) == result.notes
    files(tmp_path / "one", a="x;y\n1;2\n")
    loaded(tmp_path / "one", tmp_path)
    assert f"{tmp_path}/one/a.csv has a single column" in caplog.text


def test_options_hold_for_every_file(tmp_path):
    folder = files(tmp_path / "in", a="x;y\n1,5;?\n", b="y;x\n2;7\n")
    options = {"sep": ";", "decimal": ",", "na_values": "?"}
    assert loaded(folder, tmp_path, options=options).to_pydict() == {"x": [1.5, 7.0], "y": [None, 2]}
    folder = files(tmp_path / "bare", a="1,2\n", b="3,4\n")
    options = {"header": None, "names": ["p", "q"]}
    assert loaded(folder, tmp_path, options=options).to_pydict() == {"p": [1, 3], "q": [2, 4]}


def test_what_a_converter_makes_of_one_file_is_text_if_it_is_in_another(tmp_path):
    folder = files(tmp_path / "in", a="x,y\n05,1\n", b="x,y\nfive,2\n")
    options = {"converters": {"x": lambda text: int(text) if text.isdigit() else text}}
    assert loaded(folder, tmp_path, options=options)["x"].to_pylist() == ["5", "five"]


def test_nothing_stays_of_the_files_as_they_were_loaded(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    loaded(files(tmp_path / "in", a="x\n1\n", b="x\nb\n"), tmp_path)
    assert not list((tmp_path / "tmp").iterdir())


def test_a_folder_in_another_storage_is_listed_there(tmp_path):
    memory = fsspec.filesystem("memory")
    attach("memory", fs=memory)
    memory.pipe({"/several/b.csv": b"x\n2\n", "/several/a.csv": b"x\n1\n", "/several/_SUCCESS": b""})
    try:
        for uri in ("memory:///several", "memory:///several/*.csv", "memory:///several/?.csv"):
            assert loaded(uri, tmp_path)["x"].to_pylist() == [1, 2]
        with pytest.raises(InputError, match="No file matches memory:///several/"):
            loaded("memory:///several/*.gz", tmp_path)
    finally:
        memory.rm("/several", recursive=True)


def test_a_pattern_is_a_table_without_being_loaded(tmp_path):
    folder = files(tmp_path / "in", a="id,x\n007,1\n", b="id,x\n008,2\n")
    with open_data(str(folder / "*.csv"), id_column="id") as table:
        assert (table.rows, table.id_column, table.uri) == (2, "id", str(folder / "*.csv"))


def test_a_folder_of_them_is_to_be_loaded_first(tmp_path):
    folder = files(tmp_path / "in", a="x\n1\n")
    with (
        pytest.raises(
            InputError, match=r"a\.csv of .*/in is no Parquet file; if the folder holds CSV files, load"
        ),
        open_data(str(folder)),
    ):
        pass


VALUES = {
    "whole": ["1", "-7", "007", "+5", ""],
    "fractions": ["2.5", "1e3", "0.10", "", "NA"],
    "words": ["x", "007x", '"a,b"', "NA", "", "ä"],
    "truth": ["True", "false", "TRUE", ""],
    "days": ["2026-01-31", "2024-02-29", ""],
    "nothing": ["", "NA", "null"],
}


@st.composite
def tables(draw) -> tuple[list[list[tuple[str, ...]]], list[list[int]]]:
    """Return the rows of some files, each of three columns, and the order of the columns in each file."""
    count = draw(st.integers(1, 4))
    rows, orders = [], []
    for _ in range(count):
        kinds = [draw(st.sampled_from(sorted(VALUES))) for _ in range(3)]
        row = st.tuples(*(st.sampled_from(VALUES[kind]) for kind in kinds))
        # A blank line is no row.
        rows.append([("k", *row) for row in draw(st.lists(row, max_size=4))])
        orders.append(draw(st.permutations(range(4))))
    return rows, orders


def text_of(rows: list[tuple[str, ...]], order: list[int] | range) -> str:
    lines = [("key", "A", "B", "C"), *rows]
    return "".join(",".join(line[place] for place in order) + "\n" for line in lines)


@settings(max_examples=150)
@given(tables())
@example(([[("k", "007", "1", "")], [("k", "x", "2.5", "1")]], [[0, 1, 2, 3], [3, 2, 1, 0]]))
def test_the_table_is_that_of_the_files_in_one(tables):
    parts, orders = tables
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = {f"f{i}": text_of(*pair) for i, pair in enumerate(zip(parts, orders, strict=True))}
        files(folder / "in", **texts)
        rows = [row for part in parts for row in part]
        (folder / "one.csv").write_text(text_of(rows, orders[0]))
        if not rows:
            with pytest.raises(InputError, match="has a header and no rows"):
                loaded(folder / "in", folder)
            return
        found = loaded(folder / "in", folder)
        expected = loaded(folder / "one.csv", folder)
    assert found.to_pydict() == expected.to_pydict()
    assert found.schema == expected.schema
