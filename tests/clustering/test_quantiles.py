from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.clustering import Segmenting, describe, quantiles, rows
from airflow_segmentation.tables.parquet import Table
from hypothesis import given, settings
from hypothesis import strategies as st

QUARTILES = (0.25, 0.5, 0.75)
CENTERS = np.array([[0.0], [10.0], [1000.0]])
"""The last has no row."""


def customers(seed: int, count: int, discrete: bool) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 5, count).astype(float) if discrete else rng.lognormal(0, 2, count)
    values[rng.random(count) < 0.1] = np.nan
    return pd.DataFrame({"x": rng.choice([0.0, 1.0, 9.0, 10.0], count), "spend": values, "none": np.nan})


def described(frame: pd.DataFrame, folder) -> quantiles.Described:
    path = folder / "rows.parquet"
    pq.write_table(pa.Table.from_pandas(frame), path)
    with Table(str(path)) as table:
        return describe(table, list(frame), Segmenting(["x"], CENTERS), QUARTILES)


def by_pandas(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    groups = frame.groupby((frame["x"] > 5).astype(int))
    mean = np.column_stack([groups.mean().reindex(range(3)).T, frame.mean()])
    parts = [
        np.column_stack([groups.quantile(share).reindex(range(3)).T, frame.quantile(share)])
        for share in QUARTILES
    ]
    return mean, np.stack(parts, axis=2)


@pytest.mark.parametrize("part", [100, 10**6])
@pytest.mark.parametrize("discrete", [True, False])
def test_columns_of_few_rows_are_described_as_pandas_does(tmp_path, monkeypatch, part, discrete):
    monkeypatch.setattr(rows, "BATCH", part)
    frame = customers(0, 700, discrete)
    found, (mean, wanted) = described(frame, tmp_path), by_pandas(frame)

    np.testing.assert_allclose(found.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(found.quantiles, wanted, rtol=1e-12)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 1000),
    discrete=st.booleans(),
    fewest=st.sampled_from([40, 1024]),
    sample=st.sampled_from([0, 30, 3000]),
    sure=st.sampled_from([0.0, 4.0]),
)
def test_quantiles_of_many_rows_are_off_by_a_thousandth_of_the_range(
    tmp_path_factory, seed, discrete, fewest, sample, sure
):
    frame = customers(seed, 3001, discrete)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "BATCH", 1000)
        patch.setattr(Table, "gathered", 1000)
        patch.setattr(quantiles, "COUNTS", 36 * fewest)
        patch.setattr(quantiles, "SAMPLE_ROWS", sample)
        patch.setattr(quantiles, "SURE", sure)
        found = described(frame, tmp_path_factory.mktemp("many"))
    mean, wanted = by_pandas(frame)

    np.testing.assert_allclose(found.mean, mean, rtol=1e-9)
    assert (np.isnan(found.quantiles) == np.isnan(wanted)).all()
    groups = frame.groupby((frame["x"] > 5).astype(int))
    for column, name in enumerate(frame):
        for segment, group in [*groups[name], (3, frame[name])]:
            values = np.sort(group.dropna())
            for share, value in zip(QUARTILES, found.quantiles[column, segment], strict=True):
                if len(values):
                    # Between two values, NumPy takes what lies between, and here it is the lower.
                    lower = values[int(share * (len(values) - 1))]
                    assert abs(value - lower) <= 1e-3 * np.ptp(values) + 1e-12


def test_a_median_among_few_different_values_is_one_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(Table, "gathered", 10)
    pq.write_table(pa.table({"age": [0.1] * 40 + [0.7] * 61 + [1e6] * 20}), tmp_path / "rows.parquet")
    with Table(str(tmp_path / "rows.parquet")) as table:
        found = describe(table, ["age"], Segmenting(), [0.5])

    assert found.quantiles.ravel() == pytest.approx([0.7], rel=1e-12)


@pytest.mark.parametrize("ties", [None, 0.25, 0.4])
def test_two_passes_find_the_quartiles_of_many_rows(tmp_path, monkeypatch, ties):
    monkeypatch.setattr(Table, "gathered", 1000)
    values = np.random.default_rng(0).lognormal(size=(200_000, 2))
    if ties == 0.25:  # its quantile is where the many equal values end
        values[:, 1] = np.maximum(values[:, 1] - np.quantile(values[:, 1], ties), 0.0)
    if ties == 0.4:  # the others are the largest value, which most rows have
        values[:, 1] = np.minimum(values[:, 1], np.quantile(values[:, 1], ties))
    pq.write_table(pa.table({"x": values[:, 0], "y": values[:, 1]}), tmp_path / "rows.parquet")
    each, visits = Table.each, []
    monkeypatch.setattr(Table, "each", lambda *args, **given: visits.append(args) or each(*args, **given))
    with Table(str(tmp_path / "rows.parquet")) as table:
        found = describe(table, ["x", "y"], Segmenting(["x"], np.array([[0.5], [3.0]])), QUARTILES)

    assert len(visits) == 2
    own = values[np.abs(values[:, 0] - 0.5) < np.abs(values[:, 0] - 3.0)]
    quartiles = np.quantile(own, QUARTILES, axis=0).T
    assert found.quantiles[:, 0] == pytest.approx(quartiles, rel=2e-3)
