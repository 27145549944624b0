"""Segments for customers of every kind, from a model of two segments over A and B, each from 1 to 5."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from airflow_segmentation.operators import KMeansPredictOperator
from airflow_segmentation.reports.report import ASSIGNMENT_KEY, Assignment
from airflow_segmentation.segments.model import build_model, save_model
from airflow_segmentation.tables.parquet import Table
from airflow_segmentation.tables.passes import ASSIGNED
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

    assert list(table) == [*own, ours, *list(ASSIGNED)[1:]]
    assert table[own].iloc[0].tolist() == [1 if name in "AB" else 7 for name in own]
    assert table[ours].tolist() == [0]
    assert facts["segment_column"] == ours
    told = f"The customers have a column 'segment' of their own, which stays as it is; ours is {ours!r}"
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


CENTERS = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
USUAL = np.outer([0.2, 0.4, 0.5], np.arange(101) / 100)


@pytest.fixture
def placed(tmp_path):
    """Return a function from a CSV to the table and the record of it, by a model that tells all it can."""

    def run(text, data=None, **facts):
        (tmp_path / "customers.csv").write_text(text)
        scaling = Scaling(("A", "B"), (0.0, 0.0), (10.0, 10.0), 9, feature_range=(0.0, 1.0))
        facts = {"names": ("Segment 0: A low", "Segment 1: A high", "Segment 2: 'B' high")} | facts
        model = build_model(scaling, CENTERS, sse=1.0, iterations=1, **facts)
        digest, task = save_model(model, str(tmp_path / "model.sav")), Task("assign")
        uri = KMeansPredictOperator(
            task_id="assign",
            model_path=str(tmp_path / "model.sav"),
            model_digest=digest,
            data=data or str(tmp_path / "customers.csv"),
        ).execute({"ti": task})
        return pd.read_parquet(uri), Assignment.from_json(task.pushed[ASSIGNMENT_KEY]), digest, uri

    return run


def test_each_customer_has_a_name_a_distance_its_percentile_and_the_next_segment(placed):
    table, told, digest, uri = placed("A,B\n1,0\n10,8\n0,11\n,1\n", distances=USUAL)

    assert table["segment_name"].tolist()[:3] == [
        "Segment 0: A low",
        "Segment 1: A high",
        "Segment 2: 'B' high",
    ]
    assert table["segment_distance"].tolist()[:3] == pytest.approx([0.1, 0.2, 0.1])
    assert table["segment_percentile"].tolist()[:3] == pytest.approx([50, 50, 20])
    assert table["second_segment"].tolist()[:3] == [2, 2, 1]
    assert table.iloc[3][list(ASSIGNED)].isna().all()
    assert told == Assignment(
        uri=uri,
        columns={name: name for name in ASSIGNED},
        rows=4,
        without=1,
        sizes=(1, 1, 1),
        numbers=(0, 1, 2),
        far=0,
        outside=1,
        model_digest=digest,
    )


def test_segments_go_by_their_numbers(placed):
    names = ("Savers", "Segment 0: A high", "Segment 2: 'B' high")
    table, told, _, _ = placed("A,B\n1,0\n10,8\n0,11\n0,0\n,1\n", names=names, numbers=(7, 0, 4))

    assert table["segment"].tolist()[:4] == [7, 0, 4, 7]
    assert table["second_segment"].tolist()[:4] == [4, 4, 0, 4]
    assert table["segment_name"].tolist()[:3] == list(names)
    assert table.iloc[4][list(ASSIGNED)].isna().all()
    assert (told.numbers, told.sizes) == ((7, 0, 4), (2, 1, 1))


def test_those_farther_out_than_99_of_100_are_counted(placed):
    _, told, _, _ = placed("A,B\n1.98,0\n1.99,0\n3,0\n10,5.9\n", distances=USUAL)
    assert told.far == 3


def test_a_model_of_before_tells_no_names_and_no_percentiles(placed):
    table, told, _, _ = placed("A,B\n1,0\n10,8\n", names=())

    assert table["segment_name"].tolist() == ["Segment 0", "Segment 1"]
    assert table["segment_percentile"].isna().all()
    assert table["segment_distance"].notna().all()
    assert told.far is None


def test_no_customer_at_all_makes_an_empty_table(placed, tmp_path):
    pd.DataFrame({"A": [], "B": []}).to_parquet(tmp_path / "nobody.parquet")
    table, told, _, _ = placed("A,B\n1,1\n", data=str(tmp_path / "nobody.parquet"))
    assert (len(table), told.rows, told.sizes) == (0, 0, (0, 0, 0))
