"""What each chart says, in words and as a table, for those who do not see it or want it exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_segmentation.clustering.methods import DISSOLVED, METHODS, STABLE
from airflow_segmentation.reports.report import Progress, Report, Structure, Summary
from airflow_segmentation.www.alike import METHOD_NAMES, described, differences, groups
from airflow_segmentation.www.figures import (
    AXES,
    assign,
    between,
    exact,
    isolated,
    less_sse,
    point_at,
    short,
    standardized,
    telling_first,
    trust,
    value_of,
    with_gap,
)

if TYPE_CHECKING:
    from airflow_segmentation.www.drift import Changes
    from airflow_segmentation.www.runs import KeptElsewhere, Listed


FAINT = 0.05
"""Standard deviations that are none when rounded."""
ABSENT = "n/a"
"""What stands where there is no value."""
ONE_PEAK = 0.05
"""p of the dip test from which one peak is possible."""
SMALLEST_P = 0.001
"""p that is given as it is."""

NOT_VALIDITY = "It tells whether k would be chosen again, not whether the segments are there."
"""What the stability of k is not."""
COMES_AGAIN = (
    "Comes again: how much a segment is like the one of a resample that is most like it, on average, from 0 "
    f"to 1 (Jaccard similarity). From {STABLE} a segment is stable, below {DISSOLVED} it dissolves."
)


@dataclass(frozen=True)
class Table:
    """A table of text: the first cell of each row names it."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def percent(share: float) -> str:
    """Return a share in per cent."""
    return f"{share:.1%}"


def optional(value: float | None, name: str = "") -> str:
    """Return a figure, of a score by its name, that may be absent."""
    return ABSENT if value is None else exact(name, value)


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
                *(optional(value_of(point, axis), axis) for axis in AXES),
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
    chose = f"{method} chose k = {report.k}"
    if report.unsettled(report.k):
        chose += ", the last of the range and so not settled"
    if report.fell_back:
        asked = METHOD_NAMES.get(report.method, report.method)
        return f"{asked} found no elbow; {chose}"
    return chose


def methods(report: Report) -> str:
    """Return whether the methods agree, and which are not settled."""
    found = {choice.k for choice in report.choices if choice.k is not None}
    if not found:
        return "No method found a k."
    if report.agree:
        verdict = f"Every method that found a k chose {min(found)}."
    else:
        verdict = f"The methods disagree: from k = {min(found)} to k = {max(found)}."
    ends = [choice.method for choice in report.choices if report.unsettled(choice.k)]
    if not ends:
        return verdict
    names = ", ".join(METHOD_NAMES.get(method, method) for method in ends)
    return f"{verdict} Not settled: {names}. The last k of the range is best; a larger one may be better."


def silhouette_rows(report: Report) -> str:
    """Return over which rows the silhouette was taken."""
    if report.silhouette_rows is None:
        return "over all rows or a sample, which this report does not tell"
    if report.silhouette_rows >= report.rows:
        return "over all rows"
    return f"over a sample of {report.silhouette_rows:,} rows, by segment and weighted"


def stability(report: Report) -> str | None:
    """Return how often each k was chosen on resamples, such as "7 in 12 of 20, 8 in 6, 6 in 2"."""
    if not report.stability or not report.stability.counts:
        return None
    counts = report.stability.counts
    first = f"k = {counts[0].k} in {counts[0].times} of {report.stability.resamples} resamples"
    every = ", ".join([first, *(f"{count.k} in {count.times}" for count in counts[1:])])
    method = report.stability.method
    return f"{every}." if method == report.method else f"{every}, each by {METHOD_NAMES[method]}."


def structure(found: Structure) -> str:
    """Return what the sweep is, held against those of rows without groups."""
    share = percent(less_sse(found.gap))
    against = f"{found.sets:,} sets of {found.rows:,} rows without groups"
    if found.verdict == "none":
        outcome = f"Whatever k, SSE is at most {share} lower than in {against}."
    else:
        outcome = f"SSE is up to {share} lower than in {against}, and the gap takes k = {found.gap_k}."
    times, sets = round(found.p * (found.sets + 1)), found.sets + 1
    return (
        f"{outcome} In {times:,} of {sets:,} sets, these rows among them, the gap stands out as much: "
        f"{_p(found.p)}."
    )


