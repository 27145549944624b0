"""Files whose columns do not lie as the header says, and rows that a quote swallows.

Each is read rightly, told of, or refused.
"""

from __future__ import annotations

import gzip
import io
import zipfile

import pandas as pd
import pytest
from airflow_segmentation.errors import InputError
from airflow_segmentation.tables.csv_files import Csv, by_pandas, csv_to_table, file

EMPTY_LAST = "The last field of every row of <file> is empty and has no name; it was left out"
ROW_NAMES = (
    "The header of <file> has one field less than the rows; the first field of a row is taken for its name, "
    "as R writes it, and is called 'Unnamed: 0' here"
)


def unlike(fields: int, names: int, cure: str = "name all: <header=0>") -> str:
    return (
        f"Rows of <file> have {fields} fields, and its header {names}, so that nobody knows which column a "
        f"value belongs to; {cure}"
    ).replace("<header=0>", "CsvLoadOperator(read_csv_kwargs={'header': 0, 'names': ['…']})")


def read(tmp_path, text, **kwargs):
    """Return the columns, the rows and what a person is told of a file."""
    path = tmp_path / "in.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    target = tmp_path / "out.parquet"
    loaded = csv_to_table(Csv(str(path), **kwargs), str(target))
    frame = pd.read_parquet(target, dtype_backend="numpy_nullable")
    rows = [[None if pd.isna(value) else value for value in row] for row in frame.astype(object).to_numpy()]
    return list(frame.columns), rows, [note.replace(str(path), "<file>") for note in loaded.notes]


# By pyarrow, and by pandas, whose rules for a decimal point change nothing here.
BOTH = pytest.mark.parametrize("options", [{}, {"decimal": "."}], ids=["pyarrow", "pandas"])


@BOTH
@pytest.mark.parametrize(
    ("text", "columns", "rows", "notes"),
    [
        ("A,B\n1,10,\n2,50,\n", ["A", "B"], [[1, 10], [2, 50]], [EMPTY_LAST]),
        ('A,B\n1,10,""\n2,50,\n', ["A", "B"], [[1, 10], [2, 50]], [EMPTY_LAST]),
        ("A,B,\n1,10,\n2,50,\n", ["A", "B"], [[1, 10], [2, 50]], [EMPTY_LAST]),
        ("A,B,\n1,10,x\n2,50,\n", ["A", "B", "Unnamed: 2"], [[1, 10, "x"], [2, 50, None]], []),
        ("A,B\nr1,0,5\nr2,1,6\n", ["Unnamed: 0", "A", "B"], [["r1", 0, 5], ["r2", 1, 6]], [ROW_NAMES]),
        ("A\n1,10\n2,50\n", ["Unnamed: 0", "A"], [[1, 10], [2, 50]], [ROW_NAMES]),
        (",A\n7,1\n8,2\n", ["Unnamed: 0", "A"], [[7, 1], [8, 2]], []),
        (",2023,2024\n0,1,2\n", ["Unnamed: 0", "2023", "2024"], [[0, 1, 2]], []),
        ("A,A.1\n1,2\n", ["A", "A.1"], [[1, 2]], []),
        ("A,B\n1\n2,3\n", ["A", "B"], [[1, None], [2, 3]], []),
    ],
)
def test_no_value_comes_under_another_columns_name(tmp_path, text, columns, rows, notes, options):
    assert read(tmp_path, text, options=options) == (columns, rows, notes)


