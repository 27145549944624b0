"""Where rows go from one set of segments to another: both assign the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from airflow_segmentation.clustering.assigning import Assigner
from airflow_segmentation.clustering.rows import Arrays
from airflow_segmentation.clustering.tallies import Batch, Sum


@dataclass(frozen=True)
class MigrationTally(Sum):
    """Tells how many rows go from each segment of another set to each of these, of shape (k before, k)."""

    before: Assigner
    """Assigns rows of these columns, as they are in the table."""
    columns: Sequence[str]
    k: int

    def of(self, batch: Batch) -> Arrays:
        """Return how many of a batch do."""
        shape = (len(self.before.centers), self.k)
        places = self.before.predict(batch.matrix(self.columns)) * self.k + batch.segments
        return [np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape)]
