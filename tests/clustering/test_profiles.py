from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering import Moments, profile_segments
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler


def test_each_column_is_described_over_the_segments():
    labels = np.array([1, 0, 1, 0, 1])
    age, spend = profile_segments(
        labels, {"age": [30, 10, 50, 20, 40], "spend": [1.0, 2.0, 1.0, 2.0, 1.0]}, 2
    )

    assert (age.column, spend.column) == ("age", "spend")
    assert age.mean == (15.0, 40.0)
    assert (age.q25, age.q50, age.q75) == ((12.5, 35.0), (15.0, 40.0), (17.5, 45.0))
    assert spend.mean == (2.0, 1.0)


def test_missing_values_are_left_out_and_an_empty_segment_has_none():
    (profile,) = profile_segments(np.array([0, 0, 1]), {"x": [1.0, np.nan, np.nan]}, 3)

    assert profile.mean == pytest.approx((1.0, np.nan, np.nan), nan_ok=True)
    assert profile.q50 == pytest.approx((1.0, np.nan, np.nan), nan_ok=True)


def test_a_column_of_another_length_is_an_error():
    with pytest.raises(ValueError, match="Column 'x' has 2 values, and there are 3 labels"):
        profile_segments(np.array([0, 0, 1]), {"x": [1.0, 2.0]}, 2)


def moments(*batches):
    found = Moments()
    for batch in batches:
        found.add(np.array(batch))
    return found


@settings(deadline=None)
@given(
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(0, 200), max_size=5),
    offset=st.sampled_from([0.0, -3.0, 1e9]),
    scale=st.sampled_from([1e-3, 1.0, 1e6]),
)
def test_moments_of_batches_are_those_of_all_rows(seed, cuts, offset, scale):
    rows = np.random.default_rng(seed).lognormal(size=(200, 3)) * scale + offset
    found = moments(*np.split(rows, sorted(cuts)))
    theirs = StandardScaler().fit(rows)

    np.testing.assert_allclose(found.mean, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(found.deviation, rows.std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.deviation, np.sqrt(theirs.var_), rtol=1e-6)


@pytest.mark.parametrize("value", [0.1, 1e9 + 0.1, -1 / 3])
def test_a_column_of_one_value_has_a_deviation_of_exactly_nothing(value):
    found = moments([[value]] * 7, [[value]] * 1000)

    assert (found.mean.tolist(), found.deviation.tolist()) == ([value], [0.0])
