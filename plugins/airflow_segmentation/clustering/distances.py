"""How far rows lie from the centre of their segment: what is usual there, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from airflow_segmentation.clustering.arrow import as_matrix
from airflow_segmentation.clustering.points import Floats, Ints
from airflow_segmentation.clustering.quantiles import Segmenting
from airflow_segmentation.clustering.rows import Arrays, Parted, added_up

if TYPE_CHECKING:
    import pyarrow as pa

BINS = 1024
SMALLEST = 1e-6
"""The end of the first bin, as a share of the farthest that a row can be; each next one is 1.4 % longer."""
PERCENTILES = np.arange(101.0)


def distance_percentiles(table: Parted, segmenting: Segmenting, farthest: float) -> Floats:
    """Return the percentiles, 0th to 100th, of the distances of each segment's rows to its centre.

    They are counted in bins, in one pass, and so are off by 1.4 % of themselves at most.

    :param farthest: what no distance exceeds.

    :returns: of shape (k, 101); 0 throughout in a segment without rows.
    """
    edges = np.concatenate([[0.0], farthest * SMALLEST ** (1 - np.arange(BINS) / (BINS - 1))])
    visit = partial(_counted, segmenting=segmenting, edges=edges)
    (counts,) = added_up(table.each(segmenting.features, visit, added=True))
    found = np.zeros((segmenting.k, len(PERCENTILES)))
    for segment, own in enumerate(counts):
        filled = np.flatnonzero(own)
        if len(filled):
            # From where the first of its rows may lie to where the last one may.
            passed = np.concatenate([[0], np.cumsum(own)[filled[0] : filled[-1] + 1]])
            found[segment] = np.interp(
                PERCENTILES / 100 * passed[-1], passed, edges[filled[0] : filled[-1] + 2]
            )
    return found


def percentiles_of(distances: Floats, segments: Ints, usual: Floats) -> Floats:
    """Return what share of its segment's rows, in per cent, lies nearer to the centre than each row does.

    :param distances: of rows to the centres of their segments, shape (n_rows,).
    :param segments: of shape (n_rows,).
    :param usual: what :func:`distance_percentiles` returned.

    :returns: of shape (n_rows,).
    """
    found = np.zeros(len(distances))
    for segment in np.unique(segments):
        own = segments == segment
        found[own] = np.interp(distances[own], usual[segment], PERCENTILES)
    return found


def _counted(place: int, batches: Iterator[pa.RecordBatch], segmenting: Segmenting, edges: Floats) -> Arrays:
    counts = np.zeros((segmenting.k, len(edges) - 1))
    for batch in batches:
        rows, own = as_matrix(batch, segmenting.features), segmenting.labels(batch)
        far = np.linalg.norm(rows - segmenting.centers[own], axis=1)
        bins = np.minimum(np.searchsorted(edges[1:], far), counts.shape[1] - 1)
        counts += np.bincount(own * counts.shape[1] + bins, minlength=counts.size).reshape(counts.shape)
    return [counts]
