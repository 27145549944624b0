from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from airflow_segmentation.errors import InputError
from airflow_segmentation.tables import parquet as tables
from airflow_segmentation.tables.parquet import Table, table_written
from airflow_segmentation.tables.scaling import Scaling, scale_table, unscaled
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


SPREAD = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))
"""Values that, where they differ, do so by more than rounding, as scikit-learn and we each understand it."""


@settings(max_examples=40)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 30), st.just(2)), elements=SPREAD),
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


def test_some_of_the_features_keep_all_that_is_known_of_them():
    scaling = Scaling(("a", "b"), (0, 1), (2, 3), 7, (0.0, 1.0), (10, 11), (("a is missing", 2),))
    assert scaling.of(["b", "a"], "t") == Scaling(
        ("b", "a"), (1, 0), (3, 2), 7, (0.0, 1.0), (11, 10), (("a is missing", 2),)
    )
    assert scaling.of(["b"], "t") == Scaling(("b",), (1,), (3,), 7, (0.0, 1.0), (11,), (("a is missing", 2),))
    with pytest.raises(InputError) as caught:
        scaling.of(["a", "c", "d"], "t")
    assert str(caught.value) == (
        "c, d of t was not scaled, and would be clustered in other units than a, b; name it in the features "
        "of MinMaxPreprocessOperator"
    )


def as_it_is(folder, frame, features) -> Scaling:
    frame.to_parquet(folder / "in.parquet")
    with Table(str(folder / "in.parquet")) as table:
        return unscaled(table, features)


def test_features_that_nobody_scaled_keep_their_units(tmp_path):
    scaling = as_it_is(tmp_path, FRAME, ["b"])
    assert scaling == Scaling(("b",), (10.0,), (40.0,), 4)
    scale, offset = scaling.factors()
    assert (scale.tolist(), offset.tolist()) == ([1.0], [0.0])
    assert scaling.to_original(np.array([[12.5]])).tolist() == [[12.5]]


def test_no_row_is_dropped_from_what_nobody_scaled(tmp_path):
    with pytest.raises(InputError) as caught:
        as_it_is(tmp_path, FRAME, ["a", "b", "c"])
    assert str(caught.value) == (
        f"{tmp_path}/in.parquet misses values in 'a' (1 rows), 'c' (1 rows); fill them, or choose "
        "missing='drop' or 'median'"
    )


@pytest.mark.parametrize(("widest", "fits"), [(0.0, True), (9e-151, False), (1e-150, True)])
def test_what_nobody_scaled_must_differ_by_more_than_squares_can_lose(tmp_path, widest, fits):
    frame = pd.DataFrame({"x": [0.0, widest], "y": [0.0, widest / 2]})
    if fits:
        assert as_it_is(tmp_path, frame, ["x", "y"]).maximum == (widest, widest / 2)
        return
    with pytest.raises(
        InputError, match=r"The values of x, y of .* differ by 9e-151 at most, and differences"
    ):
        as_it_is(tmp_path, frame, ["x", "y"])


@pytest.mark.parametrize(
    ("value", "fits"), [(1e150, True), (-1e150, True), (1.1e150, False), (-1.1e150, False)]
)
def test_what_cannot_be_squared_is_named(tmp_path, value, fits):
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, value]})
    if fits:
        assert scaled(tmp_path, frame, ["a", "b"])[1]["b"].between(0, 1).all()
        return
    with pytest.raises(InputError) as caught:
        scaled(tmp_path, frame, ["a", "b"])
    assert str(caught.value) == (
        f"Column 'b' of {tmp_path}/in.parquet holds {value:g}, and numbers beyond 1e+150 cannot be squared: "
        "clean the column, or leave it out of features"
    )


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0, 2**53], False),
        ([-(2**53), 0], False),
        ([0, 2**53 + 2], True),
        ([-(2**53) - 2, 0], True),
        ([0.0, 2.0**60], False),
    ],
)
def test_whole_numbers_that_are_rounded_are_told(tmp_path, caplog, values, told):
    for scale in (scaled, as_it_is):
        caplog.clear()
        scale(tmp_path, pd.DataFrame({"n": values}), ["n"])
        assert ("Feature n holds whole numbers beyond" in caplog.text) is told


def test_an_id_stays_as_it_is_and_facts_go_with_the_table(tmp_path):
    batch = pa.record_batch(
        {"id": ["001", "002", "003"], "a": [1.0, float("nan"), 3.0], "text": ["x", "y", "z"]}
    )
    with table_written(str(tmp_path / "in.parquet"), batch.schema) as writer:
        writer.write(batch)
        writer.facts = {"id_column": "id"}
    with Table(str(tmp_path / "in.parquet")) as table:
        scaling = scale_table(table, str(tmp_path / "out.parquet"), ["a"], "drop", (0.0, 1.0))

    assert (scaling.rows, scaling.dropped) == (2, (("a is missing", 1),)), "NaN is missing, too"
    with Table(str(tmp_path / "out.parquet")) as table:
        assert table.read().to_pydict() == {"id": ["001", "003"], "a": [0.0, 1.0]}
        assert table.facts == {"id_column": "id", "scaling": json.loads(json.dumps(scaling.to_json()))}


def test_reasons_are_told_the_most_frequent_first(tmp_path):
    nan = float("nan")
    frame = pd.DataFrame(
        {"a": [nan, 1, 2, 3, 4, 5], "b": [nan, nan, nan, 3, 4, 5], "c": [nan, nan, 2, 3, 4, 5]}
    )
    scaling, _ = scaled(tmp_path, frame, ["a", "b", "c"])
    assert scaling.dropped == (("b is missing", 2), ("a is missing", 1)), (
        "each row by the first that it misses"
    )


@pytest.mark.parametrize(
    ("low", "high", "constant"),
    [
        (1e6, 1e6 * (1 + 1e-15), True),
        (-1e6 * (1 + 1e-15), -1e6, True),
        (1e6, 1e6 * (1 + 1e-14), False),
        (1e-20, 2e-20, False),
        (-1e-20, 0.0, False),
        (0.0, 1e-310, True),
        (0.0, 0.0, True),
    ],
)
def test_a_feature_is_constant_where_its_values_differ_by_rounding_alone(low, high, constant):
    assert Scaling(("a",), (low,), (high,), 2, (0.0, 1.0)).constant == (["a"] if constant else [])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [None, None],
            "No row of {} has a value in every column that needs one (of 2, 2 miss 'a'); choose other ",
        ),
        ([], "{} has no rows; look at the task that wrote it"),
    ],
)
def test_a_table_without_a_row_to_scale_is_an_error(tmp_path, rows, message):
    with pytest.raises(InputError) as caught:
        scaled(tmp_path, pd.DataFrame({"a": rows}, dtype=float), ["a"])
    assert str(caught.value).startswith(message.format(tmp_path / "in.parquet"))
    assert not (tmp_path / "out.parquet").exists()
