"""What changed between two runs: each segment of one is matched with a segment of the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

from airflow_segmentation.clustering.matching import Placed, match
from airflow_segmentation.reports import figures
from airflow_segmentation.reports.report import Report


@dataclass(frozen=True)
class Match:
    """The numbers of a segment of the earlier run and of the one that took its place; None where there is
    none.
    """

    before: int | None
    after: int | None
    share_before: float | None
    share_after: float | None
    shifts: tuple[float, ...] | None
    """How far the centre moved along each common feature, in shares of the feature's range in both runs."""

    @property
    def name(self) -> str:
        """Both numbers, such as "2 → 3", or one where it stayed."""
        if self.before == self.after:
            return str(self.before)
        before = "new" if self.before is None else self.before
        return f"{before} → {'gone' if self.after is None else self.after}"


@dataclass(frozen=True)
class Changes:
    """The drift between two runs."""

    features: tuple[str, ...]
    matches: tuple[Match, ...]
    unlike: str = ""
    """The settings of the second run that differ from the first's, in words; empty where none does."""

    @property
    def figure(self) -> figures.Figure | None:
        """A heat map of the shifts, or None where no segment has a match."""
        moved = [match for match in self.matches if match.shifts is not None]
        if not moved or not self.features:
            return None
        shifts = [[match.shifts[row] for match in moved if match.shifts] for row in range(len(self.features))]
        return figures.drift(shifts, self.features, [match.name for match in moved])

    @property
    def summary(self) -> str:
        """The largest change of a share and of a centre, in words."""
        shares = [
            (abs(match.share_after - match.share_before), match)
            for match in self.matches
            if match.share_before is not None and match.share_after is not None
        ]
        moves = [
            (abs(shift), shift, feature, match.name)
            for match in self.matches
            for feature, shift in zip(self.features, match.shifts or (), strict=False)
        ]
        sentences = []
        if shares:
            _, match = max(shares, key=lambda item: item[0])
            sentences.append(
                f"The share of segment {match.name} changed most, "
                f"from {match.share_before:.1%} to {match.share_after:.1%}."
            )
        if moves:
            _, shift, feature, name = max(moves)
            feature = figures.isolated(feature[:60])
            sentences.append(f"The centre of segment {name} moved most: {shift:+.1%} of {feature}'s range.")
        return " ".join(sentences) or "No segment of one run can be matched with one of the other."


def between(before: Report, after: Report, unlike: str = "") -> Changes:
    """Return the drift from one report to a later one, over the features that both have.

    Segments are matched one to one, as those of a run are with the published ones, with features scaled to
    their range in both runs.
    """
    old, new = {f.name: f for f in before.features}, {f.name: f for f in after.features}
    names = tuple(name for name in old if name in new)
    spans = [
        (max(old[name].maximum, new[name].maximum) - min(old[name].minimum, new[name].minimum)) or 1.0
        for name in names
    ]

    def placed(report: Report) -> Placed:
        positions = [[feature.name for feature in report.features].index(name) for name in names]
        centers = [
            [centre[position] / span for position, span in zip(positions, spans, strict=True)]
            for centre in report.chosen.centers or ()
        ]
        shares = _shares(report)
        return Placed(centers if names and shares else [], shares)

    first, second = placed(before), placed(after)
    numbers, later = before.chosen.numbered, after.chosen.numbered
    owners = match(first, second, math.sqrt(len(names)))
    heirs = {owner: place for place, owner in enumerate(owners) if owner is not None}
    matches = []
    for owner, share in enumerate(first.shares):
        if (place := heirs.get(owner)) is None:
            matches.append(Match(numbers[owner], None, share, None, None))
            continue
        shifts = (b - a for a, b in zip(first.centers[owner], second.centers[place], strict=True))
        matches.append(Match(numbers[owner], later[place], share, second.shares[place], tuple(shifts)))
    matches += [
        Match(None, later[place], None, share, None)
        for place, share in enumerate(second.shares)
        if place not in heirs.values()
    ]
    return Changes(names, tuple(matches), unlike)


def _shares(report: Report) -> list[float]:
    sizes = report.chosen.sizes or ()
    return [size / (sum(sizes) or 1) for size in sizes]
