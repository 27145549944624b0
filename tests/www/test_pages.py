"""What each page holds, for reports and addresses of every kind."""

from __future__ import annotations

import dataclasses
import html
import re
from datetime import datetime, timezone
from typing import Any

import pytest
from airflow_segmentation.reports.report import CurvePoint, Feature, Report
from airflow_segmentation.www import pages, words
from airflow_segmentation.www.runs import Run, Task
from made.reports import continuum, evidenced, make_report


def of_two(**changes: object) -> Report:
    """Return a report whose scores at k = 2, the chosen, and at k = 3 are round numbers."""
    centers = ((1.0, 50.0), (3.0, 10.0))
    two = CurvePoint(2, 200.0, 0.6, scores={"silhouette": 0.504}, sizes=(70, 30), centers=centers)
    three = CurvePoint(
        3, 150.0, 0.7, scores={"silhouette": 0.456}, sizes=(60, 30, 10), centers=(*centers, (2.0, 70.0))
    )
    report = dataclasses.replace(
        make_report(), k=2, k_min=2, k_max=3, rows=100, curve=(two, three), features=FEATURES, profiles=()
    )
    return dataclasses.replace(report, **changes)  # type: ignore[arg-type]


FEATURES = (Feature("a", 0.0, 9.0, 1.6, 5.0), Feature("b", 0.0, 90.0, 38.0, 20.0))


def test_scores_stand_beside_their_change_against_the_chosen_k() -> None:
    assert pages.scores(of_two(), 3) == [
        ("sse", "SSE", "150", "-25.0%"),
        ("explained", "Variation explained", "70.0%", "+10.0 points"),
        ("silhouette", "Silhouette", "0.46", "-0.04, worse"),
    ]
    assert [change for *_, change in pages.scores(of_two(), 2)] == ["", "", ""]


def test_a_change_says_whether_it_is_better_where_its_best_k_can_be_too_large() -> None:
    two, three = of_two().curve
    scores: tuple[dict[str, float | None], ...] = (
        {"silhouette": 0.504, "calinski_harabasz": 100.0, "davies_bouldin": 0.8},
        {"silhouette": 0.501, "calinski_harabasz": 110.0, "davies_bouldin": 1.0},
    )
    scored = [
        dataclasses.replace(point, seconds=point.k / 10, scores=known)
        for point, known in zip((two, three), scores, strict=True)
    ]

    changes = {name: change for name, *_, change in pages.scores(of_two(curve=tuple(scored)), 3)}

    assert changes == {
        "sse": "-25.0%",
        "explained": "+10.0 points",
        "silhouette": "the same",
        "calinski_harabasz": "+10.0%, better",
        "davies_bouldin": "+25.0%, worse",
        "seconds": "",
    }


@pytest.mark.parametrize(
    ("order", "segments"),
    [
        ("", [0, 1, 2]),
        ("0", [0, 1, 2]),
        ("-0", [2, 1, 0]),
        ("1", [2, 1, 0]),
        ("-2", [0, 1, 2]),
        ("3", [0, 2, 1]),
        ("-3", [1, 2, 0]),
        ("4", [1, 0, 2]),
        ("9", [0, 1, 2]),
        ("x", [0, 1, 2]),
    ],
)
def test_segments_are_sorted_by_what_is_asked_for(order: str, segments: list[int]) -> None:
    assert [row[0] for row in pages.segments_table(of_two(), 3, order)["rows"]] == segments


def test_the_table_of_segments_has_the_most_telling_features_first_each_under_its_own_name() -> None:
    table = pages.segments_table(of_two(), 2, "")

    assert table["headers"] == [("0", "Segment"), ("1", "Rows"), ("2", "Share"), ("4", "b"), ("3", "a")]
    assert table["rows"] == [(0, 70, 0.7, 50.0, 1.0), (1, 30, 0.3, 10.0, 3.0)]


def shown(report: Report) -> str:
    """Return the page of a run with this report."""
    run = Run("d", "r", "success", datetime(2026, 3, 14, tzinfo=timezone.utc), {})
    task = Task("choose", -1)
    return pages.render("run.html", **pages.run_page(run, task, [task], report, {}, {}))


@pytest.mark.parametrize(
    ("features", "more"), [(12, None), (13, "1 more feature is"), (18, "6 more features are")]
)
def test_features_that_are_elsewhere_are_told_of_where_they_are(features: int, more: str | None) -> None:
    report = make_report(features=features, k_max=6, k=3)
    without = tuple(dataclasses.replace(point, centers=None) for point in report.curve)

    assert len(pages.segments_table(report, 3, "")["headers"]) == 3 + min(features, 12)
    where = f"{more} in the heat map, and in the report and the charts to download."
    assert (where in shown(report)) == (more is not None)
    assert "in the heat map" not in shown(dataclasses.replace(report, curve=without)), "there is none"


