from __future__ import annotations

import re

import pytest
import yaml
from environment import requirements
from local_airflow import ROOT

AIRFLOW = ["api-server", "scheduler", "dag-processor", "worker", "triggerer", "init"]


@pytest.fixture(scope="module")
def services() -> dict[str, dict]:
    return yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]


def test_has_every_part_of_a_distributed_airflow(services):
    assert set(services) == {"postgres", "redis", *AIRFLOW}


@pytest.mark.parametrize("name", AIRFLOW)
def test_mounts_folders_that_are_there(services, name):
    mounted = dict(volume.split(":", 1) for volume in services[name]["volumes"])
    assert {"./plugins", "./dags", "./data", "./model"} <= mounted.keys()
    assert all((ROOT / source).is_dir() for source in mounted if source.startswith("."))


@pytest.mark.parametrize("name", AIRFLOW)
def test_settings_are_ones_that_airflow_knows(services, name):
    from airflow.configuration import conf

    of_others = {"celery", "segmentation"}  # the Celery provider is in the image only
    for variable in services[name]["environment"]:
        if setting := re.fullmatch(r"AIRFLOW__([A-Z_]+?)__([A-Z_]+)", variable):
            section, option = setting[1].lower(), setting[2].lower()
            known = conf.configuration_description.get(section, {}).get("options", {})
            assert section in of_others or option in known, variable


def test_waits_for_what_it_depends_on(services):
    for name, service in services.items():
        for dependency, how in service.get("depends_on", {}).items():
            condition = how["condition"]
            assert condition == "service_completed_successfully" or "healthcheck" in services[dependency], (
                name,
                dependency,
            )


def test_only_the_api_server_is_published_and_on_this_machine_only(services):
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports.keys() == {"api-server"}
    assert all(port.startswith("127.0.0.1:") for port in ports["api-server"])


def test_the_image_is_the_pinned_airflow_with_all_other_requirements():
    dockerfile = (ROOT / "Dockerfile").read_text()
    pinned = re.search(r"^apache-airflow==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert f"FROM apache/airflow:{pinned[1]}\n" in dockerfile
    installed = dockerfile.split("constraints.txt")[-1].split()
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in requirements(set())}
    in_the_image = {"apache-airflow", "apache-airflow-providers-fab", "flask-appbuilder"}
    assert names - in_the_image == set(installed) - {"\\"}
