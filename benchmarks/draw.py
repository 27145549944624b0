"""How long after navigation the run page's first chart stands in Chromium, with an empty and a filled cache.

Run as `.venv/bin/python benchmarks/draw.py`. It starts Airflow, runs the example Dag once, and opens its page
in a new Chromium each time: what the person waits for who opens it for the first time, and once more.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from browser import FLAGS, chromium_path  # noqa: E402  the path comes first
from local_airflow import Airflow, free_port  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

TIMES = 7
LIMIT_MS = 1500
DAG = "customer_segmentation"
DRAWN = """async () => {
  while (!document.querySelector("#elbow .main-svg .scatterlayer .point"))
    await new Promise(requestAnimationFrame);
  return performance.now();
}"""
"""Milliseconds from the start of the navigation to the frame in which the curve's points are there."""


def drawn(page: Page, url: str) -> float:
    """Open the page and return the milliseconds until its first chart stands."""
    page.goto(url, wait_until="commit")
    return float(page.evaluate(DRAWN))


def main() -> int:
    """Print the medians; return 1 where that with an empty cache is over the limit."""
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
            page = browser.new_page()
            cold.append(drawn(page, url))
            warm.append(drawn(page, url))
            browser.close()
    first = statistics.median(cold)
    print(
        f"Drawn {first / 1000:.2f} s after navigation with an empty cache, of {min(cold) / 1000:.2f} to "
        f"{max(cold) / 1000:.2f}; {statistics.median(warm) / 1000:.2f} s with Plotly in the cache"
    )
    return int(first > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
