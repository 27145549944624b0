"""Reports of a sweep of made customers, against what scikit-learn, kneed and pandas say of the same rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from airflow_segmentation.clustering import Elbow, Structure
from airflow_segmentation.clustering.methods import METHODS
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators import ElbowOperator, KMeansSweepOperator, MinMaxPreprocessOperator
from airflow_segmentation.reports import figures
from airflow_segmentation.reports.building import build_report
from airflow_segmentation.reports.choosing import Chooser
from airflow_segmentation.reports.report import (
    REPORT_KEY,
    Choice,
    CurvePoint,
    Dropped,
    Report,
    Stability,
    Times,
)
from airflow_segmentation.sweeps.table import SweepTable, read_sweep
from airflow_segmentation.tables.parquet import Table
from airflow_segmentation.tables.scaling import Scaling
from kneed import KneeLocator
from made.tasks import Task
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

FEATURES = ["a", "b"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(5), [400, 300, 200, 150, 100])
    centers = rng.uniform(-50, 50, size=(5, 2))
    frame = pd.DataFrame(centers[group] + rng.normal(scale=3, size=(len(group), 2)), columns=FEATURES)
    frame["unused"] = rng.lognormal(size=len(frame))
    frame.loc[::10, "unused"] = None
    return frame


@pytest.fixture(scope="module")
def swept(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """URIs of the scaled table and of its sweep."""
    path = tmp_path_factory.mktemp("reporting") / "frame.parquet"
    frame.to_parquet(path)
    scaled = MinMaxPreprocessOperator(task_id="scale", data=str(path), features=FEATURES)
    scaled_uri = scaled.execute({"ti": Task("scale")})  # type: ignore[typeddict-item]
    sweep = KMeansSweepOperator(task_id="sweep", data=scaled_uri, k_max=20, stability=6)
    return scaled_uri, sweep.execute({"ti": Task("sweep")})  # type: ignore[typeddict-item]


def chosen(sweep_uri: str, tmp_path, **arguments) -> Report:
    task = Task("choose")
    operator = ElbowOperator(
        task_id="choose", sweep=sweep_uri, model_path=str(tmp_path / "model.sav"), **arguments
    )
    operator.execute({"ti": task})  # type: ignore[typeddict-item]
    return Report.from_json(task.pushed[REPORT_KEY])


def labels(frame: pd.DataFrame, report: Report) -> np.ndarray:
    spread = np.array([feature.maximum - feature.minimum for feature in report.features])
    offsets = (frame[FEATURES].to_numpy()[:, None] - np.array(report.chosen.centers)) / spread
    return (offsets**2).sum(axis=2).argmin(axis=1)


def test_every_method_says_what_it_would_choose(swept, tmp_path):
    report = chosen(swept[1], tmp_path)
    curve = [point.sse for point in report.curve]
    knee = KneeLocator(range(1, 21), curve, curve="convex", direction="decreasing").knee
    by_method = {choice.method: choice.k for choice in report.choices}
    assert by_method["kneedle"] == knee
    assert (
        by_method["silhouette"] == max(report.curve, key=lambda point: point.scores.get("silhouette", -1)).k
    )
    assert (
        by_method["davies_bouldin"]
        == min(report.curve, key=lambda point: point.scores.get("davies_bouldin", 9)).k
    )
    assert set(by_method) == set(METHODS)


@pytest.mark.parametrize("method", ["silhouette", "calinski_harabasz", "davies_bouldin", "chord"])
def test_each_method_can_decide(swept, tmp_path, method):
    report = chosen(swept[1], tmp_path, method=method)
    assert (report.method, report.decided_by) == (method, method)
    assert report.k == {choice.method: choice.k for choice in report.choices}[method]


def test_scores_are_scikit_learns(frame, swept, tmp_path):
    report = chosen(swept[1], tmp_path, k=5)
    scaled = pd.read_parquet(swept[0])[FEATURES].to_numpy()
    found = labels(frame, report)
    point = report.chosen
    expected = {
        "silhouette": silhouette_score(scaled, found),
        "calinski_harabasz": calinski_harabasz_score(scaled, found),
        "davies_bouldin": davies_bouldin_score(scaled, found),
    }
    assert point.scores == pytest.approx(expected, rel=1e-5)


def test_profiles_are_those_of_pandas_for_unused_columns_too(frame, swept, tmp_path):
    report = chosen(swept[1], tmp_path, k=5)
    assert [profile.column for profile in report.profiles] == ["a", "b", "unused"]
    by_segment = frame.groupby(labels(frame, report))
    for profile in report.profiles:
        column = by_segment[profile.column]
        assert profile.mean == pytest.approx(column.mean().tolist(), rel=1e-5)
        assert profile.q25 == pytest.approx(column.quantile(0.25).tolist(), rel=1e-5)
        assert profile.q50 == pytest.approx(column.median().tolist(), rel=1e-5)
        assert profile.q75 == pytest.approx(column.quantile(0.75).tolist(), rel=1e-5)
    assert report.chosen.sizes == tuple(np.bincount(labels(frame, report)).tolist())


@pytest.mark.parametrize(("gathered", "said"), [(10**6, "Quartiles are exact"), (50, "Of more than 50 rows")])
def test_how_exact_quartiles_are_is_said(frame, swept, tmp_path, monkeypatch, gathered, said):
    monkeypatch.setattr(Table, "gathered", gathered)
    report = chosen(swept[1], tmp_path, k=5)

    assert report.quartiles.startswith(said)
    for profile in report.profiles:
        column = frame[profile.column].groupby(labels(frame, report))
        for found, share in ((profile.q25, 0.25), (profile.q50, 0.5), (profile.q75, 0.75)):
            below = [
                (group.dropna() <= value).mean() for (_, group), value in zip(column, found, strict=True)
            ]
            assert below == pytest.approx([share] * 5, abs=0.05)


def test_features_have_mean_and_deviation_over_all_rows(frame, swept, tmp_path):
    for feature in chosen(swept[1], tmp_path).features:
        assert feature.mean == pytest.approx(frame[feature.name].mean(), rel=1e-5)
        assert feature.deviation == pytest.approx(frame[feature.name].std(ddof=0), rel=1e-5)


def test_what_is_random_tells_nothing_and_is_pale(tmp_path):
    rng = np.random.default_rng(0)
    spend = np.array([100.0, 500.0, 900.0])[np.resize([0, 1, 2], 6000)] + rng.normal(scale=20, size=6000)
    path = tmp_path / "frame.parquet"
    pd.DataFrame({"NOISE": rng.uniform(size=6000), "SPEND": spend}).to_parquet(path)
    uri = KMeansSweepOperator(task_id="sweep", data=str(path), k_max=6).execute({"ti": Task("noise")})

    report = chosen(uri, tmp_path, k=3)
    z = dict(zip(["NOISE", "SPEND"], figures.standardized(report, report.chosen), strict=True))
    assert sorted(z["SPEND"]) == pytest.approx([-1.22, 0, 1.22], abs=0.02)
    assert max(map(abs, z["NOISE"])) < 0.06
    assert figures.telling_first(report, report.chosen) == [1, 0]


@pytest.mark.parametrize("scaled", [True, False])
def test_small_differences_around_a_large_value_are_told(tmp_path, scaled):
    """Seconds since 1970, a column of one value but for rounding, and noise."""
    rng = np.random.default_rng(0)
    days = 1_700_000_000 + np.repeat([0.0, 500.0, 900.0], 100) + rng.normal(scale=5, size=300)
    same = np.resize([0.1, np.nextafter(0.1, 1)], 300)
    frame = pd.DataFrame({"days": days, "same": same, "noise": rng.uniform(size=300)})
    path = tmp_path / "frame.parquet"
    frame.to_parquet(path)
    data = str(path)
    if scaled:
        scale = MinMaxPreprocessOperator(task_id="scale", data=data, features=list(frame))
        data = scale.execute({"ti": Task("large")})
    uri = KMeansSweepOperator(task_id="sweep", data=data, k_max=6).execute({"ti": Task("large")})

    report = chosen(uri, tmp_path, k=3)
    first, same, _ = report.features
    assert (first.mean, first.deviation) == pytest.approx((days.mean(), days.std()), abs=0.1)
    assert (same.mean, same.deviation) == (pytest.approx(0.1), 0.0)
    groups = sorted(days[start : start + 100].mean() for start in (0, 100, 200))
    if not scaled:  # where 900 seconds outweigh the noise, segments are the groups
        assert sorted(centre[0] for centre in report.chosen.centers) == pytest.approx(groups, abs=0.1)
        assert sorted(report.profiles[0].mean) == pytest.approx(groups, abs=0.1)
    assert len({row[0] for row in report.sample}) > 100, "rows are not drawn in one place"


def test_stability_counts_every_resample(swept, tmp_path):
    report = chosen(swept[1], tmp_path)
    assert report.stability is not None
    assert (report.stability.resamples, report.stability.rows) == (6, 1150)
    assert sum(item.times for item in report.stability.counts) == 6


def test_the_sample_is_of_rows_that_are_there(frame, swept, tmp_path):
    report = chosen(swept[1], tmp_path)
    assert len(report.sample) == 300
    gaps = np.abs(np.array(report.sample)[:, None] - frame[FEATURES].to_numpy()).max(axis=2)
    assert gaps.min(axis=1).max() < 1e-2, "but for rounding"
    places = gaps.argmin(axis=1)
    assert np.corrcoef(places, np.arange(300))[0, 1] < 0.5, (
        "what is left out from the end are rows of any kind"
    )


def test_the_silhouette_tells_over_how_many_rows_it_is(swept, tmp_path):
    assert chosen(swept[1], tmp_path).silhouette_rows == 1150


def sweep_of(inertias, *, k_min=1, **changes) -> SweepTable:
    """Return a sweep with these SSE, from `k_min` on, of one feature."""
    k_values = list(range(k_min, k_min + len(inertias)))
    known: dict[str, Any] = {
        "data_uri": "/data.parquet",
        "scaling": Scaling(("a",), (0.0,), (1.0,), rows=100),
        "random_state": 0,
        "total_sse": float(inertias[0]),
        "k_values": k_values,
        "inertias": [float(sse) for sse in inertias],
        "centers": [np.linspace(0, 1, k)[:, None] for k in k_values],
        "sizes": [[100 // k] * k for k in k_values],
        "iterations": [1] * len(k_values),
        "seconds": [0.1] * len(k_values),
        "fit_rows": 100,
    }
    return SweepTable(**known | changes)


def report_of(sweep: SweepTable, method="kneedle", given=None) -> Report:
    chooser = Chooser(method, 1.0, given)
    return build_report(sweep, chooser, chooser.choose(sweep), sweep_uri="/sweep", model_uri="/model")


BENT = [100, 50, 10, 9, 8.5, 8, 7.5, 7, 6.5, 6]
RISING = {"silhouette": [float("nan"), *np.linspace(0.3, 0.9, 9)]}
PEAKED = {"silhouette": [float("nan"), 0.9, *np.linspace(0.8, 0.1, 8)]}


def test_a_report_tells_what_was_swept_and_where_it_came_from():
    scaling = Scaling(("a",), (10.0,), (30.0,), 100, (0.0, 1.0), dropped=(("a is missing", 3),))
    sweep = sweep_of(
        BENT,
        data_uri="ftp://me:secret@host/data",
        scaling=scaling,
        random_state=5,
        total_sse=200.0,
        fit_rows=60,
        seconds=[0.123456] * 10,
        iterations=list(range(10)),
        scores=PEAKED,
        silhouette_rows=90,
    )
    chooser = Chooser("chord", 2)
    report = build_report(
        sweep,
        chooser,
        Elbow(3, "chord"),
        sweep_uri="ftp://me:secret@host/sweep",
        model_uri="ftp://me:secret@host/model",
    )

    assert (report.k, report.k_min, report.k_max, report.method, report.decided_by) == (
        3,
        1,
        10,
        "chord",
        "chord",
    )
    assert (report.sensitivity, report.random_state, report.rows, report.fit, report.fit_rows) == (
        *(2.0, 5, 100, "sample", 60),
    )
    assert report.dropped == (Dropped("a is missing", 3),)
    assert (report.data_uri, report.sweep_uri, report.model_uri) == (
        *("ftp://me@host/data", "ftp://me@host/sweep", "ftp://me@host/model"),
    )
    assert report.silhouette_rows == 90
    moment = datetime.fromisoformat(report.created_at or "")
    assert (moment.utcoffset(), moment.microsecond) == (timedelta(0), 0)
    assert abs(datetime.now(timezone.utc) - moment) < timedelta(minutes=10)
    assert report.curve[2] == CurvePoint(
        k=3,
        sse=10.0,
        explained=0.95,
        seconds=0.123,
        iterations=2,
        scores={"silhouette": 0.8},
        sizes=(33, 33, 33),
        centers=((10.0,), (20.0,), (30.0,)),
    )
    assert [point.k for point in report.curve] == list(range(1, 11))
    assert [choice.method for choice in report.choices] == ["kneedle", "silhouette", "chord"]


def test_centres_have_five_digits_of_their_features_range():
    scaling = Scaling(("a",), (1000.0,), (1003.0,), 100, (0.0, 1.0))
    report = report_of(sweep_of([9.0, 1.0], scaling=scaling, centers=[[[1 / 7]], [[0.0], [1 / 7]]]), given=2)

    assert report.curve[0].centers == ((1000.4286,),)


@pytest.mark.parametrize(
    ("total", "sse", "explained"), [(0.0, 0.0, 1.0), (8.0, 2.0, 0.75), (3.0, 1.0, 0.666667)]
)
def test_where_nothing_varies_all_is_explained(total, sse, explained):
    report = report_of(sweep_of([sse], total_sse=total), given=1)

    assert report.curve[0].explained == explained
    assert (report.fit, report.half_range, report.half_k_max, report.silhouette_rows) == (
        "full",
        None,
        None,
        None,
    )


def test_half_of_the_range_ends_at_half_of_its_largest_k():
    report = report_of(sweep_of(BENT, scores=RISING), "silhouette")

    assert (report.k, report.half_k_max, report.half_range) == (10, 5, Choice("silhouette", 5))
    assert report_of(sweep_of(BENT[:3])).half_range is None


def test_stability_is_by_the_method_that_was_asked_for():
    line = [100.0, 60, 58, 56, 54, 20, 19, 18, 17, 16]  # bends twice
    sweep = sweep_of(BENT, resamples=[(list(range(1, 11)), line)] * 3, resample_rows=90)
    knee = KneeLocator(range(1, 11), line, curve="convex", direction="decreasing").knee
    assert knee != 6, "or the test would tell nothing"

    for method, k in (("kneedle", knee), ("chord", 6)):
        assert report_of(sweep, method).stability == Stability(3, 90, (Times(k, 3),), method)
    by_score = report_of(replace(sweep, scores=PEAKED), "silhouette").stability
    assert by_score == Stability(3, 90, (Times(knee, 3),), "kneedle"), "resamples have no scores"


STEEP, LATE, BENT_LATER = (
    ([1, 2, 3, 4, 5], sse) for sse in ([9, 2, 1, 1, 1], [9, 8, 2, 1, 1], [9, 8, 7, 1, 1])
)
EDGE = "The chosen k={} is at the edge of the range {}, and so not settled: {} may choose another beyond it"


@pytest.mark.parametrize(
    ("sweep", "arguments", "expected"),
    [
        ({}, {}, []),
        ({}, {"given": 10}, []),
        (
            {"scores": RISING},
            {"method": "silhouette"},
            [EDGE.format(10, "1..10", "silhouette"), "The k of Silhouette depends on the range swept"],
        ),
        ({"scores": RISING}, {}, []),
        ({"scores": RISING}, {"method": "silhouette", "given": 10}, []),
        ({"scores": PEAKED}, {"method": "silhouette"}, []),
        ({"k_min": 2, "scores": {"silhouette": np.linspace(0.9, 0.1, 10)}}, {"method": "silhouette"}, []),
        (
            {"k_min": 3, "scores": {"silhouette": np.linspace(0.9, 0.1, 10)}},
            {"method": "silhouette"},
            [EDGE.format(3, "3..12", "silhouette")],
        ),
        (
            {"inertias": [100, 50]},
            {},
            [
                "kneedle found no elbow in k=1..2; k=1 is the point of the curve farthest from the line "
                "between its ends. Sweep a wider range, or choose k yourself"
            ],
        ),
        ({"k_min": 2, "inertias": [9, 8, 7, 6]}, {"method": "chord"}, [EDGE.format(2, "2..5", "chord")]),
        ({"inertias": [9, 8, 7, 6]}, {"method": "chord"}, []),
        ({"inertias": [9, 4, 0], "scores": {"silhouette": [np.nan, 0.2, 0.9]}}, {"method": "silhouette"}, []),
        ({"inertias": [100, 50]}, {"given": 2}, []),
        ({"inertias": [100]}, {}, ["kneedle found no elbow in k=1..1; k=1 is the point"]),
        ({"resamples": [STEEP, STEEP, LATE, BENT_LATER]}, {"method": "chord"}, []),
        (
            {"resamples": [STEEP, STEEP, LATE, LATE, BENT_LATER]},
            {"method": "chord"},
            ["No k won half of the 5 resamples: treat k as 2 to 3"],
        ),
        (
            {"scaling": Scaling(("a", "b"), (0.0, 1.0), (1.0, 1.0), rows=100)},
            {"given": 3},
            ["Feature b has one value only, and cannot tell customers apart"],
        ),
        ({"warnings": ["What the sweep had to tell"]}, {}, ["What the sweep had to tell"]),
    ],
)
def test_what_a_person_should_know_is_a_warning_and_nothing_else(sweep, arguments, expected):
    changes = {"inertias": BENT} | sweep
    if "scaling" in sweep:
        changes["centers"] = [np.zeros((k, 2)) for k in range(1, 11)]
    found = report_of(sweep_of(changes.pop("inertias"), **changes), **arguments).warnings

    assert len(found) == len(expected), found
    assert all(words in warning for words, warning in zip(expected, found, strict=True)), found


def test_a_choice_that_depends_on_the_range_is_a_warning():
    told = report_of(sweep_of(BENT, scores=RISING), "silhouette").warnings[-1]

    assert told.startswith(
        "The k of Silhouette depends on the range swept: k = 5, the last, for k up to 5, k = 10, the last, "
        "for k up to 10. Keep the range"
    )


def test_half_a_range_in_which_no_k_is_found_is_told_as_such():
    k_values = np.arange(1, 13)
    late = np.where(k_values <= 9, 100.0 - 10 * k_values, 10.0 - 0.1 * k_values)

    report = report_of(sweep_of(late))

    assert (report.k, report.half_range) == (9, Choice("kneedle", None))
    assert report.warnings[-1] == (
        "The elbow depends on the range swept: none for k up to 6, k = 9 for k up to 12. Keep the range the "
        "same between runs that you compare"
    )


def test_a_method_whose_score_was_not_computed_names_the_cure(swept, tmp_path):
    sweep = KMeansSweepOperator(task_id="sweep", data=swept[0], k_max=4, scores=["davies_bouldin"])
    uri = sweep.execute({"ti": Task("scoreless")})
    assert set(read_sweep(uri).scores) == {"davies_bouldin"}
    with pytest.raises(InputError, match="name it in the scores of KMeansSweepOperator"):
        chosen(uri, tmp_path, method="silhouette")
    assert not (tmp_path / "model.sav").exists()


def test_without_the_swept_table_the_choice_stands_and_the_report_tells_less(frame, tmp_path):
    path = tmp_path / "gone.parquet"
    frame[FEATURES].to_parquet(path)
    uri = KMeansSweepOperator(task_id="sweep", data=str(path), k_max=8).execute({"ti": Task("gone")})
    path.unlink()
    report = chosen(uri, tmp_path, k=5)
    assert (report.k, report.profiles, report.sample) == (5, (), ())
    assert {(feature.mean, feature.deviation) for feature in report.features} == {(None, None)}
    assert any("no profiles and no standard deviations: There is no file" in line for line in report.warnings)


def test_what_tells_groups_goes_into_the_report():
    structure = Structure([0.0, 0.2, 0.7, 0.65], [0.0, 0.1, 0.1, 0.2], 1 / 21, 20, 99, 0.25, None)
    jaccard = [[1.0] * k for k in range(1, 10)] + [[0.12] * 10]
    report = report_of(sweep_of(BENT, structure=structure, jaccard=jaccard, scores=PEAKED))

    found = report.structure
    assert found is not None
    assert (found.verdict, found.gap, found.gap_k, found.p) == ("clear", 0.7, 3, 0.0476)
    assert (found.sets, found.rows, found.dip_component, found.dip_distances) == (20, 99, 0.25, None)
    assert "no groups" in found.null
    assert [(point.gap, point.gap_se) for point in report.curve[:5]] == [
        *((0.0, 0.0), (0.2, 0.1), (0.7, 0.1), (0.65, 0.2), (None, None)),
    ]
    assert report.curve[2].jaccard == (1.0, 1.0, 1.0)
    assert report.curve[9].jaccard == (0.12,) * 10
    assert report.recommendation is not None
    assert report.recommendation.k == 3
    by_method = {choice.method: choice.k for choice in report.choices}
    assert (by_method["gap"], by_method["evidence"]) == (3, 3)
    read = Report.from_json(report.to_json())
    assert (read.structure, read.recommendation) == (found, report.recommendation)


def test_without_sets_without_groups_nothing_is_said_of_them():
    report = report_of(sweep_of(BENT, jaccard=[[1.0] * k for k in range(1, 11)]))

    assert (report.structure, report.recommendation) == (None, None)
    assert {choice.method for choice in report.choices} == {"kneedle", "chord"}
