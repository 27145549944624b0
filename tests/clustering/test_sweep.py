from __future__ import annotations

import io

import numpy as np
import pytest
from airflow_segmentation.clustering import ArrayRows, RangeCut, sweep, sweep_rows, sweep_table
from airflow_segmentation.clustering.rows import Sample
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

RANGE_MAY_BE_CUT = pytest.mark.filterwarnings("ignore::airflow_segmentation.clustering.RangeCut")


@pytest.mark.parametrize("centers", [3, 7, 15])
def test_finds_true_clusters_and_their_number(blobs, centers):
    rows = blobs(centers)
    found = sweep_rows(rows, k_max=30)

    with threadpool_limits(1):
        true_sse = KMeans(centers, n_init=30, random_state=0).fit(rows).inertia_
    assert found.inertias[centers - 1] == pytest.approx(true_sse, rel=1e-9)
    assert found.sizes[centers - 1].tolist() == [100] * centers
    assert (found.inertias[:-1] / found.inertias[1:])[: centers + 5].argmax() == centers - 2


def test_is_no_worse_than_scikit_learn_with_ten_starts():
    rows = np.random.default_rng(0).lognormal(size=(1000, 3))
    found = sweep_rows(rows, k_max=15)

    with threadpool_limits(1):
        peer = [KMeans(k, n_init=10, random_state=0).fit(rows).inertia_ for k in range(1, 16)]
    assert np.mean(found.inertias / peer) <= 1.0
    assert (found.inertias / peer).max() <= 1.02


def test_iterations_end_as_tol_and_max_iter_say():
    rows = np.random.default_rng(0).lognormal(size=(1000, 3))
    whole, coarse, short = (
        sweep_rows(rows, k_max=15, **given) for given in ({}, {"tol": 0.01}, {"max_iter": 2})
    )

    assert short.n_iter.max() == 2
    assert coarse.n_iter.sum() < 0.7 * whole.n_iter.sum()
    assert (coarse.inertias / whole.inertias).max() < 1.1


def test_more_chains_find_better_centres():
    rows = np.random.default_rng(0).lognormal(size=(1000, 3))
    one, many = (sweep_rows(rows, k_max=25, n_init=chains).inertias for chains in (1, 12))

    assert np.mean(many / one) < 1.0


