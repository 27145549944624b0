from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.clustering import Structure
from airflow_segmentation.errors import InputError
from airflow_segmentation.sweeps.table import SweepTable, read_sweep, write_sweep
from airflow_segmentation.tables.scaling import Scaling

SWEEP = SweepTable(
    data_uri="/data.parquet",
    scaling=Scaling(("a", "b"), (0.0, 1.0), (2.0, 3.0), 9, (0.0, 1.0), (1.0, 2.0), (("a is missing", 2),)),
    random_state=5,
    total_sse=12.5,
    k_values=[2, 3, 4],
    inertias=[9, 4, 1],
    centers=[np.arange(2 * k).reshape(k, 2) / 8 for k in (2, 3, 4)],
    sizes=[[6, 3], [5, 3, 1], [4, 3, 1, 1]],
    iterations=[7, 8, 9],
    seconds=[1, 2, 3],
    fit_rows=8,
    scores={"silhouette": [0.5, 0.75, 0.25], "davies_bouldin": [1, 2, 3]},
    silhouette_rows=6,
    resamples=[([2, 3], [8.0, 4.0]), ([2], [7.0])],
    resample_rows=5,
    jaccard=[[1.0, 0.5], [0.9, 0.25, 0.75], [0.125, 0.25, 0.5, 1.0]],
    structure=Structure([0.0, 0.5, 0.25], [0.0, 0.1, 0.2], p=0.04, sets=24, rows=9, dip_component=0.5),
    warnings=["What the sweep had to tell"],
)


def plain(sweep: SweepTable) -> dict[str, Any]:
    """Return all that a sweep holds, as JSON has it."""
    listed = asdict(replace(sweep, centers=[np.asarray(each).tolist() for each in sweep.centers]))
    return {**listed, "resamples": [[list(k_values), list(sse)] for k_values, sse in sweep.resamples]}


def test_a_sweep_is_read_as_it_was_written(tmp_path):
    uri = str(tmp_path / "sweep.parquet")
    write_sweep(SWEEP, uri)

    assert plain(read_sweep(uri)) == plain(SWEEP)
    assert all(each.shape == (k, 2) for k, each in zip((2, 3, 4), read_sweep(uri).centers, strict=True))


def test_a_sweep_is_a_table_with_a_row_for_each_k(tmp_path):
    write_sweep(SWEEP, str(tmp_path / "sweep.parquet"))

    schema = pq.read_schema(tmp_path / "sweep.parquet")
    # Older releases of pyarrow call the items of a list otherwise.
    assert {item.name: str(item.type).replace("item:", "element:") for item in schema} == {
        "k": "int64",
        "sse": "double",
        "centers": "list<element: list<element: double>>",
        "sizes": "list<element: int64>",
        "jaccard": "list<element: double>",
        "iterations": "int64",
        "seconds": "double",
        "silhouette": "double",
        "davies_bouldin": "double",
    }
    assert pd.read_parquet(tmp_path / "sweep.parquet")["k"].tolist() == [2, 3, 4]


def test_a_k_that_was_not_swept_is_an_error_that_tells_the_range():
    assert [SWEEP.index(k) for k in (2, 3, 4)] == [0, 1, 2]
    for k in (1, 5):
        with pytest.raises(InputError) as caught:
            SWEEP.index(k)
        assert str(caught.value) == (
            f"k={k} is not in the sweep's range 2..4; choose a k of that range, or sweep a wider one"
        )


def test_a_part_of_a_sweep_is_all_of_it_up_to_a_k():
    part = SWEEP.up_to(3)

    assert part is not None
    by_k = ("k_values", "inertias", "centers", "sizes", "iterations", "seconds")
    assert all(len(getattr(part, name)) == 2 for name in by_k)
    assert part.scores == {"silhouette": [0.5, 0.75], "davies_bouldin": [1, 2]}
    assert part.random_state == 5
    assert (SWEEP.up_to(2), SWEEP.up_to(1)) == (None, None)


def test_a_table_that_is_no_sweep_is_named(tmp_path):
    uri = str(tmp_path / "table.parquet")
    pq.write_table(pa.table({"k": [1]}), uri)

    with pytest.raises(InputError) as caught:
        read_sweep(uri)
    assert str(caught.value) == (
        f"{uri} is a table, but no sweep; give the URI that KMeansSweepOperator returned"
    )
