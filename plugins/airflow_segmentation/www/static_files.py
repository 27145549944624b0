"""The page's scripts and styles, and Plotly's, each under a URL that changes with its content.

They hold no data, so they are served to anyone: the page that says "log in" is dressed too.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Response, abort, request

from airflow_segmentation.links import ROUTE_BASE, page_path

FOLDER = Path(__file__).parent / "static"
PLOTLY = "plotly.min.js"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

blueprint = Blueprint("segmentation_static", __name__, url_prefix=f"{ROUTE_BASE}/static")


@cache
def tag(name: str) -> str:
    """Return what changes in the URL of a file whenever the file does."""
    if name == PLOTLY:
        return version("plotly")
    return hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12]


def static_url(name: str) -> str:
    """Return the URL of a file of ours, or of Plotly, that a browser may keep for ever."""
    return page_path(f"static/{tag(name)}/{name}")


def path_of(name: str) -> Path:
    """Return where a file lies: in our folder, or in the plotly package, which is not imported for it."""
    if name != PLOTLY:
        return FOLDER / name
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{PLOTLY} comes with plotly, which is not installed; pip install plotly")
    return Path(spec.origin).parent / "package_data" / PLOTLY


@blueprint.get("/<asked>/<name>")
def serve(asked: str, name: str) -> Response:
    """Answer one file, to be kept for ever; a tag not its own is that of another version, and gone."""
    if name not in _names() or asked != tag(name):
        abort(404)
    response = Response(mimetype=TYPES[Path(name).suffix])
    response.vary.add("Accept-Encoding")
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    response.headers["X-Content-Type-Options"] = "nosniff"
    if "gzip" in request.accept_encodings:
        # Airflow would compress each answer anew: for Plotly's 5 MB that takes longer than to draw the chart.
        response.data = _compressed(name)
        response.content_encoding = "gzip"
    else:
        response.data = path_of(name).read_bytes()
    return response


@cache
def _names() -> frozenset[str]:
    return frozenset(path.name for path in FOLDER.iterdir() if path.suffix in TYPES) | {PLOTLY}


@cache
def _compressed(name: str) -> bytes:
    return gzip.compress(path_of(name).read_bytes(), compresslevel=6, mtime=0)
