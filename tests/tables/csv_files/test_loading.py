from __future__ import annotations

import gzip
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pyarrow as pa
import pytest
from airflow_segmentation.errors import InputError
from airflow_segmentation.tables.csv_files import Csv, by_pandas, by_pyarrow, csv_to_table, file
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas._libs.parsers import STR_NA_VALUES


def loaded(path, tmp_path, **kwargs) -> pd.DataFrame:
    csv_to_table(Csv(str(path), **kwargs), str(tmp_path / "out.parquet"))
    return pd.read_parquet(tmp_path / "out.parquet")


def written(tmp_path, text: str | bytes, name: str = "in.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("word", sorted(STR_NA_VALUES))
@pytest.mark.parametrize("beside", ["word", "number"])
def test_words_for_what_is_missing_are_those_of_pandas(tmp_path, monkeypatch, word, beside):
    monkeypatch.setattr(file, "BLOCK_BYTES", 64)  # so that most blocks hold none of them
    monkeypatch.setattr(by_pandas, "read", None)  # who finds no number in a word, and reads the file anew
    other = "x" if beside == "word" else "-1.5"
    lines = "".join(f"{row},{word if row == 50 else other}\n" for row in range(100))
    path = written(tmp_path, f"id,value\n{lines}")

    found, expected = loaded(path, tmp_path), pd.read_csv(path)

    assert found["value"].isna().tolist() == expected["value"].isna().tolist()
    assert found["value"].isna().sum() == 1
    assert pd.api.types.is_float_dtype(found["value"]) == (beside == "number")


def test_counts_rows_and_missing_values(tmp_path):
    path = written(tmp_path, 'a,b,c\n1,,x\n2,NA,""\n3,0.5,z\n')
    result = csv_to_table(Csv(str(path)), str(tmp_path / "out.parquet"))
    assert (result.rows, result.missing) == (3, {"a": 0, "b": 2, "c": 1})


def test_an_id_stays_as_it_is_written(tmp_path):
    path = written(tmp_path, "id,a\n007,1\n010,2\n")
    assert loaded(path, tmp_path, id_column="id")["id"].tolist() == ["007", "010"]


def test_an_id_whose_name_breaks_over_two_lines_stays_as_it_is_written(tmp_path):
    path = written(tmp_path, '"a\nb",n\n007,1\n010,2\n')
    assert loaded(path, tmp_path, id_column="a b")["a b"].tolist() == ["007", "010"]
    options = {"decimal": ","}
    assert loaded(path, tmp_path, id_column="a b", options=options)["a b"].tolist() == ["007", "010"]


def test_text_whose_name_breaks_over_two_lines_stays_as_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(by_pandas, "CHUNK_ROWS", 1)
    path = written(tmp_path, '"a\nb",n\n007,1\nx,2\n')
    assert loaded(path, tmp_path, options={"decimal": ","})["a b"].tolist() == ["007", "x"]


def test_ids_of_digits_are_read_by_pyarrow_as_pandas_takes_several_times_as_long(tmp_path, monkeypatch):
    monkeypatch.setattr(by_pandas, "read", None)
    path = written(tmp_path, "id,a\n007,1\n010,2\n")
    assert loaded(path, tmp_path, id_column="id")["id"].tolist() == ["007", "010"]


def test_the_id_column_is_loaded_though_columns_leave_it_out(tmp_path):
    path = written(tmp_path, "a,b,id\n1,2,3\n")
    assert loaded(path, tmp_path, columns=["b"], id_column="id").columns.tolist() == ["id", "b"]


def test_columns_come_in_the_order_asked_for(tmp_path):
    assert loaded(written(tmp_path, "a,b,c\n1,2,3\n"), tmp_path, columns=["c", "a"]).columns.tolist() == [
        "c",
        "a",
    ]


@pytest.mark.parametrize("suffix", ["gz", "zip", "bz2", "xz", "zst"])
def test_a_compressed_file_is_told_by_its_name(tmp_path, suffix):
    path = tmp_path / f"in.csv.{suffix}"
    if suffix == "gz":
        path.write_bytes(gzip.compress(b"a\n1\n"))
    elif suffix == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("in.csv", "a\n1\n")
    elif suffix == "zst":
        with pa.CompressedOutputStream(str(path), "zstd") as out:
            out.write(b"a\n1\n")
    else:
        pd.DataFrame({"a": [1]}).to_csv(path, index=False)
    assert loaded(path, tmp_path)["a"].tolist() == [1]


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [("1", "2.5", 1.0), ("1", "x", "1"), ("", "x", None), ("007", "x", "007"), ("2.50", "x", "2.50")],
)
def test_a_column_has_the_type_that_fits_its_last_row_too(tmp_path, monkeypatch, first, last, expected):
    monkeypatch.setattr(file, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(by_pandas, "CHUNK_ROWS", 100)
    path = written(tmp_path, "a,b\n" + f"{first},0\n" * 1000 + f"{last},0\n")
    values = loaded(path, tmp_path)["a"]
    assert len(values) == 1001
    assert values.iloc[-1] == (float(last) if last == "2.5" else last)
    assert (values.iloc[0] == expected) or (expected is None and pd.isna(values.iloc[0]))


def test_line_breaks_in_quotes_stay_in_their_value(tmp_path, monkeypatch):
    monkeypatch.setattr(file, "BLOCK_BYTES", 256)
    path = written(tmp_path, "a,b\n" + '"one\ntwo, three",1\n' * 100)
    assert loaded(path, tmp_path)["a"].tolist() == ["one\ntwo, three"] * 100


def as_late_as_allowed(function, items, n_jobs, ahead):
    """Do what map_ahead does, each call only when the last item that may wait for it has been taken."""
    waiting = []
    with ThreadPoolExecutor(1) as pool:  # in the main thread Arrow looks for signals, which takes longer
        for item in items:
            waiting.append(item)
            if len(waiting) >= ahead:
                yield pool.submit(function, waiting.pop(0)).result()
        yield from pool.map(function, waiting)


@pytest.mark.parametrize("columns", [None, ["text", "number"]])
def test_a_file_of_many_blocks_arrives_whole_and_in_order(tmp_path, monkeypatch, columns):
    monkeypatch.setattr(file, "BLOCK_BYTES", 100)
    monkeypatch.setattr(by_pyarrow, "map_ahead", as_late_as_allowed)
    monkeypatch.setattr(by_pandas, "layout_of", None)  # it would put right what went wrong before
    texts = ["x" * (1 + number % 90) + ("\n" if number % 7 else "") for number in range(500)]
    frame = pd.DataFrame({"number": range(500), "other": 0.5, "text": texts})
    frame.to_csv(tmp_path / "in.csv", index=False)
    got = loaded(tmp_path / "in.csv", tmp_path, columns=columns)
    pd.testing.assert_frame_equal(got, frame[columns or list(frame)], check_dtype=False)


def test_columns_of_the_same_name_are_told_apart_as_pandas_does(tmp_path):
    assert loaded(written(tmp_path, "a,a\n1,2\n"), tmp_path).columns.tolist() == ["a", "a.1"]


def test_a_separator_may_be_of_two_letters(tmp_path):
    path = written(tmp_path, "a;;b\n1;;2\n")
    assert loaded(path, tmp_path, options={"sep": ";;"}).to_dict("records") == [{"a": 1, "b": 2}]


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-(10**9), 10**9)),
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=32)),
            st.one_of(st.none(), st.sampled_from(["x", "a,b", 'say "no"', "two\nlines", "NA"])),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_reads_what_pandas_reads(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("csv")
    frame = pd.DataFrame(rows, columns=["whole", "real", "text"])
    frame.to_csv(folder / "in.csv", index=False)
    expected = pd.read_csv(folder / "in.csv")
    got = loaded(folder / "in.csv", folder)
    for column in expected:
        if expected[column].isna().all():
            assert got[column].isna().all()
        elif column == "text":
            assert got[column].fillna("").tolist() == expected[column].fillna("").tolist()
        else:
            pd.testing.assert_series_equal(got[column].astype(float), expected[column].astype(float))


@pytest.mark.parametrize(
    ("text", "kwargs", "message"),
    [
        ("", {}, r"in\.csv is empty; look at what should have written it"),
        ("a,b\n", {}, r"in\.csv has a header and no rows"),
        ("a,b\n1,2\n3,4,5\n", {}, r"in\.csv cannot be read as CSV: .*Expected 2 fields in line 3, saw 3"),
        ("a\n1\n", {"columns": ["A"]}, r"Column 'A' is not in .*in\.csv; it has: a; did you mean 'a'\?"),
        ("a\n1\n", {"id_column": "id"}, r"Column 'id' is not in"),
        ("a\nZürich\n".encode("latin-1"), {"options": {"decimal": ","}}, r"name its encoding, for example"),
        ("a\n1\n", {"options": {"usecols": ["a"]}}, r"choose columns with columns="),
        ("a\n1\n", {"options": {"seperator": ";"}}, r"unexpected keyword argument 'seperator'"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_leaves_nothing(tmp_path, text, kwargs, message):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=message):
        csv_to_table(Csv(str(path), **kwargs), str(tmp_path / "out" / "t.parquet"))
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize("suffix", ["gz", "bz2", "zst"])
def test_a_compressed_file_that_is_damaged_far_into_it_says_so(tmp_path, monkeypatch, suffix):
    # Not less: on Python 3.10 pyarrow looks through everything in memory for each block.
    monkeypatch.setattr(file, "BLOCK_BYTES", 100_000)
    with pa.CompressedOutputStream(
        str(tmp_path / "whole"), {"gz": "gzip", "zst": "zstd"}.get(suffix, suffix)
    ) as out:
        out.write(b"a\n" + b"".join(b"%d\n" % (i * i) for i in range(300_000)))
    content = bytearray((tmp_path / "whole").read_bytes())
    content[-6 if suffix == "gz" else -len(content) // 4] ^= 255
    with pytest.raises(InputError, match=rf"in\.csv\.{suffix} cannot be decompressed \(.*\); it is cut off"):
        csv_to_table(Csv(str(written(tmp_path, bytes(content), f"in.csv.{suffix}"))), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [TimeoutError("timed out"), ConnectionError("gone"), OSError(5, "EIO")])
def test_a_storage_that_fails_while_it_is_read_is_not_taken_for_a_bad_file(tmp_path, monkeypatch, error):
    class Failing(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: object) -> int:
            raise error

    monkeypatch.setattr(file, "open_for_reading", lambda *_, **__: io.BufferedReader(Failing()))
    with pytest.raises(OSError, match=r"out\.parquet was not written|timed out|gone|EIO") as caught:
        csv_to_table(Csv("in.csv"), str(tmp_path / "out.parquet"))
    assert not isinstance(caught.value, InputError), "Airflow tries again"


def test_a_missing_file_says_where_it_was_sought(tmp_path):
    with pytest.raises(InputError, match=r"There is no file at .*absent\.csv; check the path"):
        csv_to_table(Csv(str(tmp_path / "absent.csv")), str(tmp_path / "out.parquet"))


@pytest.mark.parametrize("text", ["A,B\r1,2\r\r 3,4", "A,B\r1,2\r5,6\r\t3,4\r", 'A,B\r1,"x"\ra\r ,""x'])
def test_a_blank_after_a_carriage_return_makes_no_rows(tmp_path, text):
    """pandas 2 reads such a line over and over."""
    path = written(tmp_path, text)
    expected = pd.read_csv(path, lineterminator="\r", engine="c")
    refused, options = "", {"lineterminator": "\r"}
    try:
        found = loaded(path, tmp_path)
    except InputError as error:
        refused, found = str(error), loaded(path, tmp_path, options=options)
    assert len(found) == len(expected)
    assert not refused or refused.endswith(f"CsvLoadOperator(read_csv_kwargs={options})")
    assert not refused or int(pd.__version__.partition(".")[0]) < 3


@pytest.mark.parametrize(
    "text",
    [
        "A,B\n 1,x\n2 ,y\n",
        "A,B\n10000000000000000001,x\n2,y\n",
    ],
    ids=["blanks about numbers", "more digits than a float has"],
)
def test_numbers_are_what_they_are_to_pandas(tmp_path, text):
    path = written(tmp_path, text)
    found, theirs = loaded(path, tmp_path), pd.read_csv(path)

    assert [int(value) for value in found["A"].dropna()] == [int(value) for value in theirs["A"].dropna()]
    assert pd.api.types.is_numeric_dtype(found["A"])


def test_what_a_converter_leaves_of_several_kinds_is_text(tmp_path):
    path = written(tmp_path, "A,B\n1,1\nx,2\n,3\n")

    def converted(text: str):
        return int(text) if text.isdigit() else text or None

    found = loaded(path, tmp_path, options={"converters": {"A": converted}})["A"]

    assert found.dropna().tolist() == ["1", "x"]
    assert found.isna().tolist() == [False, False, True]
