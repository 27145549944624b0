"""Whether there are groups at all: the sweep held against sweeps of rows without any.

An elbow is found in any curve, and resamples agree on it in pure noise. What tells groups is that they leave
less SSE than the same number of segments leaves of rows without groups: the gap statistic of Tibshirani,
Walther and Hastie, "Estimating the number of clusters in a data set via the gap statistic" (2001), against a
reference that is closer to the rows than theirs (see `reference.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from airflow_segmentation.clustering.chain import Cells, cells, walk
from airflow_segmentation.clustering.points import Floats, Points
from airflow_segmentation.clustering.reference import Reference

Verdict = Literal["none", "unclear", "clear"]

SIGNIFICANT = 0.05
UNCLEAR, CLEAR = 0.15, 0.3
"""Gaps from which groups are possible, and from which they are clear: a seventh and a quarter less SSE."""
NOTHING = 1e-12
"""Share of the total SSE below which none is left."""
ROWS, VALUES = 2**12, 2**17
"""Rows and values in each set at most."""
CELLS, CELLS_PER_SEGMENT = 400, 8
"""Cells of each set at least."""
LOOKED_AT, FAR, MOST_ALONE = 2**8, 4.0, 0.02
"""A row lies alone that is so many times farther from the nearest of some others than 19 in 20 rows are; no
more than a share of all rows do."""
DIP_ROWS = 379
"""Rows whose distances to one another are tested: as many distances as the test has tables for."""


@dataclass(frozen=True)
class Structure:
    """What tells whether rows have groups. Sequences have one entry for each k from 1."""

    gap: Sequence[float]
    """Mean of log SSE over the reference sets, less log SSE: 0 at k = 1."""
    gap_se: Sequence[float]
    """Standard error of the gap: the sets' standard deviation times the root of 1 + 1 / sets."""
    p: float
    """Share of sets, the rows among them, with as large a gap for its standard error at any k."""
    sets: int
    """Reference sets that were swept."""
    rows: int
    """Rows in each."""
    dip_component: float | None = None
    """p of the dip test on the first principal component; None where the test is not installed."""
    dip_distances: float | None = None
    """The same on the distances between rows."""

    @property
    def largest(self) -> float:
        """The largest gap."""
        return max(self.gap)

    @property
    def verdict(self) -> Verdict:
        """Whether there are groups.

        "none" where a reference set has as large a gap for its standard error, or where segments leave hardly
        less SSE than they do without groups; "clear" where they leave so much less that groups lie apart.
        """
        if self.p > SIGNIFICANT or self.largest < UNCLEAR:
            return "none"
        return "clear" if self.largest >= CLEAR else "unclear"

    @property
    def gap_k(self) -> int:
        """The first k whose gap is no smaller than the next one less its standard error; 1 without groups.

        That is the rule of Tibshirani and others, begun where half of the largest gap is reached: before,
        groups of groups end the search, and many groups side by side, which look like one at first.
        """
        if self.verdict == "none":
            return 1
        following = [gap - error for gap, error in zip(self.gap[1:], self.gap_se[1:], strict=True)]
        return next(
            k
            for k, (gap, after) in enumerate(zip(self.gap, [*following, -np.inf], strict=True), start=1)
            if gap >= max(after, self.largest / 2)
        )


