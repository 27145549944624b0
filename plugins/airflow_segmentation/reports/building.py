"""From a sweep and a chosen k to the report that the page reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from airflow_segmentation.clustering.methods import METHODS
from airflow_segmentation.errors import InputError
from airflow_segmentation.reports.report import (
    Choice,
    CurvePoint,
    Dropped,
    Feature,
    Method,
    Profile,
    Report,
    Stability,
    Times,
    significant,
)
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.sweeps.table import SweepTable

if TYPE_CHECKING:
    import numpy as np

    from airflow_segmentation.clustering import Elbow
    from airflow_segmentation.tables.data import Data
    from airflow_segmentation.tables.scaling import Scaling

QUARTILES = (0.25, 0.5, 0.75)
SEARCHED = (
    "Of more than {gathered:,} rows quartiles are searched for in counts: each is off by a ten-thousandth of "
    "its segment's range and a thousandth of its rows at most"
)
SAMPLE_ROWS = 300
"""Rows that the page draws: as many as can be told apart on a chart, and few enough for a report."""


@dataclass(frozen=True)
class Chooser:
    """How k is chosen from a curve.

    :param method: one of :data:`~airflow_segmentation.clustering.methods.METHODS`.
    :param sensitivity: Kneedle's S.
    :param given: the k to take instead; None to choose.
    """

    method: Method
    sensitivity: float
    given: int | None = None

    def choose(self, sweep: SweepTable) -> Elbow:
        """Return k and what decided it: a method, or "given".

        :raises InputError: if the given k was not swept.
        """
        from airflow_segmentation.clustering import Elbow

        if self.given is not None:
            sweep.index(self.given)
            return Elbow(self.given, "given")
        return self._by(self.method, sweep)

    def choices(self, sweep: SweepTable) -> tuple[Choice, ...]:
        """Return what every method would choose whose score the sweep holds."""
        possible = [name for name, one in METHODS.items() if one.reads == "curve" or name in sweep.scores]
        return tuple(self._choice(method, sweep) for method in possible)

    def of_half_range(self, sweep: SweepTable) -> Choice | None:
        """Return what the method would choose with the largest k cut to half; None of too short a range."""
        half = sweep.up_to(max(sweep.k_values) // 2)
        if half is None:
            return None
        return self._choice(self.method, half)

    def stability(self, sweep: SweepTable) -> Stability | None:
        """Return how often each k would be chosen over the sweep's resamples; None where there are none."""
        if not sweep.resamples:
            return None
        from airflow_segmentation.clustering import count_choices

        method = self.method if METHODS[self.method].reads == "curve" else "kneedle"
        counts = count_choices(sweep.resamples, method=method, sensitivity=self.sensitivity)
        times = tuple(Times(*pair) for pair in counts)
        return Stability(len(sweep.resamples), sweep.resample_rows, times, method)

    def _choice(self, method: Method, sweep: SweepTable) -> Choice:
        found = self._by(method, sweep)
        return Choice(method, found.k if found.decided_by == method else None)

    def _by(self, method: str, sweep: SweepTable) -> Elbow:
        from airflow_segmentation.clustering import choose_k

        try:
            return choose_k(sweep.k_values, sweep.inertias, method, self.sensitivity, sweep.scores)
        except ValueError as error:
            raise InputError(f"{error}; name it in the scores of KMeansSweepOperator") from None


