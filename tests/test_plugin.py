"""What Airflow registers: from the entry point, the plugins folder, or both, and below a base path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from wheel import installed as installed
from wheel import wheel as wheel

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
print(json.dumps([[str(plugin.source) for plugin in plugins if plugin.name == "segmentation"], errors]))
"""


def test_the_plugins_folder_registers_the_plugin_once() -> None:
    sources, errors = in_airflow(LOADED)

    assert len(sources) == 1
    assert errors == {}


def test_installed_it_is_registered_by_its_entry_point(installed: Path, tmp_path: Path) -> None:
    sources, errors = in_airflow(LOADED, **bare(installed, tmp_path))

    assert [source.split("==")[0] for source in sources] == ["airflow-segmentation"]
    assert errors == {}


def test_installed_and_in_the_plugins_folder_it_is_registered_once(installed: Path) -> None:
    sources, errors = in_airflow(LOADED, PYTHONPATH=str(installed))

    assert [source.split("==")[0] for source in sources] == ["airflow-segmentation"]
    assert errors == {}


PAGE = """
import airflow_segmentation, os
from airflow.api_fastapi.app import create_app
from starlette.testclient import TestClient
with TestClient(create_app(apps="core")) as client:
    client.get("/auth/token/login")  # as a browser that needs no login comes by its token
    base = "/pluginsv2/segmentation/"
    page = client.get(base).text
    files = {name: page.split(f"/{name}")[0].rpartition(base)[2] for name in ("page.css", "page.js")}
    answers = {name: client.get(f"{base}{path}/{name}").status_code for name, path in files.items()}
    print(json.dumps([airflow_segmentation.__file__, "Every run with a report" in page, answers]))
"""


@pytest.mark.parametrize("mounted", [False, True], ids=["installed", "installed and mounted"])
def test_installed_it_serves_its_page(
    installed: Path, metadata_database: None, tmp_path: Path, mounted: bool
) -> None:
    environment = {"PYTHONPATH": str(installed)} if mounted else bare(installed, tmp_path)
    environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] = "True"

    path, page, answers = in_airflow(PAGE, **environment)

    assert Path(path).is_relative_to(installed)
    assert page
    assert answers == {"page.css": 200, "page.js": 200}


def test_the_package_is_not_loaded_file_by_file() -> None:
    script = """
import sys
from airflow import plugins_manager
plugins_manager.ensure_plugins_loaded()
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
print(json.dumps([name for name, file in files.items() if "/airflow_segmentation/" in file]))
"""
    loaded = in_airflow(script)
    assert "airflow_segmentation.plugin" in loaded
    assert [name for name in loaded if not name.startswith("airflow_segmentation.")] == [
        "airflow_segmentation"
    ]


def test_a_process_that_serves_no_page_imports_no_web_framework() -> None:
    script = """
import sys
from airflow_versions import load_operator_links, loaded_plugins
loaded_plugins()
load_operator_links()
print(json.dumps(sorted({"flask", "flask_appbuilder", "plotly", "pandas", "sklearn"} & sys.modules.keys())))
"""
    assert in_airflow(script) == []


TABS = """
from airflow_versions import external_views
print(json.dumps({view["destination"]: view for view in external_views()}))
"""


def test_there_is_a_tab_on_runs_and_dags_and_an_entry_on_the_rail() -> None:
    tabs = in_airflow(TABS)

    assert tabs.keys() == {"dag_run", "dag", "nav"}
    names = {destination: tab["name"] for destination, tab in tabs.items()}
    assert names == {"dag_run": "Segmentation", "dag": "Segmentation", "nav": "Segments"}
    assert tabs["dag_run"]["url_route"] == "segmentation"
    assert tabs["dag_run"]["href"] == "/pluginsv2/segmentation/run?dag_id={DAG_ID}&run_id={RUN_ID}"
    assert tabs["dag"]["href"] == "/pluginsv2/segmentation/dag?dag_id={DAG_ID}"
    assert tabs["nav"]["nav_top_level"] is True


def test_below_a_base_path_the_tabs_lead_below_it() -> None:
    tabs = in_airflow(TABS, AIRFLOW__API__BASE_URL="https://example.com/team/airflow/")

    assert {tab["href"].split("?")[0] for tab in tabs.values()} == {
        "/team/airflow/pluginsv2/segmentation/run",
        "/team/airflow/pluginsv2/segmentation/dag",
        "/team/airflow/pluginsv2/segmentation/",
    }


def test_there_is_no_entry_in_the_menu_of_legacy_views() -> None:
    script = """
from airflow_versions import appbuilder_views
print(json.dumps(["name" in view for view in appbuilder_views()]))
"""
    assert in_airflow(script) == [False]
