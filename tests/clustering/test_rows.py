from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.clustering import (
    ArrayRows,
    ParquetRows,
    assign,
    fits,
    rows,
    sweep,
    sweep_rows,
    sweep_table,
)
from airflow_segmentation.clustering.measuring import measure
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(params=["alone", "in runs"])
def small_parts(request, monkeypatch):
    """Rows are sampled and come in parts already where there are hundreds; each k is fitted so."""
    monkeypatch.setattr(sweep, "FULL", 1000)
    monkeypatch.setattr(sweep, "SAMPLED_ROWS", 500)
    monkeypatch.setattr(rows, "BATCH", 1024)
    monkeypatch.setattr(fits, "FEW", 900)
    monkeypatch.setattr(fits, "HIDDEN", {"alone": 1.0, "in runs": -1.0}[request.param])


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).lognormal(size=(5000, 2))


@pytest.fixture
def file(tmp_path, values):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"b": values[:, 1], "id": np.arange(5000), "a": values[:, 0]}), path)
    return path


def test_few_rows_of_a_file_are_swept_as_in_memory(file, values):
    from_file = sweep_table(ParquetRows(file, ["a", "b"]), k_max=6)

    assert from_file.fit_rows == from_file.rows == 5000
    assert from_file.inertias.tobytes() == sweep_rows(values, k_max=6).inertias.tobytes()


@pytest.mark.usefixtures("small_parts")
def test_a_sampled_sweep_reports_exact_values_over_all_rows(file, values):
    found = sweep_table(ParquetRows(file, ["a", "b"]), k_max=8)

    assert found.rows == 5000
    assert 800 < found.fit_rows < 1200
    for centers, sizes, spreads, inertia in zip(
        found.cluster_centers, found.sizes, found.spreads, found.inertias, strict=True
    ):
        labels = assign(values, centers)
        distances = np.linalg.norm(values - centers[labels], axis=1)
        assert inertia == pytest.approx((distances**2).sum())
        assert sizes.tolist() == np.bincount(labels).tolist()
        assert spreads == pytest.approx([distances[labels == i].mean() for i in range(len(centers))])
    assert found.total_inertia == pytest.approx(((values - values.mean(axis=0)) ** 2).sum())


@pytest.mark.usefixtures("small_parts")
def test_a_sampled_sweep_is_hardly_worse_than_one_over_all_rows(values, monkeypatch):
    sampled = sweep_table(ArrayRows(values), k_max=10)
    monkeypatch.setattr(sweep, "FULL", 10**6)
    full = sweep_table(ArrayRows(values), k_max=10)

    assert np.mean(sampled.inertias / full.inertias) < 1.05
    assert (np.diff(sampled.inertias) <= 0).all()


@pytest.mark.usefixtures("small_parts")
def test_a_sampled_sweep_gives_the_same_bits_whatever_the_threads(file):
    one, two = (
        sweep_table(ParquetRows(file, ["a", "b"], n_jobs=jobs), k_max=8, n_jobs=jobs) for jobs in (1, 2)
    )

    assert one.inertias.tobytes() == two.inertias.tobytes()


@pytest.mark.usefixtures("small_parts")
def test_a_sampled_sweep_reports_the_measuring_too_and_goes_on_from_there(file):
    steps = []
    whole = sweep_table(ParquetRows(file, ["a", "b"]), k_max=5, on_step=steps.append)

    assert [step.done for step in steps] == list(range(1, 5 + 10 + 1))
    assert steps[-1].total == 15
    resumed = sweep_table(ParquetRows(file, ["a", "b"]), k_max=5, state=steps[9].state)
    assert resumed.inertias.tobytes() == whole.inertias.tobytes()


@pytest.mark.usefixtures("small_parts")
def test_weights_count_in_a_sampled_sweep(values):
    weights = np.where(values[:, 0] > 1, 3.0, 1.0)
    found = sweep_table(ArrayRows(values, weights), k_max=4)

    assert [sizes.sum() for sizes in found.sizes] == pytest.approx([weights.sum()] * 4)
    labels = assign(values, found.cluster_centers[3])
    squared = ((values - found.cluster_centers[3][labels]) ** 2).sum(axis=1)
    assert found.inertias[3] == pytest.approx(weights @ squared)


@pytest.mark.parametrize("size", [0, 7, 4999, 5000, 9000])
def test_uniform_rows_are_rows_of_the_file_in_its_order(file, values, size):
    drawn = ParquetRows(file, ["a", "b"]).uniform(size, 0)

    places = [int(np.flatnonzero((values == row).all(axis=1))[0]) for row in drawn]
    assert len(drawn) == min(size, 5000)
    assert places == sorted(set(places))


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_a_missing_value_is_an_error_that_names_the_column(tmp_path, bad):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": [1.0, 2.0], "b": [3.0, bad]}), path)

    with pytest.raises(ValueError, match="Column 'b' has missing or infinite values"):
        sweep_table(ParquetRows(path, ["a", "b"]), k_max=2)


def test_an_open_file_is_as_good_as_a_path(file):
    with file.open("rb") as opened:
        assert sweep_table(ParquetRows(opened, ["a"]), k_max=3).rows == 5000


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans())
def test_measuring_by_groups_is_measuring_each_row(seed, features, grid):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 4, (400, features)).astype(float) if grid else rng.lognormal(size=(400, features))
    centers = [
        table[rng.choice(400, k, replace=False)] + 1e-3 * rng.normal(size=(k, features)) for k in (1, 3, 9)
    ]

    for each, amounts in zip(centers, measure(table, None, centers), strict=True):
        labels = assign(table, each)
        distances = np.linalg.norm(table - each[labels], axis=1)
        assert amounts[:, 0].tolist() == np.bincount(labels, minlength=len(each)).tolist()
        assert amounts[:, 1] == pytest.approx(np.bincount(labels, distances**2, len(each)), abs=1e-9)
        assert amounts[:, 2] == pytest.approx(np.bincount(labels, distances, len(each)), abs=1e-6)
