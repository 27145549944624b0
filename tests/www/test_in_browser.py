"""The page in a real Chromium: by mouse and by keyboard, light and dark, seen and unseen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from browser import serious, shown
from made.metadata import add_dag, add_run, push_progress, push_report
from made.reports import HOSTILE, make_progress, make_report
from playwright.sync_api import Browser, Locator, Page, Route, expect
from sqlalchemy import delete, update

RUN = "run?dag_id=open&run_id="
STATES = {
    "report": RUN + "manual__0",
    "another k, second axis, log": RUN + "manual__0&k=3&axis=silhouette&log=1",
    "older report": RUN + "older",
    "evidence": RUN + "evidenced&order=again",
    "published": RUN + "named",
    "no groups": RUN + "continuum&k=12",
    "mapped": RUN + "mapped&task_id=choose&map_index=1",
    "running": RUN + "running",
    "failed": RUN + "failed",
    "without a report": RUN + "without",
    "broken": RUN + "broken",
    "unknown run": RUN + "nope",
    "list": "",
    "empty list": "?q=there-is-none",
    "dag": "dag?dag_id=open&task_id=choose",
    "dag without reports": "dag?dag_id=empty",
    "hostile": f"run?dag_id={quote(HOSTILE, safe='')}&run_id={quote(HOSTILE, safe='')}",
}
"""Every state of the page, and where it is."""


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_serious_and_nothing_scrolls_sideways(url: str, page: Page, state: str) -> None:
    page.set_viewport_size({"width": 900, "height": 900})
    shown(page, url + STATES[state])

    for mode in ("light", "dark"):
        page.emulate_media(color_scheme=mode)
        expect(page.locator("html")).to_have_attribute("data-mode", mode)
        assert serious(page) == [], mode
    assert page.evaluate("document.documentElement.scrollWidth") <= 900


def test_the_list_needs_no_scrolling_sideways_at_900_pixels(url: str, page: Page) -> None:
    page.set_viewport_size({"width": 900, "height": 900})
    shown(page, url + STATES["list"])

    table = page.locator("#list .scroll")
    assert table.evaluate("element => element.scrollWidth <= element.clientWidth")


@pytest.mark.parametrize("state", ["evidence", "published", "no groups", "older report", "hostile"])
def test_the_page_of_a_run_fits_a_telephone(url: str, page: Page, state: str) -> None:
    page.set_viewport_size({"width": 360, "height": 780})
    shown(page, url + STATES[state])

    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("state", ["report", "evidence", "published", "dag", "running"])
def test_every_chart_has_a_summary_and_a_table(url: str, page: Page, state: str) -> None:
    shown(page, url + STATES[state])

    for chart in page.locator("figure.chart").all():
        assert len(chart.locator("figcaption").inner_text()) > 20
        chart.get_by_text("Show as a table").click()
        expect(chart.locator("table tbody tr").first).to_be_visible()


def point_at_rest(page: Page, point: Locator) -> None:
    """Move the mouse to a point of a chart, once the chart stands still."""
    place = None
    while place != (place := point.bounding_box()):
        point.hover(force=True)
        page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done, 200)))")


def test_every_click_on_the_curve_moves_the_view(url: str, page: Page) -> None:
    shown(page, url + STATES["report"])
    points = page.locator("#elbow .scatterlayer .trace").first.locator(".point")

    for k in (3, 5, 4):  # the chart around the plot is another after each
        point_at_rest(page, points.nth(k - 1))
        # Plotly looks what is under the mouse 20 times a second, and a click is on what it saw last.
        page.wait_for_function("k => document.querySelector('#elbow-plot')._hoverdata?.[0].x === k", arg=k)
        page.mouse.down()
        page.mouse.up()
        clicked = page.evaluate("performance.now()")
        expect(page.locator("#k")).to_have_value(str(k))
        expect(page.locator("#elbow")).to_have_attribute("data-k", str(k))
        # Plotly takes a click that follows within 300 ms for a double click.
        page.wait_for_function("since => performance.now() - since > 300", arg=clicked)


def test_a_view_that_could_not_be_fetched_is_asked_for_again(url: str, page: Page) -> None:
    shown(page, url + STATES["report"])
    lost: list[str] = []

    def lose(route: Route) -> None:
        lost.append(route.request.url)
        route.abort() if len(lost) < 3 else route.continue_()

    page.route(lambda address: "k=5" in address, lose)
    page.locator("#k").fill("5")

    expect(page.locator("#elbow")).to_have_attribute("data-k", "5")
    assert len(lost) == 3
    assert "k=5" in page.url


def test_the_view_follows_the_arrow_keys_without_a_reload(url: str, page: Page) -> None:
    shown(page, url + STATES["report"])
    page.evaluate("window.same = true")
    report = make_report(seed=0, k=8)

    page.locator("#k-slider").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")

    expect(page.locator("#elbow")).to_have_attribute("data-k", "10")
    expect(page.locator("#elbow")).to_have_attribute("data-chosen-k", "8")
    expect(page.locator("#k")).to_have_value("10")
    expect(page.locator("#segments-title")).to_have_text("Segments at k = 10")
    expect(page.locator("#segments tbody tr")).to_have_count(10)
    expect(page.locator("#announcement")).to_contain_text("k = 10: SSE")
    expect(page.locator("#k-slider")).to_be_focused()
    page.wait_for_function(
        "sizes => String(document.querySelector('#sizes-plot').data[0].y) === String(sizes)",
        arg=list(report.curve[9].sizes or ()),
    )
    assert page.evaluate("window.same")
    assert "k=10" in page.url


def test_the_view_follows_a_typed_number(url: str, page: Page) -> None:
    shown(page, url + STATES["report"])

    page.locator("#k").fill("4")

    expect(page.locator("#elbow")).to_have_attribute("data-k", "4")
    expect(page.locator("#k-slider")).to_have_value("4")
    expect(page.locator("#k")).to_be_focused()
    page.locator("#k").fill("400")
    expect(page.locator("#elbow")).to_have_attribute("data-k", "4")


def test_the_view_follows_a_click_on_the_curve_and_the_arrow_keys_go_on_from_there(
    url: str, page: Page
) -> None:
    shown(page, url + STATES["report"])

    page.locator("#elbow .scatterlayer .trace").first.locator(".point").nth(4).hover(force=True)
    page.mouse.down()
    page.mouse.up()
    expect(page.locator("#elbow")).to_have_attribute("data-k", "5")
    page.keyboard.press("ArrowLeft")

    expect(page.locator("#elbow")).to_have_attribute("data-k", "4")


def test_a_method_is_looked_at_by_its_link(url: str, page: Page) -> None:
    shown(page, url + STATES["report"])

    page.locator("#methods").get_by_role("link", name="k = 3").press("Enter")

    expect(page.locator("#elbow")).to_have_attribute("data-k", "3")
    expect(page.locator("#k")).to_have_value("3")


def test_the_k_of_the_evidence_is_looked_at_by_its_link_and_the_rest_of_the_view_stays(
    url: str, page: Page
) -> None:
    shown(page, url + STATES["evidence"])
    page.locator("#axis").select_option("silhouette")
    page.wait_for_url("**axis=silhouette**")
    ring = "document.querySelector('#gap-plot').data.find(trace => trace.name === 'Looked at').x[0]"
    assert page.evaluate(ring) == 8

    page.locator("#evidence").get_by_role("link", name="k = 5").press("Enter")

    expect(page.locator("#elbow")).to_have_attribute("data-k", "5")
    expect(page.locator("#axis")).to_have_value("silhouette")
    expect(page.locator("#announcement")).to_contain_text("When rows are drawn anew: 5 stable.")
    page.wait_for_function(f"() => {ring} === 5")
    assert "axis=silhouette" in page.url


def test_the_trigger_configuration_is_copied(url: str, page: Page) -> None:
    shown(page, url + STATES["report"])
    page.locator("#k").fill("6")
    button = page.get_by_role("button", name="Copy trigger configuration for k = 6")

    button.press("Enter")

    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert json.loads(page.evaluate("navigator.clipboard.readText()")) == {"k": 6, "k_max": 12}


def test_the_copied_link_leads_to_exactly_this_view(url: str, page: Page) -> None:
    shown(page, url + STATES["report"])
    page.locator("#k").fill("6")
    page.locator("#axis").select_option("silhouette")
    page.locator("#log").check()
    page.locator("#sample-x").select_option("2")
    page.wait_for_url("**x=2**")
    expect(page.locator("#elbow")).to_have_attribute("data-k", "6")

    page.locator("#copy-link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    shown(page, page.evaluate("navigator.clipboard.readText()"))

    expect(page.locator("#elbow")).to_have_attribute("data-k", "6")
    expect(page.locator("#axis")).to_have_value("silhouette")
    expect(page.locator("#log")).to_be_checked()
    expect(page.locator("#sample-x")).to_have_value("2")
    assert page.evaluate("document.querySelector('#elbow-plot').layout.yaxis.type") == "log"


def test_segments_are_sorted_by_keyboard(url: str, page: Page) -> None:
    shown(page, url + STATES["report"])

    page.locator("#sort-order-1").press("Enter")
    expect(page.locator("#segments th[aria-sort=descending]")).to_contain_text("Rows")
    page.locator("#sort-order-1").press("Enter")

    expect(page.locator("#segments th[aria-sort=ascending]")).to_contain_text("Rows")
    expect(page.locator("#segments tbody th").first).to_have_text("7")
    expect(page.locator("#sort-order-1")).to_be_focused()


def test_the_segments_that_come_again_least_are_brought_to_the_top_by_keyboard(url: str, page: Page) -> None:
    shown(page, url + RUN + "evidenced")
    least = page.locator("#segments tbody tr").first

    page.locator("#sort-order-again").press("Enter")
    expect(page.locator("#segments th[aria-sort=descending]")).to_contain_text("Comes again")
    expect(least).to_contain_text("1.00 stable")
    page.locator("#sort-order-again").press("Enter")

    expect(page.locator("#segments th[aria-sort=ascending]")).to_contain_text("Comes again")
    expect(least).to_contain_text("0.48 dissolves")


def test_an_open_table_stays_open_while_the_view_changes(url: str, page: Page) -> None:
    shown(page, url + STATES["report"])
    page.locator("#sizes").get_by_text("Show as a table").click()

    page.locator("#k").fill("5")

    expect(page.locator("#sizes tbody tr")).to_have_count(5)
    expect(page.locator("#sizes tbody tr").first).to_be_visible()


def test_a_mapped_task_is_chosen_by_the_selector(url: str, page: Page) -> None:
    shown(page, url + RUN + "mapped")

    page.locator("#task").select_option("choose [1]")

    expect(page.locator("#chosen-k")).to_have_text("4")
    assert "map_index=1" in page.url


@pytest.fixture
def run_id(filled: None) -> Iterator[str]:
    """A run that is about to sweep, for the test to carry on."""
    tasks = {("sweep", -1): "running", ("choose", -1): None}
    with create_session(scoped=False) as session:
        add_run(session, "open", "live", state=DagRunState.RUNNING, tasks=tasks, number=30)
    yield "live"
    with create_session(scoped=False) as session:
        session.execute(delete(DagRun).where(DagRun.run_id == "live"))


def carry_on(run_id: str, *, done: int = 0, state: DagRunState = DagRunState.RUNNING) -> None:
    """Carry a run on: so many values of k fitted, or ended, with a report where it succeeded."""
    with create_session(scoped=False) as session:
        run = session.query(DagRun).where(DagRun.run_id == run_id).one()
        if done:
            push_progress(session, run, make_progress(done=done))
        if state == DagRunState.SUCCESS:
            push_report(session, run, make_report(k=6))
        session.execute(update(DagRun).where(DagRun.run_id == run_id).values({"state": state}))


def test_the_curve_grows_and_settles_into_the_report_without_a_reload(
    url: str, page: Page, run_id: str
) -> None:
    page.goto(url + RUN + run_id)
    page.evaluate("window.same = true")
    expect(page.get_by_role("heading", name="Waiting for the sweep")).to_be_visible()

    for done in (3, 9):
        carry_on(run_id, done=done)
        expect(page.locator("#growing-1")).to_have_attribute("data-done", str(done))
        expect(page.locator("#growing-1 .point")).to_have_count(done)
        expect(page.get_by_role("progressbar")).to_have_attribute("value", str(done))
    carry_on(run_id, state=DagRunState.SUCCESS)

    expect(page.locator("#chosen-k")).to_have_text("6")
    expect(page.locator("#elbow .main-svg").first).to_be_visible()
    page.locator("#summary").get_by_role("button", name="What is: Silhouette").click()
    expect(page.locator("#about-silhouette")).to_be_visible()
    assert page.evaluate("window.same")
    assert page.locator("main").get_attribute("data-poll") is None


def test_a_run_that_fails_meanwhile_says_so(url: str, page: Page, run_id: str) -> None:
    page.goto(url + RUN + run_id)
    expect(page.get_by_role("heading", name="Waiting for the sweep")).to_be_visible()

    carry_on(run_id, state=DagRunState.FAILED)

    expect(page.get_by_role("heading", name="This run failed")).to_be_visible()
    assert page.locator("main").get_attribute("data-poll") is None


def framed(page: Page, url: str, address: str) -> None:
    """Show an address in a frame as Airflow does, in a page that stands for Airflow's."""
    page.goto(url.replace("/pluginsv2/segmentation/", "/static/pin_32.png"))
    page.evaluate(
        """address => {
          const frame = document.createElement('iframe');
          frame.sandbox = 'allow-scripts allow-same-origin allow-forms allow-downloads';
          frame.style = 'width:1200px;height:800px';
          frame.src = address;
          document.documentElement.className = 'light';
          document.body.append(frame);
        }""",
        address,
    )


