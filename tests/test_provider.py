"""What Airflow's own commands say of the installed package, and its settings without them."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from airflow_segmentation.provider import OPTIONS, SECTION, get_provider_info
from airflow_versions import config_list_with_values

ROOT = Path(__file__).resolve().parents[1]


def printed(*command: str, **environment: str) -> str:
    """Return what a command prints, in an Airflow of which no setting is that of these tests."""
    kept = {name: value for name, value in os.environ.items() if "__SEGMENTATION__" not in name}
    result = subprocess.run(
        [sys.executable, *command],
        env=kept | environment,
        cwd=os.environ["AIRFLOW_HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_airflow_lists_it_among_its_providers(installed: Path, metadata_database: None) -> None:
    listed = printed("-m", "airflow", "providers", "list", "--output", "json", PYTHONPATH=str(installed))

    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    providers = json.loads(listed[listed.index("[{") :])
    (ours,) = [one for one in providers if one["package_name"] == config["metadata"]["name"]]
    assert ours["version"] == config["metadata"]["version"]
    assert ours["description"].startswith("Customer segmentation")


def test_airflow_lists_its_settings_with_descriptions_and_defaults(
    installed: Path, metadata_database: None
) -> None:
    command = [*config_list_with_values(), "--include-descriptions", "--section", SECTION]
    listed = printed("-m", "airflow", *command, PYTHONPATH=str(installed))

    words = " ".join(line.lstrip("# ") for line in listed.splitlines())
    assert f"[{SECTION}]" in words
    for name, option in OPTIONS.items():
        default = option["default"].replace("{AIRFLOW_HOME}", os.environ["AIRFLOW_HOME"])
        assert re.search(rf"^(# )?{name} = {re.escape(default)}$", listed, re.MULTILINE), listed
        assert " ".join(option["description"].split()) in words


def test_its_description_is_one_that_airflow_takes() -> None:
    from airflow.providers_manager import _create_provider_info_schema_validator

    _create_provider_info_schema_validator().validate(get_provider_info())


READ = """
import os
from airflow_segmentation.provider import setting

def read():
    return [setting(name) for name in ("storage_path", "allowed_paths", "reports_in_database")]

default = read()
os.environ["AIRFLOW__SEGMENTATION__STORAGE_PATH"] = "s3://bucket"
os.environ["AIRFLOW__SEGMENTATION__REPORTS_IN_DATABASE"] = "true"
print([default, read()])
"""


@pytest.mark.parametrize("where", ["installed", "copied"])
def test_a_setting_has_its_default_installed_or_copied_to_the_plugins_folder(
    installed: Path, where: str
) -> None:
    path = str(installed if where == "installed" else ROOT / "plugins")
    home = os.environ["AIRFLOW_HOME"]

    read = printed("-c", READ, PYTHONPATH=path).splitlines()[-1]

    assert read == str([[f"{home}/segmentation", "", False], ["s3://bucket", "", True]])


def test_the_documents_tell_of_each_setting() -> None:
    table = (ROOT / "docs" / "install.md").read_text().partition("## Configure it")[2].partition("\n## ")[0]

    assert [name for name in OPTIONS if f"`[{SECTION}] {name}`" not in table] == []
