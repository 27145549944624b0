"""What each chart says, in words and as a table, for those who do not see it or want it exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_segmentation.clustering.methods import DISSOLVED, METHODS, STABLE
from airflow_segmentation.reports.alike import METHOD_NAMES, described, differences, groups
from airflow_segmentation.reports.describing import between, standardized, telling_first
from airflow_segmentation.reports.figures import (
    AXES,
    assign,
    exact,
    isolated,
    less_sse,
    point_at,
    share,
    short,
    trust,
    value_of,
    with_gap,
)
from airflow_segmentation.reports.identity import labels_of
from airflow_segmentation.reports.report import (
    VERDICTS,
    Drift,
    Progress,
    Publication,
    Report,
    Structure,
    Summary,
)
from airflow_segmentation.reports.sentences import depends_on_the_range, k_of

if TYPE_CHECKING:
    from airflow_segmentation.www.drift import Changes
    from airflow_segmentation.www.runs import KeptElsewhere, Listed, Scored

FAINT = 0.05
"""Standard deviations that are none when rounded."""
MAX_NAME = 80
"""Characters of a name that can be typed for a segment; the task that takes it checks it."""
ABSENT = "n/a"
"""What stands where there is no value."""
EXPLAINED = "Variation explained"
"""What 1 - SSE / total sum of squares is called, everywhere."""
ONE_PEAK = 0.05
"""p of the dip test from which one peak is possible."""
TELLING_STEPS, TELLING_SECONDS = 3, 5
"""Steps, and seconds, from which a pace can be told."""
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
        f"{_decision(report)}, which explains {percent(chosen.explained)} of the variation."
    )


def elbow_table(report: Report) -> Table:
    """Return the curve and its scores, a row for each k."""
    times = {count.k: count.times for count in report.stability.counts} if report.stability else {}
    of = f" (of {report.stability.resamples} resamples)" if report.stability else ""
    return Table(
        ("k", "SSE", EXPLAINED, *AXES.values(), "Iterations", f"Times chosen{of}"),
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


def swept(report: Report) -> str:
    """Return which k can be looked at."""
    first, last = report.curve[0].k, report.curve[-1].k
    return f"Only k = {first} was swept." if first == last else f"k was swept from {first} to {last}."


def not_swept(report: Report, k: int) -> str:
    """Return that a k cannot be looked at, and which one is instead."""
    why = "is left out of this report" if report.curve[0].k < k < report.curve[-1].k else "was not swept"
    return f"k = {k} {why}; this is k = {report.k}."


def _decision(report: Report) -> str:
    if report.decided_by == "given":
        return f"You set k = {report.k}"
    method = METHOD_NAMES.get(report.decided_by, report.decided_by)
    chose = f"{method} chose k = {report.k}"
    if report.unsettled(report.k):
        chose += " (the last of the range and so not settled)"
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
    lower = percent(less_sse(found.gap))
    against = f"{found.sets:,} sets of {found.rows:,} rows without groups"
    if found.verdict == "none":
        outcome = f"Whatever k, SSE is at most {lower} lower than in {against}."
    else:
        outcome = f"SSE is up to {lower} lower than in {against}, and the gap takes k = {found.gap_k}."
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
    """Return whether k depends on the range; None where it was set, or a warning says so already."""
    if report.half_range is None or report.half_k_max is None or report.decided_by == "given":
        return None
    half = (report.half_range.k, report.half_k_max)
    full = (None if report.fell_back else report.k, report.k_max)
    if half[0] == full[0]:
        return f"The range swept makes no difference: {k_of(half)} for k up to {half[1]}, too."
    said = depends_on_the_range(report.method, half, full)
    return None if any(said in warning for warning in report.warnings) else f"{said}."


def sizes(report: Report, k: int) -> str:
    """Return what the chart of sizes shows, and how many segments would come again."""
    point = point_at(report, k)
    counts = point.sizes or ()
    total = sum(counts) or 1
    if len(counts) < 2:
        return f"One segment holds all {total:,} rows."
    said = (
        f"{len(counts)} segments: the largest holds {counts[0]:,} rows ({share(counts[0], total, 1)}), "
        f"the smallest {counts[-1]:,} ({share(counts[-1], total, 1)})."
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
            (label, f"{count:,}", share(count, total, 1), *(again[place] if again else ()))
            for place, (label, count) in enumerate(zip(labels_of(report, point), counts, strict=True))
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
            *(f"Segment {label}" for label in labels_of(report, point)),
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
    labels = labels_of(report, point)
    return Table(
        ("Row", report.features[x].name, report.features[y].name, "Segment"),
        tuple(
            (str(number), short(row[x]), short(row[y]), labels[place])
            for number, (row, place) in enumerate(zip(report.sample, assign(report, point), strict=True), 1)
        ),
    )


def not_stored(what: str, k: int) -> str:
    """Return that the report does not hold something at k, why, and what to do."""
    return (
        f"{what} for k = {k} were not stored: a report keeps below a size, and leaves out first what is far "
        f"from the chosen k. To see them, trigger the Dag with k = {k}."
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
        (value, feature.name, number)
        for feature, row in zip(report.features, z, strict=True)
        for number, value in zip(point.numbered, row, strict=True)
    ]
    extremes = sorted(cells, key=lambda cell: -abs(cell[0]))[:2]
    if k < 2 or abs(extremes[0][0]) < FAINT:
        return "No segment differs from the others."
    phrases = (
        f"segment {number}, {value:+.1f} standard deviations in {isolated(name[:60])}"
        for value, name, number in extremes
        if abs(value) >= FAINT
    )
    best = telling_first(report, point)[0]
    name = isolated(report.features[best].name[:60])
    return (
        f"Stands out most: {'; '.join(phrases)}. Most telling: {name}, {percent(shares[best])} of whose "
        "variance lies between segments."
    )


def progress(progress: Progress, now: datetime | None = None) -> str:
    """Return how far a sweep has come, how long that took and, once that can be told, what is left.

    :param now: the time, while the sweep may be going on.
    """
    said = f"{progress.done:,} of {progress.total:,} steps done"
    is_going = now is not None and progress.done < progress.total
    since, until = _moment(progress.started_at), now if is_going else _moment(progress.updated_at)
    if since is None or until is None or until < since:
        return f"{said}."
    seconds, steps = (until - since).total_seconds(), progress.done - progress.before
    said += f" in {_duration(seconds)}"
    if not is_going or steps < TELLING_STEPS or seconds < TELLING_SECONDS:
        return f"{said}."
    left = (progress.total - progress.done) * seconds / steps
    return f"{said}; at this pace about {_duration(left)} left. Scores come after the steps."


def _moment(text: str | None) -> datetime | None:
    """Return the moment that a record names; None where it names none."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _duration(seconds: float) -> str:
    """Return about how long something takes."""
    for length, unit in ((3600, "hour"), (60, "minute")):
        if seconds >= 1.5 * length:
            return f"{round(seconds / length):,} {unit}s"
        if seconds >= 0.9 * length:
            return f"1 {unit}"
    return "1 second" if 0.5 <= seconds < 1.5 else f"{round(seconds)} seconds"


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
    if not reports:
        return "No run chosen."
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


