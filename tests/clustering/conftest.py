from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.datasets import make_blobs


@pytest.fixture(scope="session")
def blobs() -> Callable[..., np.ndarray]:
    """Make well parted blobs of 100 rows each, at the corners of a grid."""

    def make(centers: int, features: int = 3) -> np.ndarray:
        corners = np.array(list(itertools.product(range(3), repeat=features)))[:centers] * 10.0
        rows, _ = make_blobs(100 * centers, centers=corners, cluster_std=0.5, random_state=0)
        return rows

    return make
