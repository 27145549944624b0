"""How sure the choice of k is: the sweep repeated on resamples of the rows, and k chosen on each curve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from airflow_segmentation.clustering.chain import Cells, rough_cells, walk
from airflow_segmentation.clustering.elbow import choose_k
from airflow_segmentation.clustering.points import Points

Curve = tuple[Sequence[int], Sequence[float]]
"""Values of k, and the SSE at each."""


def sweep_resamples(
    rows: Any, *, resamples: int = 20, k_min: int = 1, k_max: int = 49, random_state: int = 0
) -> list[Curve]:
    """Sweep bootstrap resamples of the rows (Efron, 1979), all at once, and return the curve of each.

    A resample draws as many rows as there are, with replacement. It is swept on the cells in which a sweep
    looks for its starting centres: how many of its rows fall into a cell is all that differs from one
    resample to the next, and their scatter within the cells is added to the SSE.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
    """
    rows = np.asarray(rows, float)
    with threadpool_limits(limits=1):
        points = Points(rows, np.ones(len(rows)))
        means, weights, cell = rough_cells(points, k_max)
        share = points.weights / len(rows)
        drawn = np.array(
            [
                np.bincount(cell, rng.multinomial(len(rows), share), len(means))
                for rng in np.random.default_rng(random_state).spawn(resamples)
            ]
        )
        within = max(points.total - float(weights @ np.einsum("ij,ij->i", means, means)), 0.0)
        costs = [cost for _, cost in walk(Cells(means, drawn), k_max, random_state)]
    curves = np.minimum.accumulate(np.maximum(costs, 0.0) + within).T
    # A resample has no more segments than cells that it drew rows from.
    ends = np.minimum((drawn > 0).sum(axis=1), len(costs))
    starts = np.minimum(ends, k_min)
    return [
        (list(range(start, end + 1)), curve[start - 1 : end].tolist())
        for curve, start, end in zip(curves, starts.tolist(), ends.tolist(), strict=True)
    ]


def count_choices(
    curves: Iterable[Curve], method: str = "kneedle", sensitivity: float = 1.0
) -> list[tuple[int, int]]:
    """Return pairs of k and the number of curves on which the method chooses it, most often first."""
    chosen = Counter(choose_k(*curve, method, sensitivity).k for curve in curves)
    return sorted(chosen.items(), key=lambda pair: (-pair[1], pair[0]))
