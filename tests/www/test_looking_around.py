"""Going from view to view in a real Chromium: over a slow line, by keys held down, and back."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest
from browser import serious, shown
from playwright.sync_api import Browser, CDPSession, Page, Request, Route, expect

RUN = "run?dag_id=open&run_id=manual__0"
EVIDENCED = "run?dag_id=open&run_id=evidenced"
LATENCY = 1500
"""Milliseconds: a line over which a person chooses faster than the server answers."""


def slow(page: Page, latency: int = LATENCY) -> CDPSession:
    """Put a slow line between the page and the server."""
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    line.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": latency, "downloadThroughput": -1, "uploadThroughput": -1},
    )
    return line


def asked(request: Request) -> dict[str, str]:
    """Return what a request asks for."""
    return {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}


def at_rest(page: Page) -> None:
    """Wait until what may be asked for next is here, and nothing is under way."""
    page.wait_for_function(
        """async () => {
          const count = () => performance.getEntriesByType('resource').length;
          const before = count();
          await new Promise(done => setTimeout(done, 2500));
          return before === count();
        }"""
    )


def test_a_k_typed_before_the_scripts_are_here_is_taken(url: str, page: Page) -> None:
    held: list[Route] = []
    page.route("**/page.js", lambda route: held.append(route))
    page.goto(url + RUN, wait_until="commit")

    page.locator("#k").fill("5")
    held.pop().continue_()

    expect(page.locator("#segments-title")).to_have_text("Segments at k = 5")


def test_what_is_chosen_while_another_view_is_under_way_stays_chosen(url: str, page: Page) -> None:
    shown(page, url + RUN)
    slow(page)
    held = page.locator("#log")

    page.locator("#axis").select_option("silhouette")
    held.check()
    with page.expect_response(lambda response: "axis=silhouette" in response.url):
        pass
    page.wait_for_function(
        "() => document.querySelector('#elbow-plot').data.some(trace => trace.yaxis === 'y2')"
    )
    assert held.is_checked()
    page.locator("#k-slider").press("ArrowRight")

    expect(page.locator("#elbow")).to_have_attribute("data-k", "9")
    expect(held).to_be_checked()
    expect(page.locator("#axis")).to_have_value("silhouette")
    assert page.evaluate("document.querySelector('#elbow-plot').layout.yaxis.type") == "log"
    chosen = parse_qs(urlsplit(page.url).query)
    assert (chosen["axis"], chosen["log"], chosen["k"]) == (["silhouette"], ["1"], ["9"])


def test_a_link_that_is_followed_meanwhile_keeps_what_was_chosen(url: str, page: Page) -> None:
    shown(page, url + RUN)
    slow(page)

    page.locator("#log").check()
    page.locator("#sort-order-1").press("Enter")
    page.locator("#methods").get_by_role("link", name="k = 3").press("Enter")

    expect(page.locator("#elbow")).to_have_attribute("data-k", "3")
    expect(page.locator("#segments th[aria-sort=descending]")).to_contain_text("Rows")
    expect(page.locator("#log")).to_be_checked()
    assert page.evaluate("document.querySelector('#elbow-plot').layout.yaxis.type") == "log"


def test_the_copied_link_has_what_was_chosen_meanwhile(url: str, page: Page) -> None:
    shown(page, url + RUN)
    slow(page)

    page.locator("#log").check()
    page.locator("#copy-link").click()

    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "log=1" in page.evaluate("navigator.clipboard.readText()")


@pytest.mark.parametrize("typed", ["400", "0", "", "4.5"])
def test_a_k_that_cannot_be_looked_at_leaves_the_field(url: str, page: Page, typed: str) -> None:
    shown(page, url + RUN)
    page.locator("#k").fill("6")
    expect(page.locator("#elbow")).to_have_attribute("data-k", "6")

    page.locator("#k").fill(typed)
    page.locator("#k").press("Tab")

    expect(page.locator("#k")).to_have_value("6")
    expect(page.locator("#k-note")).to_have_text("k was swept from 1 to 30.")
    expect(page.locator("#k-note")).to_have_role("status")
    assert serious(page) == []
    page.locator("#k").fill("5")
    expect(page.locator("#k-note")).to_be_empty()


def test_an_address_with_a_k_that_was_not_swept_says_which_one_is_shown(url: str, page: Page) -> None:
    shown(page, url + RUN + "&k=40")

    expect(page.locator("#k-note")).to_have_text("k = 40 was not swept; this is k = 8.")
    expect(page.locator("#k")).to_have_value("8")
    assert serious(page) == []
    page.locator("#k-slider").press("ArrowRight")

    expect(page.locator("#elbow")).to_have_attribute("data-k", "9")
    expect(page.locator("#k-note")).to_be_empty()


def test_back_and_forward_go_from_view_to_view(url: str, page: Page) -> None:
    shown(page, url)
    shown(page, url + RUN)
    page.evaluate("window.same = true")
    page.locator("#k").fill("5")
    expect(page.locator("#elbow")).to_have_attribute("data-k", "5")
    page.locator("#log").check()
    page.wait_for_function("() => document.querySelector('#elbow-plot').layout.yaxis.type === 'log'")

    page.go_back()
    expect(page.locator("#log")).not_to_be_checked()
    page.wait_for_function("() => document.querySelector('#elbow-plot').layout.yaxis.type === 'linear'")
    expect(page.locator("#elbow")).to_have_attribute("data-k", "5")
    page.go_back()
    expect(page.locator("#elbow")).to_have_attribute("data-k", "8")
    expect(page.locator("#k")).to_have_value("8")
    page.go_forward()
    expect(page.locator("#elbow")).to_have_attribute("data-k", "5")
    expect(page.locator("#k")).to_have_value("5")
    assert page.evaluate("window.same")
    page.go_back()
    expect(page.locator("#elbow")).to_have_attribute("data-k", "8")
    page.go_back()

    page.wait_for_url(url)


def test_a_key_held_down_is_one_entry_of_the_history(url: str, page: Page) -> None:
    shown(page, url + RUN)
    entries = page.evaluate("history.length")

    page.locator("#k-slider").focus()
    for _ in range(15):
        page.keyboard.down("ArrowRight")
    page.keyboard.up("ArrowRight")

    expect(page.locator("#elbow")).to_have_attribute("data-k", "23")
    page.wait_for_url("**k=23**")
    assert page.evaluate("history.length") == entries + 1
    page.go_back()
    expect(page.locator("#elbow")).to_have_attribute("data-k", "8")


AIRFLOW = """<!doctype html><title>Airflow</title><body><script>
  const show = (address) => {
    document.querySelector("iframe")?.remove();
    const frame = document.createElement("iframe");
    frame.sandbox = "allow-scripts allow-same-origin allow-forms allow-downloads";
    frame.width = 1200, frame.height = 800, frame.src = address;
    document.body.append(frame);
  };
  show(new URLSearchParams(location.search).get("show"));
