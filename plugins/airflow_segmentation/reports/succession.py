"""What becomes of the segments that were published: the numbers of those that follow, and where rows go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_segmentation.clustering.matching import Placed, match, spacing
from airflow_segmentation.reports.report import MAX_MIGRATION, PublishedBefore, significant

if TYPE_CHECKING:
    from airflow_segmentation.clustering.rows import Arrays
    from airflow_segmentation.clustering.shifts import BinsTally
    from airflow_segmentation.clustering.tallies import Tally
    from airflow_segmentation.segments.published import Bins, Published
    from airflow_segmentation.sweeps.table import SweepTable

MOST_NAMED = 10
"""Features that a warning names."""


class Succession:
    """The segments of a sweep, held against those that were published.

    :param published: the current version of these.
    """

    def __init__(self, published: Published, sweep: SweepTable) -> None:
        import numpy as np

        self._published, self._sweep = published, sweep
        features = sweep.scaling.features
        self.is_possible = set(features) == set(published.features)
        """Whether both have the same features; else no segment is one of the published."""
        # The published version's own order is that of its features, which may differ.
        self._order = [published.features.index(name) for name in features] if self.is_possible else []
        self._scale = np.array(published.scale)[self._order]
        self._centers = np.array([segment.center for segment in published.segments])[:, self._order]
        spans = np.subtract(published.maximum, published.minimum)[self._order] * self._scale
        self._alone = float(np.linalg.norm(spans))
        self._before = Placed((self._centers * self._scale).tolist(), published.shares)

    def numbers(self, index: int) -> tuple[int, ...]:
        """Return the numbers of the segments at a place in the sweep: those of the published ones that they
        go on from; of the others, the largest first, the next that no segment ever had.
        """
        published, next_number = self._published, self._published.next_number
        found: list[int | None] = [None] * len(self._sweep.centers[index])
        if self.is_possible:
            sizes = self._sweep.sizes[index]
            centers = self._sweep.scaling.to_original(self._sweep.centers[index]) * self._scale
            found = match(
                self._before, Placed(centers.tolist(), [size / sum(sizes) for size in sizes]), self._alone
            )
        numbers = []
        for place in found:
            numbers.append(next_number if place is None else published.segments[place].number)
            next_number += place is None
        return tuple(numbers)

    def record(self, told: Sequence[Arrays]) -> PublishedBefore:
        """Return what the report holds of the published segments.

        :param told: what :meth:`tallies` told; without it the report tells nothing of rows.
        """
        published = self._published
        record = PublishedBefore(
            version=published.version,
            numbers=tuple(segment.number for segment in published.segments),
            names=tuple(segment.name for segment in published.segments),
            shares=tuple(significant(share) for share in published.shares),
            next_number=published.next_number,
        )
        if not self.is_possible:
            return record
        record = replace(
            record,
            centers=tuple(tuple(map(significant, center)) for center in self._centers.tolist()),
            scale=tuple(map(significant, self._scale.tolist())),
            spacing=tuple(map(significant, spacing(self._before.centers, self._alone))),
        )
        return replace(record, **self._moves(told)) if told else record

    def tallies(self, k: int) -> list[Tally]:
        """Return what tells how the rows that were swept go from published segments to those of one k, and,
        where something is published of that, how their features are spread over the published bins.
        """
        if not self.is_possible:
            return []
        from airflow_segmentation.clustering import Assigner
        from airflow_segmentation.clustering.migration import MigrationTally

        scaling = self._sweep.scaling
        scale, offset = scaling.factors()
        # From scaled units here to the published ones, without their offset: the centres have none, either.
        change = self._scale / scale
        before = Assigner(change, -offset * change, None, self._centers * self._scale)
        migration = MigrationTally(before, scaling.features, k)
        return [migration, self._spread] if self._bins else [migration]

    @property
    def _bins(self) -> list[Bins]:
        """The published bins of each feature, in the order of the sweep's."""
        return [self._published.bins[place] for place in self._order] if self._published.bins else []

    @property
    def _spread(self) -> BinsTally:
        import numpy as np

        from airflow_segmentation.clustering.shifts import BinsTally

        scaling = self._sweep.scaling
        ends = zip(self._bins, *scaling.factors(), strict=True)
        return BinsTally(
            scaling.features, [np.array(each.edges) * scale + offset for each, scale, offset in ends]
        )

    def _moves(self, told: Sequence[Arrays]) -> dict[str, Any]:
        """Return how rows go from published segments to these, and how far they have shifted."""
        from airflow_segmentation.clustering.shifts import (
            index_by_chance,
            population_stability_index,
            shares,
        )

        published, bins = self._published, self._bins
        (migration,), *counted = told
        spread = [each for (counts,) in counted for each in self._spread.shares(counts)]
        most = max([len(migration), *(len(each.shares) for each in bins)])
        rows = sum(segment.size for segment in published.segments)
        return {
            "migration": tuple(map(tuple, migration.tolist()))
            if max(migration.shape) <= MAX_MIGRATION
            else (),
            "psi": tuple(
                significant(population_stability_index(each.shares, actual), 4)
                for each, actual in zip(bins, spread, strict=True)
            ),
            "psi_shares": significant(
                population_stability_index(published.shares, shares(migration.sum(axis=1))), 4
            ),
            "psi_by_chance": significant(index_by_chance(most, rows, self._sweep.scaling.rows), 4),
        }

    @property
    def warnings(self) -> tuple[str, ...]:
        """That no segment can be one of the published, and why."""
        if self.is_possible:
            return ()
        ours, theirs = self._sweep.scaling.features, self._published.features
        return (
            f"All segments are new, as version {self._published.version} of the published ones has other "
            f"features: {_named(theirs, ours)} there, {_named(ours, theirs)} here. To go on with its "
            "segments, cluster by its features",
        )


def _named(features: Sequence[str], others: Sequence[str]) -> str:
    """Return the features that are not among the others, in words."""
    own = [name for name in features if name not in set(others)]
    more = f" and {len(own) - MOST_NAMED} more" if len(own) > MOST_NAMED else ""
    return f"{', '.join(own[:MOST_NAMED]) or 'no other'}{more}"
