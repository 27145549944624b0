"""A real Chromium for tests: the system's, driven by Playwright, whose own download is not needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

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
