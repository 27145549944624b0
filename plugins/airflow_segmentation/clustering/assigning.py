"""Which segment a customer belongs to, how far from its centre, and which one is next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airflow_segmentation.clustering.points import Floats, Ints, assign, blocks

BLOCK = 2**18
"""Distances that are held at a time."""


@dataclass(frozen=True)
class Places:
    """Where rows lie among the segments; each array is of shape (n_rows,)."""

    segments: Ints
    """That of the nearest centre; -1 where a value is missing or infinite."""
    distances: Floats
    """To that centre, in scaled units; NaN where there is no segment."""
    seconds: Ints
    """The segment whose centre is second nearest; -1 where there is none."""


@dataclass(frozen=True)
class Assigner:
    """Assigns segments to rows in original units.

    Arrays are of shape (n_features,), the centres of shape (k, n_features).
    """

    scale: Floats
    offset: Floats
    medians: Floats | None
    """What stands for a missing value; None where no value may be missing."""
    centers: Floats
    """In scaled units: scaled = original * scale + offset."""

    def predict(self, rows: Floats) -> Ints:
        """Return the segments of rows in original units, of shape (n_rows,).

        A row with a value that is missing or infinite has -1.
        """
        segments: Ints = np.full(len(rows), -1, np.int32)
        scaled, complete = self._scaled(rows)
        segments[complete] = assign(scaled, self.centers)
        return segments

    def place(self, rows: Floats) -> Places:
        """Return where rows in original units lie."""
        scaled, complete = self._scaled(rows)
        found = Places(
            np.full(len(rows), -1, np.int32), np.full(len(rows), np.nan), np.full(len(rows), -1, np.int32)
        )
        own = assign(scaled, self.centers)
        found.segments[complete] = own
        found.distances[complete] = np.linalg.norm(scaled - self.centers[own], axis=1)
        if len(self.centers) > 1:
            found.seconds[complete] = self._second(scaled, own)
        return found

    def _scaled(self, rows: Floats) -> tuple[Floats, Ints]:
        """Return the rows that have a segment, in scaled units, and which they are."""
        if self.medians is not None:
            rows = np.where(np.isnan(rows), self.medians, rows)
        complete = np.flatnonzero(np.isfinite(rows).all(axis=1))
        return rows[complete] * self.scale + self.offset, complete

    def _second(self, scaled: Floats, own: Ints) -> Ints:
        """Return the centre nearest to each row but for its own."""
        squares, second = (self.centers**2).sum(axis=1), np.empty(len(scaled), np.intp)
        for block in blocks(len(scaled), max(1, BLOCK // len(self.centers))):
            far = squares - 2 * (scaled[block] @ self.centers.T)
            far[np.arange(len(far)), own[block]] = np.inf
            second[block] = far.argmin(axis=1)
        return second
