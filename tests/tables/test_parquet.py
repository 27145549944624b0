from __future__ import annotations

import errno
import io
import resource
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.clustering.arrow import as_array, as_matrix
from airflow_segmentation.errors import InputError
from airflow_segmentation.tables import parquet as tables
from airflow_segmentation.tables.data import text_columns
from airflow_segmentation.tables.parquet import Table, table_written

SCHEMA = pa.schema([("number", pa.int64())])


def batch(first: int, rows: int = 1000) -> pa.RecordBatch:
    return pa.record_batch([pa.array(range(first, first + rows))], schema=SCHEMA)


def write(folder: Path, batches: Iterable[pa.RecordBatch]) -> None:
    with table_written(str(folder / "t.parquet"), SCHEMA) as writer:
        for each in batches:
            writer.write(each)


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of three batches."""
    monkeypatch.setattr(tables, "ROW_GROUP_BYTES", 3 * batch(0).nbytes)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond some kilobytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_batches_are_gathered_into_row_groups_and_keep_their_order(tmp_path, small_groups):
    uri = str(tmp_path / "t.parquet")
    with table_written(uri, SCHEMA) as writer:
        for number in range(10):
            writer.write(batch(1000 * number))
            writer.write(batch(0, rows=0))
        writer.facts = {"told": "last"}
    with Table(uri) as table:
        assert table.read()["number"].to_pylist() == list(range(10_000))
        assert table.facts == {"told": "last"}
    assert [pq.ParquetFile(uri).metadata.row_group(i).num_rows for i in range(4)] == [3000, 3000, 3000, 1000]


def test_a_row_group_that_cannot_be_written_fails_the_table_and_leaves_nothing(
    tmp_path, small_groups, small_files
):
    with pytest.raises(OSError, match=r"t\.parquet was not written: File too large"):
        write(tmp_path, (batch(1000 * number) for number in range(100)))
    assert list(tmp_path.iterdir()) == []


def test_an_error_between_batches_leaves_nothing(tmp_path, small_groups):
    def batches() -> Iterator[pa.RecordBatch]:
        yield from map(batch, range(4))
        raise ValueError("no such customer")

    with pytest.raises(ValueError, match="no such customer"):
        write(tmp_path, batches())
    assert list(tmp_path.iterdir()) == []


def test_a_column_is_compressed_and_has_a_dictionary_where_that_makes_it_smaller(tmp_path):
    rng, rows = np.random.default_rng(0), 20_000
    columns = {
        "id": [f"customer number {row}" for row in range(rows)],
        "a.spent": rng.random(rows),
        "fee": rng.integers(0, 100, rows) / 7,
        "nested": [[row] for row in range(rows)],
        "day": np.arange(rows),
    }
    wanted = pa.table(columns)
    with table_written(str(tmp_path / "t.parquet"), wanted.schema) as writer:
        for part in wanted.to_batches(max_chunksize=3_000):
            writer.write(part)

    group = pq.ParquetFile(tmp_path / "t.parquet").metadata.row_group(0)
    written = {group.column(place).path_in_schema: group.column(place) for place in range(5)}
    assert {name: column.compression for name, column in written.items() if name in columns} == {
        **{"id": "SNAPPY", "day": "SNAPPY"},
        **{"a.spent": "UNCOMPRESSED", "fee": "UNCOMPRESSED"},
    }
    assert [name for name, column in written.items() if column.has_dictionary_page] == [
        *("fee", "nested.list.element")
    ]
    assert pq.read_table(tmp_path / "t.parquet").equals(wanted)


def test_a_table_of_no_rows_keeps_its_columns(tmp_path):
    write(tmp_path, [])
    with Table(str(tmp_path / "t.parquet")) as table:
        assert (table.rows, table.columns) == (0, ["number"])


def parquet(folder: Path, table: pa.Table, metadata: bytes | None = None) -> str:
    uri = str(folder / "t.parquet")
    if metadata is not None:
        table = table.replace_schema_metadata({tables.METADATA_KEY: metadata})
    pq.write_table(table, uri)
    return uri


KINDS = pa.table(
    {
        "flag": [True, False],
        "whole": [1, 2],
        "real": pa.array([1.5, None]),
        "money": pa.array([Decimal("1.50"), Decimal("2.25")]),
        "nothing": pa.nulls(2),
        "text": ["x", "y"],
        "long": pa.array(["1", "2"], pa.large_string()),
        "day": pa.array([0, 1], pa.date32()),
    }
)
NUMBERS = ["flag", "whole", "real", "money"]


def test_numbers_are_told_from_what_is_none(tmp_path):
    with Table(parquet(tmp_path, KINDS)) as table:
        assert table.numeric_columns == NUMBERS
        assert text_columns(table.schema) == ["text", "long"]
        table.require_numeric([*NUMBERS, "nothing"])
        matrix = as_matrix(table.read(), NUMBERS)
    assert matrix == pytest.approx(np.array([[1.0, 1.0, 1.5, 1.5], [0.0, 2.0, np.nan, 2.25]]), nan_ok=True)


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("day", "holds date32[day], and only numbers can be clustered"),
        (
            "long",
            "holds numbers as text, and only numbers can be clustered; CsvLoadOperator reads them as ",
        ),
        (
            "text",
            "holds text such as 'x', and only numbers can be clustered; ",
        ),
    ],
)
def test_a_column_of_no_numbers_is_named_with_what_it_holds(tmp_path, column, told):
    uri = parquet(tmp_path, KINDS)
    with Table(uri) as table, pytest.raises(InputError) as caught:
        table.require_numeric(["whole", column])
    assert str(caught.value).startswith(f"Column {column!r} of {uri} {told}")
    assert str(caught.value).endswith("; numeric columns are: flag, whole, real, money")


def test_a_table_is_read_in_parts_or_whole_by_some_of_its_columns(tmp_path):
    uri = parquet(tmp_path, pa.table({"a": range(10), "b": range(10, 20)}))
    with Table(uri) as table:
        assert (table.rows, table.columns, table.facts, table.id_column) == (10, ["a", "b"], {}, None)
        assert [part.num_rows for part in table.batches(rows=4)] == [4, 4, 2]
        assert [part.column_names for part in table.batches(["b"], rows=10)] == [["b"]]
        assert table.read(["b"]).to_pydict() == {"b": list(range(10, 20))}
        assert table.read().column_names == ["a", "b"]


@pytest.mark.parametrize("facts", [b"{", b"[1]", b"3", b"null", b"\xff", b'"ab"'])
def test_facts_that_are_damaged_are_bad_input(tmp_path, facts):
    uri = parquet(tmp_path, pa.table({"a": [1]}), facts)
    with (
        Table(uri) as table,
        pytest.raises(InputError, match=r"t\.parquet tells of itself what cannot be read \("),
    ):
        assert table.facts


@pytest.mark.parametrize("error", [KeyError("a"), TypeError("a"), ValueError("a"), AttributeError("a")])
def test_facts_of_another_shape_are_bad_input(tmp_path, error):
    uri = parquet(tmp_path, pa.table({"a": [1]}))
    with Table(uri) as table, pytest.raises(InputError) as caught, table.facts_understood():
        raise error
    assert str(caught.value) == (
        f"{uri} tells of itself what cannot be read ({error!r}): it was changed, or written by another "
        "version of airflow-segmentation; run the task that wrote it again"
    )


class Failing(io.BytesIO):
    """A file of which nothing can be read."""

    def __init__(self, error: OSError) -> None:
        super().__init__(b"PAR1" * 100)
        self.error = error

    def read(self, *_: object) -> bytes:
        raise self.error


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.EIO, "Input/output error"), OSError),
        (ConnectionResetError("reset"), ConnectionResetError),
        (OSError("Couldn't deserialize thrift"), InputError),
    ],
)
def test_a_storage_that_fails_is_tried_again_and_a_damaged_file_is_not(monkeypatch, error, raised):
    file = Failing(error)
    monkeypatch.setattr(tables, "open_for_reading", lambda *_: file)
    with pytest.raises(raised) as caught:
        Table("t.parquet")
    assert type(caught.value) is raised
    assert file.closed


def test_two_columns_of_one_name_are_bad_input(tmp_path):
    table = pa.Table.from_arrays([pa.array([1])] * 3, ["a", "b", "b"])
    uri = parquet(tmp_path, table)
    with pytest.raises(InputError) as caught:
        Table(uri)
    assert str(caught.value) == f"{uri} has two columns named 'b'; rename one of them"


def test_numbers_become_an_arrow_array_with_what_is_missing():
    values = np.arange(20)[::2]
    present = values != 4

    assert as_array(values).to_pylist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert as_array(values, present).to_pylist() == [0, 2, None, 6, 8, 10, 12, 14, 16, 18]
    assert as_array(np.array([1.5], np.float32)).type == pa.float32()


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path):
    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "t.parquet")
    with Table(str(tmp_path / "t.parquet")) as table, pytest.raises(InputError) as refused:
        table.require_numeric(["A"])
    assert str(refused.value) == (
        f"Column 'A' is not in {tmp_path}/t.parquet; it has: a, b; did you mean 'a'?"
    )
