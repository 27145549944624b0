"""One sweep from several, each of a part of the range of k: what mapped tasks found, as if one task had."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from airflow_segmentation.clustering.methods import SCORES
from airflow_segmentation.errors import InputError
from airflow_segmentation.sweeps.table import SweepTable

ROUNDING = 1e-9
"""Share of an SSE by which sums over the same rows may differ, added up in another order."""

Curve = tuple[Sequence[int], Sequence[float]]


def join_sweeps(sweeps: Sequence[SweepTable]) -> SweepTable:
    """Return the sweep of the whole range: for every k what the sweep with the lowest SSE there found.

    Each sweep's curve never rises, so the joined one cannot rise where ranges overlap, but it may at a seam,
    from the last k of one sweep to the next of another. Nothing is smoothed over: both figures are what those
    centres cost, and a warning says how to get rid of the rise.

    :param sweeps: at least one, in any order.
    :raises InputError: if they are of different data, features or seeds, or leave out a k.
    """
    if len(sweeps) == 1:
        return sweeps[0]
    ordered = sorted(sweeps, key=lambda sweep: (min(sweep.k_values), max(sweep.k_values)))
    _require_alike(ordered)
    found: dict[int, tuple[SweepTable, int]] = {}
    for sweep in ordered:
        for index, k in enumerate(sweep.k_values):
            if k not in found or sweep.inertias[index] < _sse(found[k]):
                found[k] = sweep, index
    k_values = sorted(found)
    _require_every_k(k_values, ordered)
    best = [found[k] for k in k_values]

    def by_k(name: str) -> list[Any]:
        return [getattr(sweep, name)[index] for sweep, index in best]

    scores = [name for name in SCORES if all(name in sweep.scores for sweep in ordered)]
    alike = len({(len(sweep.resamples), sweep.resample_rows) for sweep in ordered}) == 1
    return replace(
        ordered[0],
        k_values=k_values,
        inertias=by_k("inertias"),
        centers=by_k("centers"),
        sizes=by_k("sizes"),
        iterations=by_k("iterations"),
        seconds=by_k("seconds"),
        scores={name: [sweep.scores[name][index] for sweep, index in best] for name in scores},
        # Each drew rows of its own: no fewer than these are behind each value.
        silhouette_rows=min(sweep.silhouette_rows for sweep in ordered),
        # Resamples are drawn by the seed alone: the first of each sweep is of the same rows, and so on.
        resamples=[_joined(curves) for curves in zip(*(sweep.resamples for sweep in ordered), strict=True)]
        if alike
        else [],
        resample_rows=ordered[0].resample_rows if alike else 0,
        jaccard=by_k("jaccard") if all(sweep.jaccard for sweep in ordered) else (),
        # Each swept its sets from k = 1 to its last k.
        structure=max(ordered, key=lambda sweep: max(sweep.k_values)).structure,
        warnings=[
            *dict.fromkeys(warning for sweep in ordered for warning in sweep.warnings),
            *_seams(best, k_values),
            *_left_out(ordered, scores, alike),
        ],
    )


def _require_alike(sweeps: Sequence[SweepTable]) -> None:
    first = sweeps[0]
    for other in sweeps[1:]:
        for name, one, another in (
            ("data", first.data_uri, other.data_uri),
            ("features", ", ".join(first.scaling.features), ", ".join(other.scaling.features)),
            ("random_state", first.random_state, other.random_state),
        ):
            if one != another:
                raise InputError(
                    f"The sweeps {_range(first)} and {_range(other)} differ in {name}, {one} and {another}, "
                    "and cannot be one curve; give all of them the same, or choose k from each by itself"
                )
        if first.scaling != other.scaling or not math.isclose(
            first.total_sse, other.total_sse, rel_tol=ROUNDING, abs_tol=ROUNDING
        ):
            raise InputError(
                f"{first.data_uri} changed between the sweeps {_range(first)} and {_range(other)}: SSE at "
                f"k=1 is {first.total_sse:.10g} in the one and {other.total_sse:.10g} in the other; clear "
                "the sweep tasks, so that all of them sweep the same rows"
            )


def _require_every_k(k_values: Sequence[int], sweeps: Sequence[SweepTable]) -> None:
    missing = sorted(set(range(k_values[0], k_values[-1] + 1)) - set(k_values))
    if missing:
        shown = ", ".join(map(str, missing[:10])) + (f" and {len(missing) - 10} more" if missing[10:] else "")
        raise InputError(
            f"The sweeps {', '.join(map(_range, sweeps))} leave out k={shown}; sweep these, too: a curve "
            "with a gap has no elbow to trust"
        )


def _joined(curves: Iterable[Curve]) -> Curve:
    lowest: dict[int, float] = {}
    for k_values, inertias in curves:
        for k, sse in zip(k_values, inertias, strict=True):
            lowest[k] = min(sse, lowest.get(k, math.inf))
    return sorted(lowest), [lowest[k] for k in sorted(lowest)]


def _seams(best: Sequence[tuple[SweepTable, int]], k_values: Sequence[int]) -> list[str]:
    return [
        f"SSE rises from k={k - 1} to k={k}, where two sweeps meet: the second found a poorer clustering. "
        "Let their ranges overlap by a few k; where they do, the lower SSE counts"
        for before, here, k in zip(best, best[1:], k_values[1:], strict=False)
        if _sse(here) > _sse(before) * (1 + ROUNDING)
    ]


def _left_out(sweeps: Sequence[SweepTable], scores: Sequence[str], alike: bool) -> list[str]:
    lacking = [
        name for name in SCORES if name not in scores and any(name in sweep.scores for sweep in sweeps)
    ]
    warnings = [f"{name} was left out: only some of the sweeps hold it" for name in lacking]
    if not alike:
        warnings.append(
            "Stability was left out: the sweeps hold different numbers of resamples; give all the same"
        )
    return warnings


def _sse(found: tuple[SweepTable, int]) -> float:
    sweep, index = found
    return sweep.inertias[index]


def _range(sweep: SweepTable) -> str:
    return f"k={min(sweep.k_values)}..{max(sweep.k_values)}"
