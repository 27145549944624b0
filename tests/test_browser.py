from __future__ import annotations

import browser
import pytest


@pytest.fixture
def no_chromium(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(browser, "MACOS", str(tmp_path / "Google Chrome"))


def test_without_chromium_browser_tests_are_skipped_and_tell_how_to_get_it(no_chromium, monkeypatch):
    monkeypatch.delenv("REQUIRE_BROWSER", raising=False)

    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
        browser.chromium_path()


def test_where_a_browser_is_required_a_missing_one_is_a_failure(no_chromium, monkeypatch):
    monkeypatch.setenv("REQUIRE_BROWSER", "1")

    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"):
        browser.chromium_path()
