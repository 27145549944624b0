"""Who a segment is by a report: what is told where the report tells less, too."""

from __future__ import annotations

import dataclasses

import pytest
from airflow_segmentation.clustering.matching import STILL
from airflow_segmentation.reports.describing import names_of
from airflow_segmentation.reports.identity import identified, labels_of
from made.reports import make_report, succeeding

REPORT = succeeding(make_report(), "Savers")


def changed(**changes):
    """Return the report with other published segments."""
    return dataclasses.replace(REPORT, published=dataclasses.replace(REPORT.published, **changes))


def test_a_segment_has_its_place_as_number_where_nothing_was_published():
    found = identified(make_report(), make_report().chosen)
    assert [(each.number, each.name, each.state) for each in found.segments] == [
        (place, "", None) for place in range(8)
    ]
    assert found.gone == ()


def test_how_far_a_segment_moved_is_told_by_how_far_off_the_next_one_was():
    moved = {each.number: each for each in identified(REPORT, REPORT.chosen).segments}[6]
    assert (moved.state, moved.moved) == ("moved", pytest.approx(0.4))
    assert moved.in_words == "moved: 40% of the way to where the next one was"
    far = REPORT.published.spacing[6] * 0.4 / STILL
    still = changed(spacing=(far,) * 8)
    assert {each.number: each.state for each in identified(still, still.chosen).segments}[6] == "kept"


def test_a_report_without_centres_tells_who_was_kept_and_not_how_far():
    bare = changed(centers=None, scale=(), spacing=())
    states = {each.number: (each.state, each.moved) for each in identified(bare, bare.chosen).segments}
    assert states[6] == ("kept", None)
    assert states[12] == ("new", None)
    assert [each.number for each in identified(bare, bare.chosen).gone] == [5]


def test_a_published_segment_that_lay_on_another_has_no_distance_to_divide_by():
    same = changed(spacing=(0.0,) * 8)
    assert all(each.moved is None or each.moved >= 0 for each in identified(same, same.chosen).segments)


def test_names_of_people_come_before_descriptions_and_those_before_numbers():
    named = dict(zip(labels_of(REPORT, REPORT.chosen), names_of(REPORT, REPORT.chosen), strict=True))
    assert named["0: Savers"] == "Savers"
    assert named["12"].startswith("Segment 12: ")
    features = tuple(dataclasses.replace(feature, mean=None) for feature in REPORT.features)
    plain = dataclasses.replace(REPORT, features=features)
    assert names_of(plain, plain.chosen)[:2] == ["Segment 2", "Savers"]