def test_the_colour_mode_follows_airflow_while_open(url: str, page: Page) -> None:
    framed(page, url, url + STATES["report"])
    frame = page.frame_locator("iframe")
    expect(frame.locator("#elbow .main-svg").first).to_be_visible()
    expect(frame.locator("html")).to_have_attribute("data-mode", "light")

    page.evaluate("document.documentElement.className = 'dark'")

    expect(frame.locator("html")).to_have_attribute("data-mode", "dark")
    expect(frame.locator("body")).to_have_css("background-color", "rgb(22, 29, 45)")
    expect(frame.locator("#elbow .main-svg").first).to_have_css("background-color", "rgb(22, 29, 45)")


def test_a_link_to_airflow_leaves_the_frame(url: str, page: Page) -> None:
    framed(page, url, url + STATES["failed"])

    page.frame_locator("iframe").locator("a.failed-task").click()

    page.wait_for_url("**/dags/open/runs/failed/tasks/choose")


def test_the_list_is_searched_sorted_and_paged_without_a_reload(url: str, page: Page) -> None:
    page.goto(f"{url}?dag_id=open")  # other tests' runs are in the list of all
    page.evaluate("window.same = true")

    page.locator("#q").press_sequentially("manual__2")
    expect(page.locator("#list tbody tr")).to_have_count(1)
    expect(page.locator("#q")).to_be_focused()
    page.locator("#q").fill("")
    page.locator("#sort-sort-k").press("Enter")

    expect(page.locator("th[aria-sort=descending]")).to_contain_text("k")
    assert page.evaluate("window.same")


