from __future__ import annotations

import sys

import numpy as np
import pytest
from airflow_segmentation.clustering import Structure, measure_structure, sweep_rows
from sklearn.datasets import load_iris, load_wine, make_blobs
from sklearn.preprocessing import minmax_scale, scale

RNG = np.random.default_rng(0)
NOISE = {
    "uniform": RNG.random((600, 2)),
    "normal": RNG.normal(size=(600, 4)),
    "correlated": RNG.multivariate_normal([0, 0], [[1, 0.95], [0.95, 1]], size=500),
    "lognormal": RNG.lognormal(size=(800, 3)),
    "exponential": RNG.exponential(size=(400, 2)),
    "a grid": RNG.integers(0, 6, size=(700, 2)).astype(float),
    "outliers": np.concatenate([RNG.normal(size=(990, 3)), 10 * RNG.normal(size=(10, 3))]),
    "flags": RNG.integers(0, 2, size=(500, 4)).astype(float),
}


@pytest.mark.parametrize("name", NOISE)
def test_noise_is_no_group(name):
    found = measure_structure(NOISE[name], k_max=12)

    assert found is not None
    assert (found.verdict, found.gap_k) == ("none", 1)


@pytest.mark.parametrize("k", [2, 5, 9])
def test_groups_that_lie_apart_are_clear_and_counted(k):
    rows, _ = make_blobs(600, n_features=4, centers=k, cluster_std=0.5, random_state=k)

    found = measure_structure(rows, k_max=15)

    assert found is not None
    assert (found.verdict, found.gap_k) == ("clear", k)
    assert found.p == pytest.approx(1 / 21)


def test_groups_in_one_feature_of_many_are_found():
    rows = np.random.default_rng(0).normal(size=(500, 6))
    rows[:250, 2] += 12

    found = measure_structure(rows, k_max=8)

    assert found is not None
    assert (found.verdict, found.gap_k) == ("clear", 2)


def test_rows_that_are_few_points_many_times_are_clear_groups():
    rows = np.repeat(np.random.default_rng(0).normal(size=(6, 2)), 50, axis=0)

    found = measure_structure(rows, k_max=10)

    assert found is not None
    assert (found.verdict, found.gap_k) == ("clear", 6)


@pytest.mark.parametrize(
    ("load", "verdict", "k"), [(load_iris, "clear", (3, 4)), (load_wine, "unclear", (3,))]
)
def test_three_species_and_three_cultivars_are_groups(load, verdict, k):
    """Two species of irises touch, so that the gap takes a k more by chance."""
    found = measure_structure(minmax_scale(load().data), k_max=10)

    assert found is not None
    assert found.verdict == verdict
    assert found.gap_k in k


def test_the_gap_takes_the_k_that_r_has_published():
    """Of clusGap on the scaled wines, held against the box of the principal components (K. Kulma, 2017)."""
    found = measure_structure(scale(load_wine().data), k_max=10)

    assert found is not None
    assert found.gap_k == 3


def test_the_gap_is_of_log_sse_against_the_mean_of_the_sets():
    rows, _ = make_blobs(300, n_features=2, centers=3, cluster_std=0.3, random_state=0)

    found = measure_structure(rows, sets=19, k_max=6)

    assert found is not None
    assert found.gap[0] == 0.0 == found.gap_se[0]
    assert len(found.gap) == len(found.gap_se) == 6
    assert (found.sets, found.rows) == (19, 300)
    # Of three groups the rows keep little SSE, whatever is left of the sets.
    left = sweep_rows(rows, k_max=3).inertias
    assert found.gap[2] < np.log(left[0] / left[2])
    assert found.gap[2] > 1.0


def test_few_sets_prove_nothing():
    rows, _ = make_blobs(300, centers=3, cluster_std=0.3, random_state=0)

    found = measure_structure(rows, sets=5, k_max=6)

    assert found is not None
    assert found.p == pytest.approx(1 / 6)
    assert found.verdict == "none"


@pytest.mark.parametrize("rows", [[[1.0]], [[1.0]] * 9, [[1.0], [2.0], [3.0]], [[0.0], [1.0]] * 50])
def test_too_few_different_rows_tell_nothing(rows):
    assert measure_structure(np.array(rows)) is None


def test_the_unit_and_the_seed_do_not_change_what_is_found():
    rows = np.random.default_rng(0).normal(size=(200, 2))

    one, again, other = (measure_structure(rows, k_max=5, random_state=seed) for seed in (1, 1, 2))
    large = measure_structure(rows * 1024, k_max=5, random_state=1)

    assert one == again
    assert one != other
    assert one is not None
    assert large is not None
    assert large.gap == pytest.approx(one.gap, abs=1e-9)


def test_many_rows_are_sampled():
    found = measure_structure(np.random.default_rng(0).random((30_000, 2)), k_max=4)

    assert found is not None
    assert found.rows <= 4096
    assert found.verdict == "none"


def structure(gap: list[float], error: float = 0.1, p: float = 0.04) -> Structure:
    return Structure(gap, [0.0, *(error for _ in gap[1:])], p, sets=24, rows=100)


@pytest.mark.parametrize(
    ("gap", "p", "verdict"),
    [
        ([0.0, 0.149], 0.04, "none"),
        ([0.0, 0.15], 0.05, "unclear"),
        ([0.0, 0.299], 0.01, "unclear"),
        ([0.0, 0.3, -1.0], 0.01, "clear"),
        ([0.0, 5.0], 0.051, "none"),
        ([0.0, -1.0], 0.04, "none"),
    ],
)
def test_the_verdict_is_by_significance_and_size(gap, p, verdict):
    assert structure(gap, p=p).verdict == verdict


@pytest.mark.parametrize(
    ("gap", "k"),
    [
        ([0.0, 0.5, 0.4], 2),
        ([0.0, 0.31, 0.4], 2),
        ([0.0, 0.29, 0.4], 3),
        ([0.0, -0.5, 0.9, 0.95], 3),
        ([0.0, 0.1], 1),
    ],
)
def test_the_gap_takes_the_first_k_that_is_as_good_as_the_next(gap, k):
    assert structure(gap).gap_k == k


def test_the_dip_test_is_a_second_witness():
    pytest.importorskip("diptest", reason="No wheels of diptest for this platform")
    rng = np.random.default_rng(0)
    one = measure_structure(rng.normal(size=(300, 3)), k_max=4)
    two = measure_structure(rng.normal(size=(300, 3)) + 10 * rng.integers(0, 2, size=(300, 1)), k_max=4)

    assert one is not None
    assert two is not None
    assert None not in (one.dip_component, one.dip_distances)
    assert min(one.dip_component or 0, one.dip_distances or 0) > 0.1
    assert (two.dip_component, two.dip_distances) == (0.0, 0.0)


def test_where_the_dip_test_is_not_installed_it_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "diptest", None)

    found = measure_structure(np.random.default_rng(0).random((200, 2)), k_max=4)

    assert found is not None
    assert (found.dip_component, found.dip_distances, found.verdict) == (None, None, "none")
