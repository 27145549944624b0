"""How long the person who opens the run page waits for the elbow, and for another k after a key press.

Run as `.venv/bin/python benchmarks/draw.py`. It starts Airflow, runs the example Dag once, and opens its page
in a new Chromium each time, with an empty cache and once more. Times are those of a frame that is shown.
"""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from browser import FLAGS, chromium_path, shown  # noqa: E402  the path comes first
from local_airflow import Airflow, free_port  # noqa: E402
from playwright.sync_api import Page, ViewportSize, sync_playwright  # noqa: E402

TIMES, STEPS = 7, 12
SEEN_MS, KEY_MS = 1000, 100
DAG = "customer_segmentation"
WINDOW: ViewportSize = {"width": 1366, "height": 768}
REST = 2000  # ms in which the views that may be asked for next are fetched
SHOWN = "await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));"
WATCH = f"""window.opened = (async () => {{
  const found = async (selector) => {{
    while (!document.querySelector(selector)) await new Promise((resolve) => setTimeout(resolve));
    {SHOWN}
    return performance.now();
  }};
  const seen = await found("#elbow-plot .drawn circle");
  return [seen, await found("#elbow-plot .main-svg .scatterlayer .point")];
}})();"""
"""Milliseconds from the start of the navigation until the elbow is seen, and until it answers a click."""
STEP = f"""window.step = (async () => {{
  const slider = document.querySelector("#k-slider");
  const curve = document.querySelector("#elbow-plot");
  const k = Number(slider.value) + 1;
  const ring = () => curve.data.find((trace) => trace.meta === "looked-at").x[0];
  const begun = await new Promise((resolve) =>
    slider.addEventListener("keydown", () => resolve(performance.now()), {{ once: true }}));
  const after = async (isDone) => {{
    while (!isDone()) await new Promise((resolve) => setTimeout(resolve));
    {SHOWN}
    return performance.now() - begun;
  }};
  const numbers = await after(() => document.querySelector("#elbow").dataset.k === String(k));
  return [numbers, await after(() => ring() === k)];
}})(); undefined"""
"""Milliseconds from a key press until the numbers of the next k are seen, and until the ring is at it."""


def opened(page: Page, url: str) -> list[float]:
    """Open the page and return the milliseconds until the elbow is seen, and until it answers."""
    page.goto(url, wait_until="commit")
    return list(page.evaluate("window.opened"))


def pressed(page: Page, url: str) -> list[list[float]]:
    """Open the page and return the milliseconds of each of some steps of k, taken at rest."""
    shown(page, url)
    figures = []
    for _ in range(STEPS):
        page.wait_for_timeout(REST)
        page.evaluate(STEP)
        page.locator("#k-slider").press("ArrowRight")
        figures.append(page.evaluate("window.step"))
    return figures


def main() -> int:
    """Print the medians; return 1 where one is over its limit."""
    cold, warm = [], []
    with (
        tempfile.TemporaryDirectory() as home,
        Airflow(Path(home), free_port(), dags=ROOT / "dags", plugins=ROOT / "plugins") as airflow,
        sync_playwright() as playwright,
    ):
        airflow.wait_for_dag(DAG)
        run_id = airflow.trigger(DAG)
        for task in airflow.follow(DAG, run_id):
            if task["state"] != "success":
                raise SystemExit(f"The task {task['task_id']} failed; logs are in {airflow.logs}")
        query = urlencode({"dag_id": DAG, "run_id": run_id})
        url = f"{airflow.url}/pluginsv2/segmentation/run?{query}"
        for _ in range(TIMES):
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
            page = browser.new_page(viewport=WINDOW)
            page.add_init_script(WATCH)
            cold.append(opened(page, url))
            warm.append(opened(page, url))
            browser.close()
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
        steps = pressed(browser.new_page(viewport=WINDOW), url)
        browser.close()
    missed = [
        told("The elbow is seen, with an empty cache", [seen for seen, _ in cold], SEEN_MS),
        told("The elbow is seen, with a filled cache", [seen for seen, _ in warm]),
        told("It answers, with an empty cache", [answers for _, answers in cold]),
        told("It answers, with a filled cache", [answers for _, answers in warm]),
        told("A key press to the numbers", [numbers for numbers, _ in steps], KEY_MS),
        told("A key press to the ring", [ring for _, ring in steps], KEY_MS),
    ]
    return int(any(missed))


def told(what: str, figures: list[float], limit: float = math.inf) -> bool:
    """Print the median of milliseconds, and return whether it is over a limit."""
    median = statistics.median(figures)
    most = f", at most {limit}" if limit < math.inf else ""
    print(f"{what}: {median:.0f} ms{most}; {min(figures):.0f} to {max(figures):.0f}")
    return median > limit


if __name__ == "__main__":
    sys.exit(main())