@BOTH
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A,B\n1,10,\n2,50,\n3,60,7\n", unlike(3, 2)),
        ("A,B\n1,10,5\n1,50,6\n", unlike(3, 2)),
        ("A,B\nr1,0,5\nr2,1\n", unlike(3, 2)),
        ("A,B\n1,2,3,4\n5,6,7,8\n", unlike(4, 2)),
        (
            "Made in May\nA,B\nx,10\ny,50\n",
            unlike(2, 1, "read it with CsvLoadOperator(read_csv_kwargs={'skiprows': 1})"),
        ),
        (
            "# made in May\nA,B\n1,10\n2,50\n",
            unlike(2, 1, "read it with CsvLoadOperator(read_csv_kwargs={'comment': '#'})"),
        ),
        (
            "sep=,\nA,B,C\n1,10,3\n2,50,4\n",
            unlike(3, 2, "read it with CsvLoadOperator(read_csv_kwargs={'skiprows': 1})"),
        ),
        (
            "A;B;C\n1;8.798,08;1,5\n2;869,23;2,5\n",
            unlike(
                3,
                1,
                "read it with CsvLoadOperator(read_csv_kwargs={'sep': ';', 'decimal': ',', "
                "'thousands': '.'})",
            ),
        ),
    ],
)
def test_rows_unlike_the_header_are_refused_with_what_reads_them(tmp_path, text, message, options):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, options=options)
    assert str(caught.value).replace(str(tmp_path / "in.csv"), "<file>") == message
    assert not (tmp_path / "out.parquet").exists()


def test_names_of_rows_go_with_what_is_missing_where_every_row_is_known_to_be_whole(tmp_path):
    text = "A,B\nr1,0,NA\nr2,1,x\n"
    assert read(tmp_path, text)[1] == [["r1", 0, None], ["r2", 1, "x"]]
    with pytest.raises(InputError, match=r"Rows of .* have 3 fields, and its header 2"):
        read(tmp_path, text, options={"decimal": "."})


def test_names_of_rows_can_be_the_id(tmp_path):
    columns, rows, _ = read(tmp_path, "A,B\n007,0,5\n010,1,6\n", id_column="Unnamed: 0")
    assert (columns, rows) == (["Unnamed: 0", "A", "B"], [["007", 0, 5], ["010", 1, 6]])


@pytest.mark.parametrize("header", ["A,B", "A,B,"])
def test_an_empty_last_field_takes_no_columns_asked_for_with_it(tmp_path, header):
    text = f"{header}\n007,10,\n010,50,\n"
    assert read(tmp_path, text, id_column="A", columns=["B"])[:2] == (["A", "B"], [["007", 10], ["010", 50]])
    if header == "A,B":
        with pytest.raises(InputError, match="have 3 fields, and its header 2"):
            read(tmp_path, text + "3,4,5\n", columns=["A"])


def test_a_last_field_that_is_filled_late_is_not_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(file, "BLOCK_BYTES", 100)
    monkeypatch.setattr(by_pandas, "LOOKED_AT", 10)
    rows = "1,10,\n" * 200
    assert len(read(tmp_path, f"A,B\n{rows}")[1]) == 200
    with pytest.raises(InputError, match="have 3 fields, and its header 2"):
        read(tmp_path, f"A,B\n{rows}1,10,5\n")


def test_an_index_that_the_options_name_stays_a_column(tmp_path):
    assert read(tmp_path, "A,B\n1,2\n", options={"index_col": "B"})[:2] == (["B", "A"], [[2, 1]])
    assert read(tmp_path, ",B\n1,2\n", options={"index_col": 0})[:2] == (["Unnamed: 0", "B"], [[1, 2]])


UNCLOSED = (
    "The quote that opens in line {} of <file> does not end, and would make one value of all that follows; "
    "close or remove it, or read quotes as text: CsvLoadOperator(read_csv_kwargs={{'quoting': 3}})"
)
BROKEN = (
    "{} line breaks of <file> lie between quotes and were read as part of a value, the first after the quote "
    "in line {}. If rows are missing there, that quote does not end where it should: close or remove it, or "
    "read quotes as text: CsvLoadOperator(read_csv_kwargs={{'quoting': 3}})"
)


