"""What a person should know of a choice of k before deciding on it, and whether one need decide at all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_segmentation.clustering.methods import STABLE
from airflow_segmentation.errors import without_control
from airflow_segmentation.reports.describing import describe
from airflow_segmentation.reports.identity import identified
from airflow_segmentation.reports.report import PublishedBefore, Report

MOST_TOLD = 12
"""Segments that are told in words; the page has all."""
_MARKS = re.compile(r"[!#$&*<>@\[\\\]^_`{|}~]|^[-+=]|(?<=\])\(|[:/](?=/)|\.(?=[^\W\d_])")
"""What can be markup in Markdown, at the beginning of a line or anywhere, and what makes a link of a text."""
_NUMBERED = re.compile(r"^(\d+)([.)])")
"""The beginning of a list."""


@dataclass(frozen=True)
class Unchanged:
    """
    The limits within which segments go on from the published ones so that nobody need look.

    As many segments as are published, each of them kept, not one that resamples do not find again for sure,
    and no shift of the rows.

    :param psi: The population stability index, of each feature and of the segments' shares, from which rows
        have shifted. 0.1 is usual for a shift to look at, 0.25 for one that matters; of few rows an index is
        larger by chance alone, and that counts as none.
    """

    psi: float = 0.1

    def __post_init__(self) -> None:
        if self.psi <= 0:
            raise ValueError(f"psi={self.psi!r} should be > 0")

    def exceeded(self, report: Report) -> tuple[str, ...]:
        """Return what is beyond the limits, in words; none where nobody need look."""
        if report.published is None:
            return ("No segments were published before",)
        return (*self._segments(report, report.published), *self._rows(report, report.published))

    def _segments(self, report: Report, published: PublishedBefore) -> Iterator[str]:
        if report.k != len(published.numbers):
            yield f"k is {report.k}, and {len(published.numbers)} segments are published"
        found = identified(report, report.chosen)
        new = [str(each.number) for each in found.segments if each.state == "new"]
        if new:
            yield f"New segments: {', '.join(new)}"
        if found.gone:
            yield f"Segments that are gone: {', '.join(str(each.number) for each in found.gone)}"
        if report.chosen.jaccard is None:
            yield "Whether segments come again when rows are drawn anew is not known"
        elif weak := _weak(report):
            yield f"Segments that do not come again for sure: {', '.join(weak)}"

    def _rows(self, report: Report, published: PublishedBefore) -> Iterator[str]:
        if not published.psi or published.psi_shares is None:
            yield "How far the rows have shifted is not known"
        limit = max(self.psi, published.psi_by_chance or 0.0)
        shifts = [(feature.name, psi) for feature, psi in zip(report.features, published.psi, strict=False)]
        for name, psi in (*shifts, ("the segments' shares", published.psi_shares or 0.0)):
            if psi >= limit:
                yield f"The PSI of {name} is {psi:.2g}"


def escaped(text: str) -> str:
    """Return a text as it stands, for Markdown: no link, no markup, one line.

    Any punctuation mark may have a backslash before it (CommonMark, 2.4); those that could mean something
    have one, so that people can read the text itself as well.
    """
    return _NUMBERED.sub(r"\1\\\2", _MARKS.sub(r"\\\g<0>", without_control(text).strip()))


def told(report: Report, page: str) -> str:
    """Return what to decide about, and on what grounds, in Markdown.

    :param page: the address of the run's page.
    """
    facts = (*_of_the_choice(report), *_of_published(report), *map(escaped, report.warnings))
    lists = ("\n".join(f"- {line}" for line in lines) for lines in (facts, _of_segments(report)))
    return "\n\n".join((*filter(None, lists), f"[Look at the run's page]({page})"))


def _of_the_choice(report: Report) -> Iterator[str]:
    yield f"**k = {report.k}**, of {report.k_min} to {report.k_max}, decided by {report.decided_by}"
    if report.structure is not None:
        yield f"**{report.structure.in_words}**"
    if report.recommendation is not None:
        k = "no k" if report.recommendation.k is None else f"k = {report.recommendation.k}"
        yield f"The evidence is for {k}: {escaped(report.recommendation.reason)}"
    if report.chosen.jaccard is not None:
        yield f"Segments that do not come again for sure: {', '.join(_weak(report)) or 'none'}"


def _of_published(report: Report) -> Iterator[str]:
    """Return how far the segments are from those that are published."""
    if (published := report.published) is None:
        return
    found = identified(report, report.chosen)
    states = Counter([*(str(each.state) for each in found.segments), *("gone" for _ in found.gone)])
    counts = (f"{count} {state}" for state, count in states.items())
    yield f"Against version {published.version} of the published segments: {', '.join(counts)}"
    shifts = [(psi, feature.name) for feature, psi in zip(report.features, published.psi, strict=False)]
    if shifts:
        psi, name = max(shifts)
        yield f"The rows have shifted most in {escaped(name)}, by a PSI of {psi:.2g}"
    if published.psi_shares is not None:
        yield f"The PSI of the segments' shares is {published.psi_shares:.2g}"


def _of_segments(report: Report) -> Iterator[str]:
    for each in describe(report, report.chosen)[:MOST_TOLD]:
        yield f"Segment {escaped(each.identity.label)}, {each.share:.0%}: {escaped(each.in_words)}"


def _weak(report: Report) -> list[str]:
    """Return the numbers of the chosen segments that do not come again for sure."""
    again = zip(report.chosen.numbered, report.chosen.jaccard or (), strict=False)
    return [str(number) for number, value in again if value < STABLE]
