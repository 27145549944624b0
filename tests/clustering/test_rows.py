from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.clustering import (
    ArrayRows,
    TableRows,
    arrow,
    assign,
    fits,
    measuring,
    rows,
    sweep,
    sweep_rows,
    sweep_table,
)
from airflow_segmentation.clustering.measuring import measure
from airflow_segmentation.clustering.rows import drawn_evenly
from airflow_segmentation.tables.parquet import Table
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
    from_file = sweep_table(TableRows(Table(str(file)), ["a", "b"]), k_max=6)

    assert from_file.fit_rows == from_file.rows == 5000
    assert from_file.inertias.tobytes() == sweep_rows(values, k_max=6).inertias.tobytes()


@pytest.mark.usefixtures("small_parts")
def test_a_sampled_sweep_reports_exact_values_over_all_rows(file, values):
    found = sweep_table(TableRows(Table(str(file)), ["a", "b"]), k_max=8)

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
        sweep_table(TableRows(Table(str(file)), ["a", "b"], n_jobs=jobs), k_max=8, n_jobs=jobs)
        for jobs in (1, 2)
    )

    assert one.inertias.tobytes() == two.inertias.tobytes()


@pytest.mark.usefixtures("small_parts")
def test_a_sampled_sweep_reports_the_measuring_too_and_goes_on_from_there(file):
    steps = []
    whole = sweep_table(TableRows(Table(str(file)), ["a", "b"]), k_max=5, on_step=steps.append)

    assert [step.done for step in steps] == list(range(1, 5 + 10 + 1))
    assert steps[-1].total == 15
    resumed = sweep_table(TableRows(Table(str(file)), ["a", "b"]), k_max=5, state=steps[9].state)
    assert resumed.inertias.tobytes() == whole.inertias.tobytes()


@pytest.mark.usefixtures("small_parts")
def test_weights_count_in_a_sampled_sweep(values):
    weights = np.where(values[:, 0] > 1, 3.0, 1.0)
    found = sweep_table(ArrayRows(values, weights), k_max=4)

    assert [sizes.sum() for sizes in found.sizes] == pytest.approx([weights.sum()] * 4)
    labels = assign(values, found.cluster_centers[3])
    squared = ((values - found.cluster_centers[3][labels]) ** 2).sum(axis=1)
    assert found.inertias[3] == pytest.approx(weights @ squared)


def test_a_sample_stands_for_all_rows(file, values, monkeypatch):
    monkeypatch.setattr(rows, "BATCH", 1024)
    weights = np.where(values[:, 0] > 1, 3.0, 1.0)

    for held, count, mean in (
        (TableRows(Table(str(file)), ["a", "b"]), np.ones(5000), values.mean(axis=0)),
        (ArrayRows(values, weights), weights, np.average(values, axis=0, weights=weights)),
    ):
        sample = held.sample(2500, 0)
        assert sample.mean == pytest.approx(mean)
        assert 1800 < len(sample.rows) <= 2500
        assert sample.weights.sum() == pytest.approx(count.sum(), rel=0.03)
        assert np.average(sample.rows, axis=0, weights=sample.weights) == pytest.approx(mean, rel=0.03)
    assert sample.weights @ ((sample.rows - mean) ** 2).sum(axis=1) == pytest.approx(
        weights @ ((values - mean) ** 2).sum(axis=1), rel=0.05
    )


def test_each_seed_and_each_part_draws_rows_of_its_own(monkeypatch):
    monkeypatch.setattr(rows, "BATCH", 512)
    four_times = ArrayRows(np.tile(np.arange(512.0)[:, None], (4, 1)))

    one, again, other = (four_times.sample(600, seed).rows.ravel().tolist() for seed in (0, 0, 1))

    assert one == again
    assert one != other
    times = np.bincount(np.array(one, int), minlength=512)
    assert set(times.tolist()) >= {1, 2}, "four equal parts have drawn the same"


def test_rows_that_are_all_the_same_are_drawn_evenly():
    sample = ArrayRows(np.full((3000, 2), 5.0)).sample(1000, 0)

    assert sample.mean.tolist() == [5.0, 5.0]
    assert 400 < len(sample.rows) < 600


def test_each_part_is_measured_by_itself_and_all_add_up(file, values, monkeypatch):
    monkeypatch.setattr(rows, "BATCH", 1024)
    centers = [values[:1], values[:3]]

    for held, weights in (
        (TableRows(Table(str(file)), ["a", "b"]), None),
        (ArrayRows(values, np.full(5000, 2.0)), 2.0),
    ):
        assert (held.count, held.features, held.weighted) == (5000, 2, weights is not None)
        parts = list(held.measured(centers))
        assert held.parts == len(parts) == 10
        for each, amounts in zip(measure(values, None, centers), zip(*parts, strict=True), strict=True):
            assert sum(amounts) == pytest.approx((weights or 1.0) * each)


