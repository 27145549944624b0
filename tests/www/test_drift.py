"""The drift between two runs: which segment became which, and what moved."""

from __future__ import annotations

import dataclasses

import pytest
from airflow_segmentation.reports.report import CurvePoint, Feature, Report
from airflow_segmentation.www import drift, words


def report(*segments: tuple[int, float, float], names: tuple[str, str] = ("a", "b")) -> Report:
    """Return a report whose chosen segments have these sizes and centres."""
    k = len(segments)
    point = CurvePoint(
        k=k,
        sse=1.0,
        explained=0.5,
        sizes=tuple(size for size, *_ in segments),
        centers=tuple(tuple(centre) for _, *centre in segments),
    )
    return Report(
        k=k,
        method="kneedle",
        decided_by="kneedle",
        sensitivity=1.0,
        k_min=k,
        k_max=k,
        random_state=None,
        features=tuple(Feature(name, 0.0, 10.0) for name in names),
        rows=sum(size for size, *_ in segments),
        curve=(point,),
    )


def test_nothing_moves_between_a_run_and_itself() -> None:
    same = report((60, 1, 1), (40, 9, 9))
    changes = drift.between(same, same)

    assert [match.name for match in changes.matches] == ["0", "1"]
    assert {shift for match in changes.matches for shift in match.shifts or ()} == {0.0}


def test_segments_are_matched_by_their_centres_not_by_their_numbers() -> None:
    changes = drift.between(report((60, 1, 1), (40, 9, 9)), report((70, 9, 8), (30, 1, 1)))

    assert [(match.before, match.after) for match in changes.matches] == [(0, 1), (1, 0)]
    assert changes.matches[1].shifts == pytest.approx((0.0, -0.1))
    assert changes.matches[0].share_before == pytest.approx(0.6)
    assert changes.matches[0].share_after == pytest.approx(0.3)


def test_centres_are_near_or_far_by_the_range_in_both_runs() -> None:
    """By the numbers alone (5, 40) is nearer to (5, 45) than to (0, 40); of their ranges it is not."""
    first, second = report((60, 0, 40), (40, 5, 45)), report((50, 5, 40), (50, 90, 45))
    first = dataclasses.replace(first, features=(Feature("a", 0.0, 100.0), Feature("b", 40.0, 44.0)))
    second = dataclasses.replace(second, features=(Feature("a", -100.0, 50.0), Feature("b", 42.0, 45.0)))
    changes = drift.between(first, second)

    assert [match.name for match in changes.matches] == ["0", "1"]
    assert changes.matches[0].shifts == pytest.approx((5 / 200, 0.0)), "of -100 to 100, the range in both"
    assert changes.matches[1].shifts == pytest.approx((85 / 200, 0.0))


def test_a_shift_is_a_share_of_the_range_that_both_runs_have_together() -> None:
    before, after = report((60, 1, 2), (40, 9, 9)), report((60, 3, 2), (40, 9, 9))
    before = dataclasses.replace(before, features=(Feature("a", -5.0, 8.0), Feature("b", 4.0, 4.0)))
    after = dataclasses.replace(after, features=(Feature("a", 0.0, 15.0), Feature("b", 4.0, 4.0)))

    changes = drift.between(before, after)

    assert changes.matches[0].shifts == pytest.approx((2 / 20, 0.0))
    assert changes.summary.endswith("The centre of segment 0 moved most: +10.0% of \u2068a\u2069's range.")


def test_what_moved_nearly_as_far_as_to_the_next_segment_is_another() -> None:
    changes = drift.between(report((60, 1, 1), (40, 4, 1)), report((70, 3, 1), (30, 9, 1)))

    assert [match.name for match in changes.matches] == ["0 → gone", "1 → 0", "new → 1"]


def test_segments_go_by_their_numbers() -> None:
    before, after = report((60, 1, 1), (40, 9, 9)), report((70, 9, 8), (30, 1, 1))
    point = dataclasses.replace(after.curve[0], numbers=(1, 12))
    changes = drift.between(before, dataclasses.replace(after, curve=(point,)))

    assert [match.name for match in changes.matches] == ["0 → 12", "1"]


def test_unlike_runs_are_told_before_what_changed() -> None:
    same = report((60, 1, 1), (40, 9, 9))

    assert words.drift(drift.between(same, same)) == drift.between(same, same).summary
    assert words.drift(drift.between(same, same, "k = 1..9, k set by you")).startswith(
        "The two runs are not alike: the second one has k = 1..9, k set by you. What changed may come of "
        "that, rather than of the customers. The share"
    )
    assert words.drift(None) == "Two runs with a report are needed."


def test_small_moves_are_pale() -> None:
    near, far = report((60, 1, 1)), report((60, 1.1, 1))
    figure = drift.between(near, far).figure

    assert figure is not None
    assert figure["data"][0]["z"] == [pytest.approx([0.01]), [0.0]]
    assert (figure["data"][0]["zmin"], figure["data"][0]["zmax"]) == (-0.1, 0.1)


def test_a_segment_without_a_match_is_new_or_gone() -> None:
    two, three = report((60, 1, 1), (40, 9, 9)), report((50, 1, 1), (30, 9, 9), (20, 5, 5))

    assert drift.between(two, three).matches[-1].name == "new → 2"
    assert drift.between(three, two).matches[-1].name == "2 → gone"


def test_only_features_that_both_runs_have_are_compared() -> None:
    changes = drift.between(report((1, 1, 2)), report((1, 5, 2), names=("c", "b")))

    assert changes.features == ("b",)
    assert changes.matches[0].shifts == (0.0,)


def test_runs_that_share_nothing_have_no_figure_and_say_so() -> None:
    changes = drift.between(report((1, 1, 2)), report((1, 5, 2), names=("c", "d")))

    assert changes.figure is None
    assert words.drift_table(changes).rows


def test_a_report_without_centres_is_compared_by_nothing() -> None:
    full = report((60, 1, 1))
    bare = dataclasses.replace(full, curve=(dataclasses.replace(full.curve[0], centers=None),))

    assert drift.between(full, bare).matches[0].after is None
    assert "No segment" in drift.between(bare, bare).summary


def test_the_summary_names_the_largest_changes() -> None:
    changes = drift.between(report((60, 1, 1), (40, 9, 9)), report((90, 1, 4), (10, 9, 9)))

    assert "from 60.0% to 90.0%" in changes.summary
    assert "moved most: +30.0%" in changes.summary
