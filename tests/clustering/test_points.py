from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering import assign, points
from airflow_segmentation.clustering.points import Points, lloyd, without_least
from hypothesis import given, settings
from hypothesis import strategies as st


def long_tailed(rows: int, features: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(size=(rows, features))


def first(count: int, of: Points) -> np.ndarray:
    """Return points to begin with: evenly spread over the first feature."""
    return of.centred[:: len(of) // count][:count]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(2, 12))
def test_bounds_spare_distances_and_change_no_bit(seed, features, k):
    data = Points(long_tailed(600, features, seed), np.ones(600))
    found = []
    for ringed in (0, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(points, "RINGED", ringed)
            found.append(lloyd(data, first(k, data), 0.0, 300))

    (one, one_iter), (other, other_iter) = found
    assert one.centers.tobytes() == other.centers.tobytes()
    assert one_iter == other_iter


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 12))
def test_iterations_end_where_each_centre_is_the_mean_of_the_points_nearest_to_it(seed, features, k):
    data = Points(long_tailed(400, features, seed), np.ones(400))

    segments, _ = lloyd(data, first(k, data), 0.0, 1000)

    labels = assign(data.centred, segments.centers)
    means = [data.centred[labels == segment].mean(axis=0) for segment in range(k)]
    assert segments.centers == pytest.approx(np.array(means))
    assert segments.sizes.tolist() == np.bincount(labels, minlength=k).tolist()


def test_going_beyond_the_means_takes_fewer_iterations_to_no_higher_sse(monkeypatch):
    data = Points(long_tailed(20_000, 4), np.ones(20_000))
    beyond, few = lloyd(data, first(20, data), 1e-6, 1000)
    monkeypatch.setattr(points, "BEYOND", 0.0)
    plain, many = lloyd(data, first(20, data), 1e-6, 1000)

    assert few < 0.8 * many
    assert beyond.inertia < 1.005 * plain.inertia


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_single_precision_finds_the_segments_that_double_does(scale):
    rows = scale * long_tailed(5000, 6)
    double = Points(rows, np.ones(5000))
    single = Points(rows, np.ones(5000))
    single.compare_in_single_precision()

    one, other = (lloyd(data, first(10, data), 1e-6, 300)[0] for data in (double, single))

    assert other.inertia == pytest.approx(one.inertia, rel=1e-3)
    assert other.sizes.sum() == 5000


def test_thinned_points_stand_for_all_whatever_their_tails():
    rows = np.random.default_rng(0).lognormal(sigma=2.0, size=(50_000, 4))
    data = Points(rows, np.ones(50_000))

    few = data.thinned(2000)

    assert 1000 < len(few) <= 2000
    assert few.weights.sum() == pytest.approx(50_000, rel=0.02)
    assert few.total == pytest.approx(data.total, rel=0.02)


def test_few_points_are_not_thinned():
    data = Points(long_tailed(500, 2), np.full(500, 2.0))

    assert data.thinned(500).weights.tolist() == [2.0] * 500


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_the_centre_that_goes_is_the_one_without_which_the_sse_is_least(seed):
    data = Points(long_tailed(300, 3, seed), np.random.default_rng(seed).uniform(0.5, 2.0, 300))
    centers = first(8, data)

    def sse(kept: np.ndarray) -> float:
        squared = ((data.centred[:, None] - kept) ** 2).sum(axis=2).min(axis=1)
        return float(data.weights @ squared)

    left = without_least(data, centers, 7)

    assert sse(left) == pytest.approx(min(sse(np.delete(centers, i, axis=0)) for i in range(8)))
    assert without_least(data, centers, 3).shape == (3, 3)