def test_the_runs_of_a_dag_are_compared_by_choice(url: str, page: Page) -> None:
    shown(page, url + STATES["dag"])

    page.get_by_role("checkbox", name="manual__0").check()
    expect(page.locator("#curves .scatterlayer .trace")).to_have_count(8)
    page.locator("#before").select_option("manual__0")

    page.wait_for_url("**before=manual__0**")
    expect(page.locator("#drift figcaption")).to_contain_text("changed most")


def test_the_boxes_of_a_dag_tell_which_runs_are_drawn(url: str, page: Page) -> None:
    with create_session(scoped=False) as session:
        add_dag(session, "many")
        for number in range(11):
            run = add_run(session, "many", f"run-{number}", number=number)
            push_report(session, run, make_report(seed=number % 2))
    shown(page, f"{url}dag?dag_id=many&task_id=choose")
    drawn = page.locator("#curves thead th:not(:first-child)")
    expect(drawn).to_have_text(["run-10", "run-9", "run-8"])

    for number in range(7):
        page.get_by_label(f"run-{number}", exact=True).press("Space")
        expect(drawn).to_have_count(4 + number)

    expect(page.get_by_role("checkbox", disabled=True)).to_have_count(1)
    expect(page.get_by_label("run-7", exact=True)).to_be_disabled()
    expect(page.get_by_label("run-6", exact=True)).to_be_focused()
    for left in range(9, 0, -1):
        page.get_by_role("checkbox", checked=True).last.press("Space")
        expect(drawn).to_have_count(left)
    expect(drawn).to_have_text(["run-10"])
    page.get_by_label("run-10", exact=True).press("Space")
    expect(page.locator("#curves figcaption")).to_have_text("No run chosen.")
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(0)
    assert serious(page) == []
    page.locator("#before").select_option("run-3")
    expect(page.locator("#drift figcaption")).not_to_be_empty()
    expect(page.get_by_role("checkbox", checked=True)).to_have_count(0)
    page.get_by_label("run-4", exact=True).press("Space")
    expect(drawn).to_have_text(["run-4"])
    expect(page.locator("#curves .main-svg").first).to_be_visible()


