"""Several things told of rows in one pass, whatever the parts that they are read in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.clustering import Segmenting, rows
from airflow_segmentation.clustering.tallies import Batch, Sum, Tally, tallied
from airflow_segmentation.tables.parquet import Table

CENTERS = np.array([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]])
"""The last has no row."""
VALUES = np.random.default_rng(0).uniform(size=(1_000, 3))
SEGMENTING = Segmenting(["a", "b"], CENTERS)
NEAREST = np.linalg.norm(VALUES[:, None, :2] - CENTERS, axis=2).argmin(axis=1)


@dataclass(frozen=True)
class Sizes(Sum):
    columns: Sequence[str] = ()

    def of(self, batch: Batch):
        return [np.bincount(batch.segments, minlength=3)]


@dataclass(frozen=True)
class Spent(Tally):
    """Tells what is spent in each segment and in all, and the rows in their order with their distances."""

    columns: Sequence[str] = ("spent",)
    width = 2

    def of(self, batch: Batch):
        sums = np.array([each.sum() for each in batch.by_segment(batch.column("spent"))])
        return [sums, np.column_stack([batch.column("spent"), batch.squares])]

    def both(self, before, after):
        return [before[0] + after[0], np.vstack([before[1], after[1]])]


@dataclass(frozen=True)
class Chance(Tally):
    columns: Sequence[str] = ("spent",)
    width = 1

    def of(self, batch: Batch):
        (drawn,) = batch.drawn([0.5], seed=7)
        return [np.array([(2.0**drawn).sum()])]  # another number for any other rows

    def both(self, before, after):
        return [np.concatenate([*before, *after])]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The values as a table; what it is asked for is noted."""
    columns = dict(zip(["a", "b", "spent", "unused"], [*VALUES.T, VALUES[:, 0]], strict=True))
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet", row_group_size=300)
    each, asked = Table.each, []

    def noted(self, columns, visit, **given):
        asked.append((columns, given))
        return each(self, columns, visit, **given)

    monkeypatch.setattr(Table, "each", noted)
    with Table(str(tmp_path / "rows.parquet")) as opened:
        opened.asked = asked
        yield opened


@pytest.mark.parametrize("part", [21, 10**6])
def test_one_pass_tells_several_things_of_all_rows_whatever_the_parts(table, monkeypatch, part):
    monkeypatch.setattr(rows, "BATCH", part)
    (sizes,), (sums, spent) = tallied(table, SEGMENTING, Sizes(), Spent())

    assert [columns for columns, _ in table.asked] == [["a", "b", "spent"]]
    assert sizes.tolist() == np.bincount(NEAREST, minlength=3).tolist()
    assert sums == pytest.approx([*np.bincount(NEAREST, VALUES[:, 2], 3), VALUES[:, 2].sum()])
    assert (spent[:, 0] == VALUES[:, 2]).all()
    assert spent[:, 1] == pytest.approx(((VALUES[:, :2] - CENTERS[NEAREST]) ** 2).sum(axis=1))


def test_what_is_told_of_parts_may_be_joined_where_the_rows_are(table, monkeypatch):
    """As a cluster does: two neighbours come as one."""
    told = tallied(table, SEGMENTING, Sizes(), Spent())
    each = Table.each

    def joining(self, columns, visit, *, join):
        parts = list(each(self, columns, visit))
        assert len(parts) > 10
        yield from (join(*parts[place : place + 2]) for place in range(0, len(parts) - 1, 2))
        yield from parts[len(parts) // 2 * 2 :]

    monkeypatch.setattr(rows, "BATCH", 210)
    monkeypatch.setattr(Table, "each", joining)
    for arrays, wanted in zip(tallied(table, SEGMENTING, Sizes(), Spent()), told, strict=True):
        for array, same in zip(arrays, wanted, strict=True):
            np.testing.assert_allclose(array, same, rtol=1e-12)


def test_each_batch_draws_by_a_chance_of_its_own_and_again_the_same(table, monkeypatch):
    monkeypatch.setattr(rows, "BATCH", 30)
    ((drawn,),) = tallied(table, Segmenting(), Chance())
    ((again,),) = tallied(table, Segmenting(), Chance())

    assert len(set(drawn.tolist())) == len(drawn) > 30
    assert (drawn == again).all()


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_feature_without_a_number_is_an_error_that_names_it(tmp_path, value):
    pq.write_table(pa.table({"a": [0.1, 0.2, 0.3], "b": [1.0, value, 2.0]}), tmp_path / "rows.parquet")
    with (
        Table(str(tmp_path / "rows.parquet")) as table,
        pytest.raises(ValueError, match="Column 'b' has missing or infinite values; drop or fill them first"),
    ):
        tallied(table, SEGMENTING, Sizes())
