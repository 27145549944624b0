"""Tables that a cluster reads and writes: parts in their order, and the same bits whoever reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow_segmentation.engines.spark import SparkEngine, data, executors
from airflow_segmentation.engines.spark.addresses import for_cluster, for_worker
from airflow_segmentation.engines.spark.session import BATCH_ROWS
from airflow_segmentation.errors import InputError
from airflow_segmentation.tables import folders
from airflow_segmentation.tables.parquet import table_written
from spark import passes
from spark.cluster import Cluster

COLUMNS = ["spent", "a.number"]
WRITTEN = pa.schema([("a.number", pa.int64()), ("spent", pa.float64())])


@pytest.fixture
def engine(connected: SparkEngine, cluster: Cluster, sent: None) -> SparkEngine:
    """The engine, with all of its executors."""
    return connected


def customers(rows: int, start: int = 0) -> pa.Table:
    """Customers with an id, a number and what they spent."""
    spent = np.random.default_rng(start).lognormal(3, 2, rows)
    numbers = np.arange(start, start + rows)
    return pa.table({"id": [f"{n:07d}" for n in numbers], "a.number": numbers, "spent": spent})


def folder_of(path: Path, *sizes: int) -> Path:
    """Write parts of so many rows, each, in a folder beside what is no part."""
    path.mkdir()
    start = 0
    for number, rows in enumerate(sizes):
        pq.write_table(customers(rows, start), path / f"part {number:02d}.parquet", row_group_size=50_000)
        start += rows
    pq.write_table(customers(7), path / "_hidden.parquet")
    pq.write_table(customers(7), path / ".hidden.parquet")
    (path / "_SUCCESS").touch()
    return path


def here(folder: Path, visit: Any = passes.sums) -> list[list[np.ndarray]]:
    """What one machine makes of the parts of a folder, in batches of the same size."""
    files = [pq.ParquetFile(path) for path in sorted(folder.glob("part*.parquet"))]
    filled = [file for file in files if file.metadata.num_rows]
    columns = [file.iter_batches(BATCH_ROWS, columns=["a.number", "spent"]) for file in filled]
    return [visit(place, batches) for place, batches in enumerate(columns)]


def read(uri: Path) -> pa.Table:
    """The rows of a table that Spark wrote, in their order."""
    told = json.loads((uri / folders.MARKER).read_text())
    return pa.concat_tables([pq.read_table(uri / told["folder"] / name) for name, _ in told["parts"]])


def assert_same_bits(found: Any, expected: Any) -> None:
    assert [[(each.dtype.kind, each.tolist()) for each in arrays] for arrays in found] == [
        [(each.dtype.kind, each.tolist()) for each in arrays] for arrays in expected
    ]


@pytest.mark.parametrize("sizes", [(90_000,), (70_000, 150_000), (70_000, 0, 200_000, 3, 140_000)])
def test_parts_are_visited_in_order_and_whole(engine: SparkEngine, tmp_path: Path, sizes: tuple[int, ...]):
    folder = folder_of(tmp_path / "data", *sizes)
    with engine.open(str(folder)) as table:
        assert table.columns == ["id", "a.number", "spent"]
        assert table.rows == sum(sizes)
        assert table.parts(COLUMNS) == sum(1 for rows in sizes if rows)
        assert table.facts == {}
        assert_same_bits(table.each(COLUMNS, passes.sums), here(folder))


def test_parts_are_joined_in_order_on_the_cluster(
    engine: SparkEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = folder_of(tmp_path / "data", 70_000, 10, 200_000, 3, 140_000)
    monkeypatch.setattr(data, "RESULTS", 2)
    parts = here(folder, passes.total)
    with engine.open(str(folder)) as table:
        assert table.parts(COLUMNS) == 2
        found = list(table.each(COLUMNS, passes.total, join=passes.both))
        one, two, three, four, five = [value for value, _ in parts]
        assert [value.tolist() for value, _ in found] == [(one + two) + three, four + five]
        assert [int(rows) for _, rows in found] == [270_010, 140_003]
        assert len(list(table.each(COLUMNS, passes.total))) == 5


def test_the_order_of_rows_outlives_what_spark_makes_of_the_sizes(engine: SparkEngine, tmp_path: Path):
    folder = folder_of(tmp_path / "data", 10, 150_000, 0, 70_000, 70_000)
    target = tmp_path / "made.parquet"
    with engine.open(str(folder)) as table:
        table.write(str(target), WRITTEN, passes.doubled, columns=COLUMNS, facts={"id_column": "id"})
    rows = read(target)
    assert rows.column_names == ["a.number", "spent"]
    assert rows["a.number"].to_pylist() == list(range(0, 290_010, 2))
    with engine.open(str(target)) as table:
        assert table.rows == 145_005
        assert table.facts == {"id_column": "id"}
        assert table.schema.equals(WRITTEN)
        places = list(table.each(COLUMNS, passes.sums))
        assert [int(rows) for _, rows, _, _ in places] == [5, 75_000, 35_000, 35_000]


def test_what_tries_before_left_is_no_part_and_goes(engine: SparkEngine, tmp_path: Path):
    folder, target = folder_of(tmp_path / "data", 100, 50), tmp_path / "made.parquet"
    left = target / folders.new_try()
    left.mkdir(parents=True)
    pq.write_table(customers(5), left / "part-00000-x.parquet")
    (left / "_temporary").mkdir()
    with pytest.raises(InputError, match="was not written to its end"), engine.open(str(target)):
        pass
    with engine.open(str(folder)) as table:
        table.write(str(target), WRITTEN, passes.doubled, columns=COLUMNS, facts={})
        assert not left.exists()
        table.write(str(target), WRITTEN, passes.doubled, columns=COLUMNS, facts={})
    assert read(target).num_rows == 75
    assert len(list(target.iterdir())) == 2
    folders.remove(str(target))
    assert not target.exists()


def test_a_part_that_is_gone_is_told(engine: SparkEngine, tmp_path: Path):
    folder, target = folder_of(tmp_path / "data", 100, 50), tmp_path / "made.parquet"
    with engine.open(str(folder)) as table:
        table.write(str(target), WRITTEN, passes.doubled, columns=COLUMNS, facts={})
    next(target.glob("*/part-00000*")).unlink()
    with pytest.raises(AirflowException, match="not those that were written"), engine.open(str(target)):
        pass


def test_partitions_of_hive_are_columns(engine: SparkEngine, tmp_path: Path):
    for year in (2025, 2026):
        path = tmp_path / "data" / f"year={year}"
        path.mkdir(parents=True)
        pq.write_table(customers(10, year), path / "x.parquet")
    with engine.open(str(tmp_path / "data")) as table:
        assert table.columns == ["id", "a.number", "spent", "year"]
        assert [int(first) for *_, first in table.each(["year", "spent"], first_year)] == [2025, 2026]


def first_year(place: int, batches: Iterator[pa.RecordBatch]) -> list[np.ndarray]:
    return [np.array(next(batches).column("year")[0].as_py())]


@pytest.fixture(autouse=True)
def functions_of_this_module() -> Iterator[None]:
    import sys

    from pyspark import cloudpickle

    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def test_one_file_of_the_local_engine_keeps_its_facts(engine: SparkEngine, tmp_path: Path):
    rows = customers(10)
    with table_written(str(tmp_path / "one[1].parquet"), rows.schema) as writer:
        for batch in rows.to_batches():
            writer.write(batch)
        writer.facts = {"id_column": "id"}
    with engine.open(str(tmp_path / "one[1].parquet")) as table:
        assert (table.rows, table.id_column) == (10, "id")
        table.require_numeric(["spent"])
        with pytest.raises(InputError, match="holds numbers as text"):
            table.require_numeric(["id"])


def test_a_pattern_matches_files(engine: SparkEngine, tmp_path: Path):
    folder_of(tmp_path / "data", 10, 20, 30)
    with engine.open(str(tmp_path / "data" / "part 0[12].parquet")) as table:
        assert table.rows == 50


def test_files_that_come_meanwhile_are_not_taken_for_parts(engine: SparkEngine, tmp_path: Path):
    folder = folder_of(tmp_path / "data", 10, 20)
    with engine.open(str(folder)) as table:
        pq.write_table(customers(5), folder / "part 09.parquet")
        engine.session.spark.catalog.refreshByPath(str(folder))
        with pytest.raises(AirflowException, match="nobody writes there meanwhile"):
            list(table.each(COLUMNS, passes.sums))
        with pytest.raises(AirflowException, match="nobody writes there meanwhile"):
            table.write(str(tmp_path / "x"), WRITTEN, passes.doubled, columns=COLUMNS, facts={})
    assert not (tmp_path / "x" / folders.MARKER).exists()


def test_what_a_visit_refuses_is_raised_here(engine: SparkEngine, cluster: Cluster, tmp_path: Path):
    folder = folder_of(tmp_path / "data", 10, 20)
    with engine.open(str(folder)) as table:
        before = sum(job["numFailedTasks"] for job in cluster.jobs())
        with pytest.raises(ValueError, match=r"^Column 'spent' has missing values$"):
            list(table.each(COLUMNS, passes.refused))
        assert sum(job["numFailedTasks"] for job in cluster.jobs()) == before
        with pytest.raises(AirflowException, match=r"^Spark failed on .*: KeyError: 'centers'; its own log"):
            list(table.each(COLUMNS, passes.broken))


def test_links_lead_nowhere_that_is_not_allowed(
    engine: SparkEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    secret, folder = folder_of(tmp_path / "secret", 10), folder_of(tmp_path / "data", 20)
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__ALLOWED_PATHS", str(folder))
    with engine.open(str(folder)) as table:
        assert table.rows == 20
    with pytest.raises(InputError, match="is not under"), engine.open(str(secret)):
        pass
    with pytest.raises(InputError, match="is not under"), engine.open(str(folder)) as table:
        table.write(str(tmp_path / "x"), WRITTEN, passes.doubled, columns=COLUMNS, facts={})
    (folder / "part 99.parquet").symlink_to(secret / "part 00.parquet")
    with pytest.raises(InputError, match="is not under"), engine.open(str(folder)):
        pass


@pytest.mark.parametrize(
    ("work", "victim"),
    [("each", "python worker"), ("each", "executor"), ("joined", "executor"), ("write", "executor")],
)
def test_the_same_bits_whatever_is_killed(
    engine: SparkEngine,
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    work: str,
    victim: str,
):
    folder, target = folder_of(tmp_path / "data", 100_000, 140_000, 80_000, 120_000), tmp_path / "made"
    monkeypatch.setattr(data, "RESULTS", 2 if work == "joined" else 100)
    gate = tmp_path / "gate"

    def passed(table: data.SparkData, gated: Any) -> Any:
        if work == "write":
            table.write(str(target), WRITTEN, gated(passes.doubled), columns=COLUMNS, facts={})
            return [[column.to_numpy()] for column in read(target).columns]
        return list(table.each(COLUMNS, gated(passes.total), join=passes.both if work == "joined" else None))

    with engine.open(str(folder)) as table, ThreadPoolExecutor(1) as pool:
        expected = passed(table, lambda inner: inner)
        jobs = len(cluster.jobs())
        done = pool.submit(passed, table, lambda inner: passes.Gated(inner, gate))
        cluster.kill_at_gate(victim, gate, jobs)
        assert_same_bits(done.result(), expected)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket/key/x.parquet", "s3a://bucket/key/x.parquet"),
        ("s3://conn@bucket/key/x.parquet", "s3a://bucket/key/x.parquet"),
        ("/data/a b/x.parquet", "file:///data/a b/x.parquet"),
        ("file:///data/x{1}.parquet", r"file:///data/x\{1\}.parquet"),
    ],
)
def test_uris_are_what_the_cluster_calls_them(uri: str, expected: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AIRFLOW_CONN_CONN", json.dumps({"conn_type": "aws", "login": "x", "password": "y"}))
    assert for_cluster(uri) == expected


@pytest.mark.parametrize(
    ("path", "uri", "expected"),
    [
        ("s3a://bucket/key/a%20b.parquet", "s3://aws@bucket/key", "s3://aws@bucket/key/a b.parquet"),
        ("abfss://box@me.dfs.core.windows.net/k/x", "abfs://azure@box/*", "abfs://azure@box/k/x"),
        ("/data/a b/x.parquet", "file:///data", "/data/a b/x.parquet"),
        ("/data/x.parquet", "/data", "/data/x.parquet"),
    ],
)
def test_what_the_cluster_tells_of_a_file_is_opened_as_its_table_is(path: str, uri: str, expected: str):
    assert for_worker(path, uri) == expected


@pytest.mark.parametrize(
    ("zone", "is_of_spark"), [(None, False), ("Europe/Zurich", False), ("UTC", True)], ids=str
)
def test_times_finer_than_those_of_spark_stay_times(
    engine: SparkEngine, tmp_path: Path, zone: str | None, is_of_spark: bool
):
    moments = [-86_400_000_001_001, 1_700_000_000_123_456_789, None]
    for year in (2025, 2026):
        (tmp_path / f"data/year={year}").mkdir(parents=True)
        rows = {"since `x`": pa.array(moments, pa.timestamp("ns", zone)), "n": range(3)}
        pq.write_table(pa.table(rows), tmp_path / f"data/year={year}" / "a b.parquet")
    here = pq.read_table(tmp_path / "data")
    coarser = pa.timestamp("us", zone and "UTC")
    with engine.open(str(tmp_path / "data")) as table:
        assert table.numeric_columns == ["n", "year"]
        table.write(str(tmp_path / "made"), table.schema, executors.unchanged, facts={})
    rows = read(tmp_path / "made")
    assert rows.schema.field(0).type == coarser
    assert rows.column(0).equals(here.column(0).cast(pa.timestamp("us"), safe=False).cast(coarser))
