from __future__ import annotations

from collections.abc import Sequence

import pytest
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators.arguments import as_connection, as_int, as_names, as_optional_int, as_uris


@pytest.mark.parametrize("value", [7, "7", 7.0, " 7 "])
def test_an_integer_comes_in_many_forms(value):
    assert as_int("k", value, minimum=1) == 7


@pytest.mark.parametrize("value", [None, "", "None", "null"])
def test_a_template_may_leave_nothing(value):
    assert as_optional_int("k", value, minimum=1) is None
    assert as_names("columns", value) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("seven", "k='seven' should be an integer"),
        (7.5, r"k=7\.5 should be an integer"),
        (True, "k=True should be an integer"),
        (0, "k=0 should be >= 1"),
        (None, "k=None should be an integer of at least 1"),
    ],
)
def test_what_is_no_integer_says_why(value, message):
    with pytest.raises(InputError, match=message):
        as_int("k", value, minimum=1)


@pytest.mark.parametrize("value", [["a", "b c"], ("a", "b c"), "['a', 'b c']", '["a", "b c"]', "a, b c"])
def test_names_come_in_many_forms(value):
    assert as_names("features", value) == ["a", "b c"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "features is empty; name at least one column"),
        (["a", "a"], "features names 'a' twice"),
        ([1], r"features=\[1\] should be a list of column names"),
        ("[a", r"features='\[a' should be a list of column names"),
        ("a,,b", "should be a list of column names"),
        (["a\nb"], r"features=\['a\\nb'\] should be a list of column names"),
        ("[" * 50_000, r"features='\[+\.\.\.\[+' should be a list of column names"),
        (
            [str(number) for number in range(60_000)] * 2,
            r"features names '0', .* twice; name each column once",
        ),
    ],
)
def test_what_are_no_names_says_why(value, message):
    with pytest.raises(InputError, match=message) as caught:
        as_names("features", value)
    assert len(str(caught.value)) < 600


class Lazy(Sequence):
    """What Airflow hands over of mapped tasks: a sequence that is no list."""

    def __init__(self, *items: object) -> None:
        self._items = items

    def __getitem__(self, index):
        return self._items[index]

    def __len__(self):
        return len(self._items)


@pytest.mark.parametrize(
    "value", [["s3://a", "/b c"], Lazy("s3://a", "/b c"), "['s3://a', '/b c']", ' ["s3://a", "\\u002fb c"]\n']
)
def test_uris_come_in_many_forms(value):
    assert as_uris("sweep", value) == ["s3://a", "/b c"]


@pytest.mark.parametrize(
    "value", ["/tables/sweep.parquet", "s3://a/b,c", "[2026] sweep.parquet", "[b]/c", "[" * 4000]
)
def test_one_uri_is_taken_as_it_is_written(value):
    assert as_uris("sweep", value) == [value]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "sweep is empty; no task returned a URI"),
        ("[]", "sweep is empty; no task returned a URI"),
        (None, "sweep=None should be a path or a URI"),
        ("None", "sweep='None' should be a path or a URI"),
        ("", "sweep='' should be a path or a URI"),
        (["a", None], "sweep=None should be a path or a URI"),
        ('["a", 1]', "sweep=1 should be a path or a URI"),
        ("[[1]]", "sweep holds 1 paths and should be one"),
        (7, "sweep=7 should be a path or a URI"),
        ("/a\nb", "sweep='/a\ufffdb' should be a path or a URI"),
        ("ftp://me:secret@h/\0", "sweep='ftp://me@h/\ufffd' should be a path or a URI"),
    ],
)
def test_what_are_no_uris_says_why(value, message):
    with pytest.raises(InputError, match=message):
        as_uris("sweep", value)


@pytest.mark.parametrize("value", [None, "", "None", "null"])
def test_a_template_that_left_nothing_names_no_connection(value):
    assert as_connection(value) is None


def test_a_connection_is_one_id():
    assert as_connection("aws") == "aws"
    with pytest.raises(InputError, match="conn_id=7 should be the id of one connection"):
        as_connection(7)
