"""What one would use instead of the sweep, each for one k, on one thread."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

PEERS = {
    "tutorial": "the tutorial's loop",
    "defaults": "scikit-learn's defaults",
    "kmeans10": "k-means++, `n_init=10`",
    "minibatch": "MiniBatchKMeans",
    "faiss": "faiss, 25 iterations",
    "intelex": "scikit-learn-intelex's defaults",
}
"""What each is called in tables."""
ARGUMENTS: dict[str, dict[str, Any]] = {
    "tutorial": {"init": "random", "n_init": 10, "max_iter": 300, "random_state": 42},
    "defaults": {"random_state": 0},
    "kmeans10": {"n_init": 10, "random_state": 0},
    "minibatch": {"n_init": "auto", "random_state": 0},
    "intelex": {"random_state": 0},
}

Fit = Callable[[int], tuple[float, np.ndarray]]
"""Returns the SSE that a peer tells at k, and its centres."""


def installed(*names: str) -> list[str]:
    """Return those of the peers that are there: Intel's is for its own machines alone."""
    return [name for name in names if name != "intelex" or importlib.util.find_spec("sklearnex")]


@contextmanager
def one_thread(name: str) -> Iterator[None]:
    """Keep a peer to one thread: with more, scikit-learn burns several times the CPU on few rows."""
    from threadpoolctl import threadpool_limits

    if name == "faiss":
        import faiss

        faiss.omp_set_num_threads(1)
    elif name == "intelex":
        import daal4py

        daal4py.daalinit(nthreads=1)
    else:
        _kind(name)  # which loads the libraries whose threads are limited
    with threadpool_limits(limits=1):
        yield


def fitter(name: str, rows: np.ndarray) -> Fit:
    """Return what fits a peer to rows."""
    if name == "faiss":
        return _faiss(rows.astype(np.float32))
    kind = _kind(name)

    def fit(k: int) -> tuple[float, np.ndarray]:
        model = kind(k, **ARGUMENTS[name]).fit(rows)
        return float(model.inertia_), model.cluster_centers_

    return fit


def _kind(name: str) -> Callable[..., Any]:
    if name == "intelex":
        from sklearnex.cluster import KMeans as Intelex

        return Intelex
    from sklearn.cluster import KMeans, MiniBatchKMeans

    return MiniBatchKMeans if name == "minibatch" else KMeans


def _faiss(rows: np.ndarray) -> Fit:
    import faiss

    def fit(k: int) -> tuple[float, np.ndarray]:
        model: Any = faiss.Kmeans(rows.shape[1], k, niter=25, seed=1, min_points_per_centroid=1)
        model.train(rows)
        return float(model.index.search(rows, 1)[0].sum()), model.centroids

    return fit
