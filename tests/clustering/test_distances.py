from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.clustering import Segmenting
from airflow_segmentation.clustering.distances import DistancesTally, percentiles_of
from airflow_segmentation.clustering.tallies import tallied
from airflow_segmentation.tables.parquet import Table

CENTERS = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.0]])
ROWS = np.random.default_rng(0).uniform(size=(20_000, 2))


def distance_percentiles(table, centers, farthest):
    tally = DistancesTally(len(centers), farthest)
    ((counts,),) = tallied(table, Segmenting(["a", "b"], centers), tally)
    return tally.percentiles(counts)


@pytest.fixture
def found(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": ROWS[:, 0], "b": ROWS[:, 1]}), path, row_group_size=3_000)
    with Table(str(path)) as table:
        yield distance_percentiles(table, CENTERS, 2**0.5)


def test_percentiles_are_numpys_to_a_bin(found):
    gaps = np.linalg.norm(ROWS[:, None] - CENTERS, axis=2)
    for segment in range(3):
        own = gaps[gaps.argmin(axis=1) == segment, segment]
        assert found[segment][1:] == pytest.approx(np.percentile(own, range(1, 101)), rel=0.02)
        assert found[segment][0] <= own.min()


def test_a_rows_percentile_is_the_share_of_rows_nearer(found):
    distances, segments = np.array([0.0, 0.2, 9.0, 0.2]), np.array([0, 0, 0, 1])
    gaps = np.linalg.norm(ROWS[:, None] - CENTERS, axis=2)
    own = gaps[gaps.argmin(axis=1) == 0, 0]

    percentiles = percentiles_of(distances, segments, found)
    assert percentiles[0] == 0
    assert percentiles[1] == pytest.approx(100 * (own < 0.2).mean(), abs=1)
    assert percentiles[2] == 100


def test_rows_that_all_are_their_centre_and_a_segment_without_rows_have_no_distance(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": [0.0] * 5, "b": [0.0] * 5}), path)
    with Table(str(path)) as table:
        found = distance_percentiles(table, CENTERS[:2], 0.0)
    assert (found == 0).all()
