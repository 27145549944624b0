"""The document on choosing k, as a page: the file of ``docs`` itself, so that there is one text only.

A wheel holds it inside of the package, a checkout and the image beside the plugins folder. Where somebody
took the plugins folder alone it is missing, and the page says only what it is called.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

NAME = "choosing-k.md"


@cache
def folder() -> Path | None:
    """Return where the document and its images lie, or None where it was not brought along."""
    package = Path(__file__).parents[1]
    places = (package / "docs", package.parents[1] / "docs")
    return next((place for place in places if (place / NAME).is_file()), None)


@cache
def choosing_k() -> Markup | None:
    """Return the document as HTML, its links to other files as plain text, or None where it is missing."""
    place = folder()
    if place is None:
        return None
    # Its HTML is kept as it is: the text is ours, no user's.
    markdown = MarkdownIt("commonmark").enable("table")
    tokens = markdown.parse((place / NAME).read_text(encoding="utf-8"))
    for token in (child for each in tokens for child in each.children or ()):
        if token.type in ("link_open", "link_close"):
            token.tag, token.attrs = "em", {}
    return Markup(markdown.renderer.render(tokens, markdown.options, {}))


def image(name: str) -> Path | None:
    """Return where an image of the document lies, or None where it has none of that name."""
    place = folder()
    images = place.glob("images/choosing-*.png") if place else ()
    return next((path for path in images if path.name == name), None)
