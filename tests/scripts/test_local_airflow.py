from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.request import urlopen

import demo
import psutil
import pytest
from local_airflow import Airflow, AirflowError, check_port, free_port, tail

BROKEN = """
from airflow.sdk import DAG
raise ValueError("this Dag file is broken")
DAG("broken_dag")
"""


@pytest.fixture(scope="module")
def home(checkout: Path) -> Path:
    """A user's home folder, for all that Airflow might want to leave there."""
    home = checkout.parent / "home"
    home.mkdir()
    return home


@pytest.fixture(scope="module")
def airflow(checkout: Path, home: Path) -> Iterator[Airflow]:
    """A running Airflow with the stand-in Dag and a broken one."""
    (checkout / "dags" / "broken.py").write_text(BROKEN)
    settings = {"HOME": str(home)}
    dags, plugins = checkout / "dags", checkout / "plugins"
    with Airflow(checkout / ".demo", free_port(), dags=dags, plugins=plugins, settings=settings) as airflow:
        airflow.wait_for_dag("customer_segmentation")
        yield airflow


def test_follows_a_run_and_reads_what_its_tasks_pushed(airflow, capsys):
    run_id = airflow.trigger(demo.DAG)
    demo.follow(airflow, run_id)
    demo.tell_result(airflow, run_id)
    told = capsys.readouterr().out
    assert [line.split()[:2] for line in told.splitlines()[:3]] == [
        ["sweep", "success"],
        ["choose", "success"],
        ["assign", "success"],
    ]
    assert "k = 7, SSE = 1234; the test customer belongs to segment 3" in told
    with urlopen(airflow.plugin_url(demo.DAG, run_id, demo.ROUTE)) as page:
        assert page.status == 200


def test_the_log_of_a_failed_task_is_shown(airflow, capsys):
    run_id = airflow.trigger(demo.DAG, {"sweep": "fail"})
    with pytest.raises(AirflowError) as error:
        demo.follow(airflow, run_id)
    assert "The task sweep failed, with this at the end of " in str(error.value)
    assert "ValueError: no customers" in str(error.value)
    assert "upstream_failed" in capsys.readouterr().out


def test_the_error_in_a_dag_file_is_shown(airflow):
    with pytest.raises(AirflowError, match="this Dag file is broken"):
        airflow.wait_for_dag("broken_dag")


def test_an_error_of_the_rest_api_is_told(airflow):
    with pytest.raises(AirflowError, match=r"GET /dags/absent: HTTP 404 .*absent"):
        airflow.request("GET", "/dags/absent")


def test_runs_left_behind_are_marked_failed(airflow, wait_until):
    run_id = airflow.trigger(demo.DAG, {"sweep": "wait"})
    wait_until(lambda: airflow.task_log(demo.DAG, run_id, "sweep"))
    airflow.fail_unfinished()
    assert airflow.run_state(demo.DAG, run_id) == "failed"


def test_listens_on_this_machine_only(airflow, processes):
    listening = set()
    for process in processes(airflow.home):
        with contextlib.suppress(psutil.NoSuchProcess):  # Airflow's own children come and go
            connections = process.net_connections()
            listening |= {each.laddr for each in connections if each.status == "LISTEN"}
    assert listening == {("127.0.0.1", airflow.port)}


@pytest.mark.parametrize("path", ["/", "/api/v2/version", "/execution/health", "/auth/token", "/pluginsv2/x"])
def test_answers_to_this_machines_names_only(airflow, path):
    def status(host: str) -> int:
        connection = HTTPConnection("127.0.0.1", airflow.port)
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status

    for host in ("evil.example", f"evil.example:{airflow.port}", "127.0.0.1.evil.example", "0.0.0.0", ""):
        assert status(host) == 400, host
    for host in ("127.0.0.1", f"127.0.0.1:{airflow.port}", f"localhost:{airflow.port}"):
        assert status(host) != 400, host


def test_its_files_are_for_its_user_only(airflow):
    for path in (airflow.home, airflow.home / "airflow.db", airflow.logs / "api-server.log"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_second_airflow_in_the_same_home_is_refused(airflow):
    with pytest.raises(AirflowError, match=r"An Airflow is running in .*; stop that one first"):
        Airflow(airflow.home, free_port()).start()


def test_leaves_nothing_in_the_users_home(airflow, home):
    assert list(home.iterdir()) == []


def test_ignores_the_settings_of_another_airflow(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", "elsewhere")
    monkeypatch.setenv("AIRFLOW_CONFIG", "elsewhere")
    environment = Airflow(tmp_path).environment
    assert "elsewhere" not in environment.values()
    assert environment["AIRFLOW_HOME"] == str(tmp_path)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_an_impossible_port_is_named(port):
    with pytest.raises(AirflowError, match=rf"Port {port} is not between 1 and 65535; .*PORT="):
        check_port(port)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_busy_port_is_named(address):
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(AirflowError, match=rf"Port {port} is in use; .*PORT="):
            check_port(port)


def test_the_end_of_a_log_is_what_a_person_wants_to_read(tmp_path):
    log = tmp_path / "task.log"
    records = [
        {"level": "info", "event": "Swept"},
        {
            "level": "error",
            "event": "Task failed",
            "error_detail": [{"exc_type": "OSError", "exc_value": "no"}],
        },
    ]
    log.write_text("".join(json.dumps(record) + os.linesep for record in records) + "not JSON\n")
    assert tail(log) == "info: Swept\nerror: Task failed\nOSError: no\nnot JSON"
    assert tail(log, lines=1) == "not JSON"
    assert tail(tmp_path / "absent") == ""
