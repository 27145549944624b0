"""What a person can put right: bad input, with the value, the rule and the cure in the message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_segmentation import advice


class InputError(AirflowFailException):
    """Input that no retry can make right; Airflow fails the task at once, whatever its retries."""


def missing_column(column: str, where: str, columns: Iterable[str]) -> InputError:
    """Return the error for a column that is not there, naming those that are and the likeliest meant."""
    known = list(columns)
    shown = ", ".join(name[:60] for name in known[:30])
    shown += f" and {len(known) - 30} more" if len(known) > 30 else ""
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
    by_folded = {name.strip().casefold(): name for name in known}
    close = difflib.get_close_matches(column.strip().casefold(), by_folded, n=1)
    if close:
        message += f"; did you mean {by_folded[close[0]]!r}?"
    return InputError(message)
