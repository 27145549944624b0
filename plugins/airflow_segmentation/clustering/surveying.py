"""What there is to tell of the segments of one k, in few passes over all rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_segmentation.clustering.distances import DistancesTally
from airflow_segmentation.clustering.moments import Moments, MomentsTally
from airflow_segmentation.clustering.points import Floats
from airflow_segmentation.clustering.quantiles import Described, describe, look
from airflow_segmentation.clustering.rows import Arrays, Parted
from airflow_segmentation.clustering.studying import Studied, StudyTally
from airflow_segmentation.clustering.tallies import Segmenting, Tally, tallied


@dataclass(frozen=True)
class Survey:
    """What a table's rows and their segments amount to."""

    moments: Moments
    """Of the features."""
    distances: Floats
    """Percentiles, 0th to 100th, of the distances of each segment's rows to its centre; shape (k, 101)."""
    studied: Studied
    described: Described
    """Columns in each segment, and over all rows."""
    others: list[Arrays]
    """What the other tallies told that were asked for."""


def survey(
    table: Parted,
    columns: Sequence[str],
    segmenting: Segmenting,
    probabilities: Sequence[float],
    *,
    farthest: float,
    seed: int,
    others: Sequence[Tally] = (),
) -> Survey:
    """Return a survey of the segments.

    :param columns: those to describe, features or not.
    :param segmenting: knows the sizes of the segments.
    :param probabilities: of the quantiles to describe columns by.
    :param farthest: what no distance to a centre exceeds.
    :param others: what to tell besides.

    :raises ValueError: if the value of a feature is missing or infinite.
    """
    features = segmenting.features
    distances = DistancesTally(segmenting.k, farthest)
    first = look(table, columns, segmenting)
    moments, (counts,), studied, *told = tallied(
        table,
        segmenting,
        MomentsTally(features),
        distances,
        StudyTally(features, segmenting.sizes, seed),
        *others,
        *([] if first is None else [first]),
    )
    looked = None if first is None else told.pop()
    return Survey(
        Moments(moments),
        distances.percentiles(counts),
        Studied(*studied),
        describe(table, columns, segmenting, probabilities, looked),
        told,
    )
