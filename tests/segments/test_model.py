from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from airflow_segmentation.errors import InputError
from airflow_segmentation.segments.model import build_model, load_model, save_model
from airflow_segmentation.tables.scaling import Scaling
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


@pytest.mark.parametrize("suffix", ["sav", "skops"])
@pytest.mark.parametrize("medians", [None, (0.0, 1.0)])
def test_what_is_saved_predicts_as_scikit_learn_does(tmp_path, medians, suffix):
    kmeans = KMeans(5, random_state=0, n_init=1).fit(MinMaxScaler().fit_transform(ROWS))
    saved = build_model(scaling_of(ROWS, medians=medians), kmeans.cluster_centers_, 1.0, 1)
    save_model(saved, str(tmp_path / f"model.{suffix}"))
    loaded = load_model(str(tmp_path / f"model.{suffix}"))
    rows = np.random.default_rng(1).normal(size=(500, 2)) * [5, 200]
    if medians:
        rows[::7, 0] = np.nan
    expected = saved.predict(pd.DataFrame(rows, columns=["a", "b"]))
    assert (loaded.assigner.predict(rows) == expected).all()
    assert loaded.features == ("a", "b")


@pytest.mark.parametrize("suffix", ["sav", "skops"])
@pytest.mark.parametrize(
    "names", [("x",), ("long " * 100, "b"), ("ÄÖ€", "b")], ids=["one", "long", "letters"]
)
def test_features_keep_their_names(tmp_path, names, suffix):
    path = tmp_path / f"model.{suffix}"
    width = len(names)
    scaling = Scaling(names, (0.0,) * width, (1.0,) * width, 9, (0.0, 1.0))
    save_model(build_model(scaling, np.zeros((1, width)), 1.0, 1), str(path))

    assert load_model(str(path)).features == names
    assert suffix == "skops" or path.read_bytes()[:2] == b"\x80\x04", "what every Python here can load"


def test_a_missing_value_has_no_segment(tmp_path):
    save_model(build_model(scaling_of(ROWS), np.zeros((1, 2)), 1.0, 1), str(tmp_path / "model.sav"))
    loaded = load_model(str(tmp_path / "model.sav"))
    assert loaded.assigner.predict(np.array([[0.0, np.nan], [0.0, 0.0]])).tolist() == [-1, 0]


def small_model(**changes):
    return build_model(scaling_of(ROWS), np.array([[0.0, 0.0], [1.0, 1.0]]), 1.0, 1, **changes)


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("model.sav", lambda path: pickle.loads(path.read_bytes())),
        ("model.joblib", joblib.load),
        ("model.skops", skops.io.load),
    ],
)
def test_the_library_that_the_name_tells_loads_the_same_pipeline(tmp_path, name, load):
    save_model(small_model(), str(tmp_path / name))
    rows = pd.DataFrame(ROWS, columns=["a", "b"])
    assert (load(tmp_path / name).predict(rows) == small_model().predict(rows)).all()


@pytest.mark.parametrize("suffix", ["sav", "skops"])
def test_tells_what_made_it(tmp_path, suffix):
    uri = str(tmp_path / f"model.{suffix}")
    run = {"dag_id": "segments", "run_id": "manual__1", "task_id": "choose"}
    save_model(small_model(made_by=run), uri)
    assert load_model(uri).made_by == run
    save_model(small_model(), uri)
    assert load_model(uri).made_by == {}


@pytest.mark.parametrize("suffix", ["sav", "skops"])
def test_tells_the_numbers_of_its_segments(tmp_path, suffix):
    uri, largest = str(tmp_path / f"model.{suffix}"), 2**31 - 1
    save_model(small_model(numbers=(largest, 12)), uri)
    assert load_model(uri).numbers == (largest, 12)
    assert load_model(uri).names == (f"Segment {largest}", "Segment 12")
    save_model(small_model(), uri)
    assert load_model(uri).numbers == (0, 1)


