"""The k that the evidence supports: what reference sets, resamples and scores say of it together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from airflow_segmentation.clustering.methods import SCORES, STABLE
from airflow_segmentation.clustering.structure import Structure


@dataclass(frozen=True)
class Recommendation:
    """A k, or none, and why."""

    k: int | None
    reason: str
    """A sentence."""


def recommend(
    k_values: Sequence[int],
    structure: Structure,
    jaccard: Sequence[Sequence[float]] = (),
    scores: Mapping[str, Any] | None = None,
) -> Recommendation:
    """Return the k that the evidence supports.

    None where there are no groups. Else that of the gap statistic, if all its segments come again in
    resamples; or the nearest k at which all do, the larger of two.

    Parameters
    ----------
    jaccard : sequence of sequences of float
        For each k and each of its segments, how sure it comes again; empty if that is not known.
    scores : mapping of str to array-like of shape (n_k,)
    """
    if structure.verdict == "none":
        return Recommendation(None, "No k is better than another: nothing tells these rows from one group")
    gap_k = structure.gap_k
    known = [k for k in k_values if k > 1]
    if not jaccard:
        if gap_k not in known:
            return Recommendation(None, f"The gap statistic takes k = {gap_k}, which was not swept")
        return Recommendation(
            gap_k,
            f"The gap statistic takes it{_agreeing(gap_k, k_values, scores)}; without resamples nothing "
            "tells which of its segments would come again",
        )
    least = {k: min(values) for k, values in zip(k_values, jaccard, strict=True) if k > 1 and values}
    stable = [k for k, value in least.items() if value >= STABLE]
    if gap_k in stable:
        return Recommendation(
            gap_k,
            f"The gap statistic takes it{_agreeing(gap_k, k_values, scores)}, and all of its segments come "
            "again in resamples",
        )
    if not stable:
        return Recommendation(None, "At no k do all segments come again in resamples")
    best = min(stable, key=lambda k: (abs(k - gap_k), -k))
    return Recommendation(
        best,
        f"All of its segments come again in resamples{_agreeing(best, k_values, scores)}, and of such k it "
        f"is the nearest to k = {gap_k} of the gap statistic",
    )


def best_by_score(k_values: Sequence[int], scores: Mapping[str, Any]) -> dict[str, int]:
    """Return for each score the k at which it is best; scores that have no value are left out."""
    found = {}
    for name, values in scores.items():
        array = np.array(values, dtype=float)  # None becomes NaN
        if not np.isnan(array).all():
            best = np.nanargmax if SCORES[name].best == "largest" else np.nanargmin
            found[name] = int(k_values[int(best(array))])
    return found


def agreed_k(k_values: Sequence[int], scores: Mapping[str, Any]) -> int | None:
    """Return the k that more than half of the scores are best at, and two at least; None if there is none."""
    best = best_by_score(k_values, scores)
    ((k, times),) = Counter(best.values()).most_common(1) or ((None, 0),)
    return k if times >= 2 and 2 * times > len(best) else None


def _agreeing(k: int, k_values: Sequence[int], scores: Mapping[str, Any] | None) -> str:
    names = [SCORES[name].label for name, best in best_by_score(k_values, scores or {}).items() if best == k]
    return f", as do{'es' if len(names) == 1 else ''} {' and '.join(names)}" if names else ""