@BOTH
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('A,B\n1,x\n2,"y\n3,z\n', 3),
        ('A,B\n1,"x\ny"\n2,"y\n3,z\n', 4),
        ('A,B\r1,x\r2,"y\r3,z\r', 3),
        ('A,"B\n1,x\n', 1),
        ('A,B\n1,"x""\n', 2),
    ],
)
def test_a_quote_that_does_not_end_is_refused_where_it_opens(tmp_path, text, line, options):
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, options=options)
    assert str(caught.value).replace(str(tmp_path / "in.csv"), "<file>") == UNCLOSED.format(line)
    assert not (tmp_path / "out.parquet").exists()
    assert read(tmp_path, text, options={"quoting": 3})[1], "read as text, as the message says"


@BOTH
@pytest.mark.parametrize(
    ("text", "rows", "notes"),
    [
        ('A,B\n1,"x\n2,"y\n3,z\n', [[1, "x\n2,y"], [3, "z"]], [BROKEN.format(1, 2)]),
        (
            'A,B\n1,"two\nlines"\n2,"and\nthree\n"\n',
            [[1, "two\nlines"], [2, "and\nthree\n"]],
            [BROKEN.format(3, 2)],
        ),
        ('A,B\n1,5" pipe\n2,6" pipe\n', [[1, '5" pipe'], [2, '6" pipe']], []),
        ('A,B\n1,"say ""no"""\n2,"z"w"\n', [[1, 'say "no"'], [2, 'zw"']], []),
    ],
)
def test_lines_that_a_quote_swallows_are_told(tmp_path, monkeypatch, text, rows, notes, options):
    for block in (4, 1 << 20):
        monkeypatch.setattr(file, "BLOCK_BYTES", block)
        assert read(tmp_path, text, options=options) == (["A", "B"], rows, notes)


@BOTH
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch, quote, options):
    monkeypatch.setattr(file, "LONGEST_LINE", 3 << 20)
    monkeypatch.setattr(file, "BLOCK_BYTES", 1 << 20)
    path = tmp_path / "in.csv.gz"
    path.write_bytes(gzip.compress(b"A\n1\n" + quote.encode() + b"0" * (64 << 20)))
    with pytest.raises(InputError) as caught:
        csv_to_table(Csv(str(path), options=options), str(tmp_path / "out.parquet"))
    assert str(caught.value) in (
        UNCLOSED.format(3).replace("<file>", str(path)),
        f"Line 3 of {path} is longer than 3 MB, and so no row of a table; look at what should have "
        "written it",
    )


@BOTH
def test_a_file_is_read_as_far_as_the_administrator_allows(tmp_path, monkeypatch, options):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__MAX_CSV_BYTES", "1000")
    assert read(tmp_path, "A\n" + "1\n" * 400, options=options)[1]
    with pytest.raises(InputError) as caught:
        read(tmp_path, "A\n" + "1\n" * 500, options=options)
    assert str(caught.value) == (
        f"{tmp_path}/in.csv is larger than 1000 bytes once decompressed, the limit of [segmentation] "
        "max_csv_bytes; split it, or ask the administrator of this Airflow for more"
    )


def test_more_columns_than_a_table_has_are_refused_at_once(tmp_path):
    text = ",".join(f"c{number}" for number in range(60_000)) + "\n" + ",".join(["1"] * 60_000) + "\n"
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    assert str(caught.value) == (
        f"{tmp_path}/in.csv has 60000 columns, and a table has at most 10000; name those that are needed "
        "with columns=[…]"
    )
    assert read(tmp_path, text, columns=["c7"])[1] == [[1]]


@BOTH
def test_names_that_would_plant_lines_in_a_log_are_put_on_one(tmp_path, options):
    columns, _, notes = read(tmp_path, '"Annual\nIncome",B\n1,2\n', options=options)
    assert columns == ["Annual Income", "B"]
    assert notes[0] == "Column 'Annual\\nIncome' of <file> is called 'Annual Income' here, on one line"
    text = '"A\nB","A B"\n1,2\n'
    with pytest.raises(InputError) as refused:
        read(tmp_path, text, options=options)
    assert str(refused.value).endswith(
        "has two columns called 'A B' but for line breaks; name all: "
        "CsvLoadOperator(read_csv_kwargs={'header': 0, 'names': ['…']})"
    )
    assert read(tmp_path, text, options={"header": 0, "names": ["x", "y"]})[0] == ["x", "y"]


