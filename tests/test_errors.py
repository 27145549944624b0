from __future__ import annotations

import pytest
from airflow_segmentation.errors import missing_column


def test_a_close_name_is_offered():
    assert str(missing_column(" a", "in.csv", ["A", "b"])) == (
        "Column ' a' is not in in.csv; it has: A, b; did you mean 'A'?"
    )


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (["PATH=/bin\0SECRET=" + "s" * 100], "PATH=/bin\ufffdSECRET=" + "s" * 43 + "\u2026"),
        (["a\nINFO: all is well"], "a\ufffdINFO: all is well"),
        (["A" * 1_000_000] * 60_000, ", ".join(["A" * 60 + "\u2026"] * 30) + " and 59970 more"),
    ],
    ids=["environment", "line break", "many"],
)
def test_of_what_is_no_table_only_beginnings_are_shown_in_one_line(columns, shown):
    assert str(missing_column("BALANCE", "in.csv", columns)) == (
        f"Column 'BALANCE' is not in in.csv; it has: {shown}"
    )
