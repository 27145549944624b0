from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.segments.model_file import (
    Array,
    Made,
    NotAModel,
    attributes_of,
    names_in,
    numbers_in,
)

NUMBERS = np.arange(6.0)
KIND = Made("numpy.dtype", ("f8", False, True), (3, "<", None, None, None, -1, -1, 0))
RECONSTRUCT, FROM_BUFFER = "numpy._core.multiarray._reconstruct", "numpy._core.numeric._frombuffer"


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        (Array("<f8", (6,), False, NUMBERS.tobytes()), NUMBERS),
        (Array("<f8", (2, 3), False, NUMBERS.tobytes()), NUMBERS.reshape(2, 3)),
        (Array("<f8", (2, 3), True, NUMBERS.tobytes()), NUMBERS.reshape(2, 3, order="F")),
        (Array(">i4", (2,), False, np.array([1, 2], ">i4").tobytes()), np.array([1, 2])),
        (Array("<i8", (0,), False, b""), np.array([], int)),
        (Made(RECONSTRUCT, (), (1, (2, 3), KIND, False, NUMBERS.tobytes())), NUMBERS.reshape(2, 3)),
        (Made(RECONSTRUCT, (), (1, (2, 3), KIND, True, NUMBERS.tobytes())), NUMBERS.reshape(2, 3, order="F")),
        (Made(FROM_BUFFER, (NUMBERS.tobytes(), KIND, (2, 3), "C")), NUMBERS.reshape(2, 3)),
        (Made(FROM_BUFFER, (NUMBERS.tobytes(), KIND, (2, 3), "F")), NUMBERS.reshape(2, 3, order="F")),
    ],
)
def test_arrays_of_numbers_are_read_row_by_row_or_column_by_column(value, numbers):
    assert numbers_in(value).tolist() == numbers.tolist()


BYTES = "it has an array whose bytes are not as many as its shape says"
NAMES = "it has an array whose names are not as many as its shape says"


@pytest.mark.parametrize(
    ("read", "value", "why"),
    [
        (
            numbers_in,
            Array("<f4", (1,), False, b"0000"),
            "it has something else where there should be numbers",
        ),
        (
            numbers_in,
            Array("<f8", (1,), False, "12345678"),
            "it has something else where there should be numbers",
        ),
        (numbers_in, Array("<f8", (2,), False, b"12345678"), BYTES),
        (numbers_in, Array("<f8", (1, 1, 1), False, b"12345678"), BYTES),
        (numbers_in, Array("<f8", [1], False, b"12345678"), BYTES),
        (numbers_in, Array("<f8", (True,), False, b"12345678"), BYTES),
        (numbers_in, Array("<f8", (-1, -1), False, b"12345678"), BYTES),
        (numbers_in, Array("<f8", (0, 2**30), False, b""), BYTES),
        (numbers_in, [1.0], "it has no array where there should be one"),
        (
            numbers_in,
            Made(RECONSTRUCT, (), (1, (1,), "f8", False, b"")),
            "it has an array of an unknown type",
        ),
        (names_in, Array("<U1", (1,), False, ["a"]), "it has something else where there should be names"),
        (names_in, Array("|O", (1,), False, "a"), "it has something else where there should be names"),
        (names_in, Array("|O", (2,), False, ["a"]), NAMES),
        (names_in, Array("|O", (1, 1), False, ["a"]), NAMES),
        (names_in, Array("|O", [1], False, ["a"]), NAMES),
        (
            *(lambda value: attributes_of(value, "sklearn.Pipeline"), Made("another", (), {})),
            "it has no sklearn.Pipeline where there should be one",
        ),
        (
            *(lambda value: attributes_of(value, "sklearn.Pipeline"), Made("sklearn.Pipeline", (), [])),
            "it has no sklearn.Pipeline where there should be one",
        ),
    ],
)
def test_what_is_no_array_or_object_of_a_model_says_why(read, value, why):
    with pytest.raises(NotAModel) as caught:
        read(value)
    assert str(caught.value) == why


def test_names_are_read_in_their_order():
    assert names_in(Array("|O", (2,), False, ["b", "a"])) == ("b", "a")
    assert names_in(Array("|O8", (0,), False, [])) == ()
