from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering.reference import Reference, _one_peak
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from scipy.stats import ks_2samp, spearmanr
from sklearn.isotonic import isotonic_regression


def drawn(rows: np.ndarray, seed: int = 0) -> np.ndarray:
    return Reference(rows).draw(np.random.default_rng(seed))


@pytest.mark.parametrize("kind", ["uniform", "normal", "exponential", "lognormal"])
def test_a_feature_of_one_peak_keeps_its_distribution(kind):
    rows = getattr(np.random.default_rng(0), kind)(size=(3000, 2))

    other = drawn(rows)

    assert other.shape == rows.shape
    for own, another in zip(rows.T, other.T, strict=True):
        assert ks_2samp(own, another).statistic < 0.05
        assert own.min() <= another.min()
        assert another.max() <= own.max()


def test_features_stay_as_correlated_as_they_were():
    rng = np.random.default_rng(0)
    rows = np.exp(rng.multivariate_normal([0, 0, 0], [[1, 0.8, 0], [0.8, 1, -0.5], [0, -0.5, 1]], size=4000))

    assert spearmanr(drawn(rows)).statistic == pytest.approx(spearmanr(rows).statistic, abs=0.06)


def test_the_valley_between_two_peaks_is_filled():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(-5, 1, size=(1000, 1)), rng.normal(5, 1, size=(1000, 1))])

    assert (np.abs(rows) < 2).mean() < 0.002
    assert (np.abs(drawn(rows)) < 2).mean() > 0.1


def test_a_grid_is_kept():
    rows = np.random.default_rng(0).integers(0, 12, size=(2000, 2)) * 0.25 + 3
    reference = Reference(rows)

    other = reference.draw(np.random.default_rng(0))
    assert np.isin(other, rows).all()
    # The ends have as many rows as values between them.
    assert (other == 3).mean() == pytest.approx(1 / 12, abs=0.02)


def test_the_many_equal_values_at_a_peak_are_kept():
    rows = np.random.default_rng(0).exponential(size=(3000, 1))
    rows[:1800] = 0.0

    assert (drawn(rows) == 0).mean() == pytest.approx(0.6, abs=0.04)


def test_rows_that_are_far_in_all_features_at_once_stay_so():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4000, 4)) * np.where(np.arange(4000) < 400, 6.0, 1.0)[:, None]
    far = (np.abs(rows) > 4).sum(axis=1)

    others = (np.abs(drawn(rows)) > 4).sum(axis=1)

    assert (others >= 2).mean() == pytest.approx((far >= 2).mean(), abs=0.02)


def test_a_feature_of_one_value_keeps_it():
    rows = np.column_stack([np.random.default_rng(0).normal(size=50), np.full(50, 7.0)])

    assert (drawn(rows)[:, 1] == 7.0).all()


def test_equal_seeds_draw_equal_rows():
    rows = np.random.default_rng(0).normal(size=(100, 3))

    assert (drawn(rows) == drawn(rows)).all()
    assert (drawn(rows) != drawn(rows, seed=1)).any()


@given(
    nps.arrays(float, st.integers(2, 40), elements=st.floats(0, 10)),
    st.randoms(use_true_random=False),
)
def test_the_closest_slopes_fall_and_then_rise(slopes, random):
    widths = np.array([random.choice([1.0, 2.0, 5.0]) for _ in slopes])
    values = np.concatenate([[0.0], np.cumsum(slopes * widths)])

    found = _one_peak(values, widths)

    own = np.diff(found) / widths
    best = min(
        np.sum(
            widths
            * (
                np.concatenate(
                    [
                        isotonic_regression(slopes[:cut], sample_weight=widths[:cut], increasing=False)
                        if cut
                        else [],
                        isotonic_regression(slopes[cut:], sample_weight=widths[cut:])
                        if cut < len(slopes)
                        else [],
                    ]
                )
                - slopes
            )
            ** 2
        )
        for cut in range(len(slopes) + 1)
    )
    assert np.sum(widths * (own - slopes) ** 2) == pytest.approx(best, rel=1e-6, abs=1e-6)
    assert found[-1] == pytest.approx(values[-1], rel=1e-9, abs=1e-9)
