from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.clustering import Segmenting, population_stability_index, rows, shifts
from airflow_segmentation.clustering.tallies import tallied
from airflow_segmentation.tables.parquet import Table
from hypothesis import given
from hypothesis import strategies as st

SHARES = (
    st.lists(st.integers(0, 100), min_size=2, max_size=12).filter(any).map(lambda n: [x / sum(n) for x in n])
)


@pytest.fixture
def table(tmp_path):
    """Return a function that opens a frame as a table."""

    def opened(frame):
        path = tmp_path / "rows.parquet"
        pq.write_table(pa.Table.from_pandas(frame), path)
        return Table(str(path))

    return opened


def test_the_index_is_that_of_the_formula():
    assert population_stability_index([0.5, 0.5], [0.5, 0.5]) == 0
    assert population_stability_index([0.5, 0.5], [0.8, 0.2]) == pytest.approx(0.6 * math.log(2))
    ten = [0.1] * 10
    moved = [0.19, 0.01, *ten[2:]]
    assert population_stability_index(ten, moved) == pytest.approx(0.09 * math.log(19))


def test_an_empty_bin_is_taken_to_hold_a_row_of_ten_thousand():
    assert population_stability_index([1.0, 0.0], [0.5, 0.5]) == pytest.approx(
        0.5 * math.log(2) + 0.4999 * math.log(5000)
    )


@given(SHARES, SHARES)
def test_the_index_is_the_same_both_ways_and_never_below_zero(one, other):
    other = (other * len(one))[: len(one)]
    assert population_stability_index(one, other) == pytest.approx(population_stability_index(other, one))
    assert population_stability_index(one, other) >= 0


@pytest.mark.parametrize(("expected", "actual"), [(10_000, 100), (300, 300), (1000, 100_000)])
def test_rows_that_have_not_shifted_are_seldom_above_chance(expected, actual):
    rng, share = np.random.default_rng(0), [0.1] * 10
    drawn = [
        population_stability_index(
            rng.multinomial(expected, share) / expected, rng.multinomial(actual, share) / actual
        )
        for _ in range(2000)
    ]
    limit = shifts.index_by_chance(10, expected, actual)
    assert np.mean(np.array(drawn) > limit) < 0.03
    assert np.mean(drawn) > limit / 4, "the limit is about as low as it can be"


@pytest.mark.parametrize("gathered", [10**6, 100])
def test_bins_by_deciles_hold_a_tenth_each(table, monkeypatch, gathered):
    monkeypatch.setattr(Table, "gathered", gathered)
    monkeypatch.setattr(rows, "BATCH", 1000)
    values = np.random.default_rng(0).lognormal(size=(5000, 2))
    with table(pd.DataFrame(values, columns=["a", "b"])) as opened:
        found = shifts.spread(opened, ["b", "a"], np.ptp(values[:, ::-1], axis=0))
    for index, (edges, shares) in ((1, found[0]), (0, found[1])):
        np.testing.assert_allclose(edges, np.quantile(values[:, index], shifts.DECILES), rtol=1e-2)
        assert shares == pytest.approx([0.1] * 10, abs=1e-3)


@pytest.mark.parametrize("unit", [1.0, 1e-7, 3e9])
def test_rows_of_one_value_stay_in_one_bin_whatever_their_units(table, unit):
    """Six of ten customers have spent nothing: rounding must not push them over an edge that is at 0."""
    spend = np.repeat([0.0, 0.3, 0.7, 1.1], [600, 200, 150, 50]) * unit
    scale, offset = 1 / np.ptp(spend), -0.3
    with table(pd.DataFrame({"spend": spend * scale + offset})) as opened:
        ((edges, shares),) = shifts.spread(opened, ["spend"], [1.0])
    assert shares == pytest.approx([0.6, 0.2, 0.15, 0.05])
    (counts,) = shifts.counted(spend[:, None], [(np.array(edges) - offset) / scale])
    assert shifts.shares(counts) == shares


def test_a_feature_of_one_value_has_a_bin_for_what_is_above_it(table):
    with table(pd.DataFrame({"a": [2.0] * 5})) as opened:
        ((edges, shares),) = shifts.spread(opened, ["a"], [0.0])
    assert shares == [1.0, 0.0]
    assert shifts.counted(np.array([[2.0, 1.0, 3.0, 4.0]]).T, [np.array(edges)]).tolist() == [[2, 2]]


def test_values_that_are_missing_or_infinite_are_left_out():
    rows = np.array([[0.0, np.nan, 2.0, 3.0, np.inf]]).T
    assert shifts.counted(rows, [np.array([1.0])]).tolist() == [[1, 2]]


def test_features_of_different_numbers_of_bins_are_counted_beside_one_another():
    rows = np.array([[0.0, 0.0], [2.0, 2.0]])
    found = shifts.counted(rows, [np.array([]), np.array([-1.0, 1.0])])
    assert found.tolist() == [[2, 0, 0], [0, 1, 1]]


def test_shares_are_those_of_all_parts_of_a_table(table, monkeypatch):
    monkeypatch.setattr(rows, "BATCH", 10)
    with table(pd.DataFrame({"a": [1.0] * 30 + [2.0] * 10, "b": [None] * 20 + [1.0] * 20})) as opened:
        bins = shifts.BinsTally(["b", "a"], [np.array([]), np.array([1.5])])
        ((counts,),) = tallied(opened, Segmenting(), bins)
    assert bins.shares(counts) == [[1.0], [0.75, 0.25]]
