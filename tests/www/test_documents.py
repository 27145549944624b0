"""The document on choosing k, where the page links to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_segmentation.www import documents

ROOT = Path(__file__).resolve().parents[2]
RUN = "/run?dag_id=open&run_id=manual__0"


def test_the_guide_links_to_the_document_of_docs(server: Any) -> None:
    (address,) = re.findall(r'href="/pluginsv2/segmentation(/choosing-k)"', server.get(RUN).text)

    page = server.get(address).text

    for heading in re.findall(r"^#+ (.*)", (ROOT / "docs" / "choosing-k.md").read_text(), re.MULTILINE):
        assert re.search(rf"<h\d>{re.escape(heading)}</h\d>", page), heading
    assert page.count("<table>") == 3
    assert "<a " not in page  # what it links to was not brought along


def test_all_its_images_are_served_and_no_other_file(server: Any) -> None:
    images = set(re.findall(r'(?:src|srcset)="(images/[^"]*)"', server.get("/choosing-k").text))

    assert images == {f"images/{path.name}" for path in (ROOT / "docs" / "images").glob("choosing-*")}
    for image in images:
        answer = server.get(f"/{image}")
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.content == (ROOT / "docs" / image).read_bytes()
    for other in ("segments.png", "choosing-*.png", "..%2Fchoosing-k.md", "%2E%2E/choosing-k.md"):
        assert server.get(f"/images/{other}").status_code == 404, other


@pytest.fixture
def without_document(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plugins folder alone, without the documents beside it."""
    documents.choosing_k.cache_clear()
    monkeypatch.setattr(documents, "folder", lambda: None)
    yield
    documents.choosing_k.cache_clear()


@pytest.mark.usefixtures("without_document")
def test_where_the_document_is_missing_it_is_named_and_not_linked(server: Any) -> None:
    page = server.get(RUN).text

    assert "docs/choosing-k.md of the plugin" in page
    assert 'segmentation/choosing-k"' not in page
    assert server.get("/choosing-k").status_code == 404
    assert server.get("/images/choosing-elbow.png").status_code == 404
