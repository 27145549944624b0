"""The API server reads reports, never data or a model, and unpickles nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from local_airflow import ROOT

OPENERS = ["joblib", "pyarrow", "skops", "sklearn"]
OURS = [
    "airflow_segmentation",
    *(f"airflow_segmentation.{name}" for name in ("errors", "links", "plugin", "provider", "www")),
    *(f"airflow_segmentation.{name}" for name in ("clustering", "clustering.matching", "clustering.methods")),
    *(
        f"airflow_segmentation.{name}"
        for name in (
            "reports",
            "reports.alike",
            "reports.describing",
            "reports.drawing",
            "reports.figures",
            "reports.files",
            "reports.identity",
            "reports.records",
            "reports.report",
            "reports.sentences",
        )
    ),
]
"""What the page stands on, and all of ours that it may import: none opens a model or a table."""


def test_the_page_imports_nothing_that_opens_a_model_or_a_table():
    code = f"""
import json, pkgutil, sys
sys.path.insert(0, {str(ROOT / "plugins")!r})
before = set(sys.modules)
import airflow_segmentation.plugin, airflow_segmentation.www
for module in pkgutil.walk_packages(airflow_segmentation.www.__path__, "airflow_segmentation.www."):
    __import__(module.name)
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = json.loads(done.stdout.strip().splitlines()[-1])

    ours = [name for name in imported if name.split(".")[0] == "airflow_segmentation"]
    assert {name for name in ours if not name.startswith("airflow_segmentation.www.")} == set(OURS)
    assert "airflow_segmentation.www.view" in ours
    assert not set(OPENERS) & set(imported)


class Unpickled:
    """Notes what is unpickled in this process; an audit hook stays for good, so it notes when told to."""

    def __init__(self) -> None:
        self.names: list[str] | None = None
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "pickle.find_class" and self.names is not None:
            self.names.append(".".join(map(str, arguments)))


@pytest.fixture(scope="module")
def unpickled() -> Unpickled:
    return Unpickled()


def test_no_route_unpickles_anything(server: Any, unpickled: Unpickled) -> None:
    from airflow_segmentation.www.view import SegmentationView

    run = "?dag_id=open&run_id=manual__0"
    routes = [url for method in vars(SegmentationView).values() for url, _ in getattr(method, "_urls", ())]
    assert len(routes) >= 6
    unpickled.names = []
    addresses = [route.replace("<name>", "choosing-elbow.png") + run for route in routes]
    answers = {address: server.get(address).status_code for address in addresses}
    assert set(answers.values()) == {200}, answers
    assert unpickled.names == []
    unpickled.names = None


def test_the_hook_notes_what_is_unpickled(unpickled: Unpickled) -> None:
    import pickle
    from fractions import Fraction

    unpickled.names = []
    pickle.loads(pickle.dumps(Fraction(1)))
    assert unpickled.names == ["fractions.Fraction"]
    unpickled.names = None
