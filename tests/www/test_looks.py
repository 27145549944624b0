"""How the page looks: in Airflow's frame on a small laptop, on a telephone, and on paper."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from airflow.utils.session import create_session
from browser import serious, shown
from made.metadata import add_dag, add_run, push_report
from made.reports import evidenced, make_report
from playwright.sync_api import Page, expect

RUN = "run?dag_id=open&run_id="
LOOKS = "run?dag_id=looks&run_id="
WARNED = LOOKS + "warned"
WIDE = LOOKS + "wide"
MANY = LOOKS + "wide&k=30"
EXPORT = RUN.replace("run?", "run/charts.html?") + "evidenced&k=5"


@pytest.fixture(scope="module", autouse=True)
def looks(filled: None) -> None:
    """Runs that are hard to show: with many warnings, and with forty features and thirty segments."""
    warnings = tuple(f"Warning {number} is long enough for a line: do something" for number in range(6))
    with create_session(scoped=False) as session:
        add_dag(session, "looks")
        push_report(
            session,
            add_run(session, "looks", "warned"),
            dataclasses.replace(evidenced(make_report()), warnings=warnings),
        )
        wide = evidenced(make_report(features=40))
        push_report(session, add_run(session, "looks", "wide", number=1), wide)


@pytest.mark.parametrize("state", [WARNED, RUN + "continuum", RUN + "manual__0", WIDE])
def test_on_a_small_laptop_the_elbow_stands_in_the_first_screen(url: str, page: Page, state: str) -> None:
    page.set_viewport_size({"width": 1166, "height": 640})  # of 1366 x 768 Airflow's frame leaves this
    shown(page, url + state)

    plot = page.locator("#elbow-plot").bounding_box()
    assert plot
    assert plot["y"] + plot["height"] * 3 / 4 < 640


def test_whether_there_are_groups_and_the_evidence_stand_first(url: str, page: Page) -> None:
    shown(page, url + RUN + "evidenced")

    answer = page.locator("#answer")
    expect(answer).to_have_text("Clear groups; the evidence is for k = 5 ?")  # what it means
    above = page.locator("main").evaluate(
        """main => {
          const answer = document.querySelector('#answer'), top = answer.getBoundingClientRect().top;
          return [...main.querySelectorAll('.card, .card *')]
              .filter(element => element.checkVisibility() && !element.closest('svg'))
              .filter(element => !element.contains(answer) && !answer.contains(element))
              .filter(element => element.getBoundingClientRect().top < top)
              .map(element => element.outerHTML);
        }"""
    )
    assert above == []
    answer.get_by_role("link", name="Clear groups").press("Enter")
    expect(page.locator("#structure")).to_be_in_viewport()


def test_warnings_after_the_first_are_folded_and_opened_by_keyboard(url: str, page: Page) -> None:
    shown(page, url + WARNED)
    warnings = page.locator("#warnings")

    expect(warnings.get_by_text("Warning 0")).to_be_visible()
    expect(warnings.get_by_text("Warning 5")).to_be_hidden()
    warnings.get_by_text("5 more").focus()
    page.keyboard.press("Enter")

    expect(warnings.get_by_text("Warning 5")).to_be_visible()


def test_one_warning_has_nothing_to_open(url: str, page: Page) -> None:
    shown(page, url + RUN + "manual__0")

    expect(page.locator("#warnings details")).to_have_count(0)


def luminance(page: Page, selector: str, name: str) -> float:
    """Return how light a colour of an element is, by its CSS property: 0 is black, 1 is white."""
    colour = page.locator(selector).first.evaluate(
        "(element, name) => getComputedStyle(element)[name].match(/[0-9.]+/g).map(Number)", name
    )
    return sum(colour[:3]) / 765


SHEET = 794 - 91
"""Pixels between the margins of a sheet of A4, which is narrower than Letter."""


def test_on_paper_all_is_dark_on_white_open_and_as_wide_as_a_sheet(url: str, page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    shown(page, url + RUN + "evidenced")
    assert luminance(page, "body", "backgroundColor") < 0.3
    page.set_viewport_size({"width": SHEET, "height": 1000})

    page.emulate_media(color_scheme="dark", media="print")

    expect(page.locator("html")).to_have_attribute("data-mode", "light")
    for selector in ("body", ".card"):
        assert luminance(page, selector, "backgroundColor") == 1
    for selector, name in (
        ("body", "color"),
        ("figcaption", "color"),
        ("tbody td", "color"),
        ("#elbow .xtick text", "fill"),
    ):
        assert luminance(page, selector, name) < 0.4, selector
    for table in ("#elbow-table tbody tr", "#sizes-table tbody tr", "#profiles tbody tr"):
        expect(page.locator(table).first).to_be_visible()
    expect(page.locator("#sample-table tbody tr").first).to_be_hidden()
    for control in page.locator("button, input, select, .modebar, .menu").all():
        expect(control).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= SHEET
    assert page.evaluate(OVERLAPS, ".card") == []

    page.emulate_media(color_scheme="dark", media="screen")
    page.set_viewport_size({"width": 1500, "height": 900})

    expect(page.locator("#elbow-table tbody tr").first).to_be_hidden()
    expect(page.locator("html")).to_have_attribute("data-mode", "dark")
    page.wait_for_function("() => document.querySelector('#sample .main-svg').clientWidth > 1200")


def test_a_page_that_is_printed_is_drawn_for_paper_before(url: str, page: Page) -> None:
    shown(page, url + RUN + "evidenced")
    page.evaluate(
        """window.widths = [];
        addEventListener('beforeprint', () => {
          for (const svg of document.querySelectorAll('.main-svg')) widths.push(svg.width.baseVal.value);
        })"""
    )

    printed = page.pdf(format="A4", print_background=False)

    assert page.evaluate("Math.max(...widths)") < SHEET
    assert 3 < printed.count(b"/Type /Page\n") < 16
    page.wait_for_function("() => document.querySelector('#sample .main-svg').clientWidth > 1200")


def test_the_report_taken_away_is_printed_with_its_tables(url: str, page: Page, tmp_path: Path) -> None:
    taken = tmp_path / "report.html"
    taken.write_text(page.request.get(url + EXPORT).text(), encoding="utf-8")
    page.set_viewport_size({"width": SHEET, "height": 1000})
    page.goto(taken.as_uri())
    row = page.locator("#elbow-table tbody tr").first
    expect(row).to_be_hidden()

    page.emulate_media(media="print")

    expect(row).to_be_visible()
    expect(page.locator("button").first).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= SHEET
    assert page.evaluate(OVERLAPS, ".card") == []


def test_a_page_of_forty_features_and_thirty_segments_fits_a_sheet(url: str, page: Page) -> None:
    page.set_viewport_size({"width": SHEET, "height": 1000})
    shown(page, url + MANY)

    page.emulate_media(media="print")

    assert page.evaluate("document.documentElement.scrollWidth") <= SHEET


def test_every_term_is_explained_by_keyboard_and_by_touch(url: str, page: Page) -> None:
    shown(page, url + RUN + "evidenced")
    note = page.locator("#about-silhouette")
    button = page.locator("#summary").get_by_role("button", name="What is: Silhouette")
    expect(note).to_be_hidden()

    button.press("Enter")
    expect(note).to_be_visible()
    expect(note).to_contain_text("What to do:")
    page.keyboard.press("Escape")
    expect(note).to_be_hidden()
    expect(button).to_be_focused()

    for about in page.locator(".about:visible").all():
        box = about.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 24, "WCAG 2.2, 2.5.8: large enough for a finger"


def test_a_note_fits_a_telephone_and_stays_while_the_view_changes(url: str, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    shown(page, url + RUN + "evidenced")

    page.locator("#scores").get_by_role("button", name="What is: Davies-Bouldin").click()
    box = page.locator("#about-davies_bouldin").bounding_box()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    page.locator("#k").evaluate(
        "field => { field.value = 4; field.dispatchEvent(new Event('input', { bubbles: true })); }"
    )

    expect(page.locator("#elbow")).to_have_attribute("data-k", "4")
    expect(page.locator("#about-davies_bouldin")).to_be_visible()


def test_how_to_read_the_page_is_unfolded_on_the_first_visit_only(url: str, page: Page) -> None:
    shown(page, url + RUN + "evidenced")
    expect(page.locator("#guide ol")).to_be_visible()

    shown(page, url + RUN + "manual__0")
    expect(page.locator("#guide ol")).to_be_hidden()
    page.locator("#guide summary").press("Enter")
    expect(page.locator("#guide ol")).to_be_visible()


OVERLAPS = """selector => {
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
      && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const found = [];
  for (const card of document.querySelectorAll(selector)) {
    const seen = [...card.querySelectorAll('*')].filter(element =>
        !element.closest('.plot, .hidden, svg, select')
        && element.checkVisibility() && element.getClientRects().length === 1
        && getComputedStyle(element).position !== 'absolute');
    for (const one of seen) {
      const box = one.getBoundingClientRect(), room = card.getBoundingClientRect();
      if (!one.closest('.scroll') && (box.left < room.left - 1 || box.right > room.right + 1))
        found.push('out: ' + one.outerHTML.slice(0, 80));
      for (let other = one.nextElementSibling; other; other = other.nextElementSibling)
        if (seen.includes(other) && meet(box, other.getBoundingClientRect()))
          found.push(one.outerHTML.slice(0, 80) + ' / ' + other.outerHTML.slice(0, 80));
    }
  }
  return found;
}"""
"""What in the elements of a selector lies over a sibling, or hangs out."""


WIDTHS = (320, 390, 900, 1166, 1500)


@pytest.mark.parametrize("state", [RUN + "evidenced&k=5", RUN + "sampled", MANY, "", "dag?dag_id=open"])
def test_nothing_overlaps_at_any_width(url: str, page: Page, state: str) -> None:
    shown(page, url + state)

    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate(OVERLAPS, ".card, header") == [], width
        page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)


STATES = {
    "another k": RUN + "evidenced&k=5",
    "no groups": RUN + "continuum",
    "warnings": WARNED,
    "wide": MANY,
    "list": "",
    "dag": "dag?dag_id=open&task_id=choose",
    "older report": RUN + "older",
    "progress": RUN + "running",
    "failed": RUN + "failed",
    "message": RUN + "broken",
    "taken away": EXPORT,
}
"""What people see, and where."""


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_serious_at_any_width_light_and_dark(
    url: str, page: Page, tmp_path: Path, state: str
) -> None:
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if "Security" in message.text else None)
    address = url + STATES[state]
    if state == "taken away":
        taken = tmp_path / "report.html"
        taken.write_text(page.request.get(address).text(), encoding="utf-8")
        address = taken.as_uri()
    shown(page, address)

    for mode in ("light", "dark"):
        page.emulate_media(color_scheme=mode)
        for width in (1500, 900, 390):
            page.set_viewport_size({"width": width, "height": 844})
            assert serious(page) == [], (mode, width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (mode, width)
    assert refused == []
