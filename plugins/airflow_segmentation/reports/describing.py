"""Who a segment is, in words: how its centre differs from all rows, by the figures of a report."""

from __future__ import annotations

import math
from dataclasses import dataclass

from airflow_segmentation.reports.identity import Identity, identified
from airflow_segmentation.reports.report import CurvePoint, Report

SLIGHTLY, DIFFERENT, VERY = 0.2, 0.5, 1.5
"""Standard deviations of the rows from which a centre is slightly high or low, high or low, and very much so:
a fifth of one is a small difference, half of one a medium one (Cohen, 1988)."""
MOST_TRAITS = 4
"""Features that a description names."""
IN_NAME = 2
"""Features that a name holds."""
SMALLEST_LIFT = 0.01
"""What a lift is below is not told as a number."""


@dataclass(frozen=True)
class Trait:
    """One feature in which a segment stands out."""

    feature: str
    deviations: float
    """How many standard deviations of the rows its centre lies from the mean of all rows."""
    lift: float | None
    """The centre by the mean of all rows; None where a value can be negative, and so no times of another."""

    @property
    def word(self) -> str:
        """How it differs, such as "very high"."""
        size = abs(self.deviations)
        much = "very " if size >= VERY else "slightly " if size < DIFFERENT else ""
        return f"{much}{'high' if self.deviations > 0 else 'low'}"

    @property
    def in_words(self) -> str:
        """The feature, and how it differs."""
        lift = "" if self.lift is None else f" ({times(self.lift)} the average)"
        return f"{self.feature} {self.word}{lift}"


@dataclass(frozen=True)
class Description:
    """Who one segment is."""

    identity: Identity
    share: float
    """Of all rows."""
    traits: tuple[Trait, ...]
    """What it stands out in, most first; where that is nothing, in what it does slightly."""

    @property
    def name(self) -> str:
        """What people call it, or else a few words that tell it from the others, its number among them."""
        listed = f"Segment {self.identity.number}: {self._listed(IN_NAME) or 'average'}"
        return self.identity.name or listed

    @property
    def in_words(self) -> str:
        """What it stands out in, in one line."""
        if not self.traits:
            return "average in every feature"
        named = ", ".join(trait.in_words for trait in self.traits[:MOST_TRAITS])
        more = len(self.traits) - MOST_TRAITS
        rest = (
            f"{more} more feature{'' if more == 1 else 's'} high or low" if more > 0 else "otherwise average"
        )
        return f"{named}; {rest}"

    def _listed(self, count: int) -> str:
        return ", ".join(f"{trait.feature} {trait.word}" for trait in self.traits[:count])


def describe(report: Report, point: CurvePoint) -> tuple[Description, ...]:
    """Return who the segments at one k are; none where the report does not hold what it takes."""
    z = standardized(report, point)
    if z is None or point.sizes is None:
        return ()
    total, identities = sum(point.sizes), identified(report, point).segments
    return tuple(
        Description(identity, size / total, _traits(report, point, place, [row[place] for row in z]))
        for place, (identity, size) in enumerate(zip(identities, point.sizes, strict=True))
    )


def names_of(report: Report, point: CurvePoint) -> list[str]:
    """Return what the segments at one k are called: by people, or by who they are, as far as known."""
    described = describe(report, point)
    if described:
        return [each.name for each in described]
    return [each.name or f"Segment {each.number}" for each in identified(report, point).segments]


def standardized(report: Report, point: CurvePoint) -> list[list[float]] | None:
    """Return the centres of a point of the curve, standardized: for each feature one value for each segment.

    A value is how many standard deviations of the rows a segment's centre lies from the mean of all rows. In
    a feature that has none it is 0. None where the report does not hold them, or not the centres.
    """
    if point.centers is None:
        return None
    rows = []
    for feature, column in zip(report.features, zip(*point.centers, strict=True), strict=True):
        mean, deviation = feature.mean, feature.deviation
        if mean is None or deviation is None:
            return None
        values = [(value - mean) / deviation if deviation > 0 else 0.0 for value in column]
        rows.append([value if math.isfinite(value) else 0.0 for value in values])
    return rows


def between(report: Report, point: CurvePoint) -> list[float] | None:
    """Return for each feature what share of its variance over the rows lies between segments, 0 to 1.

    That is the sum of squares between segments by the total one: how much of how the rows differ in the
    feature their segments tell. None where the report does not hold what it takes.
    """
    z = standardized(report, point)
    if z is None or point.sizes is None:
        return None
    weights = [size / sum(point.sizes) for size in point.sizes]
    squares = ([weight * value * value for weight, value in zip(weights, row, strict=True)] for row in z)
    return [min(sum(row), 1.0) for row in squares]


def telling_first(report: Report, point: CurvePoint) -> list[int]:
    """Return the positions of the features, those that tell most of a row's segment first, where known."""
    shares = between(report, point) or [0.0] * len(report.features)
    return sorted(range(len(shares)), key=lambda position: -shares[position])


def times(lift: float) -> str:
    """Return a lift in words, such as "4.1 times"."""
    if lift < SMALLEST_LIFT:
        return f"less than {SMALLEST_LIFT} times"
    return f"{lift:.2g} times" if lift < 10 else f"{lift:,.0f} times"


def lift_of(value: float, mean: float | None, minimum: float) -> float | None:
    """Return how many times the mean a value is; None where that says nothing."""
    if mean is None or minimum < 0 or mean <= 0 or value < 0:
        return None
    lift = value / mean
    return lift if math.isfinite(lift) else None


def _traits(report: Report, point: CurvePoint, segment: int, deviations: list[float]) -> tuple[Trait, ...]:
    centre = (point.centers or ())[segment]
    traits = [
        Trait(feature.name, deviation, lift_of(value, feature.mean, feature.minimum))
        for feature, value, deviation in zip(report.features, centre, deviations, strict=True)
        if abs(deviation) >= SLIGHTLY
    ]
    traits.sort(key=lambda trait: -abs(trait.deviations))
    clear = tuple(trait for trait in traits if abs(trait.deviations) >= DIFFERENT)
    return clear or tuple(traits[:IN_NAME])
