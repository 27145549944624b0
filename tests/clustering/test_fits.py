from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering import ArrayRows, fits, sweep, sweep_rows, sweep_table
from airflow_segmentation.clustering.chain import Starts
from airflow_segmentation.clustering.points import lloyd
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


def four_groups() -> np.ndarray:
    """Rows around 0, 10, 20 and 30."""
    return np.random.default_rng(0).normal(np.repeat([0.0, 10, 20, 30], 50), 0.1)[:, None]


PILED = [np.array(centers)[:, None] for centers in ([15.0], [5.0, 25], [0.0, 10, 25], [-0.2, -0.1, 0.1, 0.2])]
"""Centres for each k: for four segments all in one group, so that the others are one segment."""


def test_where_a_beginning_fails_the_k_below_is_gone_on_from(monkeypatch):
    rows = four_groups()
    begun = Starts([centers[None] - rows.mean() for centers in PILED], left=1.0, hidden=0.0)
    monkeypatch.setattr(fits, "starts", lambda *_: begun)

    found = sweep_rows(rows, k_max=4)

    assert found.sizes[3].tolist() == [50] * 4
    assert found.inertias[3] < 0.01 * found.inertias[2]


def test_of_the_two_beginnings_of_a_run_the_better_counts(monkeypatch):
    rows = np.random.default_rng(0).normal(np.repeat(np.arange(0.0, 80, 10), 500), 0.1)[:, None]
    piled = np.linspace(-0.2, 0.2, 9)[:, None]
    good = np.array([*range(0, 80, 10), 70.2])[:, None]

    for first, second in ((piled, piled), (good, piled), (piled, good)):
        # The run to k = 8 begins with the best for 8, and with the second best for the 9 that are one more.
        chains = [np.stack([first[:k], piled[:k]]) for k in range(1, 9)]
        begun = Starts([*chains, np.stack([piled, second])], left=1.0, hidden=1.0).moved(-rows.mean())
        monkeypatch.setattr(fits, "starts", lambda *_, begun=begun: begun)
        found = sweep_rows(rows, k_min=8, k_max=8)

        assert bool(found.inertias[0] < 1000) is (first is good or second is good)


def test_where_all_rows_rank_two_k_otherwise_than_the_sample_the_k_below_is_gone_on_from(monkeypatch):
    rows = four_groups()

    def as_they_are(points, k_values, **_):
        for centers in PILED:
            yield fits.Fit(lloyd(points, centers - points.mean, 0.0, 0)[0], 0, 0.0)

    monkeypatch.setattr(sweep, "FULL", 100)
    monkeypatch.setattr(sweep, "fit_all", as_they_are)

    measured = []

    class Counted(ArrayRows):
        def measured(self, centers):
            measured.append(len(centers))
            return super().measured(centers)

    found = sweep_table(Counted(rows), k_max=4)

    nearest = ((rows - found.cluster_centers[3].ravel()) ** 2).min(axis=1)
    assert found.inertias[3] == pytest.approx(nearest.sum())
    assert found.inertias[3] < 0.6 * found.inertias[2]
    assert measured == [4, 1]


def test_a_fit_tells_how_long_all_its_rivals_took(rows, monkeypatch):
    ticks = iter(range(10**6))
    monkeypatch.setattr(fits.time, "perf_counter", lambda: next(ticks))

    # Each fit asks for the time before and after, and each k is fitted twice where they are fitted in runs.
    assert sweep_rows(rows, k_max=10).fit_seconds.tolist() == [2.0] * 10


@pytest.mark.parametrize("sampled", [True, False])
def test_a_sample_is_fitted_less_exactly(rows, monkeypatch, sampled):
    monkeypatch.setattr(sweep, "FULL", 2000 if sampled else 10**6)
    monkeypatch.setattr(fits, "HIDDEN", 1.0)
    data = rows[:2500]

    coarse, exact = (sweep_rows(data, k_max=8, tol=tol) for tol in (1e-12, 0.0))
    assert coarse.n_iter.tolist() == exact.n_iter.tolist()
    if sampled:
        monkeypatch.setattr(fits, "SAMPLE_TOL", 0.0)
        assert sweep_rows(data, k_max=8).n_iter.sum() > exact.n_iter.sum()
