from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering import fits, sweep, sweep_rows
from sklearn.cluster import KMeans


@pytest.fixture(autouse=True)
def runs_of_a_sample(monkeypatch):
    """Thousands of rows are a sample that is fitted in runs already."""
    monkeypatch.setattr(sweep, "FULL", 2000)
    monkeypatch.setattr(fits, "FEW", 2000)
    monkeypatch.setattr(fits, "HIDDEN", -1.0)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Customers of twelve features that have long tails and something in common."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(8000, 3)) @ rng.normal(size=(3, 12))
    return np.exp(0.4 * common + 0.4 * rng.normal(size=(8000, 12)))


def test_a_sweep_in_runs_is_no_worse_than_scikit_learn(rows):
    found = sweep_rows(rows, k_max=30)

    peers = [
        np.mean([KMeans(k, random_state=seed).fit(rows).inertia_ for seed in range(3)])
        for k in range(2, 31, 4)
    ]
    assert np.mean(found.inertias[1::4] / peers) < 1.0
    assert (np.diff(found.inertias) <= 0).all()


def test_runs_give_the_same_bits_whatever_the_threads(rows):
    one, two = (sweep_rows(rows, k_max=20, n_jobs=jobs) for jobs in (1, 2))

    assert one.inertias.tobytes() == two.inertias.tobytes()
    assert one.cluster_centers[-1].tobytes() == two.cluster_centers[-1].tobytes()


def test_an_interrupted_run_goes_on_to_the_same_bits(rows):
    states = []
    whole = sweep_rows(rows, k_max=26, on_step=lambda step: states.append(step.state))

    # 24, 25 and 26 are one run, 22 and 23 another.
    for done in (1, 21, 22, 24, 25, 26):
        resumed = sweep_rows(rows, k_max=26, state=states[done - 1])
        assert resumed.inertias.tobytes() == whole.inertias.tobytes()
        assert resumed.n_iter.tolist() == whole.n_iter.tolist()


def test_a_part_of_the_range_is_fitted_as_well(rows):
    whole, part = sweep_rows(rows, k_max=24), sweep_rows(rows, k_min=15, k_max=24)

    assert part.inertias == pytest.approx(whole.inertias[14:], rel=0.02)
    assert part.total_inertia == whole.total_inertia


def test_what_lies_close_together_far_from_the_rest_is_told_apart():
    rng = np.random.default_rng(0)
    far = rng.uniform(size=(4, 12))
    centers = np.concatenate([far, far + 1e-5 * rng.normal(size=far.shape)])
    rows = centers[rng.integers(8, size=8000)] + 1e-7 * rng.normal(size=(8000, 12))

    found = sweep_rows(rows, k_max=10)

    assert found.inertias[3] > 1000 * found.inertias[7]
    assert found.inertias[7] == pytest.approx(8000 * 12 * 1e-14, rel=0.02)
