from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from airflow_segmentation.errors import InputError
from airflow_segmentation.model import build_model, load_model, save_model
from airflow_segmentation.scaling import Scaling
from sklearn.cluster import KMeans
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

ROWS = np.random.default_rng(0).normal(size=(200, 2)) * [3, 100]


def scaling_of(rows, **changes) -> Scaling:
    facts = {"feature_range": (0.0, 1.0)} | changes
    return Scaling(("a", "b"), tuple(rows.min(axis=0)), tuple(rows.max(axis=0)), len(rows), **facts)


def test_is_the_pipeline_that_scikit_learn_would_have_fitted():
    reference = make_pipeline(MinMaxScaler(), KMeans(4, random_state=0, n_init=1)).fit(ROWS)
    scaler, kmeans = (step for _, step in reference.steps)
    model = build_model(scaling_of(ROWS), kmeans.cluster_centers_, kmeans.inertia_, kmeans.n_iter_)
    mine = model.named_steps["scale"]
    learned = ("scale_", "min_", "data_min_", "data_max_", "data_range_", "n_samples_seen_", "n_features_in_")
    for name in learned:
        assert np.array_equal(getattr(mine, name), getattr(scaler, name)), name
    model.named_steps["scale"].__dict__.pop("feature_names_in_")
    assert (model.predict(ROWS) == reference.predict(ROWS)).all()


def test_names_its_features_and_keeps_the_sweeps_figures():
    model = build_model(scaling_of(ROWS), np.array([[0.0, 0.0], [1.0, 1.0]]), 12.5, 7)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    assert (model.named_steps["cluster"].inertia_, model.named_steps["cluster"].n_iter_) == (12.5, 7)


def test_a_table_that_nobody_scaled_keeps_its_units():
    model = build_model(scaling_of(ROWS, feature_range=None), np.array([[0.0, 50.0], [0.0, -50.0]]), 1.0, 1)
    model.named_steps["scale"].__dict__.pop("feature_names_in_")
    assert model.predict([[3.0, 60.0], [3.0, -60.0]]).tolist() == [0, 1]


def test_medians_stand_for_missing_values():
    model = build_model(scaling_of(ROWS, medians=(0.0, 1.0)), np.array([[0.0, 0.0], [1.0, 1.0]]), 1.0, 1)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    assert len(model[:-1].transform([[np.nan, np.nan]])) == 1


@pytest.mark.parametrize("medians", [None, (0.0, 1.0)])
def test_what_is_saved_predicts_as_scikit_learn_does(tmp_path, medians):
    kmeans = KMeans(5, random_state=0, n_init=1).fit(MinMaxScaler().fit_transform(ROWS))
    saved = build_model(scaling_of(ROWS, medians=medians), kmeans.cluster_centers_, 1.0, 1)
    save_model(saved, str(tmp_path / "model.sav"))
    loaded = load_model(str(tmp_path / "model.sav"))
    rows = np.random.default_rng(1).normal(size=(500, 2)) * [5, 200]
    if medians:
        rows[::7, 0] = np.nan
    expected = saved.predict(pd.DataFrame(rows, columns=["a", "b"]))
    assert (loaded.predict(rows) == expected).all()
    assert loaded.features == ("a", "b")


def test_a_missing_value_has_no_segment(tmp_path):
    save_model(build_model(scaling_of(ROWS), np.zeros((1, 2)), 1.0, 1), str(tmp_path / "model.sav"))
    loaded = load_model(str(tmp_path / "model.sav"))
    assert loaded.predict(np.array([[0.0, np.nan], [0.0, 0.0]])).tolist() == [-1, 0]


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_that_would_run_code_is_refused_before_it_does(tmp_path):
    (tmp_path / "model.sav").write_bytes(pickle.dumps(Malicious(tmp_path / "harm")))
    with pytest.raises(InputError, match=r"model\.sav is not a model that ElbowOperator saved .*not used"):
        load_model(str(tmp_path / "model.sav"))
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"no pickle", pickle.dumps({"a": 1}), pickle.dumps(make_pipeline(StandardScaler(), KMeans(2)))],
)
def test_a_file_that_is_no_model_of_ours_is_refused(tmp_path, content):
    (tmp_path / "model.sav").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.sav"):
        load_model(str(tmp_path / "model.sav"))


def test_no_model_says_where_it_was_sought(tmp_path):
    with pytest.raises(InputError, match=r"There is no file at .*model\.sav"):
        load_model(str(tmp_path / "model.sav"))
