from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from airflow_segmentation import tables
from airflow_segmentation.errors import InputError
from airflow_segmentation.scaling import Scaling, scale_table
from airflow_segmentation.tables import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import MinMaxScaler

FRAME = pd.DataFrame(
    {
        "a": [1.0, 2.0, None, 4.0],
        "b": [10, 20, 30, 40],
        "c": [None, 1.0, 1.0, 1.0],
        "d": ["x", "y", "z", None],
    }
)


def scaled(folder, frame, features, missing="drop", feature_range=(0.0, 1.0)) -> tuple[Scaling, pd.DataFrame]:
    frame.to_parquet(folder / "in.parquet")
    with Table(str(folder / "in.parquet")) as table:
        scaling = scale_table(table, str(folder / "out.parquet"), features, missing, feature_range)
    return scaling, pd.read_parquet(folder / "out.parquet")


def test_drop_looks_at_the_features_only(tmp_path):
    scaling, out = scaled(tmp_path, FRAME, ["a", "b"], "drop")
    assert out["b"].tolist() == [0, 1 / 3, 1]
    assert (scaling.rows, scaling.dropped) == (3, (("a is missing", 1),))


def test_drop_any_looks_at_every_column_and_counts_a_row_once(tmp_path):
    scaling, out = scaled(tmp_path, FRAME, ["a", "b"], "drop_any")
    assert out["b"].tolist() == [0]
    assert sorted(scaling.dropped) == [("a is missing", 1), ("c is missing", 1), ("d is missing", 1)]


def test_median_keeps_every_row(tmp_path):
    scaling, out = scaled(tmp_path, FRAME, ["a", "c"], "median")
    assert out["a"].tolist() == [0, 1 / 3, 1 / 3, 1]
    assert (scaling.medians, scaling.dropped) == ((2, 1), ())


def test_fail_counts_what_is_missing(tmp_path):
    with pytest.raises(
        InputError, match=r"misses values in 'a' \(1 rows\); fill them, or choose missing='drop'"
    ):
        scaled(tmp_path, FRAME, ["a", "b"], "fail")


def test_other_numeric_columns_come_along_as_they_are_and_text_does_not(tmp_path):
    _, out = scaled(tmp_path, FRAME, ["b"])
    assert out.columns.tolist() == ["a", "b", "c"]
    assert out["a"].fillna(-1).tolist() == [1, 2, -1, 4]


def test_a_constant_feature_scales_to_the_lower_end(tmp_path):
    scaling, out = scaled(tmp_path, FRAME, ["c"], feature_range=(2.0, 3.0))
    assert out["c"].tolist() == [2, 2, 2]
    assert scaling.constant == ["c"]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["A"], r"Column 'A' is not in .*in\.parquet; it has: a, b, c, d; did you mean 'a'\?"),
        (
            ["d"],
            r"Column 'd' of .* holds text such as 'x', and only numbers can be clustered; numeric columns "
            r"are",
        ),
    ],
)
def test_a_feature_that_cannot_be_scaled_is_named(tmp_path, features, message):
    with pytest.raises(InputError, match=message):
        scaled(tmp_path, FRAME, features)
    assert not (tmp_path / "out.parquet").exists()


def test_an_infinite_value_is_named(tmp_path):
    with pytest.raises(InputError, match=r"Column 'b' of .* holds an infinite value"):
        scaled(tmp_path, pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, np.inf]}), ["a", "b"])


@pytest.mark.parametrize("missing", ["drop", "median"])
def test_no_value_at_all_is_named(tmp_path, missing):
    with pytest.raises(InputError, match=r"in every column that needs one|no value at all"):
        scaled(tmp_path, pd.DataFrame({"a": [None, None]}, dtype=float), ["a"], missing)


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 30), st.just(2)), elements=st.floats(-1e6, 1e6)),
    st.sampled_from([(0.0, 1.0), (-1.0, 1.0)]),
)
def test_is_scikit_learns_scaler_to_the_last_bit(tmp_path_factory, values, feature_range):
    tmp_path = tmp_path_factory.mktemp("scaling")
    scaling, out = scaled(
        tmp_path, pd.DataFrame(values, columns=["x", "y"]), ["x", "y"], "drop", feature_range
    )
    assert (out.to_numpy() == MinMaxScaler(feature_range).fit_transform(values)).all()
    np.testing.assert_allclose(scaling.to_original(out.to_numpy()), values, atol=1e-6)


def test_batches_make_no_difference(tmp_path, monkeypatch):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(1000, 2)), columns=["x", "y"])
    frame.loc[frame.index % 7 == 0, "y"] = None
    whole = scaled(tmp_path, frame, ["x", "y"])
    monkeypatch.setattr(Table.batches, "__defaults__", (None, 64))
    in_pieces = scaled(tmp_path, frame, ["x", "y"])
    assert whole[0] == in_pieces[0]
    pd.testing.assert_frame_equal(whole[1], in_pieces[1])
    assert tables.BATCH_ROWS > 64


def test_the_record_survives_json():
    scaling = Scaling(("a",), (0.5,), (1.5,), 7, (0.0, 1.0), (1.0,), (("a is missing", 2),))
    assert Scaling.from_json(json.loads(json.dumps(scaling.to_json()))) == scaling


def test_features_that_were_not_scaled_are_not_mixed_with_those_that_were():
    scaling = Scaling(("a", "b"), (0, 1), (2, 3), 7, (0.0, 1.0))
    assert scaling.of(["b"], "t").minimum == (1,)
    with pytest.raises(InputError, match="c of t was not scaled"):
        scaling.of(["a", "c"], "t")
