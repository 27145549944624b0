"""How far customers are from those that the published segments were made of, in one pass over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from airflow_segmentation.reports.report import MAX_SHIFTS, Drift, Shift, significant
from airflow_segmentation.tables.passes import shifts_counted

if TYPE_CHECKING:
    from airflow_segmentation.segments.model import Model
    from airflow_segmentation.segments.published import Published
    from airflow_segmentation.tables.data import Data


@dataclass(frozen=True)
class Limits:
    """What is no drift yet."""

    max_psi: float
    """Of a feature, and of the shares of the segments."""
    max_outside: float
    """Share of the customers with a value beyond the range that the segments were made of."""


def measure_drift(table: Data, model: Model, published: Published, limits: Limits) -> Drift | None:
    """Return how far customers are from those that a version was made of; None where none has a segment."""
    import numpy as np

    from airflow_segmentation.clustering.rows import added, added_up
    from airflow_segmentation.clustering.shifts import population_stability_index, shares

    bins = published.bins
    edges = [np.array(each.edges) for each in bins] or [np.empty(0)] * len(model.features)
    visit = partial(
        shifts_counted,
        features=model.features,
        edges=edges,
        assigner=model.assigner,
        minimum=model.minimum,
        maximum=model.maximum,
    )
    counted = added_up(table.each(model.features, visit, join=added))
    if not counted or not counted[1].sum():
        return None
    counts, sizes, outside = counted[0], counted[1], int(counted[2])
    rows = int(sizes.sum())
    features = [
        _Index(
            name,
            population_stability_index(each.shares, shares(own[: len(each.shares)])),
            *(len(each.shares), int(own.sum())),
        )
        for name, each, own in zip(model.features, bins, counts, strict=False)
    ]
    of_sizes = _Index("", population_stability_index(published.shares, shares(sizes)), published.k, rows)
    features.sort(key=lambda one: -one.value)
    return Drift(
        features=tuple(Shift(one.name, significant(one.value, 4)) for one in features[:MAX_SHIFTS]),
        shares=significant(of_sizes.value, 4),
        outside=significant(outside / rows, 4),
        max_psi=limits.max_psi,
        max_outside=limits.max_outside,
        found=tuple(_found(features, of_sizes, outside, rows, published, limits)),
    )


@dataclass(frozen=True)
class _Index:
    """A population stability index, and what chance it has to be large."""

    name: str
    value: float
    bins: int
    rows: int

    def is_above(self, limit: float, rows: int) -> bool:
        """Tell whether it is above a limit, and above what few rows make of it by chance."""
        from airflow_segmentation.clustering.shifts import index_by_chance

        return self.value > max(limit, index_by_chance(self.bins, rows, self.rows))


def _found(
    features: list[_Index], of_sizes: _Index, outside: int, rows: int, published: Published, limits: Limits
) -> Iterator[str]:
    """Yield in words what is above its limit."""
    for one in features:
        if one.is_above(limits.max_psi, published.rows):
            yield f"{one.name} has shifted: its PSI is {one.value:.2g}, above max_psi={limits.max_psi:g}"
    if of_sizes.is_above(limits.max_psi, published.rows):
        yield (
            f"segments have other shares of the customers: their PSI is {of_sizes.value:.2g}, above "
            f"max_psi={limits.max_psi:g}"
        )
    if outside > limits.max_outside * rows:
        yield (
            f"{outside} of {rows} customers have a value beyond the range of those that version "
            f"{published.version} was made of, above max_outside={limits.max_outside:g}"
        )
