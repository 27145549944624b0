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
        (["PATH=/bin\0SECRET=s"], "(no name)"),
        (["a\tb", "c"], "a b, c"),
        (["b", "a\nINFO: all is well"], "b, (no name)"),
        (["A" * 1_000_000] * 60_000, ", ".join(["A" * 60 + "\u2026"] * 30) + " and 59970 more"),
    ],
    ids=["environment", "tab", "line break", "many"],
)
def test_of_what_is_no_table_little_is_shown_and_in_one_line(columns, shown):
    assert str(missing_column("BALANCE", "in.csv", columns)) == (
        f"Column 'BALANCE' is not in in.csv; it has: {shown}"
    )
