from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering import KMeansSweep, sweep_rows
from sklearn.base import clone
from sklearn.metrics import pairwise_distances_argmin_min
from sklearn.utils.estimator_checks import parametrize_with_checks


@pytest.mark.filterwarnings("ignore::airflow_segmentation.clustering.RangeCut")
@parametrize_with_checks([KMeansSweep()])
def test_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).lognormal(size=(400, 3))


def test_fit_learns_one_entry_for_each_k(rows):
    model = KMeansSweep(k_min=2, k_max=5, random_state=0).fit(rows)

    assert model.k_values_.tolist() == [2, 3, 4, 5]
    assert [centers.shape for centers in model.cluster_centers_] == [(2, 3), (3, 3), (4, 3), (5, 3)]
    assert [sizes.sum() for sizes in model.sizes_] == [400] * 4
    assert all(sizes.dtype.kind == "i" for sizes in model.sizes_)
    assert len(model.inertias_) == len(model.n_iter_) == len(model.fit_seconds_) == 4
    assert (model.fit_seconds_ > 0).all()


def test_total_inertia_is_that_of_one_segment_also_where_the_range_begins_above(rows):
    model = KMeansSweep(k_min=3, k_max=4, random_state=0).fit(rows)

    assert model.total_inertia_ == pytest.approx(((rows - rows.mean(axis=0)) ** 2).sum())


def test_inertias_are_those_of_scikit_learn_for_the_same_centers(rows):
    model = KMeansSweep(k_max=12, random_state=0).fit(rows)

    for centers, inertia in zip(model.cluster_centers_, model.inertias_, strict=True):
        _, distances = pairwise_distances_argmin_min(rows, centers)
        assert inertia == pytest.approx((distances**2).sum(), rel=1e-9)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"k_min": 3}, {"n_init": 1}, {"max_iter": 2}, {"tol": 0.05}, {"random_state": 5}],
    ids=str,
)
def test_fits_what_a_sweep_with_these_parameters_and_weights_does(rows, parameters):
    weights = np.random.default_rng(1).uniform(0.5, 2.0, 400)
    given = {"k_max": 15, "random_state": 0, **parameters}
    found, plain = sweep_rows(rows, weights, **given), sweep_rows(rows, weights, k_max=15)

    model = KMeansSweep(**given).fit(rows, sample_weight=weights)

    assert model.k_values_.tolist() == found.k_values.tolist()
    assert model.inertias_.tolist() == found.inertias.tolist()
    assert model.n_iter_.tolist() == found.n_iter.tolist()
    assert (found.inertias.tolist() != plain.inertias.tolist()) is bool(parameters)


def test_the_same_random_state_gives_the_same_bits_however_it_is_run(rows):
    one, two = (KMeansSweep(k_max=10, random_state=7, n_jobs=jobs).fit(rows) for jobs in (1, 2))

    assert one.inertias_.tobytes() == two.inertias_.tobytes()
    assert [c.tobytes() for c in one.cluster_centers_] == [c.tobytes() for c in two.cluster_centers_]


def test_a_random_state_that_is_a_generator_is_drawn_from(rows):
    generator = np.random.RandomState(3)
    once, again, twice = (
        KMeansSweep(k_max=15, random_state=state).fit(rows).inertias_.tolist()
        for state in (np.random.RandomState(3), generator, generator)
    )

    assert once == again
    assert once != twice


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_and_infinite_values_are_refused_as_by_scikit_learn(rows, bad):
    rows[3, 1] = bad

    with pytest.raises(ValueError, match=r"NaN|infinity"):
        KMeansSweep().fit(rows)


@pytest.mark.parametrize(
    "parameters", [{"k_min": 0}, {"k_max": 2.5}, {"tol": -1}, {"n_init": 0}, {"n_jobs": 0}]
)
def test_parameters_are_checked_when_fitting(rows, parameters):
    with pytest.raises(ValueError, match=f"The '{next(iter(parameters))}' parameter"):
        KMeansSweep(**parameters).fit(rows)


def test_a_range_upside_down_is_refused(rows):
    with pytest.raises(ValueError, match="k_min=5 and k_max=4"):
        KMeansSweep(k_min=5, k_max=4).fit(rows)


def test_negative_weights_are_refused(rows):
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        KMeansSweep().fit(rows, sample_weight=np.full(len(rows), -1.0))


def test_a_clone_has_the_same_parameters():
    assert clone(KMeansSweep(k_max=9, n_jobs=2)).get_params() == KMeansSweep(k_max=9, n_jobs=2).get_params()
