"""The sweep on sets where K-means is easily worse than it could be, beside the best that is known there."""

from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering import sweep_rows
from airflow_segmentation.clustering.line import on_a_line
from clustering.battery import SETS, best_known, line, optimum

NEAR = 1.01
"""Times the best known SSE that a sweep may come to."""


@pytest.mark.parametrize("name", SETS)
def test_is_within_a_hundredth_of_the_best_of_a_hundred_starts(name):
    make, k_max = SETS[name]
    rows = make()
    some = sorted({2, 3, 5, 8, k_max} & set(range(2, k_max + 1)))
    known = {k: best_known(rows, k) for k in some}

    whole = sweep_rows(rows, k_max=k_max, random_state=1)
    shorter = [sweep_rows(rows, k_max=k) for k in some if k < 10]

    assert [k for k in some if whole.inertias[k - 1] > NEAR * known[k]] == []
    for sweep in shorter:
        last = len(sweep.k_values)
        assert sweep.inertias[-1] <= NEAR * known[last], f"at the last k of 1..{last}"


@pytest.mark.parametrize("index", range(60))
def test_finds_the_optimum_of_one_feature(index):
    values = line(index)
    k_max = min(20, len(np.unique(values)))
    best = optimum(values, k_max)

    for last in sorted({2, 5, k_max}):
        found = sweep_rows(values, k_max=last).inertias
        assert found == pytest.approx(best[: len(found)], rel=1e-9, abs=1e-12 * best[0])


def test_finds_the_optimum_of_a_dozen_values():
    values = np.array([4, 5, 7, 7, 8, 10, 10, 13, 20, 21, 24, 29.0])[:, None]
    assert sweep_rows(values, k_max=4).inertias[-1] == pytest.approx(25 + 7 / 15)


def test_is_near_the_optimum_of_many_values():
    values = np.random.default_rng(0).lognormal(size=(9_000, 1))
    exact = [costs[0] for _, costs in on_a_line(np.sort(values.ravel()), np.ones(len(values)), 12)]

    assert sweep_rows(values, k_max=12).inertias == pytest.approx(exact, rel=1e-4)