@pytest.mark.parametrize(
    ("features", "size"),
    [(1, 2**16), (4, 2**16), (5, 5 * 2**14), (22, 22 * 2**14), (100, 2**23 // 100), (200, 2**16)],
)
def test_a_sample_has_rows_for_each_feature_and_no_more_values_than_fit(features, size):
    asked = []

    class Asked(ArrayRows):
        def sample(self, size: int, seed: int) -> Sample:
            asked.append((size, seed))
            return super().sample(size, seed)

    sweep_table(Asked(np.zeros((1, features))), k_max=1, random_state=7)

    assert asked == [(size, 7)]


@pytest.mark.parametrize(("rows", "measured"), [(100, 0), (101, 1)])
def test_all_rows_are_fitted_as_long_as_they_are_few(monkeypatch, rows, measured):
    monkeypatch.setattr(sweep, "FULL", 100)
    steps = []

    sweep_rows(np.random.default_rng(0).normal(size=(rows, 2)), k_min=3, k_max=5, on_step=steps.append)

    assert [step.total for step in steps] == [4 + measured] * (4 + measured)
    assert [step.done for step in steps] == list(range(1, 5 + measured))


def test_segments_are_ordered_by_falling_size():
    found = sweep_rows(np.random.default_rng(0).lognormal(size=(500, 2)), k_max=12)

    for sizes in found.sizes:
        assert (np.diff(sizes) <= 0).all()


def test_segments_of_equal_size_are_ordered_by_their_centres():
    found = sweep_rows(np.array([[3.0], [1.0], [2.0]]), k_max=3)

    assert found.cluster_centers[2].ravel().tolist() == [1.0, 2.0, 3.0]


def test_spreads_are_mean_distances_to_the_centre():
    found = sweep_rows(np.array([[0.0], [1.0], [5.0], [10.0], [30.0]]), np.array([1, 1, 2, 1, 1]), k_max=2)

    (centre,) = found.cluster_centers[0][0]
    assert centre == pytest.approx(51 / 6)
    assert found.spreads[0] == pytest.approx([(8.5 + 7.5 + 2 * 3.5 + 1.5 + 21.5) / 6])
    assert found.spreads[1] == pytest.approx([(4.2 + 3.2 + 2 * 0.8 + 5.8) / 5, 0.0])


def test_one_row_is_one_segment():
    with pytest.warns(RangeCut, match="k_max=49 is more than the 1 distinct rows"):
        found = sweep_rows(np.array([[4.0, 2.0]]))

    assert found.k_values.tolist() == [1]
    assert found.inertias.tolist() == [0.0]
    assert found.cluster_centers[0].tolist() == [[4.0, 2.0]]
    assert found.sizes[0].tolist() == [1]


def test_the_range_ends_at_the_number_of_distinct_rows_where_sse_is_nothing():
    rows = np.repeat([[0.1, 0.7], [0.3, 0.3], [0.9, 0.2], [0.9, 0.1]], 25, axis=0)
    with pytest.warns(RangeCut, match="the range ends at k=4"):
        found = sweep_rows(rows, k_max=10)

    assert found.k_values.tolist() == [1, 2, 3, 4]
    assert found.inertias[-1] == pytest.approx(0, abs=1e-25)


def test_a_range_that_begins_above_the_distinct_rows_is_an_error():
    with pytest.raises(ValueError, match="k_min=3 should be <= 2, the number of distinct rows"):
        sweep_rows(np.array([[1.0], [1.0], [2.0]]), k_min=3, k_max=5)


def test_a_constant_column_changes_nothing():
    rows = np.random.default_rng(0).normal(size=(200, 2))
    constant = np.column_stack([rows, np.full(200, 5.0)])

    assert sweep_rows(constant, k_max=8).inertias == pytest.approx(sweep_rows(rows, k_max=8).inertias)


def test_rows_without_weight_do_not_count():
    rows = np.random.default_rng(0).normal(size=(200, 2))
    weights = np.repeat([1.0, 0.0], 100)

    assert (
        sweep_rows(rows, weights, k_max=8).inertias.tolist()
        == sweep_rows(rows[:100], k_max=8).inertias.tolist()
    )


def test_every_step_is_reported_and_the_last_is_the_whole():
    seen = []
    found = sweep_rows(np.random.default_rng(0).normal(size=(200, 2)), k_min=2, k_max=6, on_step=seen.append)

    assert [progress.done for progress in seen] == list(range(1, seen[-1].total + 1))
    assert [progress.k_values.tolist() for progress in seen[:3]] == [[], [2], [2, 3]]
    assert seen[-1].k_values.tolist() == found.k_values.tolist()
    assert seen[-1].inertias == pytest.approx(found.inertias)


@pytest.mark.parametrize("rows", [500, 70_000], ids=["all rows", "a sample"])
def test_a_range_that_begins_above_one_is_as_good_as_from_one(rows):
    data = np.random.default_rng(0).lognormal(size=(rows, 2))
    seen = []

    part = sweep_rows(data, k_min=9, k_max=14, on_step=seen.append)
    whole = sweep_rows(data, k_max=14)

    assert part.inertias == pytest.approx(whole.inertias[8:], rel=1e-9)
    assert part.total_inertia == pytest.approx(whole.total_inertia, rel=1e-12)
    assert max(len(step.state["n_iter"]) for step in seen) == 1 + 6, "k = 1, and none between"


@pytest.mark.parametrize("k_min", [1, 4])
@pytest.mark.parametrize("interrupted_after", range(1, 6))
def test_goes_on_from_saved_state_to_the_same_bits(interrupted_after, k_min):
    rows = np.random.default_rng(0).lognormal(size=(300, 3))
    states = []
    whole = sweep_rows(rows, k_min=k_min, k_max=8, on_step=lambda step: states.append(step.state))
    file = io.BytesIO()
    np.savez(file, **states[interrupted_after - 1])
    file.seek(0)

    steps = []
    state = np.load(file, allow_pickle=False)
    resumed = sweep_rows(rows, k_min=k_min, k_max=8, state=state, on_step=steps.append)

    assert len(steps) == len(states) - interrupted_after
    assert resumed.inertias.tobytes() == whole.inertias.tobytes()
    assert resumed.n_iter.tolist() == whole.n_iter.tolist()
    for one, other in zip(resumed.cluster_centers, whole.cluster_centers, strict=True):
        assert one.tobytes() == other.tobytes()


tables = st.tuples(st.integers(1, 40), st.integers(1, 3)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.integers(-50, 50).map(float))
)


@RANGE_MAY_BE_CUT
@settings(max_examples=100)
@given(tables)
def test_more_segments_never_cost_more_and_none_is_empty(rows):
    found = sweep_rows(rows, k_max=12)

    assert (np.diff(found.inertias) <= 0).all()
    assert all((sizes > 0).all() for sizes in found.sizes)
    assert [sizes.sum() for sizes in found.sizes] == [len(rows)] * len(found.sizes)


@RANGE_MAY_BE_CUT
@settings(max_examples=50)
@given(tables, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_change_a_bit(rows, random):
    order = list(range(len(rows)))
    random.shuffle(order)

    assert sweep_rows(rows, k_max=8).inertias.tobytes() == sweep_rows(rows[order], k_max=8).inertias.tobytes()


@RANGE_MAY_BE_CUT
@settings(max_examples=50)
@given(tables, st.data())
def test_a_weight_is_a_row_that_occurs_as_often(rows, data):
    times = np.array(data.draw(st.lists(st.integers(1, 4), min_size=len(rows), max_size=len(rows))))

    weighted = sweep_rows(rows, times, k_max=8)
    repeated = sweep_rows(np.repeat(rows, times, axis=0), k_max=8)

    assert weighted.inertias.tobytes() == repeated.inertias.tobytes()
    assert [sizes.tolist() for sizes in weighted.sizes] == [sizes.tolist() for sizes in repeated.sizes]


@RANGE_MAY_BE_CUT
@settings(max_examples=50)
@given(tables, st.integers(-20, 20))
def test_scaling_by_a_power_of_two_scales_sse_by_its_square(rows, exponent):
    scale = 2.0**exponent

    assert (sweep_rows(rows * scale, k_max=8).inertias / scale**2).tolist() == sweep_rows(
        rows, k_max=8
    ).inertias.tolist()
