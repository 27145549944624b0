"""What templates leave behind: arguments as they should be, from the text that Jinja makes of them."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import reprlib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from airflow_segmentation.errors import InputError, has_control
from airflow_segmentation.storage.addresses import without_secrets

LONGEST_TITLE = 250

NOTHING = (None, "", "None", "null")
"""What a template leaves where there is nothing."""

_shown = reprlib.Repr()
"""How a value is shown in a message, whatever a param or a task made of it."""
_shown.maxstring = _shown.maxother = 200


def as_uri(name: str, value: Any) -> str:
    """Return a path or URI argument.

    :raises InputError: if the value is none, such as what a template leaves of an XCom that is not there.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        raise InputError(
            f"{name} holds {len(value)} paths and should be one; map this task too, with "
            f".partial(…).expand({name}=…)"
        )
    if not isinstance(value, (str, os.PathLike)) or str(value).strip() in NOTHING or has_control(str(value)):
        shown = without_secrets(value) if isinstance(value, str) else value
        raise InputError(
            f"{name}={_shown.repr(shown)} should be a path or a URI; look at the template or the task that "
            "it comes from"
        )
    return str(value)


def as_optional_uri(name: str, value: Any) -> str | None:
    """Return a path or URI argument, or None where a template left nothing.

    :raises InputError: if the value is neither.
    """
    return None if value in NOTHING else as_uri(name, value)


def as_name(name: str, value: Any) -> str | None:
    """Return the name of a column, or None where a template left nothing.

    :raises InputError: if the value is neither.
    """
    return _optional_text(name, value, "the name of one column")


def as_title(name: str, value: Any) -> str:
    """Return what something is called elsewhere, in one line.

    :raises InputError: if the value is none, or longer than anybody reads.
    """
    title = _optional_text(name, value, "text in one line")
    if title is None or not title.strip() or len(title) > LONGEST_TITLE:
        raise InputError(
            f"{name}={_shown.repr(value)} should be text of 1 to {LONGEST_TITLE} characters; look at the "
            "template or the task that it comes from"
        )
    return title


def as_connection(value: Any) -> str | None:
    """Return the id of a connection, or None where a template left nothing.

    :raises InputError: if the value is neither.
    """
    return _optional_text("conn_id", value, "the id of one connection")


def _optional_text(name: str, value: Any, what: str) -> str | None:
    if value in NOTHING:
        return None
    if not isinstance(value, str) or has_control(value):
        raise InputError(f"{name}={_shown.repr(value)} should be {what}")
    return value


def as_digest(name: str, value: Any) -> str | None:
    """Return a SHA-256 digest argument in hexadecimal, or None where a template left nothing.

    :raises InputError: if the value is neither.
    """
    if value in NOTHING:
        return None
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise InputError(
            f"{name}={_shown.repr(value)} should be the model_digest that ElbowOperator returned"
        )
    return value


def as_one_of(name: str, value: Any, choices: Collection[str]) -> str:
    """Return an argument that is one of the choices.

    :raises InputError: if the value is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name}={_shown.repr(value)} should be one of {', '.join(map(repr, choices))}")
    return value


def as_int(name: str, value: Any, minimum: int) -> int:
    """Return an integer argument that is at least `minimum`.

    :raises InputError: if the value is none.
    """
    number = as_optional_int(name, value, minimum)
    if number is None:
        raise InputError(f"{name}={_shown.repr(value)} should be an integer of at least {minimum}")
    return number


def as_optional_int(name: str, value: Any, minimum: int) -> int | None:
    """Return an integer argument that is at least `minimum`, or None where a template left nothing.

    :raises InputError: if the value is neither.
    """
    if value in NOTHING:
        return None
    try:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError
        number = int(value)
    except (TypeError, ValueError):
        raise InputError(f"{name}={_shown.repr(value)} should be an integer") from None
    if number < minimum:
        raise InputError(f"{name}={number} should be >= {minimum}")
    return number


def as_names(name: str, value: Sequence[str] | str | None) -> list[str] | None:
    """Return a list of names, from a list, from the text of one, or from names with commas between.

    :raises InputError: if the value is none of them, is an empty list, or names one twice.
    """
    if value in NOTHING:
        return None
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            try:
                value = _list_in(value)
            except (SyntaxError, ValueError, RecursionError, MemoryError):  # the latter two if it nests
                raise InputError(f"{name}={_shown.repr(value)} should be a list of column names") from None
        else:
            value = [item.strip() for item in value.split(",")]
    if not isinstance(value, (list, tuple)) or not all(map(_is_name, value)):
        raise InputError(f"{name}={_shown.repr(value)} should be a list of column names")
    if not value:
        raise InputError(f"{name} is empty; name at least one column")
    twice = sorted(item for item, count in Counter(value).items() if count > 1)
    if twice:
        raise InputError(f"{name} names {', '.join(map(repr, twice[:30]))} twice; name each column once")
    return list(value)


def as_uris(name: str, value: Any) -> list[str]:
    """Return URIs, from one, from a list, from what mapped tasks returned, or from the text of a list.

    :raises InputError: if the value is none of them, or an empty list.
    """
    items: Any = [value]
    if isinstance(value, str) and value.lstrip().startswith("["):
        # A file may be named so, too: what is no list is one URI.
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            items = _list_in(value)
    elif not isinstance(value, str) and isinstance(value, Sequence):
        items = list(value)  # mapped tasks return a sequence that is no list
    if not items:
        raise InputError(f"{name} is empty; no task returned a URI")
    if not isinstance(items, list):
        raise InputError(f"{name}={_shown.repr(value)} should be a URI, or a list of them")
    return [as_uri(name, item) for item in items]


def _is_name(item: Any) -> bool:
    return isinstance(item, str) and item != "" and not has_control(item)


def _list_in(text: str) -> Any:
    """Return the list that is written in a text, as JSON or as Python writes it.

    :raises SyntaxError, ValueError: if there is none.
    :raises RecursionError, MemoryError: if lists in it hold lists, some hundred deep.
    """
    try:
        return json.loads(text)
    except ValueError:
        return ast.literal_eval(text.strip())