def measure_structure(
    rows: Any, *, sets: int = 20, k_max: int = 49, random_state: int = 0
) -> Structure | None:
    """Sweep the rows and reference sets, all at once, on cells of each; None of too few different rows.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features), finite
    sets : int
        Reference sets: with fewer than 19 no gap is significant.
    """
    rows = np.asarray(rows, float)
    rng = np.random.default_rng([random_state, 1])
    most = min(ROWS, max(VALUES // rows.shape[1], 2))
    if len(rows) > most:
        rows = rows[np.sort(rng.choice(len(rows), most, replace=False))]
    with threadpool_limits(limits=1):
        rows = _in_company(rows, rng) if len(rows) > 1 else rows
        if not np.ptp(rows, axis=0).any():
            return None
        reference = Reference(rows)
        drawn = [Points(each, np.ones(len(each))) for each in (rows, *map(reference.draw, rng.spawn(sets)))]
        # With as many segments as there are different rows nothing is left, groups or not.
        ends = min(k_max, min(len(points) for points in drawn[1:]) // 2)
        if ends < 2:
            return None
        logs = np.log(_swept(drawn, ends, random_state))
        dips = _dips(reference.spread, rng)
    logs -= logs[:, :1]
    gap, deviation = logs[1:].mean(axis=0) - logs[0], logs[1:].std(axis=0)
    return Structure(
        gap=gap.tolist(),
        gap_se=(deviation * np.sqrt(1 + 1 / sets)).tolist(),
        p=_p(logs),
        sets=sets,
        rows=len(rows),
        dip_component=dips[0],
        dip_distances=dips[1],
    )


def _in_company(rows: Floats, rng: np.random.Generator) -> Floats:
    """Return the rows without those that lie alone: an outlier is no group, and has most of the SSE."""
    some = np.sort(rng.permutation(len(rows))[:LOOKED_AT])
    centred = rows - rows.mean(axis=0)
    squares = np.einsum("ij,ij->i", centred, centred)
    apart = squares[:, None] + squares[some] - 2.0 * centred @ centred[some].T
    apart[some, np.arange(len(some))] = np.inf
    nearest = np.sqrt(np.maximum(apart.min(axis=1), 0.0))
    limit = max(FAR * np.quantile(nearest, 0.95), np.quantile(nearest, 1 - MOST_ALONE))
    return rows[nearest <= limit]


def _swept(drawn: list[Points], k_max: int, seed: int) -> Floats:
    """Return the SSE of each set at each k, shape (n_sets, k_max)."""
    limit = max(CELLS, CELLS_PER_SEGMENT * k_max)
    made = [cells(points, limit) for points in drawn]
    size = max(len(means) for means, _, _ in made)
    means = np.stack([np.pad(means, ((0, size - len(means)), (0, 0)), "edge") for means, _, _ in made])
    weights = np.stack([np.pad(weights, (0, size - len(weights))) for _, weights, _ in made])
    totals = np.array([points.total for points in drawn])
    rough = Cells(means, weights)
    within = np.maximum(totals - (weights * rough.squares).sum(axis=1), 0.0)
    costs = np.array([cost for _, cost in walk(rough, k_max, seed)])
    curves: Floats = np.minimum.accumulate(np.maximum(costs, 0.0) + within).T
    return np.maximum(curves, NOTHING * totals[:, None])


def _p(logs: Floats) -> float:
    """Return the Monte Carlo p of the rows' largest gap at any k, in standard deviations of the others'.

    Each set is held against all others, the rows being the first (Besag and Clifford, 1989).
    """
    largest = []
    for index, own in enumerate(logs[:, 1:]):
        others = np.delete(logs[:, 1:], [0, index] if index else [0], axis=0)
        deviation = others.std(axis=0, ddof=1)
        gaps = np.divide(others.mean(axis=0) - own, deviation, out=np.zeros(len(own)), where=deviation > 0)
        largest.append(gaps.max())
    return float(np.mean(np.array(largest) >= largest[0]))


def _dips(rows: Floats, rng: np.random.Generator) -> tuple[float | None, float | None]:
    """Return p of the dip test (Hartigan and Hartigan, 1985) on the first component and on distances.

    On distances as Adolfsson, Ackerman and Brownstein, "To cluster, or not to cluster" (2019). Values on a
    grid should be spread over its steps: else each is a peak.
    """
    try:
        from diptest import diptest
    except ImportError:  # an extra, as it is under the GPL
        return None, None
    some = rng.permutation(len(rows))[:DIP_ROWS]
    centred = rows - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    component = centred @ axes[0]
    part = centred[some]
    squares = np.einsum("ij,ij->i", part, part)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2.0 * part @ part.T, 0.0))
    return tuple(  # type: ignore[return-value]
        float(diptest(each)[1]) if len(each) > 3 else None
        for each in (component, distances[np.triu_indices(len(part), 1)])
    )
