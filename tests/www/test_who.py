"""Who the segments are, on the page: in words, as charts, as rules, and where the customers lie."""

from __future__ import annotations

import csv
import html
import io
import re
from typing import Any

import duckdb
import pandas as pd
import pytest
from airflow_segmentation.reports.describing import describe
from airflow_segmentation.www import pages
from airflow_segmentation.www.rules import sql
from made.reports import evidenced, make_assignment, make_report

RUN = "run?dag_id=open&run_id=evidenced"
REPORT = evidenced(make_report())


@pytest.mark.parametrize("server", ["simple"], indirect=True)
def test_each_segment_is_described_and_set_beside_all_customers(server: Any) -> None:
    text = html.unescape(server.get(f"/{RUN}").text)

    for each in describe(REPORT, REPORT.chosen):
        assert (
            f"Segment {each.identity.number}, {each.share:.1%}</strong>: <bdi>{each.in_words}</bdi>." in text
        )
    assert re.search(r"All customers</th><td>600</td><td>100%</td>", text)
    assert '<th scope="col">All customers</th>' in text
    lift = (REPORT.chosen.centers or ())[7][0] / (REPORT.features[0].mean or 1)
    assert f"{lift:.2g} times" in text


@pytest.mark.parametrize("server", ["simple"], indirect=True)
def test_rules_are_of_the_chosen_k_alone_and_can_be_copied_as_sql(server: Any) -> None:
    text = html.unescape(server.get(f"/{RUN}").text)

    assert REPORT.rules is not None
    assert sql(REPORT.rules) in text
    assert "8 rules of up to 2 comparisons tell the segment of 90.0% of the 600 rows" in text
    assert "copy-sql" not in server.get(f"/{RUN}&k=5").text


@pytest.mark.parametrize("server", ["simple"], indirect=True)
def test_where_the_customers_lie_and_how_many_are_far_out_is_told(server: Any) -> None:
    text = html.unescape(re.sub(r"<[^>]+>", "", server.get(f"/{RUN}").text))

    assert "1,200 of 1,234 customers have a segment" in text
    assert "60 (5.0%) lie far out" in text
    assert "1 has a value beyond the range" in text
    assert "SELECT * FROM read_parquet('s3://bucket/customer_segmentation/segments.parquet')" in text


def test_the_lines_of_pandas_and_of_sql_read_that_segment(tmp_path: Any) -> None:
    column = """it's a "segment\""""
    frame = pd.DataFrame({"ID": ["a", "b", "c"], column: [0, 1, 1]})
    path = tmp_path / "it's here.parquet"
    frame.to_parquet(path)

    lines = pages.reading(make_assignment(uri=f"file://{path}", columns={"segment": column}), 1)

    assert eval(lines["pandas"], {"pd": pd})["ID"].tolist() == ["b", "c"]
    with duckdb.connect() as database:
        assert database.execute(lines["sql"]).fetchall() == [("b", 1), ("c", 1)]


def test_the_line_of_sql_quotes_what_it_is_given() -> None:
    table = make_assignment(uri="file:///it's/x.parquet", columns={"segment": 'a "b"'})
    assert pages.reading(table, 3)["sql"] == (
        'SELECT * FROM read_parquet(\'/it\'\'s/x.parquet\') WHERE "a ""b""" = 3;'
    )


@pytest.mark.parametrize("server", ["simple"], indirect=True)
@pytest.mark.parametrize("k", [8, 5])
def test_the_segments_at_the_k_that_is_looked_at_can_be_taken_away(server: Any, k: int) -> None:
    response = server.get(f"/{RUN}&k={k}".replace("/run?", "/run/segments.csv?", 1))
    rows = list(csv.DictReader(io.StringIO(response.text)))
    point = REPORT.curve[k - 1]

    assert [int(row["rows"]) for row in rows] == list(point.sizes or ())
    assert [row["description"] for row in rows] == [each.in_words for each in describe(REPORT, point)]
    assert [float(row["BALANCE"]) for row in rows] == [centre[0] for centre in point.centers or ()]
    assert [float(row["comes_again"]) for row in rows] == list(point.jaccard or ())


def test_a_spreadsheet_takes_no_name_for_a_formula() -> None:
    features = tuple(
        type(feature)(f"={feature.name}", feature.minimum, feature.maximum, feature.mean, feature.deviation)
        for feature in REPORT.features
    )
    text = pages.segments_csv(type(REPORT)(**{**vars(REPORT), "features": features}), 8)
    cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
    assert any(cell.startswith("'=BALANCE") for cell in cells)
    assert not any(cell.startswith("=") for cell in cells)
