"""A run's segments beside the published ones: which are which, where rows go, and what shifted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from airflow_segmentation.reports import figures
from airflow_segmentation.reports.identity import Identified, Identity, identified
from airflow_segmentation.reports.report import MAX_MIGRATION, CurvePoint, PublishedBefore, Report
from airflow_segmentation.www import words
from airflow_segmentation.www.portraits import Card

SOME, MUCH = 0.1, 0.25
"""Population stability index from which a shift is one, and one that matters (Siddiqi, 2006)."""


@dataclass(frozen=True)
class Succession:
    """The segments at one k, and those that were published when k was chosen."""

    report: Report
    point: CurvePoint
    published: PublishedBefore
    found: Identified

    @property
    def rows(self) -> list[tuple[Identity, str, str, str, str]]:
        """Each segment with what became of it, how far it moved, and its share before and now."""
        rows = [
            (each, each.state or "", _share(each.moved), _share(each.share_before), _share(each.share))
            for each in self.found.segments
        ]
        gone = [(each, "gone", words.ABSENT, _share(each.share), words.ABSENT) for each in self.found.gone]
        return rows + gone

    @property
    def summary(self) -> str:
        """How many segments were kept, moved, are new and gone."""
        counts = Counter(state for _, state, *_ in self.rows)
        said = ", ".join(
            f"{counts[state]} {state}" for state in ("kept", "moved", "new", "gone") if counts[state]
        )
        return f"Against version {self.published.version}: {said}."

    @property
    def migration(self) -> Card:
        """Which share of each published segment's rows goes to which segment of the chosen k."""
        published, report = self.published, self.report
        if not published.migration:
            return Card(
                None,
                f"Rows are counted where both have the same features, {MAX_MIGRATION} segments at the most, "
                "and the swept table was there when k was chosen.",
            )
        if self.point.k != report.k:
            return Card(None, f"Rows were counted at the chosen k = {report.k} only.")
        labels = [
            Identity(number, name, None).label
            for number, name in zip(published.numbers, published.names, strict=True)
        ]
        places = {number: place for place, number in enumerate(report.chosen.numbered)}
        stay = sum(
            counts[places[number]]
            for number, counts in zip(published.numbers, published.migration, strict=True)
            if number in places
        )
        total = sum(map(sum, published.migration))
        return Card(
            figures.migration(published.migration, labels, report.chosen.numbered),
            f"Each row of the chart is a published segment, each column a segment of this run; both models "
            f"assign all {total:,} rows. {stay:,} ({figures.share(stay, total)}) stay in their segment.",
            words.Table(
                ("Published", *(f"To {number}" for number in report.chosen.numbered)),
                tuple(
                    (label, *(f"{count:,}" for count in counts))
                    for label, counts in zip(labels, published.migration, strict=True)
                ),
            ),
        )

    @property
    def shifts(self) -> words.Table | None:
        """The population stability index of the segments' shares and of each feature, and what it says."""
        published = self.published
        if published.psi_shares is None:
            return None
        named = [("Shares of the segments", published.psi_shares)]
        named += [
            (feature.name, psi) for feature, psi in zip(self.report.features, published.psi, strict=False)
        ]
        return words.Table(
            ("What", "PSI", "Shift"),
            tuple((name, f"{psi:.3f}", _shift(psi, published.psi_by_chance or 0.0)) for name, psi in named),
        )


def succession(report: Report, point: CurvePoint) -> Succession | None:
    """Return how the segments at one k follow on those that were published; None where none were."""
    if report.published is None:
        return None
    return Succession(report, point, report.published, identified(report, point))


def _share(value: float | None) -> str:
    return words.ABSENT if value is None else words.percent(value)


def _shift(psi: float, by_chance: float) -> str:
    if psi >= SOME and psi <= by_chance:
        return "may be chance"
    return "none" if psi < SOME else "some" if psi < MUCH else "much"
