"""What Airflow registers: from the entry point, the plugins folder, or both, and below a base path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def in_airflow(script: str, **environment: str) -> Any:
    """Return what a script prints as JSON, in a Python of its own: Airflow reads plugins once per process."""
    result = subprocess.run(
        [sys.executable, "-c", f"import json, sys\nsys.path.append({str(ROOT / 'tests')!r})\n{script}"],
        env=os.environ | environment,
        cwd=os.environ["AIRFLOW_HOME"],  # not the checkout, where a build may have left a distribution's name
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def bare(installed: Path, plugins: Path) -> dict[str, str]:
    """Return the environment of an Airflow with the wheel installed and an empty plugins folder."""
    return {"PYTHONPATH": str(installed), "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins)}


LOADED = """
from airflow_versions import loaded_plugins
plugins, errors = loaded_plugins()
registered = [[str(plugin.source) for plugin in plugins if plugin.name == "segmentation"], errors]
"""

MOUNTED = f"""{LOADED}
from airflow_versions import appbuilder_views, external_views, load_operator_links
load_operator_links()
heavy = sorted({{"flask", "flask_appbuilder", "plotly", "pandas", "sklearn"}} & sys.modules.keys())
files = {{name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}}
ours = [name for name, file in files.items() if "/airflow_segmentation/" in file]
tabs = {{view["destination"]: view for view in external_views()}}
named = ["name" in view for view in appbuilder_views()]
print(json.dumps({{"registered": registered, "heavy": heavy, "ours": ours, "tabs": tabs, "named": named}}))
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, Any]:
    """What an Airflow that has the package in its plugins folder knows of it, step by step."""
    told: dict[str, Any] = in_airflow(MOUNTED)
    return told


def test_the_plugins_folder_registers_the_plugin_once(loaded: dict[str, Any]) -> None:
    sources, errors = loaded["registered"]

    assert len(sources) == 1
    assert errors == {}


PAGE = f"""{LOADED}
import airflow_segmentation, os
from airflow.api_fastapi.app import create_app
from starlette.testclient import TestClient
with TestClient(create_app(apps="core")) as client:
    client.get("/auth/token/login")  # as a browser that needs no login comes by its token
    base = "/pluginsv2/segmentation/"
    page = client.get(base).text
    files = {{name: page.split(f"/{{name}}")[0].rpartition(base)[2] for name in ("page.css", "page.js")}}
    answers = {{name: client.get(f"{{base}}{{path}}/{{name}}").status_code for name, path in files.items()}}
    seen = "All runs you have access to" in page
    print(json.dumps([registered, airflow_segmentation.__file__, seen, answers]))
"""


@pytest.mark.parametrize("mounted", [False, True], ids=["installed", "installed and mounted"])
def test_installed_it_is_registered_once_by_its_entry_point_and_serves_its_page(
    installed: Path, metadata_database: None, tmp_path: Path, mounted: bool
) -> None:
    environment = {"PYTHONPATH": str(installed)} if mounted else bare(installed, tmp_path)
    environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] = "True"

    (sources, errors), path, page, answers = in_airflow(PAGE, **environment)

    assert [source.split("==")[0] for source in sources] == ["airflow-segmentation"]
    assert errors == {}
    assert Path(path).is_relative_to(installed)
    assert page
    assert answers == {"page.css": 200, "page.js": 200}


def test_the_package_is_not_loaded_file_by_file(loaded: dict[str, Any]) -> None:
    assert "airflow_segmentation.plugin" in loaded["ours"]
    assert [name for name in loaded["ours"] if not name.startswith("airflow_segmentation.")] == [
        "airflow_segmentation"
    ]


def test_a_process_that_serves_no_page_imports_no_web_framework(loaded: dict[str, Any]) -> None:
    assert loaded["heavy"] == []


def test_there_is_a_tab_on_runs_and_dags_and_an_entry_on_the_rail(loaded: dict[str, Any]) -> None:
    tabs = loaded["tabs"]

    assert tabs.keys() == {"dag_run", "dag", "nav"}
    names = {destination: tab["name"] for destination, tab in tabs.items()}
    assert names == {"dag_run": "Segmentation", "dag": "Segmentation", "nav": "Segments"}
    assert tabs["dag_run"]["url_route"] == "segmentation"
    assert tabs["dag_run"]["href"] == "/pluginsv2/segmentation/run?dag_id={DAG_ID}&run_id={RUN_ID}"
    assert tabs["dag"]["href"] == "/pluginsv2/segmentation/dag?dag_id={DAG_ID}"
    assert tabs["nav"]["nav_top_level"] is True


def test_below_a_base_path_the_tabs_lead_below_it() -> None:
    script = """
from airflow_versions import external_views
print(json.dumps([view["href"] for view in external_views()]))
"""
    addresses = in_airflow(script, AIRFLOW__API__BASE_URL="https://example.com/team/airflow/")

    assert {address.split("?")[0] for address in addresses} == {
        "/team/airflow/pluginsv2/segmentation/run",
        "/team/airflow/pluginsv2/segmentation/dag",
        "/team/airflow/pluginsv2/segmentation/",
    }


def test_there_is_no_entry_in_the_menu_of_legacy_views(loaded: dict[str, Any]) -> None:
    assert loaded["named"] == [False]
