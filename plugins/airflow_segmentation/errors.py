"""What a person can put right: bad input, with the value, the rule and the cure in the message."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_segmentation import advice


class InputError(AirflowFailException):
    """Input that no retry can make right; Airflow fails the task at once, whatever its retries."""


LONGEST_NAME = 60
"""Characters of a column's name that a message shows."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def has_control(text: str) -> bool:
    """Tell whether a name or path has a line break in it, or another character that nobody reads."""
    return _CONTROL.search(text) is not None


def without_control(text: str) -> str:
    """Return the text fit for one line of a log."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def missing_column(column: str, where: str, columns: Iterable[str]) -> InputError:
    """Return the error for a column that is not there, naming those that are and the likeliest meant."""
    known = list(columns)
    shown = ", ".join(map(_short, known[:30])) + (f" and {len(known) - 30} more" if len(known) > 30 else "")
    message = f"Column {column!r} is not in {where}; it has: {shown}"
    separators = [mark for mark in ";\t|" if len(known) == 1 and mark in known[0]]
    if separators:
        return InputError(
            f"{message}; if that is more than one, name their separator: "
            f"{advice.call_with({'sep': separators[0]})}"
        )
    if advice.is_numeric_header(known):
        return InputError(
            f"{message}; if these are values, and the file has no header, name the columns: "
            f"{advice.call_with({'header': None, 'names': ['…']})}"
        )
    # To compare takes long: not with what is no name, nor with names without end.
    by_folded = {name.strip().casefold(): name for name in known[:1000] if len(name) <= LONGEST_NAME}
    close = difflib.get_close_matches(column[:LONGEST_NAME].strip().casefold(), by_folded, n=1)
    if close:
        message += f"; did you mean {by_folded[close[0]]!r}?"
    return InputError(message)


def _short(name: str) -> str:
    """Return a column's name, or little of what is none, such as the content of another kind of file."""
    name = name.replace("\t", " ")  # of a whole header where the separator is another than told
    if has_control(name):
        return "(no name)"
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
