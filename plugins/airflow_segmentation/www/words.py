"""What each chart says, in words and as a table, for those who do not see it or want it exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_segmentation.report import Progress, Report
from airflow_segmentation.www.figures import AXES, METHOD_NAMES, assign, isolated, point_at, short

if TYPE_CHECKING:
    from airflow_segmentation.www.drift import Changes
    from airflow_segmentation.www.runs import KeptElsewhere, Listed


ABSENT = "n/a"
"""What stands where there is no value."""


@dataclass(frozen=True)
class Table:
    """A table of text: the first cell of each row names it."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def percent(share: float) -> str:
    """Return a share in per cent."""
    return f"{share:.1%}"


def optional(value: float | None) -> str:
    """Return a number that may be absent."""
    return ABSENT if value is None else short(value)


def elbow(report: Report) -> str:
    """Return what the elbow chart shows."""
    first, last, chosen = report.curve[0], report.curve[-1], report.chosen
    return (
        f"SSE falls from {short(first.sse)} at k = {first.k} to {short(last.sse)} at k = {last.k}. "
        f"{_decision(report)}, where {percent(chosen.explained)} of it is explained."
    )


def elbow_table(report: Report) -> Table:
    """Return the curve and its scores, a row for each k."""
    times = {count.k: count.times for count in report.stability.counts} if report.stability else {}
    return Table(
        ("k", "SSE", "Explained", *AXES.values(), "Iterations", "Times chosen"),
        tuple(
            (
                str(point.k),
                short(point.sse),
                percent(point.explained),
                *(optional(getattr(point, axis)) for axis in AXES),
                optional(point.iterations),
                str(times.get(point.k, 0)) if report.stability else ABSENT,
            )
            for point in report.curve
        ),
    )


def _decision(report: Report) -> str:
    if report.decided_by == "given":
        return f"k = {report.k} was given"
    method = METHOD_NAMES.get(report.decided_by, report.decided_by)
    if report.fell_back:
        asked = METHOD_NAMES.get(report.method, report.method)
        return f"{asked} found no elbow; {method} chose k = {report.k}"
    return f"{method} chose k = {report.k}"


def methods(report: Report) -> str:
    """Return whether the methods agree."""
    found = {choice.k for choice in report.choices if choice.k is not None}
    if not found:
        return "No method found a k."
    if report.agree:
        return f"Every method that found a k chose {found.pop()}."
    return f"The methods disagree: from k = {min(found)} to k = {max(found)}."


def stability(report: Report) -> str | None:
    """Return how often each k was chosen on resamples, such as "7 in 12 of 20, 8 in 6, 6 in 2"."""
    if not report.stability or not report.stability.counts:
        return None
    counts = report.stability.counts
    first = f"k = {counts[0].k} in {counts[0].times} of {report.stability.resamples} resamples"
    every = ", ".join([first, *(f"{count.k} in {count.times}" for count in counts[1:])])
    method = report.stability.method
    return f"{every}." if method == report.method else f"{every}, each by {METHOD_NAMES[method]}."


def half_range(report: Report) -> str | None:
    """Return what k would be with k_max cut to half; None where it was given, and would stay."""
    if report.half_range is None or report.half_k_max is None or report.decided_by == "given":
        return None
    k = report.half_range.k
    if k is None:
        outcome = "no k would be found"
    else:
        outcome = "k would be the same" if k == report.k else f"k would be {k}"
    return f"With k_max = {report.half_k_max} instead of {report.k_max}, {outcome}."


def sizes(report: Report, k: int) -> str:
    """Return what the chart of sizes shows."""
    counts = point_at(report, k).sizes or ()
    total = sum(counts) or 1
    if len(counts) < 2:
        return f"One segment holds all {total:,} rows."
    return (
        f"{len(counts)} segments: the largest holds {counts[0]:,} rows ({percent(counts[0] / total)}), "
        f"the smallest {counts[-1]:,} ({percent(counts[-1] / total)})."
    )


def sizes_table(report: Report, k: int) -> Table | None:
    """Return the rows and the share of each segment at k."""
    counts = point_at(report, k).sizes
    if counts is None:
        return None
    total = sum(counts) or 1
    return Table(
        ("Segment", "Rows", "Share"),
        tuple((str(segment), f"{count:,}", percent(count / total)) for segment, count in enumerate(counts)),
    )


