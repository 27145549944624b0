from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering import ArrayRows, Studied, study, studying

CENTERS = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


def rows_of(sizes, seed=0):
    rng = np.random.default_rng(seed)
    segments = np.repeat(np.arange(3), sizes)
    return ArrayRows(CENTERS[segments] + rng.normal(scale=0.1, size=(len(segments), 2)))


def test_of_few_rows_all_are_studied_and_each_counts_once():
    rows = rows_of([50, 20, 3])
    found = study(rows, CENTERS, [50, 20, 3], seed=1)

    assert np.bincount(found.segments).tolist() == [50, 20, 3]
    assert (found.weights == 1).all()


def test_of_many_rows_some_of_every_segment_are_and_weights_make_up_for_it(monkeypatch):
    monkeypatch.setattr(studying, "ROWS", 1_000)
    sizes = [90_000, 9_000, 40]
    found = study(rows_of(sizes), CENTERS, sizes, seed=1)

    drawn = np.bincount(found.segments)
    assert 800 <= drawn[0] <= 1_000
    assert drawn[2] >= 15
    assert np.bincount(found.segments, found.weights) == pytest.approx(sizes, rel=0.25)


def test_wide_rows_are_fewer(monkeypatch):
    monkeypatch.setattr(studying, "VALUES", 2_000)
    sizes = [4_000, 4_000, 4_000]
    assert 900 < len(study(rows_of(sizes), CENTERS, sizes, seed=1).rows) < 1_100


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
