from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.clustering import (
    ArrayRows,
    TableRows,
    assign,
    calinski_harabasz,
    choose_k,
    davies_bouldin,
    scores,
    silhouette,
    silhouette_sample,
    sweep_rows,
)
from airflow_segmentation.tables.parquet import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score


@settings(max_examples=15)
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


def sampled(rows, sweep, seed=0):
    return silhouette(sweep, *silhouette_sample(ArrayRows(rows), sweep, seed))


@pytest.mark.parametrize("count", [300, 5000])
def test_silhouette_of_few_rows_is_over_all_of_them(count):
    rows = np.random.default_rng(0).lognormal(size=(count, 2))
    found = sweep_rows(rows, k_min=2, k_max=4)

    taken, weights = silhouette_sample(ArrayRows(rows), found)
    assert (taken.tolist(), set(weights)) == (rows.tolist(), {1.0})
    theirs = [silhouette_score(rows, assign(rows, centers)) for centers in found.cluster_centers]
    assert sampled(rows, found) == pytest.approx(theirs, abs=1e-6)


@pytest.fixture(scope="module")
def skewed():
    """A sweep of more rows than are sampled, with segments of a few rows and of thousands."""
    rows = np.random.default_rng(0).lognormal(size=(12_000, 2))
    return rows, sweep_rows(rows, k_max=30)


def test_the_sample_for_the_silhouette_holds_some_rows_of_every_segment_at_every_k(skewed):
    rows, found = skewed
    taken, weights = silhouette_sample(ArrayRows(rows), found)
    least = [
        np.min(np.bincount(assign(taken, centers), minlength=len(centers)) / np.minimum(sizes, 20))
        for centers, sizes in zip(found.cluster_centers, found.sizes, strict=True)
    ]

    assert min(map(min, found.sizes)) < 10, "or the test would tell nothing"
    assert min(least) >= 0.7
    assert len(taken) == pytest.approx(5000, rel=0.04)
    assert weights.sum() == pytest.approx(len(rows), rel=0.001), "they stand for all rows"


def test_a_segment_that_is_small_at_one_k_only_is_in_the_sample_whole():
    rows = np.concatenate([np.random.default_rng(0).normal(size=20_000), np.full(15, 10.0)])[:, None]
    found = sweep_rows(rows, k_min=2, k_max=3)
    # The fifteen are a segment of their own at k = 2, and a part of a large one at the last k.
    centers = [np.array([[0.0], [10.0]]), np.array([[-1.0], [0.0], [1.0]])]
    sizes = [np.bincount(assign(rows, each)) for each in centers]

    sample, stands_for = silhouette_sample(
        ArrayRows(rows), replace(found, cluster_centers=centers, sizes=sizes)
    )

    assert (sample > 9).sum() == 15
    assert stands_for[sample[:, 0] > 9].tolist() == [1.0] * 15
    assert 4_500 < len(sample) < 5_500


def test_the_mean_over_samples_is_the_silhouette_of_all_rows(monkeypatch):
    monkeypatch.setattr(scores, "SAMPLE", 1000)
    rows = np.random.default_rng(1).lognormal(size=(4000, 2))
    found = sweep_rows(rows, k_min=2, k_max=12)
    of_all = silhouette(found, rows)
    by_segment = np.array([sampled(rows, found, seed) for seed in range(30)])
    uniform = np.array(
        [
            silhouette(found, rows[np.random.default_rng(seed).choice(len(rows), 1000, replace=False)])
            for seed in range(30)
        ]
    )

    assert by_segment.mean(axis=0) == pytest.approx(of_all, abs=0.004)
    assert np.abs(by_segment - of_all).max() < 0.03
    assert np.abs(by_segment - of_all).mean() < 0.7 * np.abs(uniform - of_all).mean(), "or why bother?"


def test_a_dozen_rows_far_away_decide():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(123_456, 2))
    rows[::10_288] = rng.normal(500, 0.1, size=(12, 2))
    found = sweep_rows(rows, k_max=6)

    values = sampled(rows, found)
    assert found.sizes[1].tolist() == [123_444, 12]
    assert choose_k(found.k_values, found.inertias, "silhouette", scores={"silhouette": values}).k == 2
    assert values[1] == pytest.approx(1, abs=0.01)


def test_the_sample_for_the_silhouette_is_the_same_from_a_file_and_another_for_another_seed(skewed, tmp_path):
    rows, found = skewed
    pq.write_table(pa.table({"a": rows[:, 0], "b": rows[:, 1]}), tmp_path / "rows.parquet")

    taken, _ = silhouette_sample(TableRows(Table(str(tmp_path / "rows.parquet")), ["a", "b"]), found, 1)
    assert taken.tolist() == silhouette_sample(ArrayRows(rows), found, 1)[0].tolist()
    assert taken.tolist() != silhouette_sample(ArrayRows(rows), found, 2)[0].tolist()


def by_definition(rows, labels, weights):
    """Return the silhouette in which each row counts by its weight, and a row not for itself."""
    gaps = np.linalg.norm(rows[:, None] - rows, axis=2)
    each = []
    for row, own in enumerate(labels):
        others = weights * (np.arange(len(rows)) != row)
        inner, *outer = (
            np.average(gaps[row, labels == segment], weights=others[labels == segment])
            for segment in sorted(set(labels), key=lambda segment: segment != own)
        )
        each.append((min(outer) - inner) / max(inner, min(outer)))
    return np.average(each, weights=weights)


def test_weighted_rows_count_by_their_weight():
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(size=(90, 2)), rng.uniform(1, 9, size=90)
    found = sweep_rows(rows, k_min=2, k_max=4)
    expected = [by_definition(rows, assign(rows, centers), weights) for centers in found.cluster_centers]

    assert silhouette(found, rows, weights) == pytest.approx(expected, abs=1e-6)


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