def test_columns_of_the_same_name_are_told(tmp_path):
    assert read(tmp_path, "A,A\n1,x\n") == (
        ["A", "A.1"],
        [[1, "x"]],
        ["Column 'A' is in <file> twice; the second is called 'A.1' here"],
    )


def packed(kind: str) -> bytes:
    content = b"A,B\n1,2\n"
    if kind == "gzip":
        return gzip.compress(content)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        if kind == "zip":
            archive.writestr("in.csv", content)
        else:
            archive.writestr("[Content_Types].xml", "<Types/>")
    return target.getvalue()


@BOTH
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (
            packed("gzip"),
            "a gzip file; give its name the ending of one, or say so: CsvLoadOperator(read_csv_kwargs={"
            "'compression': 'gzip'})",
        ),
        (
            packed("zip"),
            "a zip archive; give its name the ending of one, or say so: CsvLoadOperator(read_csv_kwargs={"
            "'compression': 'zip'})",
        ),
        (packed("xlsx"), "an Excel workbook; save the sheet as CSV"),
        (b"PAR1....PAR1", "a Parquet table; give it to the next operator as it is"),
        (b"%PDF-1.7", "a PDF document; write the data as CSV"),
    ],
    ids=["gzip", "zip", "xlsx", "parquet", "pdf"],
)
def test_a_file_that_is_no_text_is_told_by_its_first_bytes(tmp_path, content, what, options):
    with pytest.raises(InputError) as caught:
        read(tmp_path, content, options=options)
    assert str(caught.value) == f"{tmp_path}/in.csv is no CSV but {what}"
    for compression in ("gzip", "zip"):
        if f"'{compression}'" in what:
            assert read(tmp_path, content, options={"compression": compression, **options})[1] == [[1, 2]]


def test_the_one_file_of_an_archive_is_read_whatever_lies_beside_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "in.csv.zip", "w") as archive:
        archive.writestr("folder/", "")
        archive.writestr("folder/in.csv", "A\n1\n")
        archive.writestr("__MACOSX/folder/._in.csv", "x")
    csv_to_table(Csv(str(tmp_path / "in.csv.zip")), str(tmp_path / "out.parquet"))
    assert pd.read_parquet(tmp_path / "out.parquet")["A"].tolist() == [1]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A\n0x1F\n0x0A\n", ["0x1F", "0x0A"]),
        ("A\nNAN\n1\n", ["NAN", "1"]),
        ("A\ntrue\n1\n", ["true", "1"]),
        ('A\nTrue\n""\nfalse\n', [True, None, False]),
        ("A\n+5\n 6\n", [5, 6]),
        ("A\n1\n  \n2\n", [1, 2]),
        ("A\nx\n  \ny\n", ["x", "y"]),
        ("A\n1700000000000012345\nNA\n", [1700000000000012345, None]),
        ("A\n99999999999999999999\n1\n", ["99999999999999999999", "1"]),
        ("A\n99999999999999999999\n1.5\n", ["99999999999999999999", "1.5"]),
        ("A\n1.5\n99999999999999999999\n", [1.5, pytest.approx(1e20)]),
        ("\ufeffA\n1\n", [1]),
        ('\ufeff"A"\n1\n', [1]),
    ],
)
def test_values_are_what_they_are_to_pandas(tmp_path, monkeypatch, text, values):
    for block in (3, 1 << 20):
        monkeypatch.setattr(file, "BLOCK_BYTES", block)
        columns, rows, _ = read(tmp_path, text)
        assert (columns, [row[0] for row in rows]) == (["A"], values)
