"""The plane in which rows differ most, to draw them on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airflow_segmentation.clustering.points import Floats


@dataclass(frozen=True)
class Plane:
    """The first two principal components of rows (Pearson, 1901)."""

    center: Floats
    """Mean of the rows, shape (n_features,)."""
    axes: Floats
    """Directions of length 1, shape (2, n_features); the largest part of each is positive."""
    shares: Floats
    """Share of the rows' variance along each, shape (2,)."""


def principal_plane(rows: Floats, weights: Floats) -> Plane | None:
    """Return the plane through weighted rows along which they vary most.

    None of one feature, and of rows that do not differ.

    :param rows: of shape (n_rows, n_features).
    :param weights: of shape (n_rows,).
    """
    center = np.average(rows, axis=0, weights=weights)
    spread = (rows - center) * np.sqrt(weights / weights.sum())[:, None]
    if min(spread.shape) < 2 or not spread.any():
        return None
    _, lengths, directions = np.linalg.svd(spread, full_matrices=False)
    axes = directions[:2]
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.where(axes[[0, 1], largest] < 0, -1.0, 1.0)[:, None]
    return Plane(center, axes, lengths[:2] ** 2 / (lengths**2).sum())
