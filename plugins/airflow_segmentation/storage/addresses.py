"""Paths and URIs as text: what of them may be shown, and whether they hold a secret."""

from __future__ import annotations

import re
from urllib.parse import unquote

from airflow_segmentation.errors import without_control

LONGEST_URI = 4096
"""Characters of a path or URI: what Linux takes, and more than any object store."""

_SECRET_NAMES = ("sig", "token", "secret", "passw", "credential", "key")
"""A parameter with one of these in its name lets in whoever has its value."""


def without_secrets(uri: str) -> str:
    """Return the path or URI without a password, a token or a query, in one line of a log or a page."""
    if len(uri) > LONGEST_URI:
        scheme, found, _ = uri.partition("://")
        return without_control(f"{scheme[:20]}://…" if found else f"{uri[:100]}…")
    return without_control(parted(uri)[0])


def parted(uri: str) -> tuple[str, bool]:
    """Return what may be shown of a URI, and whether it was given with a password or a token."""
    scheme, found, rest = uri.partition("://")
    if not found:
        return _parameters_parted(uri, "?")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    login = authority.rpartition("@")[0] or authority
    is_password = ":" in decoded(login) and "@" in decoded(rest)
    is_token = scheme.lower().endswith(("http", "https")) and "@" in authority
    if is_password or is_token:
        # A password may have a slash or an @ in it: nothing before the last @ is shown but the user's name.
        user = f"{decoded(login).partition(':')[0]}@" if is_password else ""
        rest = user + rest.rpartition("@")[2] if "@" in rest else user
    rest, is_parameter = _parameters_parted(rest, "?#;")
    return f"{scheme}://{rest.partition('?')[0]}", is_password or is_token or is_parameter


def _parameters_parted(text: str, begin: str) -> tuple[str, bool]:
    """Return the text without its parameters, if a secret is among them, and whether one is.

    :param begin: the letters that parameters begin with.
    """
    _, *rest = re.split(f"[{begin}]", decoded(text), maxsplit=1)
    parameters = [item.partition("=") for item in re.split("[?#;&]", "".join(rest))]
    names = [name.lower() for name, found, _ in parameters if found]
    if any(secret in name for name in names for secret in _SECRET_NAMES):
        return re.split(f"[{begin}%]", text, maxsplit=1)[0], True
    return text, False


def decoded(text: str) -> str:
    """Return a text without the percent signs of URIs, however often it was encoded."""
    while text != (text := unquote(text)):
        pass
    return text
