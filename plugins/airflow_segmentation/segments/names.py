"""What people call a segment: text of theirs, short enough to stand wherever its number stands."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping
from typing import Any

from airflow_segmentation.errors import InputError, has_control

MAX_NAME = 80
"""Characters of a name that people give."""


def checked_name(value: Any) -> str:
    """Return a segment's name without white space around it; empty where there is none.

    :raises InputError: if it is no text, too long, or has a control character.
    """
    name = value.strip() if isinstance(value, str) else value
    if not isinstance(name, str) or has_control(name):
        raise InputError(
            f"The name {reprlib.repr(value)} of a segment should be text on one line; type it anew"
        )
    if len(name) > MAX_NAME:
        raise InputError(
            f"The name {name[:40]!r}… of a segment has {len(name)} characters and may have {MAX_NAME}; "
            "shorten it"
        )
    return name


def checked_names(names: Mapping[Any, Any], numbers: Collection[int]) -> dict[int, str]:
    """Return the names of segments by their numbers, those left empty not among them.

    :param names: by number, which may be text, as JSON has it.
    :param numbers: of the segments that there are.

    :raises InputError: if a name is none, two segments have the same, whatever their capitals, or there is
        no segment of a number.
    """
    found: dict[int, str] = {}
    owners: dict[str, int] = {}
    for key, value in names.items():
        number = next((one for one in numbers if str(one) == str(key)), None)
        if number is None:
            raise InputError(
                f"There is no segment {reprlib.repr(key)} to name; there are: "
                f"{', '.join(map(str, sorted(numbers)))}"
            )
        name = checked_name(value)
        if not name:
            continue
        if (other := owners.setdefault(name.casefold(), number)) != number:
            raise InputError(
                f"Segments {other} and {number} are both named {name!r}; give each a name of its own"
            )
        found[number] = name
    return found
