from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering.exchanging import exchanged
from airflow_segmentation.clustering.points import Points, lloyd
from hypothesis import given
from hypothesis import strategies as st


def sse(points, labels, k):
    total = 0.0
    for label in range(k):
        own, weights = points.centred[labels == label], points.weights[labels == label]
        if len(own):
            total += weights @ ((own - np.average(own, axis=0, weights=weights)) ** 2).sum(axis=1)
    return total


def nearest(points, centers):
    return ((points.centred[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)


@given(st.integers(0, 10**6), st.integers(2, 5), st.booleans())
def test_in_the_end_no_single_point_costs_less_elsewhere(seed, k, weighted):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 8, size=(25, 2)).astype(float)
    points = Points(rows, rng.integers(1, 4, 25).astype(float) if weighted else np.ones(25))
    before = lloyd(points, points.centred[rng.choice(len(points), k, replace=False)], 0.0, 300)[0]

    centers = exchanged(points, before.centers, 0.0, 300)

    labels = nearest(points, centers)
    least = sse(points, labels, k)
    assert least <= before.inertia * (1 + 1e-12)
    for point in range(len(points)):
        if (labels == labels[point]).sum() == 1:
            continue  # it would leave a segment of nothing
        for other in range(k):
            moved = labels.copy()
            moved[point] = other
            assert sse(points, moved, k) >= least * (1 - 1e-8) - 1e-9


def test_goes_on_where_lloyds_iterations_are_at_an_end():
    # Each point's own centre is the nearest, 5 and 16; but that of the others would come to meet the 10.
    points = Points(np.array([0.0, 10.0, 15.0, 15.5, 16.5, 17.0])[:, None], np.ones(6))
    stuck = lloyd(points, np.array([[5.0], [16.0]]) - points.mean, 0.0, 300)[0]
    free = exchanged(points, stuck.centers, 0.0, 300)

    assert nearest(points, stuck.centers).tolist() == [0, 0, 1, 1, 1, 1]
    assert nearest(points, free).tolist() == [0, 1, 1, 1, 1, 1]


def test_stops_where_a_round_saves_less_than_tol():
    points = Points(np.random.default_rng(0).lognormal(size=(300, 2)), np.ones(300))
    begin = lloyd(points, points.centred[:30], 0.0, 300)[0].centers
    labels = [nearest(points, exchanged(points, begin, tol, 300)) for tol in (0.5, 0.0)]

    coarse, fine = (sse(points, each, 30) for each in labels)
    assert fine < coarse == pytest.approx(sse(points, nearest(points, begin), 30))


def test_a_centre_without_points_leaves_all_as_it_is():
    points = Points(np.arange(6.0)[:, None], np.ones(6))
    centers = np.array([[-1.0], [1.0], [99.0]])
    assert exchanged(points, centers, 0.0, 300) is centers