@pytest.mark.parametrize("features", [1, 3, 1024, 5000])
def test_parts_hold_so_many_values_and_a_row_at_least(monkeypatch, features):
    monkeypatch.setattr(rows, "BATCH", 1024)
    held = ArrayRows(np.zeros((2000, features)))

    lengths = [sizes[0][0, 0] for sizes in held.measured([np.zeros((1, features))])]

    assert len(lengths) == held.parts
    assert sum(lengths) == 2000
    assert set(lengths[:-1]) == {max(1, 1024 // features)}


@pytest.mark.parametrize("size", [0, 7, 4999, 5000, 9000])
def test_uniform_rows_are_rows_of_the_file_in_its_order(file, values, size):
    drawn, other = (TableRows(Table(str(file)), ["a", "b"]).uniform(size, seed) for seed in (0, 1))

    places = [int(np.flatnonzero((values == row).all(axis=1))[0]) for row in drawn]
    assert len(drawn) == min(size, 5000)
    assert places == sorted(set(places))
    assert np.array_equal(drawn, other) is (size in (0, 5000, 9000))


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_a_missing_value_is_an_error_that_names_the_column(tmp_path, bad):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": [1.0, 2.0, 3.0], "b": [bad, 3.0, 4.0], "c": [5.0, 6.0, 7.0]}), path)

    with pytest.raises(
        ValueError, match="Column 'b' has missing or infinite values; drop or fill them first"
    ):
        sweep_table(TableRows(Table(str(path)), ["c", "a", "b"]), k_max=2)


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint64(), pa.float32(), pa.float64(), pa.bool_()])
def test_a_column_of_any_numbers_becomes_floats_and_what_is_missing_nan(kind):
    values = pa.array([True, None, False, True]).cast(kind)
    column = pa.chunked_array([values, values.slice(2, 2)])

    assert arrow.as_floats(column) == pytest.approx([1.0, np.nan, 0.0, 1.0, 0.0, 1.0], nan_ok=True)
    assert arrow.as_floats(values.slice(1, 2)) == pytest.approx([np.nan, 0.0], nan_ok=True)
    assert arrow.as_floats(pa.array([], kind)).dtype == np.float64


@pytest.mark.parametrize("together", [1, 50, 2**15])
def test_measuring_weighs_rows_however_many_are_measured_together(monkeypatch, together):
    monkeypatch.setattr(measuring, "at_a_time", lambda centers: together)
    table = np.random.default_rng(0).lognormal(size=(400, 2))
    times = np.random.default_rng(1).integers(0, 4, 400)
    centers = [table[:1], table[:7]]

    repeated = measure(np.repeat(table, times, axis=0), None, centers)
    for each, other in zip(measure(table, times.astype(float), centers), repeated, strict=True):
        assert each == pytest.approx(other)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    features=st.integers(1, 4),
    ties=st.booleans(),
    several=st.sampled_from([0.0, 2.2]),
    fewest=st.sampled_from([1, 30, 8192]),
)
def test_measuring_by_cells_is_measuring_each_row(seed, features, ties, several, fewest):
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 4, (400, features)).astype(float) if ties else rng.lognormal(size=(400, features))
    centers = [
        table[rng.choice(400, k, replace=False)] + 1e-3 * rng.normal(size=(k, features)) for k in (1, 3, 9)
    ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "SEVERAL", several)
        patch.setattr(measuring, "FEWEST_ROWS", fewest)
        measured = measure(table, None, centers)
    for each, amounts in zip(centers, measured, strict=True):
        labels = assign(table, each)
        distances = np.linalg.norm(table - each[labels], axis=1)
        assert amounts[:, 0].tolist() == np.bincount(labels, minlength=len(each)).tolist()
        assert amounts[:, 1] == pytest.approx(np.bincount(labels, distances**2, len(each)), abs=1e-9)
        assert amounts[:, 2] == pytest.approx(np.bincount(labels, distances, len(each)), abs=1e-6)


@pytest.mark.parametrize("centers", [[[0.0]], [[-1.0], [1.0]]])
def test_a_row_between_two_centres_is_of_the_first(centers):
    rows = np.zeros((5, 1))
    amounts = measure(rows, None, [np.array([[0.0]]), np.array(centers)])[1]

    assert amounts[:, 0].tolist() == [5.0, 0.0][: len(centers)]
    assert amounts[:, 1].tolist() == [5.0 * centers[0][0] ** 2, 0.0][: len(centers)]


@pytest.mark.parametrize(("count", "chance"), [(7, 0.05), (40, 0.31), (1_000, 0.999)])
def test_rows_are_drawn_evenly_as_many_as_their_chance_makes_but_for_one(count, chance):
    rng, times = np.random.default_rng(0), np.zeros(count)
    for _ in range(4_000):
        drawn = drawn_evenly(count, chance, rng)
        times[drawn] += 1
        assert len(np.unique(drawn)) == len(drawn)
        assert abs(len(drawn) - count * chance) < 1

    assert times.sum() == pytest.approx(4_000 * count * chance, rel=0.08)
    assert (np.abs(times - 4_000 * chance) < 5 * np.sqrt(4_000 * chance * (1 - chance))).all()
    assert drawn_evenly(count, 1.5, rng).tolist() == list(range(count))
