from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering import profile_segments


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
