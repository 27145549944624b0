from __future__ import annotations

import dataclasses

import pytest
from airflow_segmentation.reports.describing import describe
from airflow_segmentation.reports.report import CurvePoint, Feature, Report
from made.reports import make_report


def report_of(centers, sizes, features, **changes) -> Report:
    point = CurvePoint(len(sizes), 1.0, 0.5, sizes=tuple(sizes), centers=tuple(map(tuple, centers)))
    return Report(
        k=len(sizes),
        method="kneedle",
        decided_by="kneedle",
        sensitivity=1.0,
        k_min=1,
        k_max=9,
        features=features,
        rows=sum(sizes),
        curve=(point,),
        **changes,
    )


SPEND = Feature("PURCHASES", 0.0, 9_000.0, mean=1_000.0, deviation=1_500.0)
LIMIT = Feature("CREDIT_LIMIT", 0.0, 20_000.0, mean=4_000.0, deviation=3_000.0)
BALANCE = Feature("BALANCE", -500.0, 9_000.0, mean=1_500.0, deviation=1_000.0)


def test_a_segment_is_told_by_what_sets_it_apart_most_first():
    report = report_of(
        [[900, 4_100, 1_400], [4_100, 6_500, 1_400], [0, 1_000, 3_000]], [90, 7, 3], (SPEND, LIMIT, BALANCE)
    )
    first, second, third = describe(report, report.chosen)

    assert (first.identity.number, first.share, first.in_words) == (0, 0.9, "average in every feature")
    assert first.name == "Segment 0: average"
    assert second.in_words == (
        "PURCHASES very high (4.1 times the average), CREDIT_LIMIT high (1.6 times the average); "
        "otherwise average"
    )
    assert second.name == "Segment 1: PURCHASES very high, CREDIT_LIMIT high"
    # A balance can be negative, so it is not so many times another.
    assert third.in_words == (
        "BALANCE very high, CREDIT_LIMIT low (0.25 times the average), "
        "PURCHASES low (less than 0.01 times the average); otherwise average"
    )


def test_of_many_features_four_are_told_and_the_rest_counted():
    features = tuple(dataclasses.replace(SPEND, name=f"F{index}") for index in range(9))
    report = report_of([[1_000] * 9, [2_000 + 100 * index for index in range(9)]], [9, 1], features)
    words = describe(report, report.chosen)[1].in_words

    assert words.startswith("F8 high (2.8 times the average), F7 high")
    assert words.endswith("; 5 more features high or low")


def test_a_segment_near_the_average_is_told_by_what_it_is_slightly():
    report = report_of([[1_400, 4_000, 1_400], [2_000, 3_100, 1_700]], [9, 1], (SPEND, LIMIT, BALANCE))
    first = describe(report, report.chosen)[0]

    assert first.in_words == "PURCHASES slightly high (1.4 times the average); otherwise average"
    assert first.name == "Segment 0: PURCHASES slightly high"


def test_a_feature_of_one_value_sets_nothing_apart():
    constant = Feature("SAME", 5.0, 5.0, mean=5.0, deviation=0.0)
    report = report_of([[5.0], [5.0]], [3, 2], (constant,))
    assert [each.in_words for each in describe(report, report.chosen)] == ["average in every feature"] * 2


@pytest.mark.parametrize("change", [{"centers": None}, {"sizes": None}])
def test_what_a_report_does_not_hold_is_not_described(change):
    report = make_report()
    assert describe(report, report.chosen)
    assert describe(report, dataclasses.replace(report.chosen, **change)) == ()
    without = tuple(dataclasses.replace(feature, mean=None) for feature in report.features)
    assert describe(dataclasses.replace(report, features=without), report.chosen) == ()


def test_shares_add_up_and_the_same_figures_have_the_same_words():
    report = make_report()
    for point in report.curve:
        described = describe(report, point)
        assert sum(each.share for each in described) == pytest.approx(1)
        assert described == describe(Report.from_json(report.to_json()), point)
