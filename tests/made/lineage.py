"""What tests look up in events of OpenLineage."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "facets" / "segmentation-1-0-0.json"
"""The schema of our own facet."""


def lineage_in(folder: Path) -> dict[str, Any]:
    """Return the transport that writes each event into a file of its own in a folder, and make that."""
    folder.mkdir()
    return {"type": "file", "log_file_path": str(folder / "event")}


def events_in(folder: Path) -> list[dict[str, Any]]:
    """Return the events that were written whole so far, in their order."""
    texts = [path.read_text() for path in sorted(folder.iterdir())]
    return [json.loads(text) for text in texts if text.endswith("\n")]


def dataset_at(uri: str | Path, datasets: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the one dataset that is a local file."""
    (found,) = (each for each in datasets if (each["namespace"], each["name"]) == ("file", str(uri)))
    return found


def columns_of(dataset: dict[str, Any]) -> dict[str, str]:
    """Return names and types of the columns of a dataset."""
    return {each["name"]: each["type"] for each in dataset["facets"]["schema"]["fields"]}


def require_facet(facet: dict[str, Any]) -> None:
    """Raise an error unless our own facet is what its schema says."""
    schema = json.loads(SCHEMA.read_text())
    jsonschema.validate({"segmentation": facet}, schema)
