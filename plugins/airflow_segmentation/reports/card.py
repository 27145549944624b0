"""The model card of a published version, in Markdown, for people who never saw the page."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_segmentation.clustering.methods import METHODS, STABLE
from airflow_segmentation.reports.describing import describe
from airflow_segmentation.reports.report import Publication, Report
from airflow_segmentation.reports.reviewing import escaped

LIMITS = (
    "Every customer has the segment whose centre is nearest, also who lies far from all of them or beyond "
    "the ranges above; the table of segments tells how far.",
    "Segments tell how customers were when the data was taken. PSI and the share of customers out of range, "
    "which scoring measures, tell when they no longer are so.",
    "A segment says nothing of why its customers are as they are, nor of what one of them will do. Features "
    "that stand for age, sex or origin make segments that do, too.",
)
"""What is true of all K-Means segments."""


def card(report: Report, publication: Publication) -> str:
    """Return what a version is, what it was made of, why it has so many segments, and how far to trust it.

    :param report: of the k that was published.
    """
    sections = {
        "": _what(publication),
        "Segments": _segments(report, publication),
        "Data": _data(report),
        f"Why k = {report.k}": _why(report, publication),
        "How far to trust it": _trust(report),
        "Limits": (f"- {limit}" for limit in LIMITS),
    }
    written = (
        "\n".join((*([f"## {title}", ""] if title else []), *lines)) for title, lines in sections.items()
    )
    return "\n\n".join(written) + "\n"


def _what(publication: Publication) -> Iterator[str]:
    yield f"# Segments {escaped(publication.name)}, version {publication.version}"
    yield ""
    yield f"{publication.k} segments of customers, by K-Means, published on {publication.published_at}."
    if publication.restores is not None:
        yield f"They are those of version {publication.restores} again."
    if publication.previous is not None:
        yield f"The version before is {publication.previous}."
    yield f"The model's SHA-256 digest is `{publication.model_digest}`."


def _segments(report: Report, publication: Publication) -> Iterator[str]:
    yield "| number | name | share | comes again | who |"
    yield "|---|---|---|---|---|"
    described = describe(report, report.chosen)
    for place, segment in enumerate(publication.segments):
        again = f"{report.chosen.jaccard[place]:.2f}" if report.chosen.jaccard else "not known"
        who = escaped(described[place].in_words) if described else "not known"
        name = escaped(segment.name) or "none"
        yield f"| {segment.number} | {name} | {segment.share:.1%} | {again} | {who} |"


def _data(report: Report) -> Iterator[str]:
    yield f"{report.rows:,} customers, from {escaped(report.data_uri or 'a table that is not known')}."
    yield from (
        f"{dropped.rows:,} more were left out: {escaped(dropped.reason)}." for dropped in report.dropped
    )
    yield ""
    yield "| feature | smallest | largest | mean |"
    yield "|---|---|---|---|"
    for feature in report.features:
        mean = "not known" if feature.mean is None else f"{feature.mean:g}"
        yield f"| {escaped(feature.name)} | {feature.minimum:g} | {feature.maximum:g} | {mean} |"


def _why(report: Report, publication: Publication) -> Iterator[str]:
    if publication.reviewer is not None:
        because = f": {escaped(publication.reason)}" if publication.reason else ""
        yield f"Approved by {escaped(publication.reviewer)}{because}."
    else:
        yield "No person was asked."
    yield f"Swept were k = {report.k_min} to {report.k_max}; with {report.k} segments"
    yield f"{report.chosen.explained:.1%} of the differences between customers are explained."
    choices = ", ".join(
        f"{METHODS[choice.method].label} {f'k = {choice.k}' if choice.k else 'none'}"
        for choice in report.choices
    )
    yield f"By method, the choice would be: {choices}."
    if report.recommendation is not None:
        yield escaped(report.recommendation.reason)


def _trust(report: Report) -> Iterator[str]:
    if report.structure is not None:
        yield f"- {report.structure.in_words}: a gap of {report.structure.gap:.3g} to rows without groups."
    else:
        yield "- Whether there are groups at all was not measured."
    yield f"- A segment comes again for sure from {STABLE}: its mean Jaccard similarity over resamples."
    yield from (f"- {escaped(warning)}." for warning in report.warnings)
