"""Which segment a customer belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airflow_segmentation.clustering.points import Floats, Ints, assign


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
        if self.medians is not None:
            rows = np.where(np.isnan(rows), self.medians, rows)
        segments: Ints = np.full(len(rows), -1, np.int32)
        complete = np.isfinite(rows).all(axis=1)
        segments[complete] = assign(rows[complete] * self.scale + self.offset, self.centers)
        return segments
