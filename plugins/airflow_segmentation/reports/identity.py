"""Which segments are which: of each its number and name, and what became of those that were published."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from airflow_segmentation.clustering.matching import STILL
from airflow_segmentation.reports.report import CurvePoint, PublishedBefore, Report

State = Literal["kept", "moved", "new"]


@dataclass(frozen=True)
class Identity:
    """Who one segment is, and whether it was published."""

    number: int
    name: str
    """What people call it; empty where nobody gave it a name."""
    share: float | None
    """Of all rows; of one that is gone, of those that it was published with. None where that is not known."""
    state: State | None = None
    """None where nothing was published, and of one that is gone."""
    moved: float | None = None
    """How far its centre is from where it was, by how far off the next one was then; None where not known."""
    share_before: float | None = None
    """Its share when it was published."""

    @property
    def label(self) -> str:
        """Its number, and its name if it has one, such as "3: Savers"."""
        return f"{self.number}{self.name and f': {self.name}'}"

    @property
    def in_words(self) -> str:
        """What became of it."""
        if self.state is None:
            return "gone"
        if self.moved is None:
            return self.state
        return f"{self.state}: {self.moved:.0%} of the way to where the next one was"


@dataclass(frozen=True)
class Identified:
    """The segments at one k, in the order of the report, and the published ones that none of them is."""

    segments: tuple[Identity, ...]
    gone: tuple[Identity, ...] = ()


def identified(report: Report, point: CurvePoint) -> Identified:
    """Return who the segments at one k are."""
    names, total = report.names, sum(point.sizes or ()) or 1
    shares = [size / total for size in point.sizes] if point.sizes else [None] * point.k
    named = [
        (number, names.get(number, ""), share) for number, share in zip(point.numbered, shares, strict=True)
    ]
    if (published := report.published) is None:
        return Identified(tuple(Identity(*each) for each in named))
    places = {number: place for place, number in enumerate(published.numbers)}
    segments = []
    for place, each in enumerate(named):
        if (before := places.pop(each[0], None)) is None:
            segments.append(Identity(*each, state="new"))
            continue
        moved = _moved(published, before, point, place)
        state: State = "moved" if moved is not None and moved > STILL else "kept"
        segments.append(Identity(*each, state, moved, published.shares[before]))
    gone = (
        Identity(number, names.get(number, ""), published.shares[place]) for number, place in places.items()
    )
    return Identified(tuple(segments), tuple(gone))


def labels_of(report: Report, point: CurvePoint) -> list[str]:
    """Return the numbers of the segments at one k, with their names where people gave some."""
    return [each.label for each in identified(report, point).segments]


def _moved(published: PublishedBefore, before: int, point: CurvePoint, place: int) -> float | None:
    if published.centers is None or point.centers is None:
        return None
    here, there = (
        [value * scale for value, scale in zip(center, published.scale, strict=True)]
        for center in (point.centers[place], published.centers[before])
    )
    moved = math.dist(here, there) / (published.spacing[before] or 1.0)
    return moved if math.isfinite(moved) else None