@pytest.mark.parametrize("numbers", [[0], [1, 1], [1, -1], [0, 2**31], [0.0, 1.0], [[0, 1]]], ids=str)
def test_is_refused_with_numbers_that_no_segments_have(tmp_path, numbers):
    model = small_model()
    model.segment_numbers_ = np.array(numbers)
    skops.io.dump(model, tmp_path / "model.skops")
    with pytest.raises(InputError, match=r"is not a model .*\(it has .*number"):
        load_model(str(tmp_path / "model.skops"))


@pytest.mark.parametrize("suffix", ["sav", "skops"])
def test_is_taken_with_the_digest_that_it_was_saved_with(tmp_path, suffix):
    path = tmp_path / f"model.{suffix}"
    digest = save_model(small_model(), str(path))
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert load_model(str(path), digest=digest).features == ("a", "b")


@pytest.mark.parametrize("suffix", ["sav", "skops"])
def test_is_refused_unread_with_another_digest(tmp_path, suffix):
    path = tmp_path / f"model.{suffix}"
    digest = save_model(small_model(), str(path))
    other = save_model(small_model(made_by={"run_id": "another"}), str(path))
    with pytest.raises(InputError) as caught:
        load_model(str(path), digest=digest)
    assert str(caught.value) == (
        f"{path} has the SHA-256 digest {other}, not model_digest={digest}: the model was replaced since, by "
        "another run or by hand. Clear the task that chooses k, or give each run a model_path of its own, "
        "with {{ run_id }} in it"
    )


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def in_a_model_of_ours(harm: object):
    model = small_model()
    model.made_by_ = {"run_id": harm}
    return model


@pytest.mark.parametrize("wrapped", [lambda harm: harm, in_a_model_of_ours], ids=["alone", "in a model"])
def test_a_pickle_that_would_run_code_is_refused_before_it_does(tmp_path, wrapped):
    content = pickle.dumps(wrapped(Malicious(tmp_path / "harm")))
    (tmp_path / "model.sav").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.sav is not a model that ElbowOperator saved .*not used"):
        load_model(str(tmp_path / "model.sav"))
    assert not (tmp_path / "harm").exists()
    pickle.loads(content)
    assert (tmp_path / "harm").exists(), "the pickle does harm where it is loaded as pickles are"


def test_a_skops_file_of_other_types_is_refused_before_they_are_made(tmp_path):
    content = skops.io.dumps(in_a_model_of_ours(Malicious(tmp_path / "harm")))
    (tmp_path / "model.skops").write_bytes(content)
    with pytest.raises(
        InputError, match=r"saved \(it asks for tests\.segments\.test_model\.Malicious\); it was not used"
    ):
        load_model(str(tmp_path / "model.skops"))
    assert not (tmp_path / "harm").exists()


def test_a_pickle_by_the_name_of_a_skops_file_is_refused(tmp_path):
    (tmp_path / "model.skops").write_bytes(pickle.dumps(Malicious(tmp_path / "harm")))
    with pytest.raises(InputError, match=r"model\.skops is not a model .*it is damaged, or another"):
        load_model(str(tmp_path / "model.skops"))
    assert not (tmp_path / "harm").exists()


def test_without_skops_the_cure_is_named_and_the_old_model_stays(tmp_path, monkeypatch):
    path = tmp_path / "model.skops"
    path.write_bytes(b"old")
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(InputError, match=r"needs skops, which is not installed: pip install skops, or"):
        save_model(small_model(), str(path))
    assert path.read_bytes() == b"old"


MODELS = Path(__file__).resolve().parents[1] / "made" / "models"
"""Saved by ElbowOperator with the versions of scikit-learn, numpy and skops that their names tell."""


