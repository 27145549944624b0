"""How far rows have shifted from those that segments were made of, by shares of rows in the same bins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from airflow_segmentation.clustering.points import Floats, Ints
from airflow_segmentation.clustering.quantiles import describe
from airflow_segmentation.clustering.rows import Arrays, Parted
from airflow_segmentation.clustering.tallies import Batch, Segmenting, Sum, tallied

DECILES = tuple(tenth / 10 for tenth in range(1, 10))
LEAST_SHARE = 1e-4
"""What an empty bin is taken to hold, for its logarithm."""
SURE = 3.0
"""Standard deviations by which an index must be above what chance makes of it."""
ABOVE = 1e-9
"""How far an edge lies above its decile, as a share of the range: rows of the decile's very value, which may
be many, are in the bin below it, however they were rounded on their way from unit to unit and back."""


def population_stability_index(expected: Sequence[float], actual: Sequence[float]) -> float:
    """Return how far shares of rows are from others, 0 where they are the same (Siddiqi, Credit Risk
    Scorecards, 2006): the sum of (actual - expected) * ln(actual / expected).

    Below 0.1 is taken for no shift, from 0.25 for one that matters.
    """
    before, after = (np.maximum(shares, LEAST_SHARE) for shares in (expected, actual))
    return float(((after - before) * np.log(after / before)).sum())


def index_by_chance(bins: int, expected_rows: int, actual_rows: int) -> float:
    """Return up to where the index of rows that have not shifted is by chance alone, as they are few.

    It is about chi-squared with bins - 1 degrees of freedom, times 1 / expected_rows + 1 / actual_rows
    (Yurdakul, Statistical Properties of Population Stability Index, 2018), where each bin has some ten rows.
    """
    degrees = bins - 1
    return (degrees + SURE * math.sqrt(2 * degrees)) * (1 / max(expected_rows, 1) + 1 / max(actual_rows, 1))


def spread(
    table: Parted, features: Sequence[str], spans: Sequence[float]
) -> list[tuple[list[float], list[float]]]:
    """Return for each feature the inner edges of bins of about a tenth of the rows, or more where many rows
    have the same value, and the share of the rows in each bin.

    :param spans: the largest value of each feature less the smallest.
    """
    deciles = describe(table, features, Segmenting(), DECILES).quantiles[:, -1]
    edges = [np.unique(each + ABOVE * (span or 1.0)) for each, span in zip(deciles, spans, strict=True)]
    bins = BinsTally(features, edges)
    ((counts,),) = tallied(table, Segmenting(), bins)
    found = bins.shares(counts)
    return [_without_empty(*each) for each in zip(edges, found, strict=True)]


def _without_empty(edges: Floats, held: list[float]) -> tuple[list[float], list[float]]:
    """Return bins and their shares without those in which no row is: between two values, as a rule."""
    kept = [place for place in range(len(edges)) if held[place] > 0]
    return edges[kept].tolist(), [*(held[place] for place in kept), held[-1]]


def shares(counts: Ints) -> list[float]:
    """Return what share of all rows each count is; 0 where there are no rows."""
    return (counts / max(counts.sum(), 1)).tolist()


@dataclass(frozen=True)
class BinsTally(Sum):
    """Tells how many rows are in each bin of each column, as :func:`counted` does."""

    columns: Sequence[str]
    edges: Sequence[Floats]

    def of(self, batch: Batch) -> Arrays:
        """Return how many of a batch are."""
        return [counted(batch.matrix(self.columns), self.edges)]

    def shares(self, counts: Ints) -> list[list[float]]:
        """Return for each column the share of the rows in each bin; rows that miss the value are left out."""
        return [shares(each[: len(inner) + 1]) for each, inner in zip(counts, self.edges, strict=True)]


def counted(rows: Floats, edges: Sequence[Floats]) -> Ints:
    """Return how many rows are in each bin of each feature, of shape (n_features, most bins).

    Values that are missing or infinite are left out.
    """
    counts = np.zeros((len(edges), max(map(len, edges)) + 1), np.int64)
    for index, values in enumerate(rows.T):
        bins = np.searchsorted(edges[index], values[np.isfinite(values)])
        counts[index] = np.bincount(bins, minlength=counts.shape[1])
    return counts
