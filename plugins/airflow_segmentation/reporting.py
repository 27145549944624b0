"""From a sweep and a chosen k to the report that the page reads."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow_segmentation.report import CurvePoint, Dropped, Feature, Report
from airflow_segmentation.storage import without_secrets
from airflow_segmentation.sweep_table import Sweep


def build_report(
    sweep: Sweep, *, k: int, decided_by: str, method: str, sensitivity: float, sweep_uri: str, model_uri: str
) -> Report:
    """Return the report of a choice.

    :param sweep: the sweep that k was chosen from.
    :param k: the chosen k.
    :param decided_by: what gave it: a method, or "given".
    :param method: the method that was asked for.
    :param sensitivity: Kneedle's S.
    :param sweep_uri: where the sweep's table is.
    :param model_uri: where the model for k was saved.
    """
    scaling = sweep.scaling
    return Report(
        k=k,
        method=method,
        decided_by=decided_by,
        sensitivity=sensitivity,
        k_min=min(sweep.k_values),
        k_max=max(sweep.k_values),
        random_state=sweep.random_state,
        features=tuple(map(Feature, scaling.features, scaling.minimum, scaling.maximum)),
        rows=scaling.rows,
        curve=_curve(sweep),
        dropped=tuple(Dropped(reason, rows) for reason, rows in scaling.dropped),
        warnings=_warnings(sweep, k, decided_by, method),
        data_uri=without_secrets(sweep.data_uri),
        sweep_uri=without_secrets(sweep_uri),
        model_uri=without_secrets(model_uri),
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _curve(sweep: Sweep) -> tuple[CurvePoint, ...]:
    return tuple(
        CurvePoint(
            k=int(k),
            sse=float(sweep.inertias[index]),
            explained=1 - sweep.inertias[index] / sweep.total_sse if sweep.total_sse > 0 else 1.0,
            seconds=_rounded(sweep.seconds[index]),
            iterations=int(sweep.iterations[index]),
            sizes=tuple(map(int, sweep.sizes[index])),
            centers=tuple(
                tuple(map(_rounded, center)) for center in sweep.scaling.to_original(sweep.centers[index])
            ),
            **{name: float(values[index]) for name, values in sweep.scores.items()},
        )
        for index, k in enumerate(sweep.k_values)
    )


def _warnings(sweep: Sweep, k: int, decided_by: str, method: str) -> tuple[str, ...]:
    """Return what a person should know before trusting this k, in words."""
    low, high = min(sweep.k_values), max(sweep.k_values)
    warnings = list(sweep.warnings)
    if decided_by not in (method, "given"):
        warnings.append(
            f"{method} found no elbow in k={low}..{high}; k={k} is the point of the curve farthest from the "
            "line between its ends. Sweep a wider range, or choose k yourself"
        )
    if decided_by != "given" and low < high and k in (low, high):
        warnings.append(
            f"The chosen k={k} is at the edge of the range {low}..{high}, so the curve may bend beyond it; "
            "sweep a wider range"
        )
    warnings.extend(
        f"Feature {name} has one value only, and cannot tell customers apart"
        for name in sweep.scaling.constant
    )
    return tuple(warnings)


def _rounded(value: float) -> float:
    """Return the value with the digits that a person can use, which keeps the report small."""
    return float(f"{value:.6g}")
