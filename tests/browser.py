"""A real Chromium for tests: the system's, driven by Playwright, whose own download is not needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, expect, sync_playwright

# The first page after Airflow starts loads megabytes of scripts, and two cores may be busy with other tests.
expect.set_options(timeout=30_000)

FLAGS = (
    "--no-sandbox",  # Chromium refuses to run as root with it, as in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--process-per-site",  # see `windows_of_one_process`
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MACOS = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"


def chromium_path() -> str:
    """Return the system's Chromium; without one skip the test, or fail it with REQUIRE_BROWSER=1."""
    for name in (os.environ.get("CHROMIUM", ""), *NAMES, MACOS):
        if path := shutil.which(name):
            return path
    missing = (
        "No Chromium: apt-get install chromium, brew install --cask chromium, or set CHROMIUM to its path"
    )
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, for one module: its event loop is in the way of tests that have their own."""
    path = chromium_path()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def windows_of_one_process(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """Give what windows can be opened in, one after the other, whose pages are all run by one process.

    A page stays open in it, so that the process has compiled Plotly's or Airflow's megabytes but once: half
    of what a page of a run costs.
    """
    context = browser.new_context(**options)
    kept = context.new_page()
    kept.route("**", lambda route: route.fulfill(body="", content_type="text/html"))
    kept.goto("http://127.0.0.1/")
    yield context
    context.close()


@contextmanager
def new_window(context: BrowserContext) -> Iterator[Page]:
    """Open a window that knows nothing of those before it; it is closed with all that it opened."""
    kept, *_ = context.pages
    page = context.new_page()
    visited: set[str] = set()
    page.on(
        "framenavigated", lambda frame: visited.add("{0.scheme}://{0.netloc}".format(urlsplit(frame.url)))
    )
    yield page
    for opened in context.pages[1:]:
        opened.close()
    context.clear_cookies()
    storage = context.new_cdp_session(kept)
    for origin in visited:
        storage.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "local_storage"})
    storage.detach()


def shown(page: Page, address: str) -> Page:
    """Open an address and wait until every chart on it is drawn."""
    page.goto(address)
    expect(page.locator(".plot:not(:has(.main-svg))")).to_have_count(0)
    return page


def approve_four(frame: FrameLocator) -> None:
    """Approve k = 4 in a run's tab, with names for segments 0 and 3, and wait until the tab says so."""
    expect(frame.locator("#elbow .main-svg").first).to_be_visible()  # scripts that hear of k are there before
    frame.locator("#k").fill("4")
    expect(frame.get_by_role("button", name="Approve k = 4")).to_be_visible()
    frame.get_by_label("Name of segment 0").fill("Everyday")
    frame.get_by_label("Name of segment 3").fill("Big spenders")
    frame.get_by_label("Reason").fill("Four campaigns")
    frame.get_by_role("button", name="Approve k = 4").click()
    expect(frame.get_by_role("heading", name="Approved: k = 4")).to_be_visible(timeout=120_000)


def serious(page: Page) -> list[str]:
    """Return the serious and critical violations that axe-core finds."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {[node['html'][:120] for node in violation['nodes']][:3]}"
        for violation in violations
        if violation["impact"] in ("serious", "critical")
    ]
