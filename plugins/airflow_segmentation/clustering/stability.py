"""How sure the choice of k is: the sweep repeated on resamples of the rows, and k chosen on each curve."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from airflow_segmentation.clustering.elbow import choose_k
from airflow_segmentation.clustering.sweep import sweep_rows

ROWS = 2_000
"""Rows in a resample, at the most: its curve bends where that of all rows does, at a fraction of the cost."""

Curve = tuple[Sequence[int], Sequence[float]]
"""Values of k, and the SSE at each."""


def sweep_resamples(
    rows: Any,
    *,
    resamples: int = 20,
    k_min: int = 1,
    k_max: int = 49,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> list[Curve]:
    """Sweep bootstrap resamples of the rows, and return the curve of each.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        At most :data:`ROWS` of them go into each resample, drawn with replacement.
    n_jobs : int or None
        Resamples swept at the same time; None is 1, -1 is one for each core. Does not change the result.
    """
    rows = np.asarray(rows, float)
    size = min(len(rows), ROWS)

    def curve(resample: int) -> Curve:
        drawn = np.random.default_rng([random_state, resample]).integers(len(rows), size=size)
        distinct = len(np.unique(rows[drawn], axis=0))
        found = sweep_rows(
            rows[drawn],
            k_min=min(k_min, distinct),
            k_max=min(k_max, distinct),
            n_init=1,
            tol=1e-2,
            random_state=resample,
        )
        return found.k_values.tolist(), found.inertias.tolist()

    jobs = 1 if n_jobs is None else n_jobs if n_jobs > 0 else (os.cpu_count() or 1) + 1 + n_jobs
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        return list(pool.map(curve, range(resamples)))


def count_choices(
    curves: Iterable[Curve], method: str = "kneedle", sensitivity: float = 1.0
) -> list[tuple[int, int]]:
    """Return pairs of k and the number of curves on which the method chooses it, most often first."""
    chosen = Counter(choose_k(*curve, method, sensitivity).k for curve in curves)
    return sorted(chosen.items(), key=lambda pair: (-pair[1], pair[0]))