</script>"""
"""A page that stands for Airflow's: the address that its frame begins with is fixed."""


@pytest.fixture
def airflow(url: str, page: Page) -> Page:
    """A page around the page of a run."""
    page.route("**/airflow?*", lambda route: route.fulfill(body=AIRFLOW, content_type="text/html"))
    page.goto(url.replace("/pluginsv2/segmentation/", "/airflow?show=") + quote(url + RUN, safe=""))
    return page


def test_a_view_outlives_a_reload_of_airflow(airflow: Page) -> None:
    frame = airflow.frame_locator("iframe")
    frame.locator("#axis").select_option("silhouette")
    frame.locator("#k").fill("5")
    expect(frame.locator("#elbow")).to_have_attribute("data-k", "5")

    for _ in range(2):
        airflow.reload()
        expect(frame.locator("#elbow")).to_have_attribute("data-k", "5")
        expect(frame.locator("#axis")).to_have_value("silhouette")


def test_a_view_is_shown_again_after_a_reload_only(url: str, airflow: Page) -> None:
    frame = airflow.frame_locator("iframe")
    begun = airflow.locator("iframe").get_attribute("src")
    frame.locator("#k").fill("5")
    expect(frame.locator("#elbow")).to_have_attribute("data-k", "5")

    def expect_k(address: str | None, k: str) -> None:
        airflow.evaluate("show", address)
        expect(frame.locator("#elbow")).to_have_attribute("data-k", k)

    expect_k(begun, "8")
    frame.locator("#k").fill("6")
    expect(frame.locator("#elbow")).to_have_attribute("data-k", "6")
    airflow.reload()
    expect(frame.locator("#elbow")).to_have_attribute("data-k", "6")
    expect_k(begun, "8")
    expect_k(f"{begun}&k=4", "4")
    expect_k(begun.replace("manual__0", "manual__1") if begun else None, "7")


