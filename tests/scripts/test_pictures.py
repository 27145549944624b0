"""What scripts/pictures.py takes, without the minutes that taking it costs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from airflow_versions import dag_bag
from local_airflow import Airflow
from pictures import CUBE, CUSTOMERS, GROUPS, IMAGES, MADE, PICTURES, RUNS, Picture, address, make_data

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def test_it_takes_every_picture_that_the_documents_show_and_no_other():
    shown = {
        name for document in DOCUMENTS for name in re.findall(r"images/([\w-]+)\.png", document.read_text())
    }
    taken = [picture.name for picture in PICTURES]

    assert sorted(taken) == sorted(shown)
    assert {file.name for file in IMAGES.iterdir()} == {f"{name}.png" for name in taken}


def test_a_picture_for_the_dark_is_of_the_same_as_that_for_the_light():
    by_name = {picture.name: picture for picture in PICTURES}
    pairs = [name.removesuffix("-dark") for name in by_name if name.endswith("-dark")]

    assert pairs
    for name in pairs:
        light, dark = by_name[f"{name}-light"], by_name[f"{name}-dark"]
        assert (light.dag_id, light.query, light.parts, light.width) == (
            *(dark.dag_id, dark.query, dark.parts, dark.width),
        )
        assert (light.dark, dark.dark) == (False, True)


def test_every_dag_that_is_looked_at_is_run_and_its_form_takes_the_answers(metadata_database, tmp_path):
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "made.py").write_text(MADE)
    dags = {**dag_bag(ROOT / "dags").dags, **dag_bag(tmp_path / "dags").dags}

    assert {picture.dag_id for picture in PICTURES} <= {dag_id for dag_id, _ in RUNS}
    for dag_id, answers in RUNS:
        for name, value in answers.items():
            assert dags[dag_id].params.get_param(name).resolve(value) == value


def test_the_data_are_noise_and_seven_groups(tmp_path):
    make_data(tmp_path)

    for name in (CUBE, GROUPS):
        header, *lines = (tmp_path / f"{name}.csv").read_text().splitlines()
        assert (header, len(lines)) == ("x,y,z", 3000)
    groups = np.loadtxt(tmp_path / f"{GROUPS}.csv", delimiter=",", skiprows=1)
    assert len(np.unique(np.round(groups / 10), axis=0)) == 7
    cube = np.loadtxt(tmp_path / f"{CUBE}.csv", delimiter=",", skiprows=1)
    assert cube.min() >= 0
    assert cube.max() <= 1


@pytest.mark.parametrize(
    ("picture", "path"),
    [
        (Picture("a", page="tab"), "/dags/customer_segmentation/runs/m%2B1/plugin/segmentation"),
        (Picture("a", page="list"), "/pluginsv2/segmentation/"),
        (
            Picture("a", query=(("axis", "silhouette"),)),
            "/pluginsv2/segmentation/run?dag_id=customer_segmentation&run_id=m%2B1&axis=silhouette",
        ),
    ],
)
def test_a_picture_is_taken_of_the_last_run(tmp_path, picture, path):
    airflow = Airflow(tmp_path, 8137)
    assert address(picture, airflow, {CUSTOMERS: "m+1"}) == f"http://127.0.0.1:8137{path}"
