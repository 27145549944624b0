from __future__ import annotations

import warnings

import numpy as np
import pytest
from airflow_segmentation.clustering import Elbow, Structure, choose_k, chord
from kneed import DataGenerator, KneeLocator


def _convex(k_values: np.ndarray, knee: int) -> np.ndarray:
    """A steep line down to the knee, and a nearly flat one from there."""
    return np.where(
        k_values <= knee, 100.0 - 10 * (k_values - 1), 100.0 - 10 * (knee - 1) - 0.1 * (k_values - knee)
    )


@pytest.mark.parametrize("knee", [3, 5, 8])
@pytest.mark.parametrize("method", ["kneedle", "chord"])
def test_finds_the_knee_of_two_lines(method, knee):
    k_values = np.arange(1, 21)

    assert choose_k(k_values, _convex(k_values, knee), method) == Elbow(knee, method)


def test_agrees_with_kneed_on_its_own_published_curve():
    x, y = DataGenerator.convex_decreasing()

    assert choose_k(x, y) == Elbow(2, "kneedle")


@pytest.mark.parametrize("sensitivity", [0.5, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_kneed_on_uneven_curves(seed, sensitivity):
    k_values = np.arange(1, 50)
    steps = np.random.default_rng(seed).exponential(size=49) / k_values
    inertias = steps[::-1].cumsum()[::-1]

    knee = KneeLocator(k_values, inertias, S=sensitivity, curve="convex", direction="decreasing").knee

    elbow = choose_k(k_values, inertias, sensitivity=sensitivity)
    fallback = Elbow(chord(k_values, inertias), "chord")
    assert elbow == (fallback if knee is None else Elbow(int(knee), "kneedle"))


@pytest.mark.parametrize(
    ("k_values", "inertias", "k"),
    [
        ([1], [7.0], 1),
        ([4], [0.0], 4),
        ([1, 2], [7.0, 3.0], 1),
        ([1, 2, 3], [9.0, 2.0, 1.0], 2),
        ([1, 2, 3], [5.0, 5.0, 5.0], 1),
        ([1, 2, 3, 4, 5, 6], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0], 1),
        ([1, 2, 3], [0.0, 0.0, 0.0], 1),
    ],
)
def test_curves_without_an_elbow_are_decided_by_the_chord_without_a_warning(k_values, inertias, k):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert choose_k(k_values, inertias) == Elbow(k, "chord")


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("method", ["kneedle", "chord"])
def test_the_unit_of_the_sse_does_not_matter(method, unit):
    k_values = np.arange(1, 12)
    inertias = np.array([9.0, 6, 4, 3, 2.5, 2.1, 1.8, 1.6, 1.4, 1.2, 1.0])

    assert choose_k(k_values, inertias * unit, method).k == 4


@pytest.mark.parametrize(
    ("method", "k"), [("silhouette", 3), ("calinski_harabasz", 3), ("davies_bouldin", 4)]
)
def test_a_score_chooses_where_it_is_best(method, k):
    scores = {method: [None, 0.2, 0.9, float("nan") if method != "davies_bouldin" else 0.1]}

    assert choose_k([1, 2, 3, 4], [9.0, 5.0, 2.0, 1.0], method, scores=scores) == Elbow(k, method)


def test_a_score_without_a_value_leaves_the_choice_to_the_chord():
    scores = {"silhouette": [None, None, None]}

    assert choose_k([1, 2, 3], [9.0, 2.0, 1.0], "silhouette", scores=scores) == Elbow(2, "chord")


def test_a_score_that_was_not_computed_is_an_error():
    with pytest.raises(ValueError, match="method='silhouette' needs its score"):
        choose_k([1, 2], [2.0, 1.0], "silhouette", scores={})


def test_an_unknown_method_is_an_error_that_lists_the_known():
    with pytest.raises(ValueError, match="method='none' should be one of kneedle, silhouette"):
        choose_k([1, 2], [2.0, 1.0], "none")


@pytest.mark.parametrize("method", ["gap", "evidence"])
def test_what_holds_the_curve_against_sets_without_groups_needs_them(method):
    with pytest.raises(ValueError, match=f"method='{method}' needs sets .*; give reference_sets"):
        choose_k([1, 2], [2.0, 1.0], method)


def structure(gap: list[float]) -> Structure:
    return Structure(gap=gap, gap_se=[0.0, *(0.1 for _ in gap[1:])], p=0.04, sets=24, rows=100)


def test_gap_chooses_the_first_k_that_is_as_good_as_the_next():
    sse = [9.0, 8.0, 7.0, 6.0, 5.0]

    assert choose_k([1, 2, 3, 4, 5], sse, "gap", structure=structure([0, -0.3, 0.95, 1, 0.2])) == Elbow(
        3, "gap"
    )
    # k that were not swept cannot be chosen.
    late = choose_k([4, 5, 6, 7], sse[:4], "gap", structure=structure([0, 0.3, 0.95, 1, 0.2]))
    assert late.decided_by == "chord"


def test_evidence_without_groups_leaves_k_to_the_chord():
    curve = [1, 2, 3, 4], [9.0, 2.0, 1.0, 0.9]

    assert choose_k(*curve, "evidence", structure=structure([0, 0.1, 0.0, 0.0])) == Elbow(2, "chord")
    assert choose_k(*curve, "evidence", structure=structure([0, 0.1, 0.8, 0.0])) == Elbow(3, "evidence")


def test_a_curve_without_points_is_an_error():
    with pytest.raises(ValueError, match="0 k_values"):
        choose_k([], [])


def test_k_is_an_int_that_json_can_write():
    k_values = np.arange(1, 21)

    assert type(choose_k(k_values, _convex(k_values, 5)).k) is int
    assert type(chord(k_values, _convex(k_values, 5))) is int
