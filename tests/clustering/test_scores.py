from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from airflow_segmentation.clustering import (
    assign,
    calinski_harabasz,
    choose_k,
    davies_bouldin,
    silhouette,
    sweep_rows,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5), st.sampled_from([1e-3, 1.0, 1e4]))
def test_scores_are_those_of_scikit_learn(seed, features, scale):
    rows = np.random.default_rng(seed).lognormal(size=(300, features)) * scale
    found = sweep_rows(rows, k_min=2, k_max=12)

    labels = [assign(rows, centers) for centers in found.cluster_centers]
    for ours, theirs in [
        (calinski_harabasz(found), calinski_harabasz_score),
        (davies_bouldin(found), davies_bouldin_score),
        (silhouette(found, rows), silhouette_score),
    ]:
        assert ours == pytest.approx([theirs(rows, own) for own in labels], rel=1e-6, abs=1e-6)


def test_silhouette_is_that_of_scikit_learn_where_segments_have_nothing_in_common_with_those_before():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 3))
    found = sweep_rows(rows, k_min=2, k_max=12)
    unrelated = [rows[rng.choice(len(rows), k, replace=False)] for k in found.k_values]

    theirs = [silhouette_score(rows, assign(rows, centers)) for centers in unrelated]
    assert silhouette(replace(found, cluster_centers=unrelated), rows) == pytest.approx(theirs, abs=1e-6)


def test_silhouette_of_many_rows_is_that_of_the_sample_that_the_seed_draws():
    rows = np.random.default_rng(0).lognormal(size=(5100, 2))
    found = sweep_rows(rows, k_min=2, k_max=4)

    sample = rows[np.random.default_rng(3).choice(len(rows), 5000, replace=False)]
    theirs = [silhouette_score(sample, assign(sample, centers)) for centers in found.cluster_centers]
    assert silhouette(found, rows, seed=3) == pytest.approx(theirs, abs=1e-6)


def test_silhouette_is_the_same_to_the_bit_on_several_cores():
    rows = np.random.default_rng(0).lognormal(size=(1200, 3))
    found = sweep_rows(rows, k_min=2, k_max=9)

    assert silhouette(found, rows, n_jobs=2).tolist() == silhouette(found, rows).tolist()


@pytest.mark.parametrize("centers", [3, 7, 15])
@pytest.mark.parametrize("score", [silhouette, calinski_harabasz, davies_bouldin])
def test_scores_choose_the_true_number_of_clusters(blobs, centers, score):
    rows = blobs(centers)
    found = sweep_rows(rows, k_max=25)

    values = score(found, rows) if score is silhouette else score(found)

    assert (
        choose_k(found.k_values, found.inertias, score.__name__, scores={score.__name__: values}).k == centers
    )


def test_scores_have_no_value_at_one_segment():
    rows = np.random.default_rng(0).normal(size=(50, 2))
    found = sweep_rows(rows, k_max=3)

    for values in (silhouette(found, rows), calinski_harabasz(found), davies_bouldin(found)):
        assert np.isnan(values).tolist() == [True, False, False]


@pytest.mark.filterwarnings("ignore::airflow_segmentation.clustering.RangeCut")
def test_scores_where_every_row_is_a_centre_are_no_error():
    rows = np.repeat([[0.0], [1.0], [5.0]], 2, axis=0)
    found = sweep_rows(rows)

    assert silhouette(found, rows)[-1] == pytest.approx(silhouette_score(rows, [0, 0, 1, 1, 2, 2]), abs=1e-6)
    assert davies_bouldin(found)[-1] == 0.0
    assert np.isnan(calinski_harabasz(found)[-1])
