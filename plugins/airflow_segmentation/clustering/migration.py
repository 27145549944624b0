"""Where rows go from one set of segments to another: both assign the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from airflow_segmentation.clustering.arrow import as_matrix
from airflow_segmentation.clustering.assigning import Assigner
from airflow_segmentation.clustering.points import Ints
from airflow_segmentation.clustering.quantiles import Segmenting
from airflow_segmentation.clustering.rows import Arrays, Parted, added_up

if TYPE_CHECKING:
    import pyarrow as pa


def count_migration(table: Parted, before: Assigner, after: Segmenting) -> Ints:
    """Return how many rows go from each segment of `before` to each of `after`, in one pass.

    :param before: assigns rows of the features of `after`, as these are in the table.

    :returns: of shape (k before, k after).
    """
    visit = partial(_counted, before=before, after=after)
    (counts,) = added_up(table.each(after.features, visit, added=True))
    return counts


def _counted(place: int, batches: Iterator[pa.RecordBatch], before: Assigner, after: Segmenting) -> Arrays:
    counts = np.zeros((len(before.centers), after.k), np.int64)
    for batch in batches:
        old, new = before.predict(as_matrix(batch, after.features)), after.labels(batch)
        counts += np.bincount(old * after.k + new, minlength=counts.size).reshape(counts.shape)
    return [counts]
