"""Take all pictures of the documents anew, and put them into docs/images: ``python scripts/pictures.py``.

It starts Airflow as `make demo` does, but in a copy of the checkout, so that models and runs of this one stay
as they are. It runs the example Dags, and two more on data whose truth is known, and looks at what they found
in the system's Chromium. Nothing is replaced unless every picture could be taken.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

import numpy as np
from local_airflow import ROOT, Airflow, AirflowError, free_port

sys.path.append(str(ROOT / "tests"))

from browser import FLAGS, chromium_path
from playwright.sync_api import Browser, FloatRect, Frame, Page, sync_playwright

IMAGES = ROOT / "docs" / "images"
CUSTOMERS, MAPPED, CUBE, GROUPS = "customer_segmentation", "mapped_segmentation", "cube", "seven_groups"
FOUR = ["BALANCE", "PURCHASES", "CREDIT_LIMIT", "PAYMENTS"]

RUNS: tuple[tuple[str, dict[str, object]], ...] = (
    (CUSTOMERS, {}),
    (CUSTOMERS, {"k_max": 30, "features": FOUR}),
    (CUSTOMERS, {"k_max": 40, "method": "gap"}),
    (CUSTOMERS, {}),
    (MAPPED, {}),
    (CUBE, {}),
    (GROUPS, {}),
)
"""What is run, one after another; each Dag is looked at in its last run."""

MADE = """
from pathlib import Path

from airflow.sdk import DAG
from airflow_segmentation.operators import ElbowOperator, KMeansSweepOperator

PROJECT = Path(__file__).resolve().parents[1]
for name in ("cube", "seven_groups"):
    with DAG(name, schedule=None):
        sweep = KMeansSweepOperator(
            task_id="sweep", data=f"{PROJECT}/data/{name}.csv", k_max=20, stability=20
        )
        ElbowOperator(task_id="choose", sweep=sweep.output, model_path=f"{PROJECT}/model/{name}.skops")
"""


@dataclass(frozen=True)
class Picture:
    """A picture of a page, or of parts of it that stand below one another."""

    name: str
    page: Literal["tab", "run", "dag", "list"] = "run"
    """The tab in Airflow's own page of a run, or a page of the plugin by itself."""
    dag_id: str = CUSTOMERS
    query: tuple[tuple[str, str], ...] = ()
    parts: tuple[str, ...] = ()
    """CSS selectors of what is shown: of the first to the last of them. None show all."""
    width: int = 1500
    dark: bool = False


def _in_both(name: str, dag_id: str) -> Iterator[Picture]:
    for suffix in ("light", "dark"):
        yield Picture(
            f"choosing-{name}-{suffix}",
            dag_id=dag_id,
            parts=("#structure", "#gap"),
            width=1200,
            dark=suffix == "dark",
        )


PICTURES = (
    Picture("segmentation-tab", page="tab"),
    Picture("dark", page="tab", dark=True),
    Picture("segments", parts=("#segments-title", "#segments > section")),
    Picture("dag", page="dag"),
    Picture("runs", page="list"),
    Picture("choosing-elbow", parts=("#elbow > .head", "#elbow-table"), width=1200),
    Picture(
        "choosing-scores",
        query=(("axis", "silhouette"),),
        parts=("#elbow > .head", "#elbow-table"),
        width=1200,
    ),
    Picture("choosing-trust", parts=("#segments > section",)),
    *_in_both("cube", CUBE),
    *_in_both("groups", GROUPS),
    *_in_both("customers", CUSTOMERS),
)

MARGIN = 8
"""Pixels around parts of a page, less than there are between two of its cards."""
STANDS = """() => [...document.querySelectorAll(".plot")].every(plot => plot.querySelector(".main-svg"))
  && document.querySelector("main .card")"""
"""Whether every chart of a page is drawn."""