def centres_table(report: Report, k: int) -> Table | None:
    """Return the centre of each segment at k in original units, a row for each feature."""
    centers = point_at(report, k).centers
    if centers is None:
        return None
    return Table(
        ("Feature", *(f"Segment {segment}" for segment in range(len(centers)))),
        tuple(
            (feature.name, *(short(centre[column]) for centre in centers))
            for column, feature in enumerate(report.features)
        ),
    )


def sample_table(report: Report, k: int, x: int, y: int) -> Table | None:
    """Return the rows of the sample: the two features that are drawn, and the segment at k."""
    point = point_at(report, k)
    if not report.sample or point.centers is None:
        return None
    return Table(
        ("Row", report.features[x].name, report.features[y].name, "Segment"),
        tuple(
            (str(number), short(row[x]), short(row[y]), str(segment))
            for number, (row, segment) in enumerate(zip(report.sample, assign(report, point), strict=True), 1)
        ),
    )


def centres(report: Report, k: int, z: Sequence[Sequence[float]]) -> str:
    """Return what the heat map of centres shows: where the segments differ most from the rest."""
    cells = [
        (value, feature.name, segment)
        for feature, row in zip(report.features, z, strict=True)
        for segment, value in enumerate(row)
    ]
    extremes = sorted(cells, key=lambda cell: -abs(cell[0]))[:2]
    if k < 2 or not extremes or not extremes[0][0]:
        return "No segment differs from the others."
    phrases = (
        f"segment {segment}, {value:+.1f} standard deviations in {isolated(name[:60])}"
        for value, name, segment in extremes
    )
    return f"Most unlike the rest: {'; '.join(phrases)}."


def progress(progress: Progress) -> str:
    """Return how far a sweep has come."""
    return f"{progress.done} of {progress.total} steps done."


def growing(progress: Progress) -> str:
    """Return what the chart of a sweep under way shows."""
    if not progress.curve:
        return "No k has been fitted yet."
    k, sse = progress.curve[-1]
    return f"So far SSE has fallen to {short(sse)} at k = {k:g}."


def growing_table(progress: Progress) -> Table:
    """Return the curve of a sweep under way."""
    return Table(("k", "SSE"), tuple((f"{k:g}", short(sse)) for k, sse in progress.curve))


def curves_table(reports: Sequence[Listed]) -> Table:
    """Return SSE at each k, a column for each run."""
    curves = [{pair[0]: pair[1] for pair in row.summary.curve} for row in reports if row.summary]
    return Table(
        ("k", *(row.run.run_id for row in reports if row.summary)),
        tuple(
            (f"{k:g}", *(optional(curve.get(k)) for curve in curves)) for k in sorted(set().union(*curves))
        ),
    )


def trends(reports: Sequence[Listed]) -> str:
    """Return how the chosen k went over the runs of a Dag."""
    chosen = [row.summary.k for row in reports if row.summary]
    if len(set(chosen)) == 1:
        return f"Every run chose k = {chosen[0]}."
    return f"The chosen k lies between {min(chosen)} and {max(chosen)}; the latest run chose {chosen[-1]}."


def trends_table(reports: Sequence[Listed]) -> Table:
    """Return the reports of a Dag, latest first."""
    return Table(
        ("Run", "k", "SSE at k", "Explained", "Silhouette", "Rows"),
        tuple(
            (
                row.run.run_id,
                str(row.summary.k),
                short(row.summary.sse),
                percent(row.summary.explained),
                optional(row.summary.silhouette),
                f"{row.summary.rows:,}",
            )
            for row in reversed(reports)
            if row.summary
        ),
    )


def drift_table(changes: Changes) -> Table:
    """Return the share of each segment in two runs, and how far its centre moved."""
    return Table(
        ("Segment", "Share before", "Share after", *changes.features),
        tuple(
            (
                match.name,
                ABSENT if match.share_before is None else percent(match.share_before),
                ABSENT if match.share_after is None else percent(match.share_after),
                *(f"{shift:+.1%}" for shift in match.shifts or ()),
                *(ABSENT for _ in changes.features if match.shifts is None),
            )
            for match in changes.matches
        ),
    )


def elsewhere(error: KeptElsewhere) -> str:
    """Return why a record cannot be shown that an XCom backend stored its own way, and what to do."""
    cure = (
        "New ones are written there whatever the backend: clear the task for one."
        if error.past
        else "To have new ones written there whatever the backend, set [segmentation] reports_in_database = "
        "True for the workers and this server, and clear the task. A report holds up to 300 rows of the data."
    )
    return (
        f"The XCom backend {error.backend} stores values its own way, and this page reads the metadata "
        f"database only; what the backend left there stands among the task's XComs. {cure}"
    )
