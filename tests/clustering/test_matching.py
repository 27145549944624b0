"""Segments go by what they are, not by their place: the same ones are found again, others are new."""

from __future__ import annotations

import math

import numpy as np
import pytest
from airflow_segmentation.clustering.matching import LIMIT, Placed, match, spacing
from airflow_segmentation.clustering.sweep import sweep_rows
from hypothesis import given
from hypothesis import strategies as st

GROUPS = np.array([[0.1, 0.1], [0.9, 0.2], [0.5, 0.9], [0.2, 0.6], [0.8, 0.7]])


def placed(*segments: tuple[float, ...]) -> Placed:
    """Return segments by their shares and centres."""
    return Placed([centre for _, *centre in segments], [share for share, *_ in segments])


def fitted(rows, seed: int) -> Placed:
    sweep = sweep_rows(rows, k_min=5, k_max=5, random_state=seed)
    return Placed(sweep.cluster_centers[0].tolist(), [size / len(rows) for size in sweep.sizes[0]])


@pytest.fixture(scope="module")
def customers():
    """500 rows of five separated groups, the smallest a tenth as large as the largest."""
    rng = np.random.default_rng(0)
    return np.concatenate(
        [
            rng.normal(centre, 0.03, (size, 2))
            for centre, size in zip(GROUPS, (200, 130, 90, 60, 20), strict=True)
        ]
    )


def test_the_same_rows_have_the_same_segments_whatever_their_order_and_the_seed(customers):
    first = fitted(customers, seed=0)
    for seed in range(50):
        again = fitted(np.random.default_rng(seed).permutation(customers), seed)
        found = match(first, again, 1.0)
        assert None not in found
        for here, there in zip(again.centers, found, strict=True):
            assert here == pytest.approx(first.centers[there or 0], abs=1e-9), seed


def test_segments_are_found_by_their_centres_whatever_became_of_their_sizes():
    before = placed((0.6, 0, 0), (0.3, 1, 0), (0.1, 0, 1))
    assert match(before, placed((0.7, 0.1, 1), (0.2, 0.1, 0), (0.1, 1.1, 0)), 1.0) == [2, 0, 1]


def test_a_larger_segment_comes_before_a_smaller_one():
    """Two of the new ones lie near the old one; and two of the old ones near the new one."""
    one, two = placed((1.0, 0)), placed((0.9, 0.02), (0.1, 0.01))
    assert match(one, two, 1.0) == [0, None]
    assert match(two, placed((1.0, 0.015)), 1.0) == [0]


def test_the_total_distance_counts_and_not_the_nearest_pair():
    """1.0 and 0.55 are nearest, and matched would leave 0 and 1.5, which are no match."""
    before = placed((0.5, 0), (0.5, 1.0))
    assert match(before, placed((0.5, 0.55), (0.5, 1.5)), 1.0) == [0, 1]


@pytest.mark.parametrize(("moved", "found"), [(0.0, 0), (0.74, 0), (0.76, None), (5.0, None)])
def test_what_moved_nearly_as_far_as_to_the_next_is_new(moved, found):
    before = placed((0.5, 0, 0), (0.5, 0, 2))
    assert LIMIT == 0.75
    assert match(before, placed((0.5, 2 * moved, 0), (0.5, 0, 2)), 1.0) == [found, 1]


def test_how_far_is_far_where_there_is_no_other():
    assert spacing([[3.0]], 8.0) == [8.0]
    assert match(placed((1.0, 0)), placed((1.0, 5.9)), 8.0) == [0]
    assert match(placed((1.0, 0)), placed((1.0, 6.1)), 8.0) == [None]


def test_more_segments_leave_some_new_and_fewer_some_gone():
    three = placed((0.5, 0, 0), (0.3, 4, 0), (0.2, 0, 4))
    two = placed((0.6, 0.2, 0), (0.4, 0, 4.1))
    assert match(three, two, 1.0) == [0, 2]
    assert match(two, three, 1.0) == [0, None, 1]
    assert match(two, Placed([], []), 1.0) == []
    assert match(Placed([], []), two, 1.0) == [None, None]


segments = st.lists(st.tuples(st.floats(0, 1), *[st.integers(-3, 3).map(float)] * 2), min_size=1, max_size=7)


@given(segments, segments, st.randoms(use_true_random=False))
def test_the_order_of_segments_makes_no_difference(before, after, random):
    """Whole numbers, so that many are equally far, and some the same; those of one share and place aside."""
    before, after = list(dict.fromkeys(before)), list(dict.fromkeys(after))

    def pairs(here, there):
        return {
            (there[place], None if other is None else here[other])
            for place, other in enumerate(match(placed(*here), placed(*there), 1.0))
        }

    shuffled = random.sample(before, len(before)), random.sample(after, len(after))
    found = pairs(before, after)
    assert pairs(*shuffled) == found
    kept = [other for _, other in found if other is not None]
    assert len(set(kept)) == len(kept)


@given(
    *[
        st.lists(
            st.tuples(st.floats(0, 1), st.sampled_from([0.0, 1e150, -1e150, math.inf, math.nan])), max_size=4
        )
    ]
    * 2
)
def test_numbers_that_are_none_match_nothing_and_raise_nothing(before, after):
    found = match(placed(*before), placed(*after), math.inf)
    assert len(found) == len(after)
