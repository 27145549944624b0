"""What a person can put right: bad input, with the value, the rule and the cure in the message."""

from __future__ import annotations

import re

from airflow.providers.common.compat.sdk import AirflowFailException


class InputError(AirflowFailException):
    """Input that no retry can make right; Airflow fails the task at once, whatever its retries."""


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def has_control(text: str) -> bool:
    """Tell whether a name or path has a line break in it, or another character that nobody reads."""
    return _CONTROL.search(text) is not None


def without_control(text: str) -> str:
    """Return the text fit for one line of a log."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
