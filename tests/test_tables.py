from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation import tables
from airflow_segmentation.tables import Table, table_written

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
        writer.metadata = {"told": "last"}
    with Table(uri) as table:
        assert table.read()["number"].to_pylist() == list(range(10_000))
        assert table.metadata == {"told": "last"}
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


def test_a_table_of_no_rows_keeps_its_columns(tmp_path):
    write(tmp_path, [])
    with Table(str(tmp_path / "t.parquet")) as table:
        assert (table.rows, table.columns) == (0, ["number"])
