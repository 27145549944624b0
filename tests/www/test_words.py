"""What the charts say in words."""

from __future__ import annotations

import dataclasses

import pytest
from airflow_segmentation.report import Choice, CurvePoint, Report
from airflow_segmentation.www import words
from made.reports import make_report


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ((), "No method found a k."),
        ((Choice("kneedle", None),), "No method found a k."),
        ((Choice("kneedle", 8), Choice("chord", 8)), "Every method that found a k chose 8."),
        ((Choice("kneedle", None), Choice("chord", 8)), "Every method that found a k chose 8."),
        ((Choice("kneedle", 8), Choice("chord", 3)), "The methods disagree: from k = 3 to k = 8."),
    ],
)
def test_methods_agree_or_not(choices: tuple[Choice, ...], said: str) -> None:
    assert words.methods(dataclasses.replace(make_report(), choices=choices)) == said


def test_sizes_are_told_with_their_shares() -> None:
    point = CurvePoint(2, 1.0, 0.5, sizes=(900, 100))
    report: Report = dataclasses.replace(make_report(), k=2, curve=(point,))

    assert words.sizes(report, 2) == (
        "2 segments: the largest holds 900 rows (90.0%), the smallest 100 (10.0%)."
    )
    table = words.sizes_table(report, 2)
    assert table is not None
    assert table.rows == (("0", "900", "90.0%"), ("1", "100", "10.0%"))


@pytest.mark.parametrize(
    ("half", "said"),
    [
        (8, "With k_max = 15 instead of 30, k would be the same."),
        (6, "With k_max = 15 instead of 30, k would be 6."),
        (15, "With k_max = 15 instead of 30, k would be 15, the last of that range."),
        (None, "With k_max = 15 instead of 30, no k would be found."),
    ],
)
def test_what_half_the_range_would_give_is_told(half: int | None, said: str) -> None:
    report = dataclasses.replace(make_report(), half_range=Choice("kneedle", half))

    assert words.half_range(report) == said
    assert words.half_range(dataclasses.replace(report, decided_by="given")) is None
