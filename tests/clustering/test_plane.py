from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering import principal_plane
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA


def test_is_the_plane_of_scikit_learns_pca():
    rows = load_iris().data
    reference = PCA(2).fit(rows)
    plane = principal_plane(rows, np.ones(len(rows)))

    assert plane.center == pytest.approx(reference.mean_)
    assert np.abs(plane.axes) == pytest.approx(np.abs(reference.components_))
    assert plane.shares == pytest.approx(reference.explained_variance_ratio_)
    # As published for iris: 92.5 and 5.3 %.
    assert plane.shares == pytest.approx([0.925, 0.053], abs=5e-4)


def test_a_row_of_weight_two_counts_as_two_rows():
    rows = load_iris().data
    weights = np.random.default_rng(0).integers(1, 4, len(rows))
    plane, repeated = (
        principal_plane(rows, weights),
        principal_plane(np.repeat(rows, weights, 0), np.ones(weights.sum())),
    )

    assert plane.axes == pytest.approx(repeated.axes)
    assert plane.shares == pytest.approx(repeated.shares)


def test_the_largest_part_of_each_axis_is_positive():
    for seed in range(10):
        axes = principal_plane(np.random.default_rng(seed).normal(size=(50, 4)), np.ones(50)).axes
        assert (axes[[0, 1], np.abs(axes).argmax(axis=1)] > 0).all()


@pytest.mark.parametrize("rows", [np.arange(9.0)[:, None], np.ones((9, 3)), np.ones((1, 3))])
def test_one_feature_and_rows_that_are_the_same_have_none(rows):
    assert principal_plane(rows, np.ones(len(rows))) is None
