"""The sweep as a scikit-learn estimator."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _check_sample_weight, validate_data

from airflow_segmentation.clustering.sweep import sweep_rows


class KMeansSweep(BaseEstimator):
    """K-means for every k of a range, each from the starting centres that chains over cells find.

    Parameters
    ----------
    k_min, k_max : int, default=1, 49
        Smallest and largest k. With fewer distinct rows than `k_max` the range ends there, with a warning.
    n_init : int, default=4
        Chains that look for starting centres, each with its own chance; for each k the best is taken.
    max_iter : int, default=300
        Most of Lloyd's iterations for one k.
    tol : float, default=0.0
        Lloyd's iterations end where one would lower the SSE by this share or less.
    random_state : int, RandomState instance or None, default=None
        With an int, every fit gives the same bits, whatever `n_jobs`.
    n_jobs : int or None, default=None
        Values of k fitted at the same time; None is 1, -1 is one for each core.

    Attributes
    ----------
    k_values_ : ndarray of shape (n_k,)
    inertias_ : ndarray of shape (n_k,)
        SSE at each k; never rises.
    cluster_centers_ : list of n_k ndarrays of shape (k, n_features)
        In each k, the centres in the order of falling size of their segments.
    sizes_ : list of n_k ndarrays of shape (k,)
        Rows in each segment; the sum of their weights where `sample_weight` was given.
    n_iter_ : ndarray of shape (n_k,)
    fit_seconds_ : ndarray of shape (n_k,)
    total_inertia_ : float
        SSE at k = 1, also where `k_min` is larger.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,), where X has column names

    Examples
    --------
    >>> import numpy as np
    >>> from airflow_segmentation.clustering import KMeansSweep
    >>> X = np.array([[1.0], [2.0], [9.0], [10.0], [11.0]])
    >>> KMeansSweep(k_max=3, random_state=0).fit(X).inertias_
    array([85.2,  2.5,  1. ])
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "k_min": [Interval(Integral, 1, None, closed="left")],
        "k_max": [Interval(Integral, 1, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [
            None,
            Interval(Integral, 1, None, closed="left"),
            Interval(Integral, None, -1, closed="right"),
        ],
    }

    def __init__(
        self,
        k_min: int = 1,
        k_max: int = 49,
        *,
        n_init: int = 4,
        max_iter: int = 300,
        tol: float = 0.0,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.k_min = k_min
        self.k_max = k_max
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: object = None, sample_weight: Any = None) -> KMeansSweep:
        """Fit K-means for every k.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), default=None
        """
        self._validate_params()
        X = validate_data(self, X, dtype=np.float64)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        found = sweep_rows(
            X,
            weights,
            k_min=self.k_min,
            k_max=self.k_max,
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=_seed(self.random_state),
            n_jobs=self.n_jobs,
        )
        self.k_values_ = found.k_values
        self.inertias_ = found.inertias
        self.cluster_centers_ = found.cluster_centers
        self.sizes_ = found.sizes
        self.n_iter_ = found.n_iter
        self.fit_seconds_ = found.fit_seconds
        self.total_inertia_ = found.total_inertia
        return self


def _seed(random_state: int | np.random.RandomState | None) -> int:
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
