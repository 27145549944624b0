from __future__ import annotations

import itertools

import numpy as np
import pytest
from airflow_segmentation.clustering import assign, points
from airflow_segmentation.clustering.points import (
    Points,
    Segments,
    chances,
    lloyd,
    nearest,
    with_farthest,
    without_least,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def long_tailed(rows: int, features: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(size=(rows, features))


def first(count: int, of: Points) -> np.ndarray:
    """Return points to begin with: evenly spread over the first feature."""
    return of.centred[:: len(of) // count][:count]


@settings(max_examples=50)
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


@settings(max_examples=50)
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


@settings(max_examples=30)
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


def test_segments_are_ordered_by_size_then_by_their_centres():
    centers = np.array([[2.0, 1.0], [1.0, 9.0], [1.0, 3.0], [0.0, 0.0], [7.0, 7.0]])
    order = [4, 2, 1, 0, 3]

    found = Segments(
        centers, np.array([5.0, 5, 5, 1, 8]), np.arange(5.0), 10 + np.arange(5.0)
    ).by_falling_size()

    assert found.centers.tolist() == centers[order].tolist()
    assert found.sizes.tolist() == [8.0, 5, 5, 5, 1]
    assert found.sse.tolist() == order
    assert found.spread.tolist() == [10.0 + segment for segment in order]


def test_segments_tell_the_weight_sse_and_spread_of_their_points():
    data = Points(np.array([[-1.0], [1.0], [6.0], [10.0]]), np.array([1.0, 2.0, 3.0, 1.0]))
    assert data.mean.tolist() == [29 / 7]

    found, n_iter = lloyd(data, np.array([[0.0], [7.0]]) - data.mean, 0.0, 0)

    assert n_iter == 0
    assert (found.centers + data.mean).tolist() == [[0.0], [7.0]]
    assert found.sizes.tolist() == [3.0, 4.0]
    assert found.sse == pytest.approx([1 + 2, 3 + 9])
    assert found.spread == pytest.approx([1 + 2, 3 + 3])
    assert found.inertia == pytest.approx(15)


COSTLY = Points(np.array([[0.0], [1.0], [4.0], [9.0]]), np.array([1.0, 1.0, 9.0, 1.0]))
"""From a centre at 0, the points cost 0, 1, 144 and 81."""


@pytest.mark.parametrize(("k", "joined"), [(1, []), (2, [4.0]), (3, [4.0, 9.0]), (4, [4.0, 9.0, 1.0])])
def test_the_point_that_costs_most_joins_the_centres_one_by_one(k, joined):
    centers = with_farthest(COSTLY, np.array([[0.0]]) - COSTLY.mean, k)

    assert (centers + COSTLY.mean).ravel() == pytest.approx([0.0, *joined])


@pytest.mark.parametrize(("k", "found"), [(2, [0.0, 4.0]), (3, [0.0, 4.0, 9.0])])
def test_a_centre_without_points_starts_again_at_the_point_that_costs_most(k, found):
    centers = np.zeros((k, 1)) - COSTLY.mean

    segments, _ = lloyd(COSTLY, centers, 0.0, 0)

    assert sorted((segments.centers + COSTLY.mean).ravel().tolist()) == pytest.approx(found)
    assert (centers + COSTLY.mean == 0).all(), "the caller's own are as they were"


def test_a_centre_that_loses_its_points_on_the_way_starts_again():
    # The heavy points draw the outer centres to themselves, and these take the two of the one between.
    data = Points(np.array([[-1.7], [-1.0], [1.0], [1.7]]), np.array([10.0, 1.0, 1.0, 10.0]))

    found, _ = lloyd(data, np.array([[-3.0], [0.0], [3.0]]), 0.0, 300)

    assert (found.sizes > 0).all()
    assert found.sizes.sum() == 22
    # Three of the four points have a centre of their own, but for the pair that lies nearest.
    assert found.inertia == pytest.approx(0.7**2 * 10 / 11)


@pytest.mark.parametrize("max_iter", [0, 1, 3])
def test_there_are_no_more_iterations_than_asked_for(max_iter):
    data = Points(long_tailed(2000, 3), np.ones(2000))

    assert lloyd(data, first(12, data), 0.0, max_iter)[1] == max_iter


def test_iterations_end_where_they_lower_the_sse_by_a_smaller_share():
    data = Points(long_tailed(2000, 3), np.ones(2000))
    sse = [lloyd(data, first(12, data), 0.0, n, beyond=0.0)[0].inertia for n in range(40)]

    for tol in (1e-1, 1e-2, 1e-3):
        _, n_iter = lloyd(data, first(12, data), tol, 300, beyond=0.0)
        # SSE after n iterations is that of the means of the labels before: it is known one later.
        saved = [(one - two) / two for one, two in itertools.pairwise(sse)]
        assert abs(n_iter - next(n for n, share in enumerate(saved) if share <= tol)) <= 2


def test_rows_are_drawn_half_evenly_and_half_by_their_squares():
    assert chances(np.array([1.0, 1.0]), np.array([0.0, 4.0]), 1, 2.0, 4.0).tolist() == [0.25, 0.75]
    assert chances(np.array([3.0, 1.0]), np.array([1.0, 1.0]), 1, 4.0, 4.0).tolist() == [0.75, 0.25]
    assert chances(1.0, np.array([0.0, 4.0]), 3, 2.0, 4.0).tolist() == [0.75, 1.0]


@pytest.mark.parametrize("held", [1, 600, 2**18])
@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), features=st.integers(1, 20), k=st.integers(1, 60))
def test_the_nearest_centre_is_that_of_all_distances_however_many_are_held(held, seed, features, k):
    rng = np.random.default_rng(seed)
    rows, centers = rng.normal(size=(700, features)) + 100.0, rng.normal(size=(k, features)) + 100.0
    rows[:k] = centers
    gaps = np.linalg.norm(rows[:, None] - centers, axis=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(points, "DISTANCES", held)
        labels, squares = nearest(rows, centers)

    assert labels.tolist() == gaps.argmin(axis=1).tolist()
    np.testing.assert_allclose(squares, gaps.min(axis=1) ** 2, rtol=1e-9, atol=1e-12)
    assert squares.min() >= 0.0


def test_of_centres_as_near_the_first_is_taken():
    centers = np.array([[1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    labels, squares = nearest(np.array([[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0]]), centers)

    assert (labels.tolist(), squares.tolist()) == ([0, 1, 0], [1.0, 0.0, 0.0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_has_no_distance(value):
    labels, squares = nearest(np.array([[value, 0.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [1.0, 0.0]]))

    assert labels.max() < 2
    assert np.isnan(squares[0])
    assert squares[1] == 0.0
