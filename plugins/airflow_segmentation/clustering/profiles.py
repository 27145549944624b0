"""What the customers of each segment are like: mean and quartiles of every numeric column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


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
