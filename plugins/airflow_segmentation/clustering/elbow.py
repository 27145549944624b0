"""The choice of k from the curve of the SSE, or from quality scores."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from airflow_segmentation.clustering.evidence import best_by_score, recommend
from airflow_segmentation.clustering.methods import METHODS
from airflow_segmentation.clustering.stability import Curve
from airflow_segmentation.clustering.structure import Structure


@dataclass(frozen=True)
class Elbow:
    """A chosen k, and the method that gave it: not the one asked for where that found none."""

    k: int
    decided_by: str


def choose_k(
    k_values: Sequence[int] | NDArray[Any],
    inertias: Sequence[float] | NDArray[Any],
    method: str = "kneedle",
    sensitivity: float = 1.0,
    scores: Mapping[str, Sequence[float | None] | NDArray[Any]] | None = None,
    structure: Structure | None = None,
    jaccard: Sequence[Sequence[float]] = (),
) -> Elbow:
    """Choose k; where `method` finds none, take the point farthest from the chord.

    Parameters
    ----------
    k_values : array-like of shape (n_k,), rising
    inertias : array-like of shape (n_k,)
        SSE at each k.
    method : str
        One of :data:`~airflow_segmentation.clustering.methods.METHODS`: "kneedle" (Satopaa and others,
        "Finding a Kneedle in a Haystack", 2011), "chord", "gap" (Tibshirani, Walther and Hastie, 2001),
        "evidence" (:func:`~airflow_segmentation.clustering.evidence.recommend`), or a score, whose best value
        chooses.
    sensitivity : float
        Kneedle's S: how many points the curve must stay flat after an elbow; more finds fewer elbows.
    scores : mapping of str to array-like of shape (n_k,)
        The scores' values at each k, None or NaN where there is none. Needed by the methods that are scores.
    structure : Structure
        What tells whether there are groups. Needed by "gap" and "evidence".
    jaccard : sequence of sequences of float
        For each k and segment how sure it comes again in resamples; read by "evidence".

    Raises
    ------
    ValueError
        If there is no such method, it lacks its score, or no k to choose from.
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r} should be one of {', '.join(METHODS)}")
    if not len(k_values) or len(k_values) != len(inertias):
        raise ValueError(
            f"{len(k_values)} k_values and {len(inertias)} inertias should be as many, at least one"
        )
    found = _found(k_values, inertias, method, sensitivity, scores, structure, jaccard)
    return Elbow(chord(k_values, inertias), "chord") if found is None else Elbow(found, method)


def count_choices(
    curves: Iterable[Curve], method: str = "kneedle", sensitivity: float = 1.0
) -> list[tuple[int, int]]:
    """Return pairs of k and the number of curves on which the method chooses it, most often first."""
    chosen = Counter(choose_k(*curve, method, sensitivity).k for curve in curves)
    return sorted(chosen.items(), key=lambda pair: (-pair[1], pair[0]))


def _found(
    k_values: Any,
    inertias: Any,
    method: str,
    sensitivity: float,
    scores: Any,
    structure: Structure | None,
    jaccard: Any,
) -> int | None:
    if METHODS[method].reads == "score":
        if scores is None or method not in scores:
            raise ValueError(
                f"method={method!r} needs its score at each k, and the sweep computed none; name it in the "
                "scores"
            )
        return best_by_score(k_values, {method: scores[method]}).get(method)
    if METHODS[method].reads == "structure":
        if structure is None:
            raise ValueError(
                f"method={method!r} needs sets without groups to hold the sweep against, and none were "
                "swept; give reference_sets"
            )
        k = structure.gap_k if method == "gap" else recommend(k_values, structure, jaccard, scores).k
        return k if k in k_values else None
    return _kneedle(k_values, inertias, sensitivity) if method == "kneedle" else chord(k_values, inertias)


def chord(k_values: Sequence[int] | NDArray[Any], inertias: Sequence[float] | NDArray[Any]) -> int:
    """Return the k whose point lies farthest below the chord, the line from the curve's start to its end.

    The smallest of them where several do; so the first k of a straight line.
    """
    x, y = _unit(k_values), _unit(inertias)
    below = y[0] + (y[-1] - y[0]) * x - y
    return int(k_values[int(np.flatnonzero(below >= below.max() - 1e-12)[0])])


def _kneedle(k_values: Any, inertias: Any, sensitivity: float) -> int | None:
    # kneed divides by the curve's height, and has no chord to compare two points with.
    if len(k_values) < 3 or max(inertias) == min(inertias):
        return None
    from kneed import KneeLocator

    with warnings.catch_warnings():
        # Older releases of kneed warn where they find none; here that has an answer of its own.
        warnings.filterwarnings("ignore", message="No (knee|elbow|local maxima)")
        knee = KneeLocator(
            list(k_values), list(inertias), S=sensitivity, curve="convex", direction="decreasing"
        ).knee
    return None if knee is None else int(knee)


def _unit(values: Any) -> NDArray[np.float64]:
    array = np.asarray(values, float)
    height = np.ptp(array)
    return (array - array.min()) / (height if height > 0 else 1.0)
