"""Advice on files that were not understood: whoever obeys it can read the file."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest
from airflow_segmentation.errors import InputError
from airflow_segmentation.tables import advice
from airflow_segmentation.tables.advice import missing_column
from airflow_segmentation.tables.csv_files import Csv, csv_to_table
from airflow_segmentation.tables.parquet import Table


def obeyed(message: str) -> list[dict[str, Any]]:
    """Return the options of each call that a message advises."""
    calls = re.findall(r"CsvLoadOperator\(read_csv_kwargs=(\{.*?\})\)(?= or |;|$|,|\. )", message)
    assert calls, message
    return [eval(call) for call in calls]


def read(tmp_path, text: str, options: dict[str, Any]) -> pd.DataFrame:
    (tmp_path / "in.csv").write_text(text, encoding="utf-8")
    csv_to_table(Csv(str(tmp_path / "in.csv"), options=options), str(tmp_path / "out.parquet"))
    return pd.read_parquet(tmp_path / "out.parquet")


def refusal(tmp_path, column: str = "A") -> str:
    """Return what is said of a column of the table that was read."""
    with Table(str(tmp_path / "out.parquet")) as table, pytest.raises(InputError) as caught:
        table.require_numeric([column])
    return str(caught.value)


NOTHING = "; numeric columns are: B"


@pytest.mark.parametrize(
    ("values", "advised", "numbers"),
    [
        (["1,234.5", "900"], "{'thousands': ','}", [1234.5, 900]),
        (["1,5", "900"], "{'decimal': ','}", [1.5, 900]),
        (["8.798,08", "869,23"], "{'decimal': ',', 'thousands': '.'}", [8798.08, 869.23]),
        (["1 234", "900"], "{'thousands': ' '}", [1234, 900]),
        (["1 234,5", "900"], "{'decimal': ',', 'thousands': ' '}", [1234.5, 900]),
        (["1\u00a0234", "900"], "{'thousands': '\\xa0', 'engine': 'python'}", [1234, 900]),
        (["1'234.5", "900"], "{'thousands': \"'\"}", [1234.5, 900]),
        ([" ", "2"], "{'na_values': [' ']}", [None, 2]),
        (["?", "2"], "{'na_values': ['?']}", [None, 2]),
        (["-", "2"], "{'na_values': ['-']}", [None, 2]),
        (["..", "n.a.", "2"], "{'na_values': ['..', 'n.a.']}", [None, None, 2]),
        (["na", "1,5"], "{'decimal': ',', 'na_values': ['na']}", [None, 1.5]),
        (["unknown", "2"], "{'na_values': ['unknown']}", [None, 2]),
        (["?", "-", "na", "2"], "{'na_values': ['-', '?', 'na']}", [None, None, None, 2]),
        (["$84,835.00", "$5"], "{'converters': {'A': ", [84835, 5]),
        (["$1,234,567", ""], "{'converters': {'A': ", [1234567, None]),
        (["8.798,08 €", "5 €"], "{'converters': {'A': ", [8798.08, 5]),
        (["12%", "7.5%"], "{'converters': {'A': ", [12, 7.5]),
        (["(5.50)", "3"], "{'converters': {'A': ", [-5.5, 3]),
        (["\u22125.5", "3"], "{'converters': {'A': ", [-5.5, 3]),
    ],
)
def test_what_makes_numbers_of_text_is_told_and_works(tmp_path, values, advised, numbers):
    text = "A|B\n" + "".join(f"{value}|{number}\n" for number, value in enumerate(values))
    read(tmp_path, text, {"sep": "|"})
    message = refusal(tmp_path)
    example = next(value for value in values if value and not advice.is_number(value))
    assert message.startswith(
        f"Column 'A' of {tmp_path}/out.parquet holds text such as {example!r}, and only numbers can be "
        f"clustered; to make numbers of it, load it with CsvLoadOperator(read_csv_kwargs={advised}"
    )
    assert message.endswith(NOTHING)
    (options,) = obeyed(message)
    frame = read(tmp_path, text, {"sep": "|", **options})
    assert [None if pd.isna(value) else value for value in frame["A"]] == numbers


def test_a_number_that_may_be_either_is_said_to_be(tmp_path):
    text = 'A,B\n"1,234",1\n"5,678",2\n'
    read(tmp_path, text, {})
    thousands, decimal = obeyed(refusal(tmp_path))
    assert read(tmp_path, text, thousands)["A"].tolist() == [1234, 5678]
    assert read(tmp_path, text, decimal)["A"].tolist() == [1.234, 5.678]


@pytest.mark.parametrize(
    "values", [["Basel", "Bern"], ["a", "b", "c", "d", "1"], ["a word that is too long", "1"]]
)
def test_nothing_is_advised_where_nothing_helps(tmp_path, values):
    read(tmp_path, "A,B\n" + "".join(f"{value},1\n" for value in values), {})
    assert refusal(tmp_path) == (
        f"Column 'A' of {tmp_path}/out.parquet holds text such as {values[0]!r}, and only numbers can be "
        f"clustered{NOTHING}"
    )


def test_numbers_that_were_loaded_as_text_are_told(tmp_path):
    read(tmp_path, "A,B\n1,2\n", {"dtype": {"A": "str"}})
    assert refusal(tmp_path) == (
        f"Column 'A' of {tmp_path}/out.parquet holds numbers as text, and only numbers can be clustered; "
        f"CsvLoadOperator reads them as numbers unless they are its id_column{NOTHING}"
    )


@pytest.mark.parametrize(
    ("text", "advised", "columns"),
    [
        ("A;B\n1;2\n3;4\n", {"sep": ";"}, ["A", "B"]),
        ("A\tB\n1\t2\n3\t4\n", {"sep": "\t"}, ["A", "B"]),
        ("A;B\n1,5;2\n3,5;4\n", {"sep": ";", "decimal": ","}, ["A", "B"]),
        ("A;B\n8.798,08;2\n869,23;4\n", {"sep": ";", "decimal": ",", "thousands": "."}, ["A", "B"]),
        ("Sales\nof May\n\nA,B,C\n1,2,3\n4,5,6\n", {"skiprows": 3}, ["A", "B", "C"]),
        ("# by me\n# in May\nA,B,C\n1,2,3\n", {"comment": "#"}, ["A", "B", "C"]),
        ("# by me\nA;B;C\n1;2;3\n", {"comment": "#", "sep": ";"}, ["A", "B", "C"]),
        ("sep=,\nA,B,C\n1,2,3\n", {"skiprows": 1}, ["A", "B", "C"]),
        ("sep=;\nA;B;C\n1;2;3\n", {"skiprows": 1, "sep": ";"}, ["A", "B", "C"]),
        ("sep=,\nA,B\n1,2\n", {"skiprows": 1}, ["A", "B"]),
    ],
)
def test_how_to_read_a_file_is_told_and_works(tmp_path, caplog, text, advised, columns):
    try:
        read(tmp_path, text, {})
        message = caplog.messages[0]
    except InputError as error:
        message = str(error)
    assert obeyed(message) == [advised]
    caplog.clear()
    frame = read(tmp_path, text, advised)
    assert list(frame.columns) == columns
    assert all(pd.api.types.is_numeric_dtype(frame[column]) for column in columns)
    assert not caplog.messages


def test_lines_to_skip_are_not_told_beside_comments_that_move_them():
    assert advice.for_lines("# by me\nSales\nof May\n\nA,B,C\n1,2,3\n4,5,6\n", ",") == {"comment": "#"}


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("5.5,2\n3,4\n", "looks like a customer and was read as the header"),
        ("2023,2024\n3,4\n", None),
        ("ID,A\nx,4\nTotal,9\n", "The last row of <file> has 'Total' in column 'ID', as a row of totals has"),
        ("ID,A\nx,4\nGrand Total:,9\n", "The last row of <file> has 'Grand Total:' in column 'ID'"),
        ("ID,A\nTotal,9\nx,4\n", None),
        ("ID,A\nx,4\nTotally,9\n", None),
    ],
)
def test_a_file_that_is_perhaps_meant_otherwise_is_read_and_told(tmp_path, caplog, text, warned):
    read(tmp_path, text, {})
    said = " ".join(caplog.messages).replace(str(tmp_path / "in.csv"), "<file>")
    assert warned in said if warned else not said


def test_as_many_rows_are_read_as_one_is_told_to_instead_of_a_total(tmp_path):
    assert read(tmp_path, "ID,A\nx,4\nTotal,9\n", {"nrows": 1})["ID"].tolist() == ["x"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"engine": "pyarrow"},
            "read_csv_kwargs sets engine='pyarrow', which cannot read a file in pieces; leave it out: "
            "pyarrow "
            "reads whatever it can anyway",
        ),
        (
            {"skipfooter": 2},
            "read_csv_kwargs sets skipfooter=2, which pandas cannot do for a file that it reads in "
            "pieces; tell "
            "how many rows to read, for example CsvLoadOperator(read_csv_kwargs={'nrows': 1000}), or cut "
            "the footer off "
            "before",
        ),
        (
            {"compression": "tar"},
            "read_csv_kwargs sets compression='tar', which should be one of 'gzip', 'bz2', 'xz', 'zstd', "
            "'zip'",
        ),
    ],
)
def test_options_that_a_file_in_pieces_does_not_go_with_are_refused(tmp_path, options, message):
    with pytest.raises(InputError) as caught:
        read(tmp_path, "A\n1\n", options)
    assert str(caught.value) == message


def test_a_close_name_is_offered():
    assert str(missing_column(" a", "in.csv", ["A", "b"])) == (
        "Column ' a' is not in in.csv; it has: A, b; did you mean 'A'?"
    )


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (["PATH=/bin\0SECRET=s"], "(no name)"),
        (["a\tb", "c"], "a b, c"),
        (["b", "a\nINFO: all is well"], "b, (no name)"),
        (["A" * 1_000_000] * 60_000, ", ".join(["A" * 60 + "\u2026"] * 30) + " and 59970 more"),
    ],
    ids=["environment", "tab", "line break", "many"],
)
def test_of_what_is_no_table_little_is_shown_and_in_one_line(columns, shown):
    assert str(missing_column("BALANCE", "in.csv", columns)) == (
        f"Column 'BALANCE' is not in in.csv; it has: {shown}"
    )


@pytest.mark.parametrize(
    ("columns", "advised"),
    [
        (
            ["A;B"],
            "if that is more than one, name their separator: CsvLoadOperator(read_csv_kwargs={'sep': ';'})",
        ),
        (
            ["5.5", "2"],
            "if these are values, and the file has no header, name the columns: "
            "CsvLoadOperator(read_csv_kwargs={'header': None, 'names': ['…']})",
        ),
    ],
)
def test_a_column_that_is_missed_since_the_header_was_read_wrongly_is_told(columns, advised):
    assert str(missing_column("A", "in.csv", columns)) == (
        f"Column 'A' is not in in.csv; it has: {', '.join(columns)}; {advised}"
    )
