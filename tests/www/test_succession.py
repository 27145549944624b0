"""A run beside the published segments: which were kept, where rows go, and names of whatever text."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
from typing import Any

import plotly.graph_objects as go
import pytest
from airflow_segmentation.reports import figures
from airflow_segmentation.reports.drawing import svg
from airflow_segmentation.reports.report import Report
from airflow_segmentation.www import pages, words
from airflow_segmentation.www.portraits import portraits
from airflow_segmentation.www.rules import numbered, sql
from airflow_segmentation.www.succession import Succession, succession
from made.reports import HOSTILE, evidenced, make_report, succeeding

PLAIN = evidenced(make_report())
NAMED = succeeding(PLAIN, "Savers", "", "Travellers")
NUMBERS = ["2", "0", "1", "3", "4", "12", "6", "9"]
RUN = "run?dag_id=open&run_id=named"


def told(report: Report, k: int = 8) -> Succession:
    found = succession(report, figures.point_at(report, k))
    assert found is not None
    return found


def test_a_run_without_published_segments_has_no_such_card() -> None:
    assert succession(PLAIN, PLAIN.chosen) is None


def test_each_segment_is_kept_or_moved_or_new_or_gone() -> None:
    found = told(NAMED)

    assert found.summary == "Against version 3: 6 kept, 1 moved, 1 new, 1 gone."
    assert [(each.label, state) for each, state, *_ in found.rows] == [
        ("2: Travellers", "kept"),
        ("0: Savers", "kept"),
        ("1", "kept"),
        ("3", "kept"),
        ("4", "kept"),
        ("12", "new"),
        ("6", "moved"),
        ("9", "kept"),
        ("5", "gone"),
    ]
    assert found.rows[6][2:] == ("40.0%", "5.0%", "2.3%")
    assert found.rows[5][2:4] == ("n/a", "n/a")
    assert found.rows[8][2:] == ("n/a", "5.0%", "n/a")


def test_any_k_is_compared_and_rows_are_counted_at_the_chosen_one() -> None:
    found = told(NAMED, k=3)

    assert found.summary == "Against version 3: 3 moved, 5 gone."
    assert found.migration.figure is None
    assert found.migration.summary == "Rows were counted at the chosen k = 8 only."
    assert found.shifts == told(NAMED).shifts


def test_the_migration_is_a_chart_and_a_table_of_all_rows() -> None:
    card = told(NAMED).migration
    assert card.figure is not None
    assert card.table is not None
    (trace,) = card.figure["data"]

    go.Figure(card.figure)
    assert trace["x"] == NUMBERS
    assert [round(sum(row), 9) for row in trace["z"]] == [1.0] * 8
    assert "both models assign all 600 rows. 539 (90%) stay in their segment." in card.summary
    assert card.table.headers[:2] == ("Published", "To 2")
    assert [row[0] for row in card.table.rows][:3] == ["0: Savers", "1", "2: Travellers"]


@pytest.mark.parametrize(
    ("psi", "by_chance", "shift"),
    [
        (0.099, 0.0, "none"),
        (0.1, 0.0, "some"),
        (0.25, 0.0, "much"),
        (0.3, 0.31, "may be chance"),
        (0.01, 1.0, "none"),
    ],
)
def test_a_shift_is_told_from_chance(psi: float, by_chance: float, shift: str) -> None:
    before = dataclasses.replace(NAMED.published, psi_shares=psi, psi_by_chance=by_chance)  # type: ignore[type-var]
    table = told(dataclasses.replace(NAMED, published=before)).shifts
    assert table is not None
    assert table.rows[0] == ("Shares of the segments", f"{psi:.3f}", shift)
    assert len(table.rows) == 1 + len(NAMED.features)


def test_every_chart_and_table_tells_segments_by_their_numbers():
    k, drawn = NAMED.k, portraits(NAMED, NAMED.chosen, None, 3)
    named = ["2: Travellers", "0: Savers", *NUMBERS[2:]]

    assert figures.sizes(NAMED, k)["data"][0]["x"] == NUMBERS
    assert figures.centres(NAMED, k)["data"][0]["x"] == NUMBERS
    scattered = figures.sample(NAMED, k, 0, 1)["data"]
    assert [trace["legendgroup"] for trace in scattered[:-1]] == scattered[-1]["text"] == NUMBERS
    assert scattered[0]["name"] == "Segment 2: \u2068Travellers\u2069"
    assert scattered[0]["marker"]["color"] == figures.colour(2)
    assert [row[0] for row in words.sizes_table(NAMED, k).rows] == named
    assert words.centres_table(NAMED, k).headers[-8:] == tuple(f"Segment {label}" for label in named)
    assert {row[3] for row in words.sample_table(NAMED, k, 0, 1).rows} <= set(named)
    assert [row[0] for row in drawn.map.table.rows] == named
    assert [row[0] for row in drawn.silhouettes.table.rows] == named
    assert [row[0] for row in drawn.distribution.table.rows] == ["All", *named]
    assert [box["name"] for box in drawn.distribution.figure["data"]] == ["All", *NUMBERS]
    assert drawn.beside.figure["data"][0]["node"]["label"] == [*NUMBERS, "0", "1", "2"]
    assert {row[0] for row in drawn.beside.table.rows} == set(named)
    assert [row[0] for row in pages.segments_table(NAMED, k, "")["rows"]] == sorted(map(int, NUMBERS))
    found = numbered(NAMED)
    assert found is not None
    assert all(f"THEN {number}\n" in sql(found) for number in NUMBERS)


def test_what_is_said_of_a_segment_is_said_of_its_number() -> None:
    table = pages.segments_table(NAMED, 8, "2")
    assert [row[0] for row in table["rows"]] == list(map(int, reversed(NUMBERS)))
    assert table["again"] == dict(zip(map(int, NUMBERS), NAMED.chosen.jaccard or (), strict=True))
    small, large = table["rows"][0], table["rows"][-1]
    assert table["lifts"][small[0]] != table["lifts"][large[0]]
    first = words.centres(PLAIN, 8).split("segment ")[1][0]
    assert words.centres(NAMED, 8).split("segment ")[1].startswith(f"{NUMBERS[int(first)]}, ")


@pytest.mark.parametrize("server", ["simple"], indirect=True)
def test_the_page_compares_and_names(server: Any) -> None:
    page = server.get(f"/{RUN}").text

    assert "Against version 3: 6 kept, 1 moved, 1 new, 1 gone." in page
    assert "2: <bdi>Travellers</bdi></th>" in page
    assert "<strong>Segment 0: <bdi>Savers</bdi>, 19.5%</strong>" in page
    assert "To read one segment, here segment 9:" in page
    assert 'id="published"' in server.get(f"/{RUN}".replace("run?", "run/charts.html?")).text
    assert 'id="published"' not in server.get("/run?dag_id=open&run_id=evidenced").text


@pytest.mark.parametrize("name", [HOSTILE, "=1+1", "</script><img src=x onerror=alert(1)>", "%{x}<br><b>"])
def test_a_name_is_text_wherever_it_goes(name: str) -> None:
    report = succeeding(PLAIN, name)
    (line,) = [row for row in csv.reader(io.StringIO(pages.segments_csv(report, 8))) if row[0] == "0"]
    assert line[1] in (name, f"'{name}")
    assert not line[1].startswith("=")

    drawn = portraits(report, report.chosen, None, None)
    charts = [
        figures.sizes(report, 8),
        figures.sample(report, 8, 0, 1),
        told(report).migration.figure,
        drawn.map.figure,
        drawn.silhouettes.figure,
    ]
    for chart in charts:
        assert chart is not None
        text = pages.as_json(chart)
        assert "<" not in text, "neither in a script element, nor as a tag of Plotly's"
        for trace in chart["data"]:
            assert name[:5] not in trace.get("hovertemplate", "")
    drawing = svg(figures.sample(report, 8, 0, 1) or {}, "sample", "A sample of rows")
    assert "<img" not in drawing
    assert "<script" not in drawing
    assert html.escape(name[:20]) in drawing
