"""Reports for the page's tests: real K-Means curves on made customers, the same for the same seed."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
from airflow_segmentation.reports.report import (
    Choice,
    CurvePoint,
    Dropped,
    Feature,
    Profile,
    Progress,
    Recommendation,
    Report,
    Stability,
    Structure,
    Times,
)
from sklearn.cluster import KMeans
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score
from threadpoolctl import threadpool_limits

NAMES = ("BALANCE", "PURCHASES", "CREDIT_LIMIT", "PAYMENTS", "CASH_ADVANCE", "TENURE")
HOSTILE = "<script>alert(1)</script>\"'&+:~/%{x}\u202e" + "n" * 160
"""A name at its worst: markup, quotes, characters of URLs and of Plotly, a right-to-left mark, long."""


@cache
@threadpool_limits.wrap(limits=1)  # threads cost more than they bring on data this small
def make_report(*, seed: int = 0, rows: int = 600, features: int = 3, k_max: int = 30, k: int = 8) -> Report:
    """Return a report of a sweep over made customers: skewed amounts, as bank customers have."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(rows, 1))
    customers = np.exp(6.5 + 0.6 * shared + 0.9 * rng.normal(size=(rows, features))).round(2)
    low, high = customers.min(axis=0), customers.max(axis=0)
    scaled = (customers - low) / (high - low)
    total = float(((scaled - scaled.mean(axis=0)) ** 2).sum())
    curve, chosen_labels = [], None
    for point_k in range(1, k_max + 1):
        model = KMeans(point_k, n_init=1, random_state=seed).fit(scaled)
        order = np.argsort(-np.bincount(model.labels_, minlength=point_k), kind="stable")
        labels = np.argsort(order)[model.labels_]
        scores: dict[str, Any] = {}
        if point_k > 1:
            scores = {
                "silhouette": float(silhouette_score(scaled, labels)),
                "calinski_harabasz": float(calinski_harabasz_score(scaled, labels)),
                "davies_bouldin": float(davies_bouldin_score(scaled, labels)),
            }
        if point_k == k:
            chosen_labels = labels
        curve.append(
            CurvePoint(
                k=point_k,
                sse=float(f"{model.inertia_:.6g}"),
                explained=1 - float(model.inertia_) / total,
                seconds=0.002 * point_k + 0.003,
                iterations=int(model.n_iter_),
                sizes=tuple(np.bincount(labels).tolist()),
                centers=tuple(
                    map(tuple, (model.cluster_centers_[order] * (high - low) + low).round(2).tolist())
                ),
                scores=scores,
            )
        )
    names = [NAMES[i] if i < len(NAMES) else f"FEATURE_{i}" for i in range(features)]
    groups = [customers[chosen_labels == segment] for segment in range(k)]
    return Report(
        k=k,
        method="kneedle",
        decided_by="kneedle",
        sensitivity=1.0,
        k_min=1,
        k_max=k_max,
        random_state=42,
        features=tuple(
            Feature(name, *map(float, facts))
            for name, *facts in zip(
                *(names, low, high, customers.mean(axis=0), customers.std(axis=0)), strict=True
            )
        ),
        rows=rows,
        dropped=(Dropped("CREDIT_LIMIT is missing", 1), Dropped("MINIMUM_PAYMENTS is missing", 313)),
        curve=tuple(curve),
        fit_rows=rows,
        silhouette_rows=rows,
        choices=(
            Choice("kneedle", k),
            Choice("silhouette", 2),
            Choice("calinski_harabasz", 3),
            Choice("davies_bouldin", 2),
            Choice("chord", k - 1),
        ),
        half_range=Choice("kneedle", k - 2),
        half_k_max=k_max // 2,
        stability=Stability(20, rows // 2, (Times(k - 1, 12), Times(k, 6), Times(k - 2, 2))),
        profiles=tuple(
            Profile(
                name,
                tuple(float(group[:, column].mean()) for group in groups),
                *(
                    tuple(float(np.quantile(group[:, column], q)) for group in groups)
                    for q in (0.25, 0.5, 0.75)
                ),
            )
            for column, name in enumerate(names)
        ),
        sample=tuple(map(tuple, customers[:400].tolist())),
        warnings=(
            f"With k_max={k_max // 2} instead of {k_max}, kneedle would choose k={k - 2} instead of {k}",
        ),
        data_uri="file:///opt/airflow/segmentation/customer_segmentation/scaled.parquet",
        sweep_uri="file:///opt/airflow/segmentation/customer_segmentation/sweep.parquet",
        model_uri="file:///opt/airflow/model/model.sav",
        created_at="2026-03-14T09:26:53+00:00",
    )


def evidenced(report: Report) -> Report:
    """Return a report with groups at k = 5; at any other, the last segment comes again less."""
    curve = tuple(
        dataclasses.replace(
            point,
            gap=round(0.55 * min(point.k - 1, 4) / 4 - 0.004 * max(point.k - 5, 0), 4),
            gap_se=round(0.01 + 0.001 * point.k, 4),
            jaccard=tuple(
                round(max(1 - 0.04 * segment - 0.08 * abs(point.k - 5) * (segment == point.k - 1), 0.1), 2)
                for segment in range(point.k)
            )
            if point.k <= 10
            else None,
        )
        for point in report.curve
    )
    return dataclasses.replace(
        report,
        curve=curve,
        choices=(*report.choices, Choice("gap", 5), Choice("evidence", 5)),
        structure=Structure(
            verdict="clear",
            gap=0.55,
            gap_k=5,
            p=0.0476,
            sets=20,
            rows=4096,
            null="rows with the same features and correlation but no groups",
            dip_component=0.08,
            dip_distances=0.0004,
        ),
        recommendation=Recommendation("The gap statistic takes it, and all of its segments come again", 5),
    )


def continuum(report: Report) -> Report:
    """Return a report of rows without groups."""
    report = evidenced(report)
    return dataclasses.replace(
        report,
        curve=tuple(
            dataclasses.replace(point, gap=round(-0.002 * (point.k - 1), 4)) for point in report.curve
        ),
        choices=(*report.choices[:-2], Choice("gap", 1), Choice("evidence", None)),
        structure=Structure(
            verdict="none", gap=0.0, gap_k=1, p=0.81, sets=20, rows=4096, null="rows without groups"
        ),
        recommendation=Recommendation("No k is better than another: nothing tells these rows apart"),
    )


def make_progress(*, done: int = 12, total: int = 30, k_min: int = 1, sweep: str | None = None) -> Progress:
    """Return a sweep that has come part of its way from `k_min` on."""
    points = make_report().curve[k_min - 1 :][:done]
    curve = tuple((float(point.k), point.sse) for point in points)
    return Progress(done=done, total=total, curve=curve, sweep=sweep, updated_at="2026-03-14T09:26:53+00:00")


def hostile(text: str) -> Report:
    """Return a report in which every text is `text`."""
    report = evidenced(make_report())
    return dataclasses.replace(
        report,
        structure=report.structure and dataclasses.replace(report.structure, null=text),
        recommendation=Recommendation(text),
        features=tuple(dataclasses.replace(feature, name=text) for feature in report.features),
        dropped=(Dropped(text, 7),),
        warnings=(text,),
        left_out=(text,),
        profiles=tuple(dataclasses.replace(profile, column=text) for profile in report.profiles),
        data_uri=text,
        sweep_uri=text,
        model_uri=text,
    )