def dips(found: Structure) -> str | None:
    """Return what the dip tests say; None where they were not made."""
    said = []
    if found.dip_component is not None:
        said.append(f"On the first principal component {_peaks(found.dip_component)}.")
    if found.dip_distances is not None:
        said.append(f"On the distances between rows {_peaks(found.dip_distances)}.")
        said.append("Outliers and long tails lower the one on distances, too.")
    return " ".join(["The dip test asks whether there is more than one peak.", *said]) if said else None


def _peaks(p: float) -> str:
    return f"{_p(p)}: {'one peak is possible' if p >= ONE_PEAK else 'more than one peak'}"


def _p(p: float) -> str:
    return f"p < {SMALLEST_P}" if p < SMALLEST_P else f"p = {p:.2g}"


def recommendation(report: Report) -> str | None:
    """Return which k the evidence is for, and why, unless a warning says why already."""
    found = report.recommendation
    if found is None:
        return None
    if found.k is None:
        return f"{found.reason}."
    if any(found.reason in warning for warning in report.warnings):
        return f"The evidence is for k = {found.k}, as the warning above says."
    return f"The evidence is for k = {found.k}. {found.reason}."


def gap(report: Report) -> str:
    """Return what the chart of the gap shows."""
    best = max(with_gap(report), key=lambda point: point.gap or 0)
    said = (
        "How far the logarithm of SSE lies below that of rows without groups, with one standard error; "
        f"farthest at k = {best.k}, by {short(best.gap or 0)}."
    )
    if report.structure is None:
        return said
    if report.structure.verdict == "none":
        return f"{said} That does not tell groups, so the gap takes k = 1."
    return f"{said} It takes k = {report.structure.gap_k}: {METHODS['gap'].meaning}."


def gap_table(report: Report) -> Table:
    """Return the gap and its standard error, a row for each k that has one."""
    return Table(
        ("k", "Gap", "Standard error", "SSE lower by"),
        tuple(
            (str(point.k), short(point.gap or 0), optional(point.gap_se), percent(less_sse(point.gap or 0)))
            for point in with_gap(report)
        ),
    )


def half_range(report: Report) -> str | None:
    """Return what k would be with k_max cut to half; None where it was given, and would stay."""
    if report.half_range is None or report.half_k_max is None or report.decided_by == "given":
        return None
    k = report.half_range.k
    if k is None:
        outcome = "no k would be found"
    else:
        outcome = "k would be the same" if k == report.k else f"k would be {k}"
        if k == report.half_k_max:
            outcome += ", the last of that range"
    return f"With k_max = {report.half_k_max} instead of {report.k_max}, {outcome}."


def sizes(report: Report, k: int) -> str:
    """Return what the chart of sizes shows, and how many segments would come again."""
    point = point_at(report, k)
    counts = point.sizes or ()
    total = sum(counts) or 1
    if len(counts) < 2:
        return f"One segment holds all {total:,} rows."
    said = (
        f"{len(counts)} segments: the largest holds {counts[0]:,} rows ({percent(counts[0] / total)}), "
        f"the smallest {counts[-1]:,} ({percent(counts[-1] / total)})."
    )
    if point.jaccard is None:
        return said
    times = Counter(map(trust, point.jaccard))
    counted = (f"{times[word]} {word}" for word in ("stable", "doubtful", "dissolves") if times[word])
    return f"{said} When rows are drawn anew: {', '.join(counted)}."


def sizes_table(report: Report, k: int) -> Table | None:
    """Return the rows and the share of each segment at k, and how sure it comes again, where known."""
    point = point_at(report, k)
    counts = point.sizes
    if counts is None:
        return None
    total = sum(counts) or 1
    again = [(f"{similarity:.2f}, {trust(similarity)}",) for similarity in point.jaccard or ()]
    return Table(
        ("Segment", "Rows", "Share", *(("Comes again",) if again else ())),
        tuple(
            (str(segment), f"{count:,}", percent(count / total), *(again[segment] if again else ()))
            for segment, count in enumerate(counts)
        ),
    )