def counted(listed: int, total: int) -> str:
    """Return how many reports a page lists, of all there are."""
    return (
        f"{total:,} report{'' if total == 1 else 's'}"
        if listed == total
        else f"The latest {listed:,} of {total:,} reports"
    )


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


def approved(version: Publication) -> str:
    """Return since when a version is published, and who approved it."""
    since = f"published {moment(version.published_at)} UTC"
    return f"{since}, approved by {isolated(version.reviewer)}" if version.reviewer else since


def moment(told: str | None) -> str:
    """Return the moment that a record tells in ISO 8601, to the minute."""
    return (told or ABSENT)[:16].replace("T", " ")


def verdict(version: Publication) -> str:
    """Return whether the segments of a version are groups at all, in words."""
    return VERDICTS[version.verdict] if version.verdict else ABSENT


def scored(scorings: Sequence[Scored]) -> str:
    """Return whether the customers of the latest run had drifted, and how many runs' had."""
    last = scorings[-1]
    did = "scored" if last.record.uri else "would have scored"
    customers = f"The latest run {did} {last.record.rows:,} customers by version {last.record.version}"
    latest = "; ".join(isolated(found) for found in last.drift.found)
    drifted = sum(bool(each.drift.found) for each in scorings)
    of_all = f"Customers of {drifted} of {len(scorings)} runs had drifted." if len(scorings) > 1 else ""
    return f"{customers}, who {f'have drifted: {latest}' if latest else 'have not drifted'}. {of_all}".strip()


def scored_table(scorings: Sequence[Scored]) -> Table:
    """Return how far the customers of each run had drifted, latest first."""
    return Table(
        ("Run", "Version", "Customers", "Shifted most", "PSI of shares", "Out of range", "Drifted"),
        tuple(
            (
                isolated(each.run.run_id),
                str(each.record.version),
                f"{each.record.rows:,}",
                _shifted(each.drift),
                f"{each.drift.shares:.2g}",
                percent(each.drift.outside),
                ("yes" if each.record.uri else "yes, and none was scored") if each.drift.found else "no",
            )
            for each in reversed(scorings)
        ),
    )


def _shifted(drift: Drift) -> str:
    """Return the feature that has shifted most, and by how much."""
    if not drift.features:
        return ABSENT
    return f"{isolated(drift.features[0].feature)}, PSI {drift.features[0].psi:.2g}"


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
        ("Run", "k", "SSE at k", EXPLAINED, "Silhouette", "Rows", "Settings"),
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