def told(page: str, element_id: str) -> str | None:
    """Return the text of an element without elements of its own kind in it, as a person reads it."""
    found = re.search(rf'<(\w+)[^>]* id="{element_id}"[^>]*>(.*?)</\1>', page, re.DOTALL)
    return found and " ".join(html.unescape(re.sub("<[^>]+>", "", found[2])).split())


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (evidenced(make_report()), "the evidence is for k = 5"),
        (evidenced(make_report(k=5)), "the evidence agrees"),
        (continuum(make_report()), "the evidence is for no k"),
        (dataclasses.replace(evidenced(make_report(k=5)), decided_by="evidence"), None),
        (make_report(), None),
    ],
    ids=["another", "the same", "none", "decided", "not known"],
)
def test_beside_the_chosen_k_stands_what_the_evidence_is_for(report: Report, said: str | None) -> None:
    page = shown(report)

    assert told(page, "evidence") == said
    assert bool(re.search(r'<a href="[^"]*[?&;]k=5" id="evidence-k" data-stay>', page)) == (
        said is not None and said.endswith("5")
    )


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("none", "No groups: one continuum"),
        ("unclear", "Groups that do not lie apart"),
        ("clear", "Clear groups"),
    ],
)
def test_whether_there_are_groups_is_said_in_plain_words(verdict: Any, said: str) -> None:
    report = evidenced(make_report())
    assert report.structure
    page = shown(
        dataclasses.replace(report, structure=dataclasses.replace(report.structure, verdict=verdict))
    )

    assert told(page, "verdict") == said
    card = told(page, "structure") or ""
    for part in (
        words.structure(report.structure)[-30:],
        words.dips(report.structure),
        report.structure.null,
    ):
        assert part
        assert part in card


def test_a_report_of_before_there_was_evidence_has_none_on_its_page() -> None:
    before = {**make_report().to_json(), "schema_version": 2}
    page = shown(Report.from_json(before))

    assert told(page, "chosen-k") == "8"
    for element_id in ("structure", "evidence", "gap", "sort-order-again"):
        assert f'id="{element_id}"' not in page
    assert "omes again" not in page.partition('<aside class="note"')[0]  # what terms mean stands at the end


def test_why_the_evidence_is_for_its_k_is_said_once() -> None:
    report = evidenced(make_report())
    assert report.recommendation
    reason = report.recommendation.reason
    warned = dataclasses.replace(report, warnings=(f"The evidence is for k=5 rather than k=8. {reason}",))

    assert shown(report).count(reason) == 1
    assert shown(warned).count(reason) == 1
    assert "The evidence is for k = 5, as the warning above says." in shown(warned)


def test_the_table_of_segments_tells_how_sure_each_comes_again_in_a_figure_and_a_word() -> None:
    page = shown(evidenced(make_report()))
    cells = re.findall(r'<td>([0-9.]+) <span class="(\w+)">(\w+)</span></td>', page)

    assert cells[0] == ("1.00", "muted", "stable")
    assert cells[-1] == ("0.48", "unlike", "dissolves")
    assert len(cells) == 8
    assert words.COMES_AGAIN in page


def test_segments_are_sorted_by_how_sure_they_come_again() -> None:
    two, three = of_two().curve
    report = of_two(curve=(two, dataclasses.replace(three, jaccard=(0.7, 0.4, 0.9))))

    def order_of(order: str, k: int) -> list[int]:
        return [row[0] for row in pages.segments_table(report, k, order)["rows"]]

    assert order_of("again", 3) == [1, 0, 2]
    assert order_of("-again", 3) == [2, 0, 1]
    assert order_of("again", 2) == [0, 1], "it is not known there"
    headers = pages.segments_table(report, 3, "-again")["headers"]
    assert headers[2:4] == [("2", "Share"), ("again", "Comes again")]
    assert ("again", "Comes again") not in pages.segments_table(report, 2, "")["headers"]


def test_stability_is_said_to_be_of_k_and_not_of_the_segments() -> None:
    stability = told(shown(make_report()), "stability") or ""

    assert stability.endswith("It tells whether k would be chosen again, not whether the segments are there.")


def test_until_includes_its_day() -> None:
    query = pages.query_of({"since": "2026-03-14", "until": "2026-03-14"})

    assert query.since == datetime(2026, 3, 14, tzinfo=timezone.utc)
    assert query.until == datetime(2026, 3, 15, tzinfo=timezone.utc)


def test_what_is_not_stored_at_a_k_is_said_with_why_and_what_to_do() -> None:
    report = make_report()
    bare = tuple(
        dataclasses.replace(point, centers=None, sizes=None) if point.k == 20 else point
        for point in report.curve
    )
    run = Run("d", "r", "success", datetime(2026, 3, 14, tzinfo=timezone.utc), {})
    task = Task("choose", -1)
    context = pages.run_page(run, task, [task], dataclasses.replace(report, curve=bare), {"k": "20"}, {})

    for page in (pages.render("run.html", **context), pages.self_contained(context)):
        for what in ("Sizes", "Centres", "Rows to draw"):
            assert f"{what} for k = 20 were not stored: a report keeps below a size" in page
        assert "To see them, trigger the Dag with k = 20." in page