def test_a_chart_is_saved_as_a_picture(url: str, page: Page, tmp_path: Path) -> None:
    shown(page, url + STATES["report"])

    with page.expect_download() as download:
        page.locator("#elbow .modebar-btn").press("Enter")
    download.value.save_as(tmp_path / "elbow.png")

    assert download.value.suggested_filename == "elbow.png"
    assert (tmp_path / "elbow.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "elbow.png").stat().st_size > 10_000


def test_the_report_taken_away_is_whole_without_a_server(url: str, page: Page, tmp_path: Path) -> None:
    shown(page, url + RUN + "evidenced&k=3")
    page.get_by_text("Download", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Whole report").click()
    download.value.save_as(tmp_path / "report.html")
    requests: list[str] = []
    refused: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: refused.append(message.text))

    page.goto((tmp_path / "report.html").as_uri())

    expect(page.locator("#elbow svg").get_by_text("k = 8", exact=True)).to_be_visible()
    expect(page.locator("#gap svg").get_by_text("k = 5", exact=True)).to_be_visible()
    expect(page.locator("#answer")).to_have_text(re.compile("Clear groups; the evidence is for k = 5"))
    expect(page.locator("#profiles tbody tr")).to_have_count(3)
    assert page.locator("main").evaluate("main => getComputedStyle(main).display") == "grid"
    page.get_by_role("button", name="What is: Gap").first.press("Enter")
    expect(page.locator("#about-gap")).to_be_visible()
    page.keyboard.press("Escape")
    assert serious(page) == []
    assert {urlsplit(request).scheme for request in requests} <= {"file", "data"}
    assert refused == []


def test_plotly_comes_from_the_cache_the_second_time(url: str, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    transferred = """performance.getEntriesByType('resource')
        .filter(entry => entry.name.includes('plotly.min.js')).map(entry => entry.transferSize)"""

    first = shown(page, url + STATES["report"]).evaluate(transferred)
    second = shown(page, url + STATES["dag"]).evaluate(transferred)

    context.close()
    assert first[0] > 1_000_000
    assert second == [0]


def test_nothing_jumps_while_the_page_loads(url: str, page: Page) -> None:
    page.add_init_script(
        """window.shift = 0;
        new PerformanceObserver(list => list.getEntries().forEach(entry => { window.shift += entry.value; }))
            .observe({ type: 'layout-shift', buffered: true });"""
    )
    shown(page, url + STATES["report"])

    assert page.evaluate("window.shift") < 0.01
