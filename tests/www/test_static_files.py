"""Scripts and styles: for anyone, for ever, and compressed once."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from airflow_segmentation.www.static_files import PLOTLY, path_of, static_url, tag

SCRIPTS = ["page.js", "charts.js", "colour-mode.js", "paper.js", "plotly-styles.js"]
NAMES = ["page.css", "plotly.css", *SCRIPTS, PLOTLY]


def path(name: str) -> str:
    return static_url(name).removeprefix("/pluginsv2/segmentation")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_served_to_anyone_and_kept_for_ever(server: Any, name: str) -> None:
    response = server.get(path(name), None)

    assert response.status_code == 200
    assert response.content == path_of(name).read_bytes()
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Type"].startswith(
        "text/css" if name.endswith("css") else "text/javascript"
    )


def test_a_file_is_compressed_for_those_who_can_read_that(server: Any) -> None:
    plain = server.get(path(PLOTLY), None, headers={"Accept-Encoding": "identity"})
    with server.client.stream("GET", static_url(PLOTLY), headers={"Accept-Encoding": "gzip"}) as response:
        raw = b"".join(response.iter_raw())

    assert "Content-Encoding" not in plain.headers
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content


def test_the_address_changes_with_the_content() -> None:
    assert len({tag(name) for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize(
    "address",
    [
        "/static/0/page.js",
        f"/static/{tag('page.js')}/page.css",
        f"/static/{tag('page.js')}/..%2Fview.py",
        f"/static/{tag('page.js')}/view.py",
        "/static/page.js",
    ],
)
def test_nothing_else_is_served(server: Any, address: str) -> None:
    assert server.get(address, None).status_code == 404
