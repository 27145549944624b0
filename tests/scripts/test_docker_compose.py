from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml
from airflow.sdk import Connection
from cryptography.fernet import Fernet
from environment import requirements
from local_airflow import ROOT
from made.compose import read_services

COMPOSE_FILE = ROOT / "docker-compose.yaml"

AIRFLOW = [
    "airflow-init",
    "airflow-apiserver",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-worker",
    "airflow-triggerer",
    "flower",
]
SPARK = ["spark-master", "spark-worker", "spark-connect"]


@pytest.fixture(scope="module")
def services() -> dict[str, dict]:
    return yaml.safe_load(COMPOSE_FILE.read_text())["services"]


def test_has_every_part_of_a_distributed_airflow(services):
    assert set(services) == {"postgres", "redis", *AIRFLOW, *SPARK}


@pytest.mark.parametrize("name", AIRFLOW)
def test_mounts_folders_that_are_there(services, name):
    mounted = dict(volume.split(":", 1) for volume in services[name]["volumes"])
    assert {"./plugins", "./dags", "./data", "./model"} <= mounted.keys()
    assert all((ROOT / source).is_dir() for source in mounted if source.startswith("."))


@pytest.mark.parametrize("name", AIRFLOW)
def test_code_and_data_of_the_checkout_cannot_be_written(services, name):
    of_checkout = [volume for volume in services[name]["volumes"] if volume.startswith("./")]
    assert {volume for volume in of_checkout if not volume.endswith(":ro")} == {"./model:/opt/airflow/model"}


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


@pytest.mark.parametrize("name", AIRFLOW)
def test_a_check_past_its_timeout_is_ended_and_not_only_its_shell(services, name):
    kind, command, *_ = services[name].get("healthcheck", {"test": ["NONE", ""]})["test"]
    assert kind in ("CMD", "NONE") or command.startswith("exec ")


def test_what_is_published_is_so_on_this_machine_only(services):
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports.keys() == {"airflow-apiserver", "flower", "spark-connect"}
    assert not [port for port in ports["spark-connect"] if "15002" in port], "who connects may run code"
    assert all(port.startswith("127.0.0.1:") for published in ports.values() for port in published)


def test_is_valid_by_the_compose_specification():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, COMPOSE_FILE], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_needs_no_variable_to_be_set():
    variables = re.findall(r"(?<!\$)\$\{(\w+)(:-[^}]+)?\}", COMPOSE_FILE.read_text())
    assert [name for name, default in variables if not default] == []


@pytest.mark.parametrize(
    "setting",
    [
        "AIRFLOW__CORE__FERNET_KEY",
        "AIRFLOW__API__SECRET_KEY",
        "AIRFLOW__API_AUTH__JWT_SECRET",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
        "AIRFLOW__CELERY__RESULT_BACKEND",
    ],
)
def test_a_secret_comes_from_the_environment_or_calls_itself_insecure(setting):
    with_defaults = read_services(COMPOSE_FILE, {})
    own = dict.fromkeys(["FERNET_KEY", "API_SECRET_KEY", "JWT_SECRET", "POSTGRES_PASSWORD"], "my-own")
    with_own = read_services(COMPOSE_FILE, own)
    for name in with_defaults.keys() & set(AIRFLOW):
        assert "INSECURE" in with_defaults[name].environment[setting]
        assert "INSECURE" not in with_own[name].environment[setting]
        assert "my-own" in with_own[name].environment[setting]


def test_the_secrets_that_the_documents_make_leave_none_insecure(tmp_path):
    [block] = re.findall(r"```sh\n(\(umask .+?)```", (ROOT / "docs" / "production.md").read_text(), re.DOTALL)
    (tmp_path / ".env").touch(0o666)
    subprocess.run(["bash", "-ec", block], cwd=tmp_path, check=True)
    lines = (tmp_path / ".env").read_text().splitlines()
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    services = read_services(COMPOSE_FILE, dict(line.split("=", 1) for line in lines))
    assert "INSECURE" not in str({name: service.environment for name, service in services.items()})
    init = services["airflow-init"].environment
    Fernet(init["AIRFLOW__CORE__FERNET_KEY"])
    assert init["_AIRFLOW_WWW_USER_PASSWORD"] != "airflow"
    assert len({init["AIRFLOW__API__SECRET_KEY"], init["AIRFLOW__API_AUTH__JWT_SECRET"]}) == 2


