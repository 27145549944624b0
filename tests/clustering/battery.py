"""Sets of rows on which K-means is easily worse than it could be, and the least SSE known on each.

The reference is the best of a hundred starts of scikit-learn's K-means, or in one dimension the optimum, by
dynamic programming.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

Rows = NDArray[np.float64]
STARTS = 100


def scaled(rows: Rows) -> Rows:
    """Return rows with each feature from 0 to 1."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    return (rows - low) / np.where(high > low, high - low, 1.0)


def bundled(load: Callable[..., tuple[Rows, Rows]]) -> Rows:
    """Return a set that scikit-learn brings along."""
    return scaled(np.asarray(load(return_X_y=True)[0], float))


def passengers(count: int, seed: int) -> Rows:
    """Return ages in years, fares with many ties, and classes."""
    rng = np.random.default_rng(seed)
    kind = rng.choice([1, 2, 3], count, p=[0.25, 0.2, 0.55])
    ages = np.clip(rng.normal(45 - 6 * kind, 14), 0, 80).round()
    fares = np.round(rng.lognormal(5.5 - kind, 0.5) * 4) / 4
    fares[rng.random(count) < 0.3] = 7.75
    return scaled(np.column_stack([ages, fares, kind]))


def prices(count: int, seed: int) -> Rows:
    """Return prices that end in .99, and how many were bought."""
    rng = np.random.default_rng(seed)
    amounts = np.ceil(rng.lognormal(2.5, 0.8, count)) - 0.01
    return scaled(np.column_stack([amounts, rng.geometric(0.4, count)]))


def blobs(sizes: Sequence[int], features: int, seed: int, spread: float = 1.0) -> Rows:
    """Return Gaussian clusters of these sizes, among centres ten times as wide."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(scale=10, size=(len(sizes), features))
    parts = [
        rng.normal(center, spread, (size, features)) for center, size in zip(centers, sizes, strict=True)
    ]
    return np.concatenate(parts)


def with_outliers(rows: Rows, count: int, seed: int) -> Rows:
    """Return rows with some that are far from all."""
    far = np.random.default_rng(seed).standard_cauchy((count, rows.shape[1])) * 30
    return np.concatenate([rows, far])


def tailed(count: int, features: int, seed: int, sigma: float) -> Rows:
    """Return rows that are lognormal in each feature."""
    return scaled(np.random.default_rng(seed).lognormal(sigma=sigma, size=(count, features)))


def grid(side: int, count: int, seed: int) -> Rows:
    """Return Gaussian clusters on a grid, so many rows in each."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(range(side), range(side)), axis=-1).reshape(-1, 2)
    return np.repeat(places, count, axis=0) + rng.normal(scale=0.1, size=(side * side * count, 2))


SETS: dict[str, tuple[Callable[[], Rows], int]] = {
    "iris": (lambda: bundled(datasets.load_iris), 30),
    "wine": (lambda: bundled(datasets.load_wine), 30),
    "breast cancer": (lambda: bundled(datasets.load_breast_cancer), 20),
    "diabetes": (lambda: bundled(datasets.load_diabetes), 20),
    "digits": (lambda: np.asarray(datasets.load_digits().data, float), 20),
    "linnerud": (lambda: bundled(datasets.load_linnerud), 15),
    "passengers": (lambda: passengers(891, 0), 30),
    "few passengers": (lambda: passengers(120, 1), 20),
    "prices": (lambda: prices(2_000, 0), 30),
    "heavy tails": (lambda: tailed(1_000, 3, 0, 2.0), 30),
    "heavy tails, 8 features": (lambda: tailed(3_000, 8, 1, 1.5), 30),
    "outliers": (lambda: with_outliers(blobs([200] * 4, 3, 0), 8, 0), 20),
    "unequal blobs": (lambda: blobs([3000, 1000, 300, 100, 30, 10, 3], 2, 0), 20),
    "unequal blobs, 10 features": (lambda: blobs([2000, 500, 100, 50, 20, 8, 4], 10, 1), 20),
    "30 features": (lambda: blobs([60] * 10, 30, 2, 6.0), 25),
    "60 features": (lambda: blobs([25] * 12, 60, 3, 8.0), 25),
    "uniform": (lambda: np.random.default_rng(0).random((1_000, 2)), 30),
    "noise, 20 features": (lambda: np.random.default_rng(1).normal(size=(500, 20)), 20),
    "grid": (lambda: grid(6, 60, 0), 49),
}
"""Rows, and the largest k, by name."""


def line(index: int) -> Rows:
    """Return some values in one dimension: of six kinds, 25 to 300 of them."""
    rng = np.random.default_rng(index)
    count = int(rng.integers(25, 301))
    kinds: list[Callable[[], Rows]] = [
        lambda: rng.lognormal(sigma=1.5, size=count),
        lambda: rng.integers(0, 60, count).astype(float),
        lambda: rng.pareto(1.2, count),
        lambda: rng.normal(rng.integers(0, 8, count) * 5, 1.0),
        lambda: rng.exponential(size=count).round(1),
        lambda: rng.random(count),
    ]
    return kinds[index % len(kinds)]()[:, None]


def optimum(values: Rows, k_max: int) -> Rows:
    """Return the least SSE at each k of values in one dimension (Wang and Song, "Ckmeans.1d.dp", 2011)."""
    ordered = np.sort(values.ravel()).astype(np.longdouble)
    ordered -= ordered.mean()
    sums, squares = (np.concatenate([[0], np.cumsum(each)]) for each in (ordered, ordered**2))
    ends = np.arange(len(sums))
    width = np.maximum(ends[:, None] - ends, 1)
    cost = squares[:, None] - squares - (sums[:, None] - sums) ** 2 / width
    cost = np.where(ends[:, None] > ends, np.maximum(cost, 0), np.inf)
    least, found = np.where(ends == 0, 0, np.inf), []
    for _ in range(k_max):
        least = (least + cost).min(axis=1)
        found.append(float(least[-1]))
    return np.array(found)


def best_known(rows: Rows, k: int, starts: int = STARTS) -> float:
    """Return the SSE of the best of so many starts."""
    with threadpool_limits(1):
        return float(KMeans(k, n_init=starts, random_state=0).fit(rows).inertia_)
