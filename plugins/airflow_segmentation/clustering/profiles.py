"""What customers are like: mean and deviation of all, mean and quartiles of each segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Moments:
    """Mean and standard deviation of rows that come in batches.

    Each batch's own sums of squares are put together (Chan, Golub and LeVeque, 1983): a column of small
    differences around a large value keeps them, and one of a single value has a deviation of exactly 0.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._first: Any = None
        self._mean: Any = 0.0
        self._squares: Any = 0.0

    def add(self, rows: NDArray[np.float64]) -> None:
        """Take in a batch of rows, of shape (n_rows, n_features)."""
        if not len(rows):
            return
        if self._first is None:
            self._first = rows[0].copy()
        rows = rows - self._first
        before, self._rows = self._rows, self._rows + len(rows)
        mean = rows.mean(axis=0)
        gap = mean - self._mean
        self._mean = self._mean + gap * (len(rows) / self._rows)
        self._squares = self._squares + ((rows - mean) ** 2).sum(axis=0)
        self._squares = self._squares + gap**2 * (before * len(rows) / self._rows)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean of all rows, of shape (n_features,)."""
        return self._first + self._mean

    @property
    def deviation(self) -> NDArray[np.float64]:
        """Standard deviation of all rows, as StandardScaler has it: their number is the divisor."""
        return np.sqrt(self._squares / self._rows)


@dataclass(frozen=True)
class Profile:
    """One column over the segments; one entry for each segment, NaN where it has no value in the column."""

    column: str
    mean: tuple[float, ...]
    q25: tuple[float, ...]
    q50: tuple[float, ...]
    q75: tuple[float, ...]


def profile_segments(labels: Any, columns: Mapping[str, Any], k: int) -> list[Profile]:
    """Describe each column over k segments.

    Parameters
    ----------
    labels : ndarray of int of shape (n_rows,)
        Each row's segment, 0 to k - 1.
    columns : mapping of str to array-like of shape (n_rows,)
        Numeric columns; missing values are NaN and are left out.

    Raises
    ------
    ValueError
        If a column has not one value for each label.
    """
    labels = np.asarray(labels)
    return [_profile(labels, name, np.asarray(values, float), k) for name, values in columns.items()]


def _profile(labels: Any, name: str, values: Any, k: int) -> Profile:
    if len(values) != len(labels):
        raise ValueError(f"Column {name!r} has {len(values)} values, and there are {len(labels)} labels")
    there = ~np.isnan(values)
    labels, values = labels[there], values[there]
    ends = np.bincount(labels, minlength=k).cumsum()
    parts = np.split(values[labels.argsort(kind="stable")], ends[:-1])
    rows = [
        (part.mean(), *np.quantile(part, [0.25, 0.5, 0.75])) if len(part) else (np.nan,) * 4 for part in parts
    ]
    return Profile(name, *(tuple(float(value) for value in column) for column in zip(*rows, strict=True)))
