"""Which segment a customer belongs to, how far from its centre, and which one is next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from airflow_segmentation.clustering.points import Floats, Ints, assign, nearest_two


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
        if len(self.centers) > 1:
            own, found.seconds[complete] = nearest_two(scaled, self.centers)
        else:
            own = np.zeros(len(scaled), np.intp)
        found.segments[complete] = own
        squares = np.zeros(len(scaled))
        for values, middles in zip(scaled.T, self.centers.T, strict=True):
            squares += (values - middles[own]) ** 2
        found.distances[complete] = np.sqrt(squares)
        return found

    def _scaled(self, rows: Floats) -> tuple[Floats, Any]:
        """Return the rows that have a segment, in scaled units, and which they are."""
        if self.medians is not None:
            rows = np.where(np.isnan(rows), self.medians, rows)
        complete: Any = np.isfinite(rows).all(axis=1)
        if complete.all():
            complete = slice(None)
        return rows[complete] * self.scale + self.offset, complete
