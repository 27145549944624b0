from __future__ import annotations

import dataclasses
import html
import re
from typing import Any

import pytest
from airflow_segmentation.reports.report import Report
from airflow_segmentation.reports.reviewing import Unchanged, escaped, told
from hypothesis import example, given
from hypothesis import strategies as st
from made.reports import evidenced, make_report
from made.reviews import settled
from markdown_it import MarkdownIt

SETTLED = settled(make_report(k=5))


def changed(**changes: Any) -> Report:
    """Return the settled report, with what is published changed."""
    assert SETTLED.published
    return dataclasses.replace(SETTLED, published=dataclasses.replace(SETTLED.published, **changes))


def with_trust(*trust: float) -> Report:
    """Return the settled report, its segments coming again so sure."""
    curve = (
        dataclasses.replace(point, jaccard=trust or None) if point.k == 5 else point
        for point in SETTLED.curve
    )
    return dataclasses.replace(SETTLED, curve=tuple(curve))


def with_one_more_published() -> Report:
    """Return the settled report with one of its segments new, and one more published that is gone."""
    assert SETTLED.published
    published = SETTLED.published
    return changed(numbers=(*published.numbers[:-1], 3))


def test_nothing_is_exceeded_where_segments_go_on_as_they_were() -> None:
    assert Unchanged().exceeded(SETTLED) == ()


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (make_report(), ["No segments were published before"]),
        (with_one_more_published(), ["New segments: 14", "Segments that are gone: 3"]),
        (with_trust(0.9, 0.9, 0.74, 0.9, 0.9), ["Segments that do not come again for sure: 12"]),
        (with_trust(), ["Whether segments come again when rows are drawn anew is not known"]),
        (changed(psi=(0.02, 0.31, 0.02)), ["The PSI of PURCHASES is 0.31"]),
        (changed(psi_shares=0.1), ["The PSI of the segments' shares is 0.1"]),
        (changed(psi=()), ["How far the rows have shifted is not known"]),
    ],
    ids=["none published", "new and gone", "weak", "no trust", "feature", "shares", "no rows"],
)
def test_what_a_person_should_look_at_is_told(report: Report, why: list[str]) -> None:
    assert list(Unchanged(psi=0.1).exceeded(report)) == why


def test_another_k_than_is_published_is_told() -> None:
    assert "k is 6, and 5 segments are published" in Unchanged().exceeded(dataclasses.replace(SETTLED, k=6))


def test_a_shift_that_chance_makes_of_few_rows_is_none() -> None:
    assert Unchanged(psi=0.1).exceeded(changed(psi_shares=0.3, psi_by_chance=0.4)) == ()


@pytest.mark.parametrize("psi", [0, -0.1])
def test_a_limit_that_is_none_is_refused(psi: float) -> None:
    with pytest.raises(ValueError, match="should be > 0"):
        Unchanged(psi=psi)


def test_the_grounds_are_told() -> None:
    text = told(evidenced(make_report()), "/page")

    assert (
        "- **k = 8**, of 1 to 30, decided by kneedle\n- **Clear groups**\n- The evidence is for k = 5: "
        in text
    )
    assert "- Segments that do not come again for sure: 7\n" in text
    assert "- Segment 0, " in text
    assert text.endswith("\n\n[Look at the run's page](/page)")


def test_drift_against_the_published_segments_is_told() -> None:
    text = told(changed(psi=(0.02, 0.31, 0.02)), "/page")

    assert "- Against version 1 of the published segments: 5 kept\n" in text
    assert "- The rows have shifted most in PURCHASES, by a PSI of 0.31\n" in text
    assert "- Segment 10: Savers, " in text


@pytest.mark.parametrize(
    ("text", "in_markdown"),
    [
        ("a_b [c](d)\n<e>", "a\\_b \\[c\\]\\(d)\N{REPLACEMENT CHARACTER}\\<e\\>"),
        ("BALANCE low (0.3 times the average); otherwise average", None),
        ("https://evil.example", "https\\:\\//evil\\.example"),
        ("www.evil.example", "www\\.evil\\.example"),
        ("1. one", "1\\. one"),
        ("- one", "\\- one"),
        ("a | b", "a \\| b"),
    ],
)
def test_marks_that_mean_something_are_escaped_and_others_stay(text: str, in_markdown: str | None) -> None:
    assert escaped(text) == (text if in_markdown is None else in_markdown)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)), st.sampled_from(["- {}", "{}", "x: {}"]))
@example("12) evil.example www.evil.example //evil.example ftp://evil.example mailto:a@evil.example", "{}")
def test_any_text_is_shown_as_it_stands(text: str, place: str) -> None:
    inline = MarkdownIt("gfm-like", {"html": True}).render(place.format(escaped(text)))

    assert {*re.findall(r"</?([a-z0-9]+)", inline)} <= {"p", "ul", "li"}
    shown = html.unescape(re.sub(r"</?(?:p|ul|li)>", "", inline))
    assert "".join(text.split()) in "".join(shown.split())
