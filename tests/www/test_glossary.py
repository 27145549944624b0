"""Every term on the page is explained, in one place."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from airflow_segmentation.clustering.methods import METHODS, SCORES
from airflow_segmentation.www import pages
from airflow_segmentation.www.glossary import TERMS
from airflow_segmentation.www.runs import Run, Task
from made.reports import evidenced, make_assignment, make_report, succeeding


def test_every_score_and_method_is_explained() -> None:
    assert {*SCORES, *METHODS} <= TERMS.keys()


def test_every_term_says_what_it_is_what_is_good_and_what_to_do() -> None:
    for name, term in TERMS.items():
        for text in (term.what, term.good, term.do):
            assert re.fullmatch(r"[A-Z0-9].{20,}\.", text), name
            assert "cluster" not in text.lower(), name


def test_every_term_that_is_asked_for_on_a_page_has_its_note_there() -> None:
    run = Run("d", "r", "success", datetime(2026, 3, 14, tzinfo=timezone.utc), {})
    task = Task("choose", -1)
    last, named = evidenced(make_report(k=30)), succeeding(evidenced(make_report()))
    assigned = [(task, make_assignment())]

    page = "".join(
        pages.render("run.html", **pages.run_page(run, task, [task], report, {"k": k}, {}, assigned))
        for report, k in ((last, "4"), (last, "30"), (named, "8"))  # rules are of the chosen k alone
    )

    asked = set(re.findall(r'popovertarget="about-(\w+)"', page))
    assert asked <= set(re.findall(r'<aside class="note" id="about-(\w+)" popover', page))
    assert asked == TERMS.keys() - {"drift"}, "drift is between runs"
