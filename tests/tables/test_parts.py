from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.clustering import TableRows, rows
from airflow_segmentation.errors import InputError
from airflow_segmentation.tables.opening import open_data


def written(folder, **parts):
    folder.mkdir(exist_ok=True)
    for name, columns in parts.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return str(folder)


def read(uri) -> pd.DataFrame:
    with open_data(uri) as table:
        found = pd.concat([batch.to_pandas() for batch in table.batches()], ignore_index=True)
        assert table.rows == len(found)
        assert table.columns == list(found)
    return found


def test_parts_are_one_table_in_the_order_of_their_names(tmp_path):
    uri = written(tmp_path / "t", b={"x": [3, 4]}, a={"x": [1, 2]}, c={"x": [5]})

    assert read(uri)["x"].tolist() == [1, 2, 3, 4, 5]


def test_what_is_hidden_or_begins_with_an_underscore_is_no_part(tmp_path):
    uri = written(tmp_path / "t", a={"x": [1]})
    for name in ("_SUCCESS", ".a.parquet.crc", "_metadata"):
        (tmp_path / "t" / name).write_bytes(b"")
    written(tmp_path / "t" / "_temporary", b={"x": [2]})

    assert read(uri)["x"].tolist() == [1]


def test_folders_of_partitions_are_columns_as_pandas_reads_them(tmp_path):
    frame = pd.DataFrame(
        {"spend": range(6), "year": [2024, 2025] * 3, "land": ["New Zealand", "a/b", None] * 2}
    )
    frame.to_parquet(tmp_path / "t", partition_cols=["year", "land"])

    found = read(str(tmp_path / "t"))

    assert list(found) == ["spend", "year", "land"]
    found = found.sort_values("spend", ignore_index=True)
    pd.testing.assert_frame_equal(found, frame, check_dtype=False)


def test_types_that_differ_become_one_that_holds_both(tmp_path):
    uri = written(
        tmp_path / "t",
        a={"x": pa.array([1, 2], pa.int32()), "y": pa.nulls(2)},
        b={"y": ["one"], "x": [0.5]},
    )
    found = read(uri)

    assert found["x"].tolist() == [1.0, 2.0, 0.5]
    assert found["y"].tolist()[2] == "one"


def test_each_part_is_visited_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "BATCH", 2)
    uri = written(
        tmp_path / "t", a={"x": [1.0, 2.0, 3.0]}, b={"x": [4.0]}, c={"x": pa.array([], pa.float64())}
    )
    with open_data(uri) as table:
        places = list(table.each(["x"], lambda place, batches: [place, next(batches).num_rows]))
        assert table.parts(["x"]) == len(places) == 3
        assert places == [[0, 2], [1, 1], [2, 1]]
        assert TableRows(table, ["x"]).uniform(9, 0).ravel().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"x": [1], "z": [1]},
            r"b\.parquet of .*/t has a column 'z' that a\.parquet has not; write",
        ),
        ({"z": [1]}, r"a\.parquet of .*/t has a column 'x' that b\.parquet has not"),
        ({"x": ["text"]}, r"b\.parquet of .*/t has columns of other types than a\.parquet \(.*\); write all"),
    ],
)
def test_parts_that_do_not_go_together_are_named(tmp_path, other, message):
    uri = written(tmp_path / "t", a={"x": [1]}, b=other)

    with pytest.raises(InputError, match=message), open_data(uri) as table:
        list(table.batches())


def test_a_file_of_another_kind_and_a_folder_without_any_are_named(tmp_path):
    uri = written(tmp_path / "t", a={"x": [1]})
    (tmp_path / "t" / "notes.txt").write_text("none")
    with pytest.raises(InputError, match=r"t/notes\.txt is not a whole Parquet table"), open_data(uri):
        pass
    with (
        pytest.raises(InputError, match="is a folder without a Parquet file"),
        open_data(written(tmp_path / "u")),
    ):
        pass


def test_what_pyarrow_writes_as_a_dataset_is_read(tmp_path):
    table = pa.table({"x": list(range(10)), "g": ["a", "b"] * 5})
    hive = ds.partitioning(pa.schema([table.schema.field("g")]), flavor="hive")
    ds.write_dataset(table, tmp_path / "t", format="parquet", partitioning=hive)

    assert sorted(read(str(tmp_path / "t"))["x"]) == list(range(10))
