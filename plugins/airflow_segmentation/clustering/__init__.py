"""The science: K-means for every k, and the choice of k. Knows no Airflow, no storage, no web.

Names are resolved when they are first used: :func:`sweep_rows` needs numpy alone, and an Airflow task that
imports scikit-learn without a need starts a second later.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_segmentation.clustering.assigning import Assigner as Assigner
    from airflow_segmentation.clustering.elbow import Elbow as Elbow
    from airflow_segmentation.clustering.elbow import choose_k as choose_k
    from airflow_segmentation.clustering.elbow import chord as chord
    from airflow_segmentation.clustering.elbow import count_choices as count_choices
    from airflow_segmentation.clustering.estimator import KMeansSweep as KMeansSweep
    from airflow_segmentation.clustering.evidence import agreed_k as agreed_k
    from airflow_segmentation.clustering.evidence import recommend as recommend
    from airflow_segmentation.clustering.moments import Moments as Moments
    from airflow_segmentation.clustering.plane import principal_plane as principal_plane
    from airflow_segmentation.clustering.points import assign as assign
    from airflow_segmentation.clustering.quantiles import describe as describe
    from airflow_segmentation.clustering.rows import ArrayRows as ArrayRows
    from airflow_segmentation.clustering.rows import Rows as Rows
    from airflow_segmentation.clustering.rows import TableRows as TableRows
    from airflow_segmentation.clustering.rules import find_rules as find_rules
    from airflow_segmentation.clustering.scores import calinski_harabasz as calinski_harabasz
    from airflow_segmentation.clustering.scores import compute_score as compute_score
    from airflow_segmentation.clustering.scores import davies_bouldin as davies_bouldin
    from airflow_segmentation.clustering.scores import silhouette as silhouette
    from airflow_segmentation.clustering.scores import silhouette_sample as silhouette_sample
    from airflow_segmentation.clustering.shifts import (
        population_stability_index as population_stability_index,
    )
    from airflow_segmentation.clustering.stability import Resamples as Resamples
    from airflow_segmentation.clustering.stability import sweep_resamples as sweep_resamples
    from airflow_segmentation.clustering.structure import Structure as Structure
    from airflow_segmentation.clustering.structure import measure_structure as measure_structure
    from airflow_segmentation.clustering.studying import Studied as Studied
    from airflow_segmentation.clustering.surveying import Survey as Survey
    from airflow_segmentation.clustering.surveying import survey as survey
    from airflow_segmentation.clustering.sweep import RangeCut as RangeCut
    from airflow_segmentation.clustering.sweep import Step as Step
    from airflow_segmentation.clustering.sweep import Sweep as Sweep
    from airflow_segmentation.clustering.sweep import sweep_rows as sweep_rows
    from airflow_segmentation.clustering.sweep import sweep_table as sweep_table
    from airflow_segmentation.clustering.tallies import Segmenting as Segmenting

_HOMES = {
    "agreed_k": "evidence",
    "ArrayRows": "rows",
    "assign": "points",
    "Assigner": "assigning",
    "calinski_harabasz": "scores",
    "choose_k": "elbow",
    "chord": "elbow",
    "compute_score": "scores",
    "count_choices": "elbow",
    "davies_bouldin": "scores",
    "describe": "quantiles",
    "Elbow": "elbow",
    "find_rules": "rules",
    "KMeansSweep": "estimator",
    "Moments": "moments",
    "measure_structure": "structure",
    "population_stability_index": "shifts",
    "principal_plane": "plane",
    "recommend": "evidence",
    "RangeCut": "sweep",
    "Resamples": "stability",
    "Rows": "rows",
    "Segmenting": "tallies",
    "silhouette": "scores",
    "silhouette_sample": "scores",
    "Step": "sweep",
    "Structure": "structure",
    "Studied": "studying",
    "Survey": "surveying",
    "survey": "surveying",
    "Sweep": "sweep",
    "sweep_resamples": "stability",
    "sweep_rows": "sweep",
    "sweep_table": "sweep",
    "TableRows": "rows",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
