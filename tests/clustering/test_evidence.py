from __future__ import annotations

import pytest
from airflow_segmentation.clustering import Structure, agreed_k, recommend

NAN = float("nan")
K = [1, 2, 3, 4, 5]


def structure(gap: list[float], p: float = 0.04) -> Structure:
    return Structure(gap=gap, gap_se=[0.0, *(0.01 for _ in gap[1:])], p=p, sets=24, rows=100)


GROUPS = structure([0.0, 0.2, 0.4, 0.8, 0.7])
"""The gap takes k = 4."""


def trust(*stable: int) -> list[list[float]]:
    return [[1.0] * k if k in stable else [1.0] * (k - 1) + [0.7] for k in K]


def test_without_groups_no_k_is_better_than_another():
    found = recommend(K, structure([0.0, 0.05, 0.1, 0.1, 0.1]), trust(2, 3, 4, 5))

    assert found.k is None
    assert found.reason == "No k is better than another: nothing tells these rows from one group"
    assert recommend(K, structure([0.0, 2.0, 2.0, 2.0, 2.0], p=0.06), trust(2)).k is None


def test_the_k_of_the_gap_is_taken_where_all_of_its_segments_come_again():
    found = recommend(K, GROUPS, trust(2, 4, 5))

    assert found.k == 4
    assert found.reason == ("The gap statistic takes it, and all of its segments come again in resamples")


@pytest.mark.parametrize(("stable", "k"), [((2, 3), 3), ((3, 5), 5), ((2,), 2), ((1,), None)])
def test_else_the_nearest_k_at_which_all_come_again(stable, k):
    found = recommend(K, GROUPS, trust(*stable))

    assert found.k == k
    assert ("nearest to k = 4 of the gap" if k else "At no k do all segments") in found.reason


def test_without_resamples_the_gap_is_alone_and_said_to_be():
    found = recommend(K, GROUPS)

    assert found.k == 4
    assert "without resamples nothing tells which of its segments would come again" in found.reason
    assert recommend([1, 2, 3], GROUPS).k is None


def test_scores_that_agree_are_named():
    scores = {
        "silhouette": [NAN, 0.1, 0.2, 0.9, 0.3],
        "davies_bouldin": [None, 0.3, 0.2, 0.1, 0.4],
        "calinski_harabasz": [NAN, 9.0, 2.0, 1.0, 0.0],
    }

    assert (
        "takes it, as do Silhouette and Davies-Bouldin, and all"
        in recommend(K, GROUPS, trust(4), scores).reason
    )
    del scores["silhouette"]
    assert "takes it, as does Davies-Bouldin, and all" in recommend(K, GROUPS, trust(4), scores).reason


@pytest.mark.parametrize(
    ("best", "k"),
    [
        ((2, 2, 3), 2),
        ((2, 3, 4), None),
        ((2, 2, 2), 2),
        ((2, 2), 2),
        ((2, 3), None),
        ((2,), None),
        ((), None),
    ],
)
def test_scores_agree_where_most_of_them_and_two_are_best_at_one_k(best, k):
    names = ("silhouette", "calinski_harabasz", "davies_bouldin")
    sign = {"silhouette": 0.1, "calinski_harabasz": 1, "davies_bouldin": -1}
    scores = {
        name: [NAN, *(sign[name] * (own == one) for own in K[1:])]
        for name, one in zip(names, best, strict=False)
    }

    assert agreed_k(K, scores) == k
