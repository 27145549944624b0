from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.clustering import Segmenting, Studied, rows, studying
from airflow_segmentation.clustering.studying import StudyTally
from airflow_segmentation.clustering.tallies import tallied
from airflow_segmentation.tables.parquet import Table

CENTERS = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


def study(folder, sizes):
    """Study rows around the centres, so many around each, in any order."""
    rng = np.random.default_rng(0)
    segments = rng.permutation(np.repeat(np.arange(3), sizes))
    values = CENTERS[segments] + rng.normal(scale=0.1, size=(len(segments), 2))
    pq.write_table(pa.table({"a": values[:, 0], "b": values[:, 1]}), folder / "rows.parquet")
    with Table(str(folder / "rows.parquet")) as table:
        tally = StudyTally(["a", "b"], sizes, seed=1)
        (found,) = tallied(table, Segmenting(["a", "b"], CENTERS), tally)
    return Studied(*found)


@pytest.mark.parametrize("part", [20, 10**6])
def test_few_rows_are_all_studied_in_their_order_and_each_counts_once(tmp_path, monkeypatch, part):
    monkeypatch.setattr(rows, "BATCH", part)
    found = study(tmp_path, [50, 20, 3])

    assert (found.rows == pq.read_table(tmp_path / "rows.parquet").to_pandas()).all(axis=None)
    assert np.bincount(found.segments).tolist() == [50, 20, 3]
    assert (found.weights == 1).all()
    assert np.linalg.norm(found.rows - CENTERS[found.segments], axis=1).max() < 1


@pytest.mark.parametrize("part", [2_000, 10**6])
def test_of_many_rows_some_of_every_segment_are_and_weights_make_up_for_it(tmp_path, monkeypatch, part):
    monkeypatch.setattr(studying, "ROWS", 1_000)
    monkeypatch.setattr(rows, "BATCH", part)
    sizes = [90_000, 9_000, 40]
    found = study(tmp_path, sizes)

    drawn = np.bincount(found.segments)
    assert 800 <= drawn[0] <= 1_000
    assert drawn[2] >= 15
    assert np.bincount(found.segments, found.weights) == pytest.approx(sizes, rel=0.25)
    assert len(np.unique(found.rows, axis=0)) == len(found.rows), "no row is drawn twice"


def test_wide_rows_are_fewer(tmp_path, monkeypatch):
    monkeypatch.setattr(studying, "VALUES", 2_000)
    assert 900 < len(study(tmp_path, [4_000, 4_000, 4_000]).rows) < 1_100


def test_those_to_show_hold_some_of_each_segment_or_all_there_are():
    segments = np.repeat([0, 1, 2], [960, 37, 3])
    studied = Studied(np.zeros((1000, 1)), np.ones(1000), segments)
    shown = segments[studied.few(300, 5, 3, seed=1)]

    counts = np.bincount(shown)
    assert counts.sum() == 300
    assert counts[2] == 3
    assert counts[1] >= 5
    assert len(studied.few(2, 5, 3, seed=1)) == 13
    assert (studied.few(300, 5, 3, seed=1) == studied.few(300, 5, 3, seed=1)).all()


def test_beyond_those_each_row_of_the_table_is_shown_as_likely():
    # A row that stands for ten is shown as often as ten rows would be.
    weights = np.repeat([10.0, 1.0], [500, 500])
    studied = Studied(np.zeros((1000, 1)), weights, np.zeros(1000, int))
    shown = [np.count_nonzero(studied.few(100, 0, 1, seed) < 500) for seed in range(40)]
    assert 80 < np.mean(shown) < 96
