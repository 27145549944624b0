"""The science: K-means for every k, and the choice of k. Knows no Airflow, no storage, no web.

Names are resolved when they are first used: :func:`sweep_rows` needs numpy alone, and an Airflow task that
imports scikit-learn without a need starts a second later.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_segmentation.clustering.elbow import Elbow as Elbow
    from airflow_segmentation.clustering.elbow import choose_k as choose_k
    from airflow_segmentation.clustering.elbow import chord as chord
    from airflow_segmentation.clustering.estimator import KMeansSweep as KMeansSweep
    from airflow_segmentation.clustering.sweep import Progress as Progress
    from airflow_segmentation.clustering.sweep import RangeCut as RangeCut
    from airflow_segmentation.clustering.sweep import Sweep as Sweep
    from airflow_segmentation.clustering.sweep import sweep_rows as sweep_rows

_HOMES = {
    "Elbow": "elbow",
    "KMeansSweep": "estimator",
    "Progress": "sweep",
    "RangeCut": "sweep",
    "Sweep": "sweep",
    "choose_k": "elbow",
    "chord": "elbow",
    "sweep_rows": "sweep",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