def build_report(
    sweep: SweepTable,
    chooser: Chooser,
    choice: Elbow,
    *,
    sweep_uri: str,
    model_uri: str,
    table: Data | None = None,
) -> Report:
    """Return the report of a choice.

    :param sweep: the sweep that k was chosen from.
    :param chooser: how it was chosen.
    :param choice: what it chose.
    :param sweep_uri: where the sweep's table is.
    :param model_uri: where the model for k was saved.
    :param table: the table that was swept, for profiles of the segments and rows to draw; None to do without.
    """
    scaling, k = sweep.scaling, choice.k
    half, choices, stability = chooser.of_half_range(sweep), chooser.choices(sweep), chooser.stability(sweep)
    return Report(
        k=k,
        method=chooser.method,
        decided_by=choice.decided_by,
        sensitivity=float(chooser.sensitivity),
        k_min=min(sweep.k_values),
        k_max=max(sweep.k_values),
        random_state=sweep.random_state,
        features=_features(scaling, table),
        rows=scaling.rows,
        curve=_curve(sweep),
        dropped=tuple(Dropped(reason, rows) for reason, rows in scaling.dropped),
        fit="full" if sweep.fit_rows == scaling.rows else "sample",
        fit_rows=sweep.fit_rows,
        silhouette_rows=sweep.silhouette_rows or None,
        choices=choices,
        half_range=half,
        half_k_max=None if half is None else max(sweep.k_values) // 2,
        stability=stability,
        profiles=() if table is None else _profiles(table, sweep, k),
        quartiles=None if table is None else _exactness(table),
        sample=() if table is None else _sample(table, sweep),
        warnings=_warnings(sweep, chooser, choice, half, stability),
        data_uri=without_secrets(sweep.data_uri),
        sweep_uri=without_secrets(sweep_uri),
        model_uri=without_secrets(model_uri),
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _curve(sweep: SweepTable) -> tuple[CurvePoint, ...]:
    return tuple(
        CurvePoint(
            k=int(k),
            sse=float(sweep.inertias[index]),
            explained=significant(1 - sweep.inertias[index] / sweep.total_sse)
            if sweep.total_sse > 0
            else 1.0,
            seconds=significant(sweep.seconds[index], 3),
            iterations=int(sweep.iterations[index]),
            sizes=tuple(map(int, sweep.sizes[index])),
            centers=_original(sweep.scaling, sweep.centers[index], digits=5),
            scores={name: significant(float(values[index])) for name, values in sweep.scores.items()},
        )
        for index, k in enumerate(sweep.k_values)
    )


def _features(scaling: Scaling, table: Data | None) -> tuple[Feature, ...]:
    ranges = zip(scaling.features, scaling.minimum, scaling.maximum, strict=True)
    if table is None:
        return tuple(Feature(*each) for each in ranges)
    from airflow_segmentation.clustering import moments_of

    moments, (scale, _) = moments_of(table, scaling.features), scaling.factors()
    constant = set(scaling.constant)
    (means,) = _original(scaling, moments.mean[None], digits=6)
    deviations = (moments.deviation / scale).tolist()
    return tuple(
        # What is taken for one value has no deviation, or a rounding error would look like many of them.
        Feature(*each, mean, 0.0 if each[0] in constant else significant(deviation))
        for each, mean, deviation in zip(ranges, means, deviations, strict=True)
    )


def _profiles(table: Data, sweep: SweepTable, k: int) -> tuple[Profile, ...]:
    """Describe each numeric column over the segments, in original units."""
    import numpy as np

    from airflow_segmentation.clustering import Segmenting, describe

    features = list(sweep.scaling.features)
    columns = [*features, *(name for name in table.numeric_columns if name not in features)]
    segmenting = Segmenting(features, sweep.centers[sweep.index(k)])
    found = describe(table, columns, segmenting, QUARTILES)
    scale, offset = sweep.scaling.factors()
    profiles = []
    for index, name in enumerate(columns):
        rows = np.array([found.mean[index], *found.quantiles[index].T])
        if index < len(features):
            rows = (rows - offset[index]) / scale[index]
        spread = float(np.nanmax(rows) - np.nanmin(rows)) if np.isfinite(rows).any() else 0.0
        profiles.append(
            Profile(
                name, *(tuple(significant(value, spread=spread) for value in row) for row in rows.tolist())
            )
        )
    return tuple(profiles)


def _exactness(table: Data) -> str:
    if table.rows > table.gathered:
        return SEARCHED.format(gathered=table.gathered)
    return "Quartiles are exact"


def _sample(table: Data, sweep: SweepTable) -> tuple[tuple[float, ...], ...]:
    import numpy as np

    from airflow_segmentation.clustering import TableRows

    rows = TableRows(table, sweep.scaling.features).uniform(SAMPLE_ROWS, sweep.random_state)
    # In any order: what is too much for a report is left out from the end.
    shuffled = np.random.default_rng(sweep.random_state).permutation(rows)
    return _original(sweep.scaling, shuffled, digits=4)


def _original(scaling: Scaling, rows: np.ndarray, digits: int) -> tuple[tuple[float, ...], ...]:
    """Return scaled rows in original units, with so many digits of each value and of its feature's range."""
    spreads = [high - low for low, high in zip(scaling.minimum, scaling.maximum, strict=True)]
    return tuple(
        tuple(significant(value, digits, spread) for value, spread in zip(row, spreads, strict=True))
        for row in scaling.to_original(rows).tolist()
    )


def _warnings(
    sweep: SweepTable,
    chooser: Chooser,
    choice: Elbow,
    half: Choice | None,
    stability: Stability | None,
) -> tuple[str, ...]:
    """Return what a person should know before trusting this k, in words."""
    low, high = min(sweep.k_values), max(sweep.k_values)
    k, decided_by = choice.k, choice.decided_by
    warnings = list(sweep.warnings)
    if decided_by not in (chooser.method, "given"):
        warnings.append(
            f"{chooser.method} found no elbow in k={low}..{high}; k={k} is the point of the curve farthest "
            "from the line between its ends. SweepTable a wider range, or choose k yourself"
        )
    # No score has a value at k=1, and no curve bends there.
    smallest = 1 if decided_by == "given" or METHODS[decided_by].reads == "curve" else 2
    may_go_on = k == high and sweep.inertias[-1] > 0  # else each distinct row is a segment
    if decided_by != "given" and low < high and (may_go_on or smallest < k == low):
        warnings.append(
            f"The chosen k={k} is at the edge of the range {low}..{high}, and so not settled: {decided_by} "
            "may choose another beyond it; sweep a wider range"
        )
    if decided_by == chooser.method and half is not None and half.k != k:
        found = "finds no k" if half.k is None else f"chooses k={half.k}"
        warnings.append(
            f"The choice hangs on the range: {chooser.method} {found} in k={low}..{high // 2}, and k={k} in "
            f"k={low}..{high}. Keep the range the same between runs that you compare"
        )
    if stability is not None and 2 * stability.counts[0].times < stability.resamples:
        warnings.append(
            f"On no half of the {stability.resamples} resamples {stability.method} chose the same k, so take "
            "k as a range rather than a number"
        )
    warnings.extend(
        f"Feature {name} has one value only, and cannot tell customers apart"
        for name in sweep.scaling.constant
    )
    return tuple(warnings)
