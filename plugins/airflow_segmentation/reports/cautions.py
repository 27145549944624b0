"""What a person should know before trusting a choice of k, in words: each with its cure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from airflow_segmentation.clustering.methods import DISSOLVED, SCORES, STABLE
from airflow_segmentation.reports.choosing import Chooser
from airflow_segmentation.reports.report import Choice, Recommendation, Stability
from airflow_segmentation.reports.sentences import depends_on_the_range
from airflow_segmentation.sweeps.table import SweepTable

if TYPE_CHECKING:
    from airflow_segmentation.clustering import Elbow

WEAK = 0.25
"""Silhouette below which there is no substantial structure (Kaufman and Rousseeuw, 1990)."""
NOTHING = 1e-12
"""Share of the total SSE below which none is left."""
MOST_NAMED = 8
"""Segments that are named in a sentence."""


def cautions(
    sweep: SweepTable,
    chooser: Chooser,
    choice: Elbow,
    half: Choice | None,
    stability: Stability | None,
    recommendation: Recommendation | None,
    numbers: Sequence[int],
) -> tuple[str, ...]:
    """Return the warnings of a choice, those of the sweep first.

    :param numbers: of the chosen segments.
    """
    return (
        *sweep.warnings,
        *_of_the_evidence(sweep, choice.k, recommendation, numbers),
        *_of_the_choice(sweep, chooser, choice, half, stability),
        *_of_the_segments(sweep, choice.k, numbers),
        *(
            f"Feature {name} has one value only, and cannot tell customers apart"
            for name in sweep.scaling.constant
        ),
    )


def _of_the_evidence(
    sweep: SweepTable, k: int, recommendation: Recommendation | None, numbers: Sequence[int]
) -> Iterator[str]:
    if sweep.structure is not None and sweep.structure.verdict == "none":
        yield (
            "These rows form one continuum: segments are slices of it, not groups. They can still be useful; "
            "expect neighbours to swap when data change"
        )
    elif sweep.structure is not None and sweep.structure.verdict == "unclear":
        yield (
            "These rows may form groups, but not such that lie apart: expect those between two segments to "
            "swap when data change"
        )
    if sweep.jaccard:
        yield from _of_trust(sweep, k, numbers)
    if recommendation is not None and recommendation.k not in (None, k):
        yield f"The evidence is for k={recommendation.k} rather than k={k}. {recommendation.reason}"


def _of_trust(sweep: SweepTable, k: int, numbers: Sequence[int]) -> Iterator[str]:
    trust = dict(zip(numbers, sweep.jaccard[sweep.index(k)], strict=True)) if k > 1 else {}
    weak = [segment for segment, value in trust.items() if value < STABLE]
    if not weak:
        return
    lost = [segment for segment in weak if trust[segment] < DISSOLVED]
    whole = [
        other
        for other, own in zip(sweep.k_values, sweep.jaccard, strict=True)
        if other > 1 and min(own) >= STABLE
    ]
    cure = "do not act on them alone"
    if whole:
        nearest = min(whole, key=lambda other: (abs(other - k), other))
        cure += f", or take k={nearest}, where all hold"
    if lost:
        yield f"{_named(lost, 'dissolve')} in half of the resamples or more: {cure}"
    doubtful = [segment for segment in weak if segment not in lost]
    if doubtful:
        yield f"{_named(doubtful, 'change')} when rows are drawn anew: {cure}"


def _of_the_choice(
    sweep: SweepTable, chooser: Chooser, choice: Elbow, half: Choice | None, stability: Stability | None
) -> Iterator[str]:
    low, high = min(sweep.k_values), max(sweep.k_values)
    k, decided_by = choice.k, choice.decided_by
    if decided_by not in (chooser.method, "given"):
        yield (
            f"{chooser.method} found no elbow in k={low}..{high}; k={k} is the point of the curve farthest "
            "from the line between its ends. Sweep a wider range, or choose k yourself"
        )
    # No score has a value at k=1, and no curve bends there.
    smallest = 2 if decided_by in SCORES else 1
    may_go_on = k == high and sweep.inertias[-1] > 0  # else each distinct row is a segment
    if decided_by != "given" and low < high and (may_go_on or smallest < k == low):
        yield (
            f"The chosen k={k} is at the edge of the range {low}..{high}, and so not settled: {decided_by} "
            "may choose another beyond it; sweep a wider range"
        )
    if decided_by == chooser.method and half is not None and half.k != k:
        said = depends_on_the_range(chooser.method, (half.k, high // 2), (k, high))
        yield f"{said}. Keep the range the same between runs that you compare"
    if stability is not None and 2 * stability.counts[0].times < stability.resamples:
        k_range = " to ".join(map(str, _won_half(stability)))
        yield f"No k won half of the {stability.resamples} resamples: treat k as {k_range}"
    yield from _of_the_scores(sweep, k)


def _won_half(stability: Stability) -> list[int]:
    """Return the least and the largest of the k that together won half of the resamples, most often first."""
    won: list[int] = []
    times = 0
    for count in stability.counts:
        if 2 * times >= stability.resamples:
            break
        won.append(count.k)
        times += count.times
    return sorted({min(won), max(won)})


def _of_the_scores(sweep: SweepTable, k: int) -> Iterator[str]:
    from airflow_segmentation.clustering import agreed_k

    agreed = agreed_k(sweep.k_values, sweep.scores)
    if agreed not in (None, k):
        yield f"Most scores are best at k={agreed}, not at k={k}: look at both"
    silhouette = sweep.scores.get("silhouette")
    if silhouette is not None and silhouette[sweep.index(k)] < WEAK:
        yield (
            f"The silhouette of {silhouette[sweep.index(k)]:.2f} at k={k} is below {WEAK}, which is read as "
            "no substantial structure: many rows are as near to another segment as to their own. Cluster on "
            "features that tell customers apart"
        )


def _of_the_segments(sweep: SweepTable, k: int, numbers: Sequence[int]) -> Iterator[str]:
    sizes = zip(numbers, sweep.sizes[sweep.index(k)], strict=True)
    single = [segment for segment, size in sizes if size == 1 and k > 1]
    if single and sweep.inertias[sweep.index(k)] > NOTHING * sweep.total_sse:
        yield (
            f"{_named(single, 'consist')} of one row: an outlier, far from all others. Look whether it "
            "is an error; leave it out, or cap the feature that sets it apart"
        )
    left = [sse > NOTHING * sweep.total_sse for sse in sweep.inertias]
    if not all(left[:-1]):
        enough = sweep.k_values[left.index(False)]
        yield (
            f"SSE is 0 from k={enough} on: the rows are {enough} different points, and more segments part "
            f"equal rows. Sweep to k_max={enough}"
        )


def _named(segments: Sequence[int], verb: str) -> str:
    """Return segments and what they do, as the beginning of a sentence."""
    if len(segments) == 1:
        return f"Segment {segments[0]} {verb}s"
    if len(segments) > MOST_NAMED:
        return f"{len(segments)} segments {verb}"
    return f"Segments {', '.join(map(str, segments[:-1]))} and {segments[-1]} {verb}"
