"""No operator holds all rows: what each takes at its peak stays below a column's size."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from airflow.sdk.bases.xcom import BaseXCom
from airflow_segmentation import operators
from airflow_segmentation.clustering import rows
from airflow_segmentation.segments import model
from airflow_segmentation.tables import parquet
from airflow_segmentation.tables.data import Data

ROWS = 5_000_000
COLUMN = ROWS * 8
FEATURES = ["balance", "spent"]
PART = 2**17


def customers(path: Path, count: int) -> Path:
    """Write customers with gaps."""
    schema = pa.schema([(name, pa.float64()) for name in (*FEATURES, "age")])
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, count, PART):
            size = min(PART, count - start)
            columns = [rng.lognormal(size=size), rng.exponential(size=size), rng.integers(18, 80, size)]
            arrays = [pa.array(column, pa.float64(), mask=rng.random(size) < 0.01) for column in columns]
            writer.write_table(pa.table(arrays, schema=schema))
    return path


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five million customers."""
    return customers(tmp_path_factory.mktemp("many") / "customers.parquet", ROWS)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough customers for everything to be imported."""
    return customers(tmp_path_factory.mktemp("few") / "customers.parquet", 20_000)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run an operator without Airflow."""
    # What is held at a time is to be small beside five million rows, as it is beside five hundred million.
    monkeypatch.setattr(rows, "BATCH", 2**18)
    monkeypatch.setattr(parquet, "ROW_GROUP_BYTES", 2**21)
    monkeypatch.setattr(Data, "gathered", 10_000)
    monkeypatch.setattr(model, "MOST_BYTES", 2**20)
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__ALLOWED_PATHS", "*")
    monkeypatch.setattr(BaseXCom, "set", lambda **_: None)

    def run(operator: type, **arguments: Any) -> Any:
        class TaskInstance:
            dag_id, run_id, task_id, map_index, try_number = "memory", "run", operator.__name__, -1, 1

            def xcom_push(self, **_: Any) -> None:
                pass

        return operator(task_id=operator.__name__, **arguments).execute({"ti": TaskInstance()})

    return run


@contextmanager
def below_a_column(what: str) -> Iterator[None]:
    """See to it that arrays of numpy, and those of Arrow, each take less than one column does."""
    default = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(default)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        yield
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(default)
    peaks = {"numpy": taken, "arrow": pool.max_memory()}
    print(what, {name: f"{peak / 2**20:.0f} MB" for name, peak in peaks.items()})
    assert max(peaks.values()) < COLUMN, f"{what} took {peaks}"


@pytest.mark.parametrize("missing", ["drop", "median"])
def test_no_operator_of_the_chain_holds_a_column(run, many, few, tmp_path, missing):
    scale = {"features": FEATURES, "missing": missing}
    saved = str(tmp_path / "model.skops")

    def chain(data: Path, watched: Callable[[str], AbstractContextManager[None]]) -> str:
        with watched("scale"):
            scaled = run(operators.MinMaxPreprocessOperator, data=str(data), **scale)
        with watched("sweep"):
            sweep = run(operators.KMeansSweepOperator, data=scaled, k_max=6)
        with watched("choose"):
            run(operators.ElbowOperator, sweep=sweep, model_path=saved)
        with watched("assign"):
            return run(operators.KMeansPredictOperator, data=str(data), model_path=saved)

    chain(few, nullcontext)  # what is imported is no matter of rows
    assert pq.read_metadata(chain(many, below_a_column)).num_rows == ROWS


def test_loading_holds_no_column(run, many, few, tmp_path):
    for source in (few, many):
        file = pq.ParquetFile(source)
        path = tmp_path / f"{source.parent.name}.csv"
        with pyarrow.csv.CSVWriter(path, file.schema_arrow) as writer:
            for batch in file.iter_batches(PART):
                writer.write_batch(batch)
        with nullcontext() if source is few else below_a_column("load"):
            loaded = run(operators.CsvLoadOperator, path=str(path))

    assert pq.read_metadata(loaded).num_rows == ROWS
