"""What a person can put right: bad input, with the value, the rule and the cure in the message."""

from __future__ import annotations

import re
from collections.abc import Sequence

from airflow.providers.common.compat.sdk import AirflowFailException, redact


class InputError(AirflowFailException):
    """Input that no retry can make right; Airflow fails the task at once, whatever its retries."""


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def has_control(text: str) -> bool:
    """Tell whether a name or path has a line break in it, or another character that nobody reads."""
    return _CONTROL.search(text) is not None


def without_control(text: str) -> str:
    """Return the text fit for one line of a log."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


LONGEST = 300
"""Characters of what another program says that are shown."""


def in_short(said: str, secrets: Sequence[str] = ()) -> str:
    """Return what another program says fit for one line of a log, and without words that nobody may see."""
    for secret in secrets:
        said = said.replace(secret, "***")
    said = without_control(re.sub(r"\s+", " ", str(redact(said)))).strip().rstrip(".")
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}…"