def test_the_default_fernet_key_encrypts():
    key = read_services(COMPOSE_FILE, {})["airflow-worker"].environment["AIRFLOW__CORE__FERNET_KEY"]
    assert Fernet(key).decrypt(Fernet(key).encrypt(b"customers")) == b"customers"


def test_a_worker_may_be_started_several_times(services):
    assert not {"container_name", "hostname", "ports"} & services["airflow-worker"].keys()


@pytest.mark.parametrize("name", SPARK)
def test_spark_starts_on_demand_and_shares_data_and_tables_with_tasks(services, name):
    assert services[name]["profiles"] == ["spark"]
    assert set(services[name]["volumes"]) <= set(services["airflow-worker"]["volumes"])
    targets = {volume.split(":")[1] for volume in services[name]["volumes"]}
    assert targets == {"/opt/airflow/data", "/opt/airflow/segmentation"}
    assert services[name]["user"] == services["airflow-worker"]["user"]


def test_one_setting_takes_the_dags_to_spark():
    off = read_services(COMPOSE_FILE, {})["airflow-worker"].environment
    on = read_services(COMPOSE_FILE, {"SPARK_CONN_ID": "spark"})["airflow-worker"].environment
    assert off["AIRFLOW__SEGMENTATION__SPARK_CONN_ID"] == ""
    assert on["AIRFLOW__SEGMENTATION__SPARK_CONN_ID"] == "spark"
    connection = Connection.from_json(on["AIRFLOW_CONN_SPARK"], conn_id="spark")
    assert (connection.conn_type, connection.host, connection.port) == (
        "spark_connect",
        "sc://spark-connect",
        15002,
    )


def test_python_on_spark_is_the_python_of_tasks():
    dockerfile = (ROOT / "Dockerfile").read_text()
    [airflow] = re.findall(r"^FROM apache/airflow:\S+-python(\S+)$", dockerfile, re.MULTILINE)
    [spark] = re.findall(r"^FROM python:(\S+)-slim-bookworm AS spark$", dockerfile, re.MULTILINE)
    assert airflow == spark
    assert f"PYSPARK_PYTHON=python{spark}\n" in dockerfile


@pytest.mark.parametrize("name", set(AIRFLOW) - {"airflow-init"})
def test_airflow_runs_as_the_user_that_is_asked_for_and_not_as_root(services, name):
    assert services[name]["user"] == "${AIRFLOW_UID:-50000}:0"


def test_the_image_is_the_pinned_airflow_with_all_other_requirements():
    dockerfile = (ROOT / "Dockerfile").read_text()
    pinned = re.search(r"^apache-airflow==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert re.search(rf"^FROM apache/airflow:{pinned[1]}-python3\.1[0-3]$", dockerfile, re.MULTILINE)
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in requirements(set())}
    in_the_image = {"apache-airflow", "apache-airflow-providers-fab", "flask-appbuilder"}
    in_the_image |= {"markdown-it-py", "msgspec"}
    image = dockerfile[dockerfile.index("FROM apache/airflow") :].replace("\\\n", " ")
    installed = re.search(r"--constraint /tmp/constraints.txt (.+)", image)[1]
    assert names - in_the_image == set(installed.split()), "Airflow's own dependencies stay as they are"


def test_the_image_holds_the_folders_that_are_mounted(services):
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY .*?(\S+) /opt/airflow/(\S+)$", dockerfile, re.MULTILINE)
    copied += re.findall(r"^RUN mkdir --mode=775 /opt/airflow/((\S+))$", dockerfile, re.MULTILINE)
    mounted = [volume.split(":") for volume in services["airflow-worker"]["volumes"]]
    assert dict(copied) == {
        source.removeprefix("./"): target.removeprefix("/opt/airflow/")
        for source, target, *_ in mounted
        if source.startswith("./")
    }
