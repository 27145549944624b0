"""Segments for customers of every kind, from a model of two segments over A and B, each from 1 to 5."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from airflow_segmentation.operators import KMeansPredictOperator
from airflow_segmentation.segments.model import build_model, save_model
from airflow_segmentation.tables.parquet import Table
from airflow_segmentation.tables.scaling import Scaling
from made.tasks import Task


@pytest.fixture
def assign(tmp_path, capsys):
    """Return a function from a CSV to the table of segments, its metadata, and the task's log."""

    def run(text, medians=None):
        (tmp_path / "customers.csv").write_text(text)
        scaling = Scaling(("A", "B"), (1.0, 1.0), (5.0, 5.0), 9, feature_range=(0.0, 1.0), medians=medians)
        model = build_model(scaling, np.array([[0.0, 0.0], [1.0, 1.0]]), sse=1.0, iterations=1)
        save_model(model, str(tmp_path / "model.skops"))
        operator = KMeansPredictOperator(
            task_id="assign", model_path=str(tmp_path / "model.skops"), data=str(tmp_path / "customers.csv")
        )
        uri = operator.execute({"ti": Task("assign")})
        with Table(uri) as table:
            facts = table.facts
        told = capsys.readouterr()
        return pd.read_parquet(uri), facts, told.out + told.err

    return run


@pytest.mark.parametrize(
    ("header", "ours"),
    [
        ("ID,A,B", "segment"),
        ("ID,A,B,segment", "segment_2"),
        ("segment,A,B,segment_3", "segment_2"),
        ("segment_2,A,B,segment", "segment_3"),
        ("segment_2,A,B", "segment"),
    ],
)
def test_a_column_of_the_customers_is_never_overwritten(assign, header, ours):
    own = header.split(",")
    table, facts, log = assign(header + "\n" + ",".join("7" if c not in "AB" else "1" for c in own) + "\n")

    assert list(table) == [*own, ours]
    assert table[own].iloc[0].tolist() == [1 if name in "AB" else 7 for name in own]
    assert table[ours].tolist() == [0]
    assert facts["segment_column"] == ours
    told = (
        "The customers have a column 'segment' of their own, which stays as it is; the segments assigned "
        f"here are in the column {ours!r}"
    )
    assert (told in log) == (ours != "segment")
    if ours != "segment":
        assert log.index(told) < log.index("Assigned 1 of 1")


NONE = "{} of {} customers have no segment, as a feature is missing or infinite: {}"
BEYOND = (
    "{} of {} customers with a segment are outside the range that the model was fitted on: {} is 1 to 5 "
    "there. Their segment is the nearest one, and may mean little"
)


@pytest.mark.parametrize(
    ("rows", "medians", "segments", "told"),
    [
        (["1,2", "5,5"], None, [0, 1], []),
        ([",3"], None, [None], [NONE.format(1, 1, "A in 1")]),
        ([",9"], None, [None], [NONE.format(1, 1, "A in 1")]),
        (
            ["1,", "inf,", "1,0"],
            None,
            [None, None, 0],
            [NONE.format(2, 3, "A in 1, B in 2"), BEYOND.format(1, 1, "B")],
        ),
        (["6,5", "7,5"], None, [1, 1], [BEYOND.format(2, 2, "A")]),
        (["1,0.9", "1,1"], None, [0, 0], [BEYOND.format(1, 2, "B")]),
        ([",5", "9,"], (5.0, 5.0), [1, 1], [BEYOND.format(1, 2, "A")]),
    ],
)
def test_each_customer_is_told_of_once_and_truly(assign, rows, medians, segments, told):
    table, _, log = assign("\n".join(["A,B", *rows, ""]), medians)

    assert table["segment"].astype(object).where(table["segment"].notna(), None).tolist() == segments
    assert all(words in log for words in told), log
    assert log.count("customers have no segment") + log.count("outside the range") == len(told)
