from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from airflow_segmentation.clustering import sweep_resamples, sweep_rows
from airflow_segmentation.errors import InputError
from airflow_segmentation.sweeps.joining import join_sweeps
from airflow_segmentation.sweeps.table import SweepTable
from airflow_segmentation.tables.scaling import Scaling
from hypothesis import given, settings
from hypothesis import strategies as st

ROWS = np.random.default_rng(0).lognormal(size=(300, 2))
SCALING = Scaling(("a", "b"), tuple(ROWS.min(axis=0)), tuple(ROWS.max(axis=0)), len(ROWS))


@cache
def swept(k_min: int, k_max: int, seed: int = 0) -> SweepTable:
    """Return the sweep of a part of the range, with a score and resamples, as a mapped task finds it."""
    found = sweep_rows(ROWS, k_min=k_min, k_max=k_max, random_state=seed)
    return SweepTable(
        data_uri="/data.parquet",
        scaling=SCALING,
        random_state=seed,
        total_sse=found.total_inertia,
        k_values=found.k_values.tolist(),
        inertias=found.inertias.tolist(),
        centers=found.cluster_centers,
        sizes=[sizes.tolist() for sizes in found.sizes],
        iterations=found.n_iter.tolist(),
        seconds=found.fit_seconds.tolist(),
        fit_rows=found.fit_rows,
        scores={"silhouette": [k / 100 for k in found.k_values.tolist()]},
        resamples=sweep_resamples(ROWS, resamples=3, k_min=k_min, k_max=k_max, random_state=seed).curves,
        resample_rows=300,
    )


def test_one_sweep_is_itself():
    assert join_sweeps([swept(1, 9)]) is swept(1, 9)


def test_parts_in_any_order_are_one_sweep_of_the_whole_range():
    joined, whole = join_sweeps([swept(10, 14), swept(1, 5), swept(6, 9)]), swept(1, 14)

    assert joined.k_values == whole.k_values
    np.testing.assert_allclose(joined.inertias, whole.inertias, rtol=0.03)
    assert [len(centers) for centers in joined.centers] == joined.k_values
    assert [sum(sizes) for sizes in joined.sizes] == [300] * 14
    assert joined.scores == whole.scores
    assert joined.total_sse == pytest.approx(whole.total_sse)
    assert joined.index(10) == 9
    assert joined.up_to(7).k_values == [1, 2, 3, 4, 5, 6, 7]


def test_each_k_is_all_from_one_sweep_and_its_sse_is_what_its_centres_cost():
    joined = join_sweeps([swept(1, 7), swept(5, 12)])

    for centers, sse in zip(joined.centers, joined.inertias, strict=True):
        squared = ((ROWS[:, None] - centers) ** 2).sum(axis=2)
        assert squared.min(axis=1).sum() == pytest.approx(sse)


def test_where_ranges_overlap_the_lower_sse_counts():
    one, other = swept(1, 7), swept(5, 12)
    worse = replace(other, inertias=[other.inertias[0] * 2, *other.inertias[1:]])
    better = replace(other, inertias=[other.inertias[0] / 2, *other.inertias[1:]], sizes=["other"] * 8)

    assert join_sweeps([one, worse]).inertias[4] == one.inertias[4]
    joined = join_sweeps([one, better])
    assert (joined.inertias[4], joined.sizes[4]) == (other.inertias[0] / 2, "other")
    assert (joined.inertias[3], joined.sizes[3]) == (one.inertias[3], one.sizes[3])


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 11)), min_size=1, max_size=4))
def test_it_has_the_lowest_sse_at_every_k_and_rises_only_where_a_sweep_ends(parts):
    sweeps = [swept(k_min, min(12, k_min + more)) for k_min, more in parts]
    every_k = {k for sweep in sweeps for k in sweep.k_values}
    if len(every_k) <= max(every_k) - min(every_k):
        with pytest.raises(InputError, match="leave out k="):
            join_sweeps(sweeps)
        return
    joined = join_sweeps(sweeps)

    assert joined.k_values == sorted(every_k)
    for k, sse in zip(joined.k_values, joined.inertias, strict=True):
        assert sse == min(sweep.inertias[sweep.index(k)] for sweep in sweeps if k in sweep.k_values)
    rises = {k for k, change in zip(joined.k_values, np.diff(joined.inertias), strict=False) if change > 0}
    assert rises <= {max(sweep.k_values) for sweep in sweeps}


