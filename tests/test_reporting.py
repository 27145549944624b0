"""Reports of a sweep of made customers, against what scikit-learn, kneed and pandas say of the same rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators import ElbowOperator, KMeansSweepOperator, MinMaxPreprocessOperator
from airflow_segmentation.report import REPORT_KEY, Report
from airflow_segmentation.sweep_table import read_sweep
from kneed import KneeLocator
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

FEATURES = ["a", "b"]


class Task:
    """What the operators need of a running task instance."""

    def __init__(self, task_id: str) -> None:
        self.dag_id, self.run_id, self.task_id, self.map_index = "reporting", "run", task_id, -1
        self.pushed: dict[str, object] = {}

    def xcom_push(self, key: str, value: object) -> None:
        self.pushed[key] = value


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
    assert by_method["silhouette"] == max(report.curve, key=lambda point: point.silhouette or -1).k
    assert by_method["davies_bouldin"] == min(report.curve, key=lambda point: point.davies_bouldin or 9).k
    assert set(by_method) == {"kneedle", "silhouette", "calinski_harabasz", "davies_bouldin", "chord"}


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
    assert point.silhouette == pytest.approx(silhouette_score(scaled, found), rel=1e-5)
    assert point.calinski_harabasz == pytest.approx(calinski_harabasz_score(scaled, found), rel=1e-5)
    assert point.davies_bouldin == pytest.approx(davies_bouldin_score(scaled, found), rel=1e-5)


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


def test_a_choice_that_hangs_on_the_range_is_a_warning(swept, tmp_path):
    report = chosen(swept[1], tmp_path)
    assert report.half_k_max == 10
    assert report.half_range is not None
    told = any("hangs on the range" in warning for warning in report.warnings)
    assert told == (report.half_range.k != report.k)


def test_a_choice_at_the_edge_of_the_range_is_a_warning(swept, tmp_path):
    sweep = KMeansSweepOperator(task_id="sweep", data=swept[0], k_min=7, k_max=12)
    uri = sweep.execute({"ti": Task("narrow")})
    report = chosen(uri, tmp_path, method="silhouette")
    assert report.k == 7
    assert any("k=7 is at the edge of the range 7..12" in warning for warning in report.warnings)


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