def make_data(folder: Path) -> None:
    """Write rows drawn evenly from a cube, and seven groups that lie apart, at the corners of one."""
    rng = np.random.default_rng(3)
    corners = np.array([[i & 1, i >> 1 & 1, i >> 2] for i in range(7)]) * 10.0
    sizes = [1000, 700, 500, 300, 250, 150, 100]
    made = {
        CUBE: rng.random((3000, 3)),
        GROUPS: np.repeat(corners, sizes, axis=0) + rng.normal(size=(3000, 3)),
    }
    for name, rows in made.items():
        np.savetxt(folder / f"{name}.csv", rows, "%.4f", ",", header="x,y,z", comments="")


def run_all(airflow: Airflow) -> dict[str, str]:
    """Run what is to be looked at, and return each Dag's last run.

    :raises AirflowError: if a task fails.
    """
    last = {}
    for dag_id, answers in RUNS:
        airflow.wait_for_dag(dag_id)
        last[dag_id] = airflow.trigger(dag_id, answers)
        for task in airflow.follow(dag_id, last[dag_id]):
            if task["state"] != "success":
                raise AirflowError(f"{dag_id}: the task {task['task_id']} failed; see {airflow.logs}")
        print(f"Ran {dag_id} {answers or ''}", flush=True)
    return last


def address(picture: Picture, airflow: Airflow, last: Mapping[str, str]) -> str:
    """Return where the browser finds what is on a picture."""
    run_id = last[picture.dag_id]
    if picture.page == "tab":
        return airflow.plugin_url(picture.dag_id, run_id, "segmentation")
    query = {"dag_id": picture.dag_id, "run_id": run_id, **dict(picture.query)}
    path = "" if picture.page == "list" else f"{picture.page}?{urlencode(query)}"
    return f"{airflow.url}/pluginsv2/segmentation/{path}"


def take(picture: Picture, browser: Browser, url: str, file: Path) -> None:
    """Open the page, and save the picture when all of it stands."""
    context = browser.new_context(
        viewport={"width": picture.width, "height": 1000 if picture.page == "tab" else 600},
        color_scheme="dark" if picture.dark else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(url)
    if picture.page == "tab":
        page.frame_locator("iframe").locator("#elbow .main-svg").first.wait_for()
        _frame(page).wait_for_function(STANDS)
        page.screenshot(path=file)
    else:
        page.wait_for_function(STANDS)
        page.screenshot(path=file, full_page=True, clip=_clip(page, picture.parts) if picture.parts else None)
    context.close()


def _frame(page: Page) -> Frame:
    """Return the plugin's page within Airflow's."""
    return next(frame for frame in page.frames if "/pluginsv2/" in frame.url)


def _clip(page: Page, parts: Sequence[str]) -> FloatRect:
    """Return the smallest rectangle around the first element of each selector, and a margin."""
    found = [page.locator(part).first.bounding_box() for part in parts]
    boxes = [box for box in found if box is not None]
    left, top = min(box["x"] for box in boxes), min(box["y"] for box in boxes)
    right = max(box["x"] + box["width"] for box in boxes)
    bottom = max(box["y"] + box["height"] for box in boxes)
    return {
        "x": left - MARGIN,
        "y": top - MARGIN,
        "width": right - left + 2 * MARGIN,
        "height": bottom - top + 2 * MARGIN,
    }


def main() -> None:
    """Run the Dags, take the pictures, and replace those of the documents."""
    path = chromium_path()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        for name in ("dags", "data"):
            shutil.copytree(ROOT / name, project / name)
        (project / "dags" / "made.py").write_text(MADE)
        make_data(project / "data")
        with (
            Airflow(project / "home", free_port(), dags=project / "dags") as airflow,
            sync_playwright() as playwright,
        ):
            last = run_all(airflow)
            browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
            for picture in PICTURES:
                take(picture, browser, address(picture, airflow, last), project / f"{picture.name}.png")
                print(f"Took {picture.name}.png", flush=True)
            browser.close()
        for picture in PICTURES:
            shutil.copy(project / f"{picture.name}.png", IMAGES)


if __name__ == "__main__":
    try:
        main()
    except AirflowError as error:
        sys.exit(str(error))