def test_a_rise_at_a_seam_is_kept_and_told():
    poor = replace(swept(6, 9), inertias=[swept(1, 5).inertias[-1] * 1.01, *swept(6, 9).inertias[1:]])

    joined = join_sweeps([swept(1, 5), poor])

    assert joined.inertias[5] == poor.inertias[0] > joined.inertias[4]
    (warning,) = joined.warnings
    assert "SSE rises from k=5 to k=6, where two sweeps meet" in warning
    assert "Let their ranges overlap" in warning
    assert join_sweeps([swept(1, 5), swept(6, 9)]).warnings == []


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            [(1, 4), (6, 9)],
            r"^The sweeps k=1\.\.4, k=6\.\.9 leave out k=5; sweep these, too: a curve with a gap has no "
            r"elbow to trust$",
        ),
        ([(12, 14), (1, 4), (6, 9)], r"leave out k=5, 10, 11; sweep"),
        ([(1, 2), (14, 14)], r"leave out k=3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 1 more;"),
    ],
)
def test_a_gap_is_an_error_that_names_it(parts, message):
    with pytest.raises(InputError, match=message):
        join_sweeps([swept(*part) for part in parts])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data_uri": "/other"}, r"k=1\.\.5 and k=6\.\.9 differ in data, /data\.parquet and /other, and"),
        ({"scaling": replace(SCALING, features=("a", "c"))}, "differ in features, a, b and a, c, and"),
        ({"random_state": 7}, "differ in random_state, 0 and 7, and"),
        ({"scaling": replace(SCALING, rows=299)}, r"/data\.parquet changed between the sweeps"),
        ({"total_sse": 1.0}, r"SSE at k=1 is \d+\.\d+ in the one and 1 in the other; clear the sweep tasks"),
    ],
)
def test_sweeps_of_something_else_are_an_error_that_says_of_what(change, message):
    with pytest.raises(InputError, match=message):
        join_sweeps([swept(1, 5), replace(swept(6, 9), **change)])


def test_resamples_are_joined_since_the_first_of_each_sweep_is_of_the_same_rows():
    joined, whole = join_sweeps([swept(1, 7), swept(6, 12)]), swept(1, 12)

    assert (len(joined.resamples), joined.resample_rows) == (3, 300)
    for (k_values, inertias), (same, expected) in zip(joined.resamples, whole.resamples, strict=True):
        assert list(k_values) == list(same)
        np.testing.assert_allclose(inertias, expected, rtol=0.15)
    first, second = (inertias for _, inertias in joined.resamples[:2])
    assert first[0] != pytest.approx(second[0], rel=0.01), "resamples differ by more than seams do"


def test_no_fewer_rows_than_told_are_behind_each_silhouette():
    parts = [replace(swept(1, 7), silhouette_rows=5_100), replace(swept(6, 9), silhouette_rows=5_060)]

    assert join_sweeps(parts).silhouette_rows == 5_060


def test_what_only_some_sweeps_hold_is_left_out_and_told():
    bare = replace(swept(6, 9), resamples=[], resample_rows=0, scores={})

    joined = join_sweeps([swept(1, 5), bare])

    assert (joined.resamples, joined.resample_rows, joined.scores) == ([], 0, {})
    assert joined.warnings == [
        "silhouette was left out: only some of the sweeps hold it",
        "Stability was left out: the sweeps hold different numbers of resamples; give all the same",
    ]


def test_a_warning_of_several_sweeps_is_told_once():
    sweeps = [replace(swept(1, 5), warnings=["cut"]), replace(swept(6, 9), warnings=["cut", "slow"])]

    assert join_sweeps(sweeps).warnings == ["cut", "slow"]
