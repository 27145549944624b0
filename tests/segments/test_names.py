"""Names that people give to segments: text of anybody, so short and on one line, or refused with the cure."""

from __future__ import annotations

from typing import Any

import pytest
from airflow_segmentation.errors import InputError
from airflow_segmentation.segments.names import MAX_NAME, checked_name, checked_names


@pytest.mark.parametrize(
    ("given", "kept"),
    [("  Savers ", "Savers"), ("", ""), (" ", ""), ("<b>'\"&", "<b>'\"&"), ("Ä" * MAX_NAME, "Ä" * MAX_NAME)],
)
def test_a_name_is_kept_as_it_is_but_for_the_space_around_it(given: str, kept: str) -> None:
    assert checked_name(given) == kept


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "The name None of a segment should be text on one line"),
        (7, "The name 7 of"),
        ("a\nb", r"The name 'a\\nb' of a segment should be text on one line; type it anew"),
        ("a\u2028b", "should be text on one line"),
        ("a\x00", "should be text on one line"),
        ("a\ud800", "should be text on one line"),
        ("n" * 81, "'n{40}'… of a segment has 81 characters and may have 80; shorten it"),
        (["n" * 10_000], "should be text"),
    ],
)
def test_what_is_no_name_is_refused(given: Any, told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        checked_name(given)
    assert len(str(error.value)) < 300


def test_names_belong_to_numbers_and_the_empty_ones_are_none() -> None:
    assert checked_names({"12": "Savers ", 0: "", "3": "Travellers"}, [0, 3, 12]) == {
        12: "Savers",
        3: "Travellers",
    }


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({"5": "Savers"}, "There is no segment '5' to name; there are: 0, 3, 12"),
        ({"00": "Savers"}, "There is no segment '00'"),
        ({3.0: "Savers"}, "There is no segment 3.0"),
        ({"0": "Savers", "3": " savers"}, "Segments 0 and 3 are both named 'savers'; give each a name of"),
        ({"0": 1}, "The name 1 of"),
    ],
)
def test_names_are_refused_that_no_set_of_segments_can_have(names: dict[Any, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        checked_names(names, (12, 0, 3))
