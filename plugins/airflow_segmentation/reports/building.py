"""From a sweep and a chosen k to the report that the page reads."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from airflow_segmentation.reports.cautions import cautions
from airflow_segmentation.reports.choosing import Chooser
from airflow_segmentation.reports.report import (
    MAX_SAMPLE,
    Bound,
    CurvePoint,
    Dropped,
    Feature,
    Plane,
    Profile,
    Recommendation,
    Report,
    Rule,
    Rules,
    Structure,
    significant,
)
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.sweeps.table import SweepTable

if TYPE_CHECKING:
    import numpy as np

    from airflow_segmentation.clustering import Elbow, Studied, Survey
    from airflow_segmentation.clustering import structure as structures
    from airflow_segmentation.clustering.quantiles import Described
    from airflow_segmentation.reports.succession import Succession
    from airflow_segmentation.tables.scaling import Scaling

SEARCHED = (
    "Of more than {gathered:,} rows quartiles are searched for in counts: each is off by a ten-thousandth of "
    "its segment's range and a thousandth of its rows at most"
)
SAMPLE_ROWS = 300
"""Rows that the page draws: as many as can be told apart on a chart, and few enough for a report."""
LEAST_ROWS = 5
"""Rows of each segment that it draws at least, or all where there are fewer."""


def build_report(
    sweep: SweepTable,
    chooser: Chooser,
    choice: Elbow,
    *,
    sweep_uri: str,
    model_uri: str,
    survey: Survey | None = None,
    succession: Succession | None = None,
) -> Report:
    """Return the report of a choice.

    :param sweep: the sweep that k was chosen from.
    :param chooser: how it was chosen.
    :param choice: what it chose.
    :param sweep_uri: where the sweep's table is.
    :param model_uri: where the model for k was saved.
    :param survey: of the table that was swept, for profiles of the segments and rows to draw; None to do
        without.
    :param succession: from the segments that are published, whose numbers and names the new ones have that go
        on from them; None where none are.
    """
    scaling, k = sweep.scaling, choice.k
    half, choices, stability = chooser.of_half_range(sweep), chooser.choices(sweep), chooser.stability(sweep)
    recommendation = _recommendation(sweep)
    studied = None if survey is None else survey.studied
    curve = _curve(sweep, succession)
    chosen = next(point for point in curve if point.k == k)
    return Report(
        k=k,
        method=chooser.method,
        decided_by=choice.decided_by,
        sensitivity=float(chooser.sensitivity),
        k_min=min(sweep.k_values),
        k_max=max(sweep.k_values),
        random_state=sweep.random_state,
        features=_features(scaling, survey),
        rows=scaling.rows,
        curve=curve,
        dropped=tuple(Dropped(reason, rows) for reason, rows in scaling.dropped),
        fit="full" if sweep.fit_rows == scaling.rows else "sample",
        fit_rows=sweep.fit_rows,
        silhouette_rows=sweep.silhouette_rows or None,
        choices=choices,
        half_range=half,
        half_k_max=None if half is None else max(sweep.k_values) // 2,
        stability=stability,
        structure=_structure(sweep),
        recommendation=recommendation,
        profiles=() if survey is None else _profiles(survey.described, scaling),
        quartiles=None if survey is None else _exactness(survey.described),
        sample=() if studied is None else _sample(studied, sweep, k),
        plane=None if studied is None else _plane(studied, sweep.scaling),
        rules=None if studied is None else _rules(studied, sweep.scaling, k),
        published=None if succession is None else succession.record(() if survey is None else survey.others),
        warnings=(
            *cautions(sweep, chooser, choice, half, stability, recommendation, chosen.numbered),
            *(() if succession is None else succession.warnings),
        ),
        data_uri=without_secrets(sweep.data_uri),
        sweep_uri=without_secrets(sweep_uri),
        model_uri=without_secrets(model_uri),
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _curve(sweep: SweepTable, succession: Succession | None) -> tuple[CurvePoint, ...]:
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
            **_against_no_groups(sweep.structure, int(k)),
            jaccard=tuple(sweep.jaccard[index]) if sweep.jaccard else None,
            numbers=None if succession is None else succession.numbers(index),
        )
        for index, k in enumerate(sweep.k_values)
    )


def _against_no_groups(structure: structures.Structure | None, k: int) -> dict[str, float]:
    if structure is None or k > len(structure.gap):
        return {}
    return {"gap": significant(structure.gap[k - 1], 4), "gap_se": significant(structure.gap_se[k - 1], 3)}


def _structure(sweep: SweepTable) -> Structure | None:
    from airflow_segmentation.clustering.reference import IN_WORDS

    if (found := sweep.structure) is None:
        return None
    return Structure(
        verdict=found.verdict,
        gap=significant(found.largest, 4),
        gap_k=found.gap_k,
        p=significant(found.p, 3),
        sets=found.sets,
        rows=found.rows,
        null=IN_WORDS,
        dip_component=None if found.dip_component is None else significant(found.dip_component, 3),
        dip_distances=None if found.dip_distances is None else significant(found.dip_distances, 3),
    )


def _recommendation(sweep: SweepTable) -> Recommendation | None:
    from airflow_segmentation.clustering import recommend

    if sweep.structure is None:
        return None
    found = recommend(sweep.k_values, sweep.structure, sweep.jaccard, sweep.scores)
    return Recommendation(found.reason, found.k)


def _features(scaling: Scaling, survey: Survey | None) -> tuple[Feature, ...]:
    ranges = zip(scaling.features, scaling.minimum, scaling.maximum, strict=True)
    if survey is None:
        return tuple(Feature(*each) for each in ranges)
    moments, (scale, _) = survey.moments, scaling.factors()
    constant = set(scaling.constant)
    (means,) = _original(scaling, moments.mean[None], digits=6)
    deviations = (moments.deviation / scale).tolist()
    return tuple(
        # What is taken for one value has no deviation, or a rounding error would look like many of them.
        Feature(*each, mean, 0.0 if each[0] in constant else significant(deviation))
        for each, mean, deviation in zip(ranges, means, deviations, strict=True)
    )


def _profiles(described: Described, scaling: Scaling) -> tuple[Profile, ...]:
    """Return each column over the segments, in original units: the features are first."""
    import numpy as np

    scale, offset = scaling.factors()
    profiles = []
    for index, name in enumerate(described.columns):
        # A column for each segment, and one for all rows.
        rows = np.array([described.mean[index], *described.quantiles[index].T])
        if index < len(scale):
            rows = (rows - offset[index]) / scale[index]
        spread = float(np.nanmax(rows) - np.nanmin(rows)) if np.isfinite(rows).any() else 0.0
        mean, q25, q50, q75 = (
            tuple(significant(value, spread=spread) for value in row) for row in rows.tolist()
        )
        overall = (mean[-1], q25[-1], q50[-1], q75[-1])
        profiles.append(Profile(name, mean[:-1], q25[:-1], q50[:-1], q75[:-1], overall))
    return tuple(profiles)


def _exactness(described: Described) -> str:
    if described.gathered is None:
        return "Quartiles are exact"
    return SEARCHED.format(gathered=described.gathered)


def _sample(studied: Studied, sweep: SweepTable, k: int) -> tuple[tuple[float, ...], ...]:
    # In any order: what is too much for a report is left out from the end.
    which = studied.few(SAMPLE_ROWS, LEAST_ROWS, k, sweep.random_state)[:MAX_SAMPLE]
    return _original(sweep.scaling, studied.rows[which], digits=4)


def _plane(studied: Studied, scaling: Scaling) -> Plane | None:
    import numpy as np

    from airflow_segmentation.clustering import principal_plane

    found = principal_plane(studied.rows, studied.weights)
    if found is None:
        return None
    scale, _ = scaling.factors()
    span = scale * np.subtract(scaling.maximum, scaling.minimum)
    (center,) = _original(scaling, found.center[None], digits=6)
    first, second = (tuple(map(significant, axis)) for axis in (found.axes * span).tolist())
    along, across = map(significant, found.shares.tolist())
    return Plane(center, (first, second), (along, across), len(studied.rows))


def _rules(studied: Studied, scaling: Scaling, k: int) -> Rules | None:
    from airflow_segmentation.clustering import find_rules

    found = find_rules(scaling.to_original(studied.rows), studied.segments, studied.weights, k)
    if found is None:
        return None
    return Rules(
        rules=tuple(
            Rule(
                rule.segment,
                tuple(
                    Bound(scaling.features[place], *(end if math.isfinite(end) else None for end in ends))
                    for place, ends in rule.bounds.items()
                ),
                significant(rule.share, 4),
                significant(rule.accuracy, 4),
            )
            for rule in found.rules
        ),
        depth=found.depth,
        accuracy=significant(found.accuracy, 4),
        rows=len(studied.rows),
    )


def _original(scaling: Scaling, rows: np.ndarray, digits: int) -> tuple[tuple[float, ...], ...]:
    """Return scaled rows in original units, with so many digits of each value and of its feature's range."""
    spreads = [high - low for low, high in zip(scaling.minimum, scaling.maximum, strict=True)]
    return tuple(
        tuple(significant(value, digits, spread) for value, spread in zip(row, spreads, strict=True))
        for row in scaling.to_original(rows).tolist()
    )
