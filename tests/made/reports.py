"""Reports for the page's tests: real K-Means curves on made customers, the same for the same seed."""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from typing import Any

import numpy as np
from airflow_segmentation.reports.report import (
    Assignment,
    Bound,
    Choice,
    CurvePoint,
    Drift,
    Dropped,
    Feature,
    Plane,
    Profile,
    Progress,
    Publication,
    PublishedBefore,
    Recommendation,
    Report,
    Rule,
    Rules,
    Shift,
    Shown,
    Stability,
    Structure,
    Times,
)
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
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
            _profile(name, [group[:, column] for group in groups], customers[:, column])
            for column, name in enumerate(names)
        ),
        sample=tuple(map(tuple, customers[:400].tolist())),
        plane=_plane(customers, high - low),
        warnings=(
            f"With k_max={k_max // 2} instead of {k_max}, kneedle would choose k={k - 2} instead of {k}",
        ),
        data_uri="file:///opt/airflow/segmentation/customer_segmentation/scaled.parquet",
        sweep_uri="file:///opt/airflow/segmentation/customer_segmentation/sweep.parquet",
        model_uri="file:///opt/airflow/model/model.sav",
        created_at="2026-03-14T09:26:53+00:00",
    )


def _profile(name: str, groups: list[Any], every: Any) -> Profile:
    values = (*groups, every)
    mean = tuple(float(each.mean()) for each in values)
    q25, q50, q75 = (tuple(float(np.quantile(each, q)) for each in values) for q in (0.25, 0.5, 0.75))
    return Profile(name, mean[:-1], q25[:-1], q50[:-1], q75[:-1], (mean[-1], q25[-1], q50[-1], q75[-1]))


def evidenced(report: Report) -> Report:
    """Return a report with groups at k = 5, a map and rules; at others the last segment comes again less."""
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
        rules=_rules(report),
    )


def succeeding(report: Report, *names: str) -> Report:
    """Return a report whose segments follow on published ones: 5 is gone, 12 is new, and 6 has moved.

    :param names: of the published segments, in the order of their numbers.
    """
    chosen, numbers = report.chosen, (0, 1, 2, 3, 4, 5, 6, 9)
    assert report.k == len(numbers)
    spans = [feature.maximum - feature.minimum for feature in report.features]
    own = (2, 0, 1, 3, 4, 12, 6, 9)
    centers = dict(zip(own, chosen.centers or (), strict=True))
    centers[5] = tuple(feature.maximum for feature in report.features)
    near = min(
        math.dist(*([v / s for v, s in zip(centers[n], spans, strict=True)] for n in (6, other)))
        for other in numbers
        if other != 6
    )
    moved = tuple(value + 0.4 * near * spans[0] * (place == 0) for place, value in enumerate(centers[6]))
    migration = [[0] * report.k for _ in numbers]
    for place, (number, size) in enumerate(zip(own, chosen.sizes or (), strict=True)):
        stay = numbers.index(5 if number == 12 else number)
        migration[stay][place] += size - size // 10
        migration[0][place] += size // 10
    return dataclasses.replace(
        report,
        curve=tuple(
            dataclasses.replace(
                point,
                numbers=own if point.k == report.k else (*numbers, *range(12, 12 + point.k))[: point.k],
            )
            for point in report.curve
        ),
        published=PublishedBefore(
            version=3,
            numbers=numbers,
            names=(*names, *("",) * len(numbers))[: len(numbers)],
            shares=(0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05),
            next_number=12,
            centers=tuple(moved if number == 6 else centers[number] for number in numbers),
            scale=tuple(1 / span for span in spans),
            spacing=(near,) * len(numbers),
            migration=tuple(map(tuple, migration)),
            psi=(0.012, 0.17, 0.4, *(0.0,) * len(report.features))[: len(report.features)],
            psi_shares=0.31,
            psi_by_chance=0.05,
        ),
    )


def _plane(customers: Any, spans: Any) -> Plane | None:
    if len(spans) < 2:
        return None
    found = PCA(2).fit(customers / spans)
    first, second = (tuple(axis) for axis in found.components_.tolist())
    across, upwards = found.explained_variance_ratio_.tolist()
    return Plane(tuple((found.mean_ * spans).tolist()), (first, second), (across, upwards), len(customers))


def _rules(report: Report) -> Rules:
    """Return rules by the first feature alone, one for each segment."""
    name, bounds = (
        report.features[0].name,
        [None, *(100.0 * (place + 1) for place in range(report.k - 1)), None],
    )
    rules = (
        Rule(segment, (Bound(name, bounds[segment], bounds[segment + 1]),), round(1 / report.k, 4), 0.9)
        for segment in range(report.k)
    )
    return Rules(tuple(rules), depth=2, accuracy=0.9, rows=report.rows)


def make_assignment(**changes: Any) -> Assignment:
    """Return the record of a table of customers."""
    names = ("segment", "segment_name", "segment_distance", "segment_percentile", "second_segment")
    made = Assignment(
        uri="s3://aws@bucket/customer_segmentation/segments.parquet",
        columns={name: name for name in names},
        rows=1_234,
        without=34,
        sizes=(700, 300, 120, 40, 20, 10, 6, 4),
        far=60,
        outside=1,
    )
    return dataclasses.replace(made, **changes)


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
    report = succeeding(evidenced(make_report()), text)
    return dataclasses.replace(
        report,
        structure=report.structure and dataclasses.replace(report.structure, null=text),
        recommendation=Recommendation(text),
        rules=Rules((Rule(0, (Bound(text, 0.5, 1.5),), 0.5, 0.5),), 2, 0.5, 10),
        features=tuple(dataclasses.replace(feature, name=text) for feature in report.features),
        dropped=(Dropped(text, 7),),
        warnings=(text,),
        left_out=(text,),
        profiles=tuple(dataclasses.replace(profile, column=text) for profile in report.profiles),
        data_uri=text,
        sweep_uri=text,
        model_uri=text,
    )


def make_publication(version: int = 1, **changes: Any) -> Publication:
    """Return a version of three segments, one of which nobody gave a name."""
    names = ("Savers", "", "Spenders of all they have")
    return dataclasses.replace(
        Publication(
            name="customers",
            path="/opt/airflow/model/published",
            version=version,
            k=3,
            segments=tuple(
                Shown(number, share, name)
                for number, share, name in zip((0, 4, 2), (0.5, 0.3, 0.2), names, strict=True)
            ),
            model_digest="ab" * 32,
            verdict="clear",
            previous=version - 1 or None,
            published_at="2026-03-14T09:26:53+00:00",
        ),
        **changes,
    )


def make_scoring(psi: float = 0.05, outside: float = 0.002, **changes: Any) -> Assignment:
    """Return customers scored by published segments, in whom a feature has shifted by so much."""
    found = (f"BALANCE has shifted: its PSI is {psi:.2g}, above max_psi=0.25",) if psi > 0.25 else ()
    drift = Drift(
        features=(Shift("BALANCE", psi), Shift("PURCHASES", psi / 3)),
        shares=psi / 2,
        outside=outside,
        max_psi=0.25,
        max_outside=0.01,
        found=found,
    )
    return dataclasses.replace(make_assignment(version=2, drift=drift), **changes)