def test_back_in_airflow_goes_back_in_the_frame(airflow: Page) -> None:
    frame = airflow.frame_locator("iframe")
    frame.locator("#k-slider").press("ArrowRight")
    expect(frame.locator("#elbow")).to_have_attribute("data-k", "9")

    airflow.evaluate("history.back()")

    expect(frame.locator("#elbow")).to_have_attribute("data-k", "8")
    assert "/airflow?" in airflow.url


def test_the_next_k_is_here_before_it_is_asked_for(url: str, page: Page) -> None:
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request) if "run_id" in request.url else None)
    shown(page, url + RUN)
    at_rest(page)
    fetched = [asked(request).get("k") for request in requests]
    assert fetched == [None, "9", "7", "10", "6", "2", "3"]  # and k = 8, the chosen one, is shown
    line = slow(page, 4 * LATENCY)

    for key, k in (("ArrowRight", 9), ("ArrowRight", 10), ("ArrowLeft", 9)):
        taken = page.evaluate(AT_ONCE, [key, k])
        assert taken < 2 * LATENCY
    page.wait_for_url("**k=9**")
    page.locator("#methods").get_by_role("link", name="k = 3").evaluate("link => link.click()")
    assert page.evaluate("document.querySelector('#elbow').dataset.k") == "3"

    line.detach()


AT_ONCE = """async ([key, k]) => {
  const slider = document.querySelector("#k-slider");
  const begun = performance.now();
  slider.value = k;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  const done = () => document.querySelector("#elbow").dataset.k === String(k)
      && document.querySelector("#sizes-plot").data[0].y.length === k;
  while (!done() && performance.now() - begun < 10000) await new Promise(requestAnimationFrame);
  return performance.now() - begun;
}"""
"""Returns the milliseconds from a step of the slider to the view of that k, its chart of sizes drawn."""


def test_never_more_than_one_view_is_fetched_ahead(url: str, page: Page) -> None:
    shown(page, url + RUN)
    at_rest(page)
    under_way: set[Request] = set()
    most: list[int] = []

    def begun(request: Request) -> None:
        under_way.add(request)
        most.append(len(under_way))

    page.on("request", begun)
    page.on("requestfinished", lambda request: under_way.discard(request))
    page.on("requestfailed", lambda request: under_way.discard(request))

    page.locator("#k").fill("20")
    expect(page.locator("#elbow")).to_have_attribute("data-k", "20")
    at_rest(page)

    assert max(most) == 1
    assert len(most) == 6  # the one asked for, two to each side, and the one that a method chose


def test_what_is_fetched_ahead_gives_way_to_what_is_asked_for(url: str, page: Page) -> None:
    shown(page, url + RUN)
    at_rest(page)
    slow(page)

    with page.expect_request(lambda request: asked(request).get("k") == "21"):
        page.locator("#k").fill("20")
    with (
        page.expect_event("requestfailed", lambda request: asked(request).get("k") == "21"),
        page.expect_request(lambda request: asked(request).get("k") == "12"),
    ):
        page.locator("#k").fill("12")

    expect(page.locator("#elbow")).to_have_attribute("data-k", "12")


