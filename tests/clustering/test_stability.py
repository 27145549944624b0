from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering import chain, count_choices, sweep_resamples, sweep_rows
from airflow_segmentation.clustering.methods import DISSOLVED, STABLE
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, load_wine
from sklearn.preprocessing import scale


def test_clear_clusters_are_chosen_in_every_resample(blobs):
    curves = sweep_resamples(blobs(4, features=2), resamples=8, k_max=12).curves

    assert count_choices(curves) == [(4, 8)]


def test_counts_are_of_all_resamples_most_often_first():
    curves = sweep_resamples(
        np.random.default_rng(0).lognormal(size=(3000, 3)), resamples=10, k_max=20
    ).curves

    times = [count for _, count in count_choices(curves)]
    assert sum(times) == 10
    assert times == sorted(times, reverse=True)


def test_the_method_decides():
    curve = (list(range(1, 11)), [100.0, 50, 25, 12, 10, 9, 8, 7, 6, 5])

    assert count_choices([curve] * 3, "chord") == [(4, 3)]


def test_the_sensitivity_counts():
    k_values = np.arange(1, 50)
    uneven = np.random.default_rng(0).exponential(size=49) / k_values
    curve = (k_values.tolist(), uneven[::-1].cumsum()[::-1].tolist())

    assert count_choices([curve]) == count_choices([curve], sensitivity=1.0) == [(3, 1)]
    assert count_choices([curve], sensitivity=2.0) == [(18, 1)]


def test_the_same_seed_gives_the_same_curves():
    rows = np.random.default_rng(0).lognormal(size=(500, 2))

    one, again, other = (
        sweep_resamples(rows, resamples=6, k_max=15, random_state=seed) for seed in (1, 1, 2)
    )

    assert one == again
    assert one != other


def test_curves_are_close_to_those_of_whole_sweeps_of_drawn_rows():
    rng = np.random.default_rng(0)
    rows = rng.lognormal(size=(4000, 3))

    curves = np.array([sse for _, sse in sweep_resamples(rows, resamples=20, k_max=20).curves])
    whole = [sweep_rows(rows[rng.integers(len(rows), size=len(rows))], k_max=20) for _ in range(20)]

    sse = np.array([found.inertias for found in whole])
    assert curves.mean(axis=0) == pytest.approx(sse.mean(axis=0), rel=0.1)
    # They vary as much from one resample to the next, too.
    assert 0.5 < curves[:, 0].std() / sse[:, 0].std() < 2


def test_what_lies_within_the_cells_is_in_the_sse(monkeypatch):
    monkeypatch.setattr(chain, "LEAST_CELLS", 20)
    monkeypatch.setattr(chain, "POINTS_PER_CELL", 10**6)
    rows = np.random.default_rng(0).normal(size=(3000, 6))

    sse = [curve[0] for _, curve in sweep_resamples(rows, resamples=30, k_max=1).curves]

    assert np.mean(sse) == pytest.approx(((rows - rows.mean(axis=0)) ** 2).sum(), rel=0.01)


def test_curves_never_rise():
    curves = sweep_resamples(np.random.default_rng(0).lognormal(size=(1000, 3)), resamples=5, k_max=30).curves

    assert all((np.diff(sse) <= 0).all() for _, sse in curves)


@pytest.mark.filterwarnings("error")
def test_fewer_distinct_rows_than_k_are_no_error():
    curves = sweep_resamples(np.array([[1.0], [2.0], [2.0]]), resamples=5, k_min=2, k_max=9).curves

    assert sum(count for _, count in count_choices(curves)) == 5


def test_the_same_seed_makes_the_same_trust():
    rows = np.random.default_rng(0).normal(size=(300, 2))
    centers = sweep_rows(rows, k_max=4).cluster_centers

    one, again = (sweep_resamples(rows, resamples=4, k_max=4, cluster_centers=centers) for _ in range(2))

    assert one.jaccard == again.jaccard


def test_segments_that_lie_apart_come_again_whole_and_halves_of_one_do_not(blobs):
    rows = blobs(4, features=2)
    centers = sweep_rows(rows, k_max=6).cluster_centers

    jaccard = sweep_resamples(rows, resamples=20, k_max=6, cluster_centers=centers).jaccard

    assert [len(each) for each in jaccard] == [1, 2, 3, 4, 5, 6]
    assert jaccard[0] == [1.0]
    assert min(jaccard[3]) > 0.99
    assert min(jaccard[5]) < STABLE


def test_trust_is_as_by_single_fits_of_drawn_rows():
    """As fpc's clusterboot does it, with scikit-learn's K-means."""
    rows, k, rng = load_iris().data, 3, np.random.default_rng(0)
    own = KMeans(k, n_init=20, random_state=0).fit(rows)
    found = []
    for _ in range(100):
        drawn = rng.integers(len(rows), size=len(rows))
        labels = KMeans(k, n_init=5, random_state=0).fit_predict(rows[drawn])
        found.append(
            [max(_jaccard(own.labels_[drawn] == i, labels == j) for j in range(k)) for i in range(k)]
        )

    ours = sweep_resamples(rows, resamples=100, k_max=k, cluster_centers=[own.cluster_centers_]).jaccard[0]

    assert ours == pytest.approx(np.mean(found, axis=0), abs=0.05)


def test_trust_is_what_r_has_published():
    """Of fpc's clusterboot on the scaled wines, 100 resamples, three clusters (K. Kulma, 2017)."""
    rows = scale(load_wine().data)
    centers = sweep_rows(rows, k_max=4).cluster_centers

    jaccard = sweep_resamples(rows, resamples=100, k_max=4, cluster_centers=centers).jaccard

    assert sorted(jaccard[2]) == pytest.approx([0.953, 0.969, 0.978], abs=0.03)
    assert min(jaccard[3]) < DISSOLVED, "as there, with 0.42"


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def test_a_segment_that_no_resample_drew_rows_of_is_not_trusted():
    rows = np.repeat([[0.0], [1.0]], [2000, 1], axis=0)
    seed = next(  # that draws it in none of two
        seed
        for seed in range(100)
        if max(
            len(curve[0]) for curve in sweep_resamples(rows, resamples=2, k_max=2, random_state=seed).curves
        )
        == 1
    )

    found = sweep_resamples(
        rows, resamples=2, k_max=2, random_state=seed, cluster_centers=[np.array([[0.0], [1.0]])]
    )

    assert found.jaccard == [[1.0, 0.0]]
