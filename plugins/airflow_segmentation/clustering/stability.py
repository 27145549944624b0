"""How sure the choice of k is: the sweep repeated on resamples of the rows."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from airflow_segmentation.clustering.elbow import choose_k
from airflow_segmentation.clustering.sweep import sweep_rows

ROWS = 2_000


@dataclass(frozen=True)
class Stability:
    """How often each k was chosen."""

    resamples: int
    rows: int
    """Rows in each resample."""
    counts: tuple[tuple[int, int], ...]
    """Pairs of k and how many resamples chose it, most often first."""


def repeat_choice(
    rows: Any,
    *,
    resamples: int = 20,
    k_min: int = 1,
    k_max: int = 49,
    sensitivity: float = 1.0,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> Stability:
    """Choose k by kneedle, or else by the chord, on each of several bootstrap resamples.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        At most :data:`ROWS` of them go into each resample, drawn with replacement.
    n_jobs : int or None
        Resamples swept at the same time; None is 1, -1 is one for each core. Does not change the result.
    """
    rows = np.asarray(rows, float)
    size = min(len(rows), ROWS)

    def curve(resample: int) -> tuple[Any, Any]:
        drawn = np.random.default_rng([random_state, resample]).integers(len(rows), size=size)
        distinct = len(np.unique(rows[drawn], axis=0))
        found = sweep_rows(
            rows[drawn],
            k_min=min(k_min, distinct),
            k_max=min(k_max, distinct),
            n_init=1,
            tol=1e-3,
            random_state=resample,
        )
        return found.k_values, found.inertias

    jobs = 1 if n_jobs is None else n_jobs if n_jobs > 0 else (os.cpu_count() or 1) + 1 + n_jobs
    # Pinned around all sweeps: each gives back the limit it found, which must not be more than one thread.
    with threadpool_limits(limits=1), ThreadPoolExecutor(max(jobs, 1)) as pool:
        curves = list(pool.map(curve, range(resamples)))
    chosen = Counter(choose_k(*each, sensitivity=sensitivity).k for each in curves)
    counts = sorted(chosen.items(), key=lambda pair: (-pair[1], pair[0]))
    return Stability(resamples, size, tuple(counts))