def test_what_was_fetched_ahead_is_dropped_when_anything_else_changes(url: str, page: Page) -> None:
    shown(page, url + RUN)
    at_rest(page)
    page.locator("#log").check()
    page.wait_for_function("() => document.querySelector('#elbow-plot').layout.yaxis.type === 'log'")
    at_rest(page)

    page.locator("#k-slider").press("ArrowRight")

    expect(page.locator("#elbow")).to_have_attribute("data-k", "9")
    assert page.evaluate("document.querySelector('#elbow-plot').layout.yaxis.type") == "log"


def test_a_chart_stays_in_its_place_while_another_view_is_put_around_it(url: str, page: Page) -> None:
    shown(page, url + RUN)
    at_rest(page)
    page.evaluate("""() => {
      window.taken = [];
      const watch = new MutationObserver((changes) => {
        for (const { removedNodes } of changes)
          for (const node of removedNodes) if (node.id?.endsWith("-plot")) window.taken.push(node.id);
      });
      watch.observe(document.querySelector("main"), { subtree: true, childList: true });
    }""")

    page.locator("#k-slider").press("ArrowRight")

    expect(page.locator("#elbow")).to_have_attribute("data-k", "9")
    expect(page.locator("#sizes-table tbody tr")).to_have_count(9)
    assert page.evaluate("window.taken") == []
    assert page.locator("#elbow .plot").count() == page.locator("#elbow .head").count() == 1


def test_the_elbow_is_seen_before_there_is_a_script(url: str, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()

    page.goto(url + RUN)

    drawing = page.get_by_role("img", name="Elbow")
    expect(drawing).to_be_visible()
    expect(drawing.get_by_text("k = 8", exact=True)).to_be_visible()
    expect(drawing.locator("circle")).to_have_count(30 + 3)  # each k, the chosen one, the ring, the legend
    context.close()


def test_what_is_seen_first_gives_way_to_the_chart_that_answers(url: str, page: Page) -> None:
    shown(page, url + RUN)

    expect(page.locator("#elbow .drawn")).to_have_count(0)
    expect(page.locator("#elbow .main-svg").first).to_be_visible()


def test_another_k_beside_and_another_column_are_drawn_without_a_reload(url: str, page: Page) -> None:
    shown(page, url + EVIDENCED)
    expect(page.locator("#other")).to_have_value("5")
    expect(page.locator("#column option:checked")).to_have_text(
        page.locator("#importance-table tbody th").first.text_content() or ""
    )
    page.evaluate("window.same = true")

    page.locator("#other").select_option("3")
    expect(page.locator("#compared thead th").nth(2)).to_have_text("k = 3")
    expect(page.locator("#beside figcaption")).to_contain_text(
        "the 8 segments, on the left, where there are 3,"
    )
    page.wait_for_function("() => document.querySelector('#beside-plot').data[0].node.label.length === 8 + 3")
    page.locator("#column").select_option("2")
    expect(page.locator("#distribution figcaption")).to_contain_text("CREDIT_LIMIT")
    page.locator("#k-slider").press("ArrowLeft")
    expect(page.locator("#who-title")).to_contain_text("k = 7")
    expect(page.locator("#map-plot .textpoint")).to_have_count(7)
    expect(page.locator("#other")).to_have_value("3")

    assert page.evaluate("window.same")
    assert "other=3" in page.url
    assert "column=2" in page.url


def test_choosing_k_is_read_in_a_tab_of_its_own_at_any_width(airflow: Page) -> None:
    with airflow.expect_popup() as opened:
        airflow.frame_locator("iframe").get_by_role("link", name="Choosing k").click()
    document = opened.value

    expect(document.get_by_role("heading", name="When to stop")).to_be_visible()
    document.wait_for_function("() => [...document.images].every((image) => image.naturalWidth)")
    for mode in ("light", "dark"):
        width = 1500 if mode == "light" else 390
        document.emulate_media(color_scheme=mode)
        document.set_viewport_size({"width": width, "height": 844})
        assert serious(document) == [], mode
        assert document.evaluate("document.documentElement.scrollWidth") <= width
