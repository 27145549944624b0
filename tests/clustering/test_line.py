from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from airflow_segmentation.clustering.line import on_a_line
from clustering.battery import line, optimum
from hypothesis import given
from hypothesis import strategies as st


def cost(values, weights, centers):
    return float(weights @ ((values[:, None] - centers.ravel()) ** 2).min(axis=1))


def by_trial(values, weights, k):
    """Return the least SSE of all ways to part the values into k intervals."""
    least = np.inf
    for cuts in combinations(range(1, len(values)), k - 1):
        parts = zip(np.split(values, cuts), np.split(weights, cuts), strict=True)
        least = min(least, sum(own @ (part - np.average(part, weights=own)) ** 2 for part, own in parts))
    return least


@given(st.data())
def test_no_other_intervals_cost_less(data):
    values = np.array(sorted(data.draw(st.sets(st.integers(-100, 100), min_size=1, max_size=8))), float)
    weights = np.array(
        data.draw(st.lists(st.integers(1, 9), min_size=len(values), max_size=len(values))), float
    )

    for k, (centers, costs) in enumerate(on_a_line(values, weights, len(values)), start=1):
        assert centers.shape == (1, k, 1)
        assert cost(values, weights, centers) == pytest.approx(by_trial(values, weights, k), abs=1e-9)
        assert costs == pytest.approx([cost(values, weights, centers)], abs=1e-9)


@pytest.mark.parametrize("index", range(6))
def test_finds_what_dynamic_programming_over_all_pairs_finds(index):
    values, counts = np.unique(line(index), return_counts=True)
    k_max = min(20, len(values))

    found = on_a_line(values, counts.astype(float), k_max)

    best = optimum(line(index), k_max)
    assert [cost(values, counts, centers) for centers, _ in found] == pytest.approx(best, abs=1e-12 * best[0])


@pytest.mark.parametrize("far", [[1e9], [-1e9], [-1e9, 1e9]])
def test_values_far_away_cost_no_digits_of_the_others(far):
    near = np.random.default_rng(0).normal(size=60)
    values = np.sort(np.concatenate([near, far]))

    found = on_a_line(values, np.ones(len(values)), 6 + len(far))

    # Each of those far away is a segment of its own from here on.
    best = optimum(near[:, None], 6)
    rest = [cost(values, np.ones(len(values)), centers) for centers, _ in found[len(far) + 1 :]]
    assert rest == pytest.approx(best[1:], rel=1e-6)