@pytest.mark.parametrize("path", sorted(MODELS.iterdir()), ids=lambda path: path.name)
def test_a_model_of_any_supported_version_is_loaded(path):
    model = load_model(str(path))
    own = model.assigner
    facts = (model.features, model.minimum, model.maximum, own.scale, own.offset, own.medians)
    assert [value if value is None else list(value) for value in facts] == [
        ["a", "b"],
        *([0, 1], [2, 3], [0.5, 0.5], [0, -0.5]),
        [0.5, 1.5] if "medians" in path.name else None,
    ]
    assert model.assigner.centers.tolist() == [[0, 0.25], [1, 1], [0.5, 0.75]]
    assert model.made_by == {"dag_id": "d", "run_id": "r", "task_id": "t"}


@pytest.mark.parametrize("suffix", ["sav", "skops"])
def test_neither_scikit_learn_nor_skops_is_imported_to_load_one(tmp_path, suffix):
    save_model(small_model(), str(tmp_path / f"model.{suffix}"))
    code = "import sys; from airflow_segmentation.segments.model import load_model; load_model(sys.argv[1])\n"
    code += "print({'sklearn', 'skops'} & set(sys.modules))"
    command = [sys.executable, "-c", code, str(tmp_path / f"model.{suffix}")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_pickle_that_was_written_again_in_the_newest_way_is_loaded(tmp_path):
    (tmp_path / "model.sav").write_bytes(pickle.dumps(small_model(), protocol=5))
    assert load_model(str(tmp_path / "model.sav")).assigner.centers.tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("suffix", ["sav", "skops"])
def test_what_would_not_be_loaded_again_is_not_saved(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr("airflow_segmentation.segments.model.MOST_BYTES", 1000)
    with pytest.raises(InputError, match=r"cannot be saved at .*: it has more than 0 MB, and would not be"):
        save_model(small_model(), str(tmp_path / f"model.{suffix}"))
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_would_be_a_line_of_the_file_is_refused():
    facts = {"rows": 2, "feature_range": (0.0, 1.0)}
    scaling = Scaling(("a\nssh-ed25519 AAAA", "b"), (0.0, 0.0), (1.0, 1.0), **facts)
    with pytest.raises(
        InputError, match=r"Column 'a\\nssh-ed25519 AAAA' has a control character in its name"
    ):
        build_model(scaling, np.zeros((1, 2)), 1.0, 1)


def test_a_task_log_is_not_filled_with_what_skops_meets_when_it_is_imported(tmp_path, monkeypatch):
    deprecated = ModuleType("deprecated")
    deprecated.__dict__["__getattr__"] = lambda name: warnings.warn(f"{name} is deprecated", stacklevel=2)
    monkeypatch.setitem(sys.modules, "deprecated", deprecated)
    for name in [name for name in sys.modules if name.partition(".")[0] == "skops"]:
        monkeypatch.delitem(sys.modules, name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_model(small_model(), str(tmp_path / "model.skops"))


def with_centers(centers):
    model = small_model()
    model.named_steps["cluster"].cluster_centers_ = centers
    return model


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        pickle.dumps({"a": 1}),
        pickle.dumps(make_pipeline(StandardScaler(), KMeans(2))),
        pickle.dumps(with_centers(np.zeros((2, 3)))),
        pickle.dumps(with_centers(np.full((2, 2), np.nan))),
        pickle.dumps(with_centers(np.array([["a", "b"]]))),
        pickle.dumps(small_model())[:-40],
    ],
    ids=["empty", "text", "dict", "other steps", "other width", "nan", "letters", "truncated"],
)
def test_a_file_that_is_no_model_of_ours_is_refused(tmp_path, content):
    (tmp_path / "model.sav").write_bytes(content)
    with pytest.raises(InputError, match=r"model\.sav is not a model that ElbowOperator saved"):
        load_model(str(tmp_path / "model.sav"))


def test_no_model_says_where_it_was_sought(tmp_path):
    with pytest.raises(InputError, match=r"There is no file at .*model\.sav"):
        load_model(str(tmp_path / "model.sav"))
