from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from airflow_segmentation.clustering import Elbow, Structure
from airflow_segmentation.reports.cautions import cautions
from airflow_segmentation.reports.choosing import Chooser
from airflow_segmentation.reports.report import Recommendation
from airflow_segmentation.sweeps.table import SweepTable
from airflow_segmentation.tables.scaling import Scaling

SSE = [100.0, 50, 10, 9, 8.5]
K = range(1, 6)
NAN = float("nan")


def told(k: int = 3, recommendation: Recommendation | None = None, **changes) -> list[str]:
    """Return what is said of k=1..5 where k was given, which has no caution of its own."""
    known: dict[str, Any] = {
        "data_uri": "/data.parquet",
        "scaling": Scaling(("a",), (0.0,), (1.0,), rows=100),
        "random_state": 0,
        "total_sse": 100.0,
        "k_values": list(K),
        "inertias": SSE,
        "centers": [np.linspace(0, 1, k)[:, None] for k in K],
        "sizes": [[100 // k] * k for k in K],
        "iterations": [1] * 5,
        "seconds": [0.1] * 5,
        "fit_rows": 100,
    }
    sweep = SweepTable(**known | changes)
    return list(
        cautions(sweep, Chooser("kneedle", 1.0, k), Elbow(k, "given"), None, None, recommendation, range(k))
    )


def structure(largest: float, p: float = 0.04) -> Structure:
    return Structure([0.0, largest / 2, largest], [0.0, 0.01, 0.01], p, sets=24, rows=100)


def test_nothing_is_said_of_clear_groups_that_hold():
    trust = [[1.0] * k for k in K]

    assert told(structure=structure(0.8), jaccard=trust, recommendation=Recommendation("Yes", 3)) == []


@pytest.mark.parametrize("largest", [0.05, 0.9])
def test_noise_is_called_one_continuum(largest):
    (words,) = told(structure=structure(largest, p=0.04 if largest < 0.1 else 0.3))

    assert words == (
        "These rows form one continuum: segments are slices of it, not groups. They can still be useful; "
        "expect neighbours to swap when data change"
    )


def test_groups_that_do_not_lie_apart_are_told_as_such():
    (words,) = told(structure=structure(0.2))

    assert words.startswith("These rows may form groups, but not such that lie apart")


@pytest.mark.parametrize(
    ("trust", "expected"),
    [
        (
            [0.9, 0.4, 0.3],
            [
                "Segments 1 and 2 dissolve in half of the resamples or more: do not act on them alone, or "
                "take k=2"
            ],
        ),
        (
            [0.9, 0.8, 0.6],
            ["Segment 2 changes when rows are drawn anew: do not act on them alone, or take k=2"],
        ),
        ([0.74, 0.76, 0.49], ["Segment 2 dissolves in half", "Segment 0 changes when"]),
        ([0.75, 0.75, 0.75], []),
    ],
)
def test_segments_that_do_not_come_again_are_named_with_a_k_at_which_all_do(trust, expected):
    found = told(jaccard=[[1.0], [0.8, 0.8], trust, [0.7] * 4, [0.9] * 5])

    assert len(found) == len(expected), found
    assert all(one.startswith(words) for one, words in zip(found, expected, strict=True)), found
    assert all(one.endswith(", where all hold") for one in found)


def test_where_no_k_holds_none_is_named():
    (words,) = told(jaccard=[[1.0], [0.1, 0.8], [0.8, 0.1, 0.8], [0.7] * 4, [0.7] * 5])

    assert words == "Segment 1 dissolves in half of the resamples or more: do not act on them alone"


def test_many_segments_are_counted():
    (words,) = told(k=10, **many(jaccard=[[0.1] * k for k in range(1, 11)]))

    assert words.startswith("10 segments dissolve in half")


def many(**changes):
    """Return what a sweep of k=1..10 changes."""
    return {
        "k_values": list(range(1, 11)),
        "inertias": [100.0 / k for k in range(1, 11)],
        "sizes": [[100 // k] * k for k in range(1, 11)],
    } | changes


def test_evidence_against_the_chosen_k_is_told_with_its_reason():
    assert told(recommendation=Recommendation("As the gap has it", 5)) == [
        "The evidence is for k=5 rather than k=3. As the gap has it"
    ]
    assert told(recommendation=Recommendation("As the gap has it", 3)) == []
    assert told(recommendation=Recommendation("No k is better than another")) == []


def test_scores_that_agree_on_another_k_are_told():
    scores = {
        "silhouette": [NAN, 0.5, 0.6, 0.9, 0.5],
        "calinski_harabasz": [NAN, 5, 6, 9, 5],
        "davies_bouldin": [NAN, 0.1, 0.6, 0.9, 0.5],
    }

    assert told(scores=scores) == ["Most scores are best at k=4, not at k=3: look at both"]
    assert told(k=4, scores=scores) == []
    assert told(scores={"silhouette": scores["silhouette"]}) == []


@pytest.mark.parametrize(("value", "said"), [(0.249, 1), (0.25, 0), (NAN, 0)])
def test_a_silhouette_without_substance_is_told(value, said):
    found = told(scores={"silhouette": [NAN, 0.3, value, 0.3, 0.3]})

    assert len(found) == said
    assert all(
        words.startswith("The silhouette of 0.25 at k=3 is below 0.25, which is read as no")
        for words in found
    )


def test_an_outlier_that_is_a_segment_of_its_own_is_named():
    (words,) = told(sizes=[[100], [50, 50], [98, 1, 1], [25] * 4, [20] * 5])

    assert words.startswith("Segments 1 and 2 consist of one row: an outlier, far from all others.")
    assert told(k=1, sizes=[[1], *([1] * k for k in range(2, 6))]) == []


def test_sse_of_nothing_at_a_smaller_k_is_told():
    (words,) = told(inertias=[100.0, 50, 10, 0, 0])

    assert words == (
        "SSE is 0 from k=4 on: the rows are 4 different points, and more segments part equal rows. Sweep to "
        "k_max=4"
    )
    assert told(inertias=[100.0, 50, 10, 9, 0]) == []
