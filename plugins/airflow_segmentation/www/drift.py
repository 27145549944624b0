"""What changed between two runs: each segment of one is matched with a segment of the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

from airflow_segmentation.reports.report import Report
from airflow_segmentation.www import figures


@dataclass(frozen=True)
class Match:
    """A segment of the earlier run and the one that took its place; None where there is none."""

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

    Segments are matched nearest centres first, each once, with features scaled to their range in both runs.
    """
    old, new = {f.name: f for f in before.features}, {f.name: f for f in after.features}
    names = tuple(name for name in old if name in new)
    spans = [
        (max(old[name].maximum, new[name].maximum) - min(old[name].minimum, new[name].minimum)) or 1.0
        for name in names
    ]

    def scaled(report: Report) -> list[list[float]]:
        positions = [[feature.name for feature in report.features].index(name) for name in names]
        return [
            [centre[position] / span for position, span in zip(positions, spans, strict=True)]
            for centre in report.chosen.centers or ()
        ]

    first, second = scaled(before), scaled(after)
    pairs = sorted(
        (math.dist(one, other), i, j) for i, one in enumerate(first) for j, other in enumerate(second)
    )
    partner: dict[int, int] = {}
    for _, i, j in pairs:
        if i not in partner and j not in partner.values():
            partner[i] = j
    shares_before, shares_after = _shares(before), _shares(after)
    matches = [
        Match(
            i,
            partner.get(i),
            share,
            shares_after[partner[i]] if i in partner else None,
            tuple(b - a for a, b in zip(first[i], second[partner[i]], strict=True)) if i in partner else None,
        )
        for i, share in enumerate(shares_before)
    ]
    matches += [
        Match(None, j, None, share, None) for j, share in enumerate(shares_after) if j not in partner.values()
    ]
    return Changes(names, tuple(matches), unlike)


def _shares(report: Report) -> list[float]:
    sizes = report.chosen.sizes or ()
    return [size / (sum(sizes) or 1) for size in sizes]