def centres_table(report: Report, k: int) -> Table | None:
    """Return the centres at k in original units, a row for each feature, the most telling first."""
    point = point_at(report, k)
    if point.centers is None:
        return None
    shares = between(report, point)
    return Table(
        (
            "Feature",
            *(() if shares is None else ("Between segments",)),
            *(f"Segment {segment}" for segment in range(len(point.centers))),
        ),
        tuple(
            (
                report.features[position].name,
                *(() if shares is None else (percent(shares[position]),)),
                *(short(centre[position]) for centre in point.centers),
            )
            for position in telling_first(report, point)
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


def centres_title(report: Report) -> str:
    """Return what the heat map of centres is called."""
    return "Centres, standardized" if _is_standardized(report) else "Centres, in their features' ranges"


def _is_standardized(report: Report) -> bool:
    return standardized(report, report.chosen) is not None


def centres(report: Report, k: int) -> str:
    """Return what the heat map of centres shows: where the segments differ most from the rest."""
    point = point_at(report, k)
    z, shares = standardized(report, point), between(report, point)
    if z is None or shares is None:
        return (
            "This report does not hold the standard deviation of the rows, so it cannot say how unlike the "
            "rest a segment is, nor which feature tells most. Colours are places between the least and the "
            "largest value of a feature."
        )
    cells = [
        (value, feature.name, segment)
        for feature, row in zip(report.features, z, strict=True)
        for segment, value in enumerate(row)
    ]
    extremes = sorted(cells, key=lambda cell: -abs(cell[0]))[:2]
    if k < 2 or abs(extremes[0][0]) < FAINT:
        return "No segment differs from the others."
    phrases = (
        f"segment {segment}, {value:+.1f} standard deviations in {isolated(name[:60])}"
        for value, name, segment in extremes
        if abs(value) >= FAINT
    )
    best = telling_first(report, point)[0]
    name = isolated(report.features[best].name[:60])
    return (
        f"Most unlike the rest: {'; '.join(phrases)}. Most telling: {name}, {percent(shares[best])} of whose "
        "variance lies between segments."
    )


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


def curves(reports: Sequence[Listed]) -> str:
    """Return what the chart of several runs' curves shows, and which of them are not like the first."""
    what = "The share of SSE that is left at each k, and the k that each run chose."
    known = [(row.run.run_id, row.summary) for row in reports if row.summary]
    unlike = [
        f"{isolated(run_id[:60])} ({differs})"
        for run_id, summary in known[1:]
        if (differs := differences(summary, known[0][1]))
    ]
    if not unlike:
        return what
    first = described(known[0][1], known[0][1])
    return f"{what} Dotted are runs not like {isolated(known[0][0][:60])} ({first}): {'; '.join(unlike)}."


def trends(reports: Sequence[Listed]) -> str:
    """Return how the chosen k went over the runs of a Dag, and whether these are alike."""
    summaries = [row.summary for row in reports if row.summary]
    chosen = [summary.k for summary in summaries]
    if len(set(chosen)) == 1:
        course = f"Every run chose k = {chosen[0]}."
    else:
        course = (
            f"The chosen k lies between {min(chosen)} and {max(chosen)}; the latest run chose {chosen[-1]}."
        )
    return f"{course} {not_alike(summaries[::-1])}".strip()


def not_alike(summaries: Sequence[Summary]) -> str:
    """Return that runs are not alike, where they are not.

    :param summaries: the run first that the others are held against.
    """
    numbers = groups(summaries)
    if len(set(numbers)) < 2:
        return ""
    count = numbers.count(0)
    return (
        f"Not all are alike: {count} of {len(numbers)} have {described(summaries[0], summaries[0])}, as the "
        "latest has. Compare figures of runs with the same range of k, features and method only."
    )


def trends_table(reports: Sequence[Listed]) -> Table:
    """Return the reports of a Dag, latest first."""
    known = [(row.run.run_id, row.summary) for row in reversed(reports) if row.summary]
    return Table(
        ("Run", "k", "SSE at k", "Explained", "Silhouette", "Rows", "Settings"),
        tuple(
            (
                run_id,
                str(summary.k),
                short(summary.sse),
                percent(summary.explained),
                optional(summary.silhouette, "silhouette"),
                f"{summary.rows:,}",
                described(summary, known[0][1]),
            )
            for run_id, summary in known
        ),
    )


def drift(changes: Changes | None) -> str:
    """Return what changed most between two runs, and whether these are alike."""
    if changes is None:
        return "Two runs with a report are needed."
    if not changes.unlike:
        return changes.summary
    return (
        f"The two runs are not alike: the second one has {changes.unlike}. What changed may come of that, "
        f"rather than of the customers. {changes.summary}"
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
