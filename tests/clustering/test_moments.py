from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.clustering import Moments, Segmenting, rows
from airflow_segmentation.clustering.moments import MomentsTally
from airflow_segmentation.clustering.tallies import tallied
from airflow_segmentation.tables.parquet import Table
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler


def moments(*batches):
    found = Moments()
    for batch in batches:
        found.add(np.array(batch))
    return found


@given(
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(0, 200), max_size=5),
    offset=st.sampled_from([0.0, -3.0, 1e9]),
    scale=st.sampled_from([1e-3, 1.0, 1e6]),
)
def test_moments_of_batches_are_those_of_all_rows(seed, cuts, offset, scale):
    rows = np.random.default_rng(seed).lognormal(size=(200, 3)) * scale + offset
    found = moments(*np.split(rows, sorted(cuts)))
    theirs = StandardScaler().fit(rows)

    np.testing.assert_allclose(found.mean, theirs.mean_, rtol=1e-12)
    np.testing.assert_allclose(found.deviation, rows.std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.deviation, np.sqrt(theirs.var_), rtol=1e-6)


@pytest.mark.parametrize("value", [0.1, 1e9 + 0.1, -1 / 3])
def test_a_column_of_one_value_has_a_deviation_of_exactly_nothing(value):
    found = moments([[value]] * 7, [[value]] * 1000)

    assert (found.mean.tolist(), found.deviation.tolist()) == ([value], [0.0])


def test_moments_of_a_table_are_put_together_from_its_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "BATCH", 64)
    values = np.random.default_rng(0).lognormal(size=(1000, 2)) + np.array([0, 1e6])
    pq.write_table(pa.table({"b": values[:, 1], "a": values[:, 0]}), tmp_path / "rows.parquet")

    with Table(str(tmp_path / "rows.parquet")) as table:
        (told,) = tallied(table, Segmenting(), MomentsTally(["a", "b"]))
    found = Moments(told)

    np.testing.assert_allclose(found.mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.deviation, values.std(axis=0), rtol=1e-9)
