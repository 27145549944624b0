"""How many rows go from one set of segments to another, each in its own units."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from airflow_segmentation.clustering import Assigner, Segmenting
from airflow_segmentation.clustering.migration import MigrationTally
from airflow_segmentation.clustering.tallies import tallied
from airflow_segmentation.tables.parquet import Table

ROWS = np.random.default_rng(0).uniform(size=(20_000, 2))
BEFORE = np.array([[0.1, 0.1], [0.9, 0.2], [0.5, 0.9]])
AFTER = np.array([[0.2, 0.8], [0.8, 0.2]])


def nearest(rows, centers):
    return np.linalg.norm(rows[:, None] - centers, axis=2).argmin(axis=1)


def test_rows_are_counted_from_each_to_each_whatever_the_parts(tmp_path):
    """The second feature counts for ten times as much before."""
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": ROWS[:, 0], "b": ROWS[:, 1]}), path, row_group_size=3_000)
    scale = np.array([1.0, 10.0])
    before = Assigner(scale, np.array([0.0, -3.0]), None, BEFORE * scale - [0.0, 3.0])
    with Table(str(path)) as table:
        after = Segmenting(["a", "b"], AFTER)
        ((found,),) = tallied(table, after, MigrationTally(before, ["a", "b"], 2))

    old, new = nearest(ROWS * scale, BEFORE * scale), nearest(ROWS, AFTER)
    assert found.sum() == 20_000
    assert found.tolist() == [
        [int(((old == one) & (new == other)).sum()) for other in range(2)] for one in range(3)
    ]
