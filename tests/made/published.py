"""A version of published segments: two of them over two features."""

from __future__ import annotations

import dataclasses
from typing import Any

from airflow_segmentation.segments.published import (
    Bins,
    Claimant,
    Published,
    PublishedSegment,
    claim,
    publish,
    read_published,
)

ONE = Claimant("dag", "run", "publish")
FIRST = Published(
    version=1,
    k=2,
    features=("A", "B"),
    minimum=(0.0, -5.0),
    maximum=(1.0, 5.0),
    scale=(1.0, 0.1),
    segments=(
        PublishedSegment(0, "Savers", 70, 0.7, (0.2, -1.0)),
        PublishedSegment(1, "", 30, 0.3, (0.9, 2.0)),
    ),
    next_number=2,
    model="model.skops",
    model_digest="ab" * 32,
    bins=(Bins((0.5,), (0.4, 0.6)), Bins((), (1.0,))),
    sweep_uri="s3://bucket/sweep.parquet",
    verdict="clear",
    dag_id="dag",
    run_id="run",
    published_at="2026-03-14T09:26:53+00:00",
    reviewer="Ada",
    reason="As last month",
)


def publish_next(path: str, **changes: Any) -> Published:
    """Publish a version after the current one, and return it."""
    current = read_published(path)
    version = claim(path, current, ONE)
    previous = None if current is None else current.version
    new = dataclasses.replace(FIRST, version=version, previous=previous, **changes)
    publish(new, path, {"card.md": b"# Savers"}, "writer")
    return new
