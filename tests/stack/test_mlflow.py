"""A real MLflow server: what is logged there, by tasks that are killed, tried again, overtaken, shut out."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from airflow.sdk import DAG
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators import ElbowOperator, MlflowLogOperator
from airflow_segmentation.reports.files import charts_html, sweep_csv
from airflow_segmentation.reports.report import Report
from made.mlflow import LOGIN, Server, publish, write_sweep
from made.reports import HOSTILE
from made.tasks import Task
from running import api_server as api_server
from running import callbacks_as_on_a_worker as callbacks_as_on_a_worker
from running import run_dag as run_dag


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An MLflow server."""
    with Server(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a sweep of customers in three clear groups."""
    return write_sweep(tmp_path_factory.mktemp("swept"))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, sweep: str) -> dict[str, Any]:
    """What the task returned that published them."""
    return publish(tmp_path_factory.mktemp("published"), sweep, k=3)


@pytest.fixture(autouse=True)
def connected(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to the server."""
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", server.connection)


def log(run_id: str = "run", **arguments: Any) -> dict[str, Any]:
    """Log in a task of a run, and return what the task does."""
    task: Any = Task("log")
    task.run_id = run_id
    return MlflowLogOperator(task_id="log", **arguments).execute({"ti": task})


def report_of(published: dict[str, Any]) -> Report:
    return Report.from_json(Path(published["model_path"]).with_name("report.json").read_text())


def values(pairs: list[dict[str, str]]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in pairs}


def test_a_version_is_a_run_that_tells_all_of_it(server: Server, published: dict[str, Any]):
    returned, report = log(experiment="whole", published=published), report_of(published)

    (run,) = server.runs("whole")
    assert returned == {"run_id": run["info"]["run_id"], "model_version": None}
    assert (run["info"]["status"], run["info"]["run_name"]) == ("FINISHED", "made run")
    params, tags = values(run["data"]["params"]), values(run["data"]["tags"])
    assert {name: params[name] for name in ("k", "k_min", "k_max", "random_state", "rows", "features")} == {
        "k": "3",
        "k_min": "1",
        "k_max": "6",
        "random_state": "42",
        "rows": str(report.rows),
        "features": '["BALANCE", "PURCHASES"]',
    }
    assert tags["segmentation.verdict"] == "clear"
    assert tags["segmentation.model_digest"] == published["model_digest"]
    assert tags["segmentation.published_version"] == "1"
    assert (tags["airflow.dag_id"], tags["airflow.run_id"], tags["airflow.task_id"]) == ("made", "run", "log")
    assert server.history(returned["run_id"], "sse") == [(point.k, point.sse) for point in report.curve]
    for name in ("silhouette", "calinski_harabasz", "davies_bouldin"):
        swept = [
            (point.k, point.scores[name]) for point in report.curve if point.scores.get(name) is not None
        ]
        assert server.history(returned["run_id"], name) == swept
        assert len(swept) == 5
    assert server.history(returned["run_id"], "chosen/sse") == [(0, report.chosen.sse)]
    assert server.history(returned["run_id"], "chosen/k") == [(0, 3)]
    for name, content in {"charts.html": charts_html(report), "sweep.csv": sweep_csv(report)}.items():
        assert server.artifact(returned["run_id"], name).decode() == content
    assert json.loads(server.artifact(returned["run_id"], "report.json")) == report.to_json()
    model = server.artifact(returned["run_id"], "model/model.skops")
    assert model == Path(published["model_path"]).read_bytes()


@pytest.mark.parametrize("killed_after", [2, 4, 5, 6, 10, 15, 17, 18])
def test_the_try_after_a_kill_completes_the_same_run(
    server: Server, published: dict[str, Any], killed_after: int
):
    name = f"killed after {killed_after}"
    arguments: dict[str, Any] = {"experiment": name, "published": published, "model_name": name}
    child = os.fork()
    if child == 0:
        _killed_after(killed_after)
        log(**arguments)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert [run["info"]["status"] for run in server.runs(name)] == ["RUNNING"] * (killed_after >= 4)

    returned = log(**arguments)

    (run,) = server.runs(name)
    assert (run["info"]["run_id"], run["info"]["status"]) == (returned["run_id"], "FINISHED")
    assert server.history(returned["run_id"], "sse") == [
        (point.k, point.sse) for point in report_of(published).curve
    ]
    assert len(run["data"]["params"]) == len(values(run["data"]["params"])) > 10
    assert server.artifact(returned["run_id"], "model/MLmodel")
    model = server.get("registered-models/get", name=name)["registered_model"]
    assert [each["version"] for each in model["latest_versions"]] == [returned["model_version"]] == ["1"]
    assert model["aliases"] == [{"alias": "published", "version": "1"}]


def _killed_after(count: int) -> None:
    """Have this process be killed once so many requests are answered."""
    answered, request = [], requests.Session.request

    def counted(*arguments: Any, **options: Any) -> requests.Response:
        response = request(*arguments, **options)
        answered.append(response)
        if len(answered) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return response

    requests.Session.request = counted  # type: ignore[method-assign]


def test_a_task_that_is_cleared_after_another_choice_is_another_run(
    server: Server, tmp_path: Path, sweep: str
):
    path = tmp_path / "published"
    first = log(experiment="cleared", published=publish(path, sweep, k=3))
    second = log(experiment="cleared", published=publish(path, sweep, k=4))

    assert first["run_id"] != second["run_id"]
    assert {values(run["data"]["params"])["k"] for run in server.runs("cleared")} == {"3", "4"}


def test_the_alias_goes_to_what_is_published_and_not_back(server: Server, tmp_path: Path, sweep: str):
    def published_now() -> str:
        found = server.get("registered-models/alias", name="moving", alias="live")
        return found["model_version"]["version"]

    arguments = {"experiment": "moving", "model_name": "moving", "alias": "live"}
    old = publish(tmp_path / "published", sweep, k=3)
    assert log("first", published=old, **arguments)["model_version"] == published_now() == "1"
    new = publish(tmp_path / "published", sweep, k=4)
    assert log("second", published=new, **arguments)["model_version"] == published_now() == "2"

    assert log("late", published=old, **arguments)["model_version"] == "3"
    assert published_now() == "2"


def test_mlflow_loads_the_model_whatever_its_features_are_called(server: Server, tmp_path: Path):
    features = (HOSTILE, "k: v #'\u00e9\u4e2d")
    published = publish(tmp_path / "published", write_sweep(tmp_path, features), k=3)
    returned = log(HOSTILE, experiment=HOSTILE, published=published, model_name="hostile 'names'")

    (run,) = server.runs(HOSTILE)
    assert json.loads(values(run["data"]["params"])["features"]) == list(features)
    assert values(run["data"]["tags"])["airflow.run_id"] == HOSTILE
    assert run["info"]["run_id"] == returned["run_id"]
    program = """
import json, mlflow, pandas
model = mlflow.pyfunc.load_model("models:/hostile 'names'@published")
names = model.metadata.signature.inputs.input_names()
rows = pandas.DataFrame([[100.0, 10.0], [900.0, 50.0], [500.0, 90.0]], columns=names)
print(json.dumps([names, model.predict(rows).tolist()]))
"""
    assert json.loads(server.python(program)) == [list(features), [0, 1, 2]]
    with pytest.raises(InputError, match=r"refuses what it was asked.*INVALID_PARAMETER_VALUE"):
        log(experiment="refused", published=published, model_name="a/b:c")
    assert [run["info"]["status"] for run in server.runs("refused")] == ["FAILED"]


def test_a_dag_logs_its_choice_and_nobody_sees_the_password(
    server: Server,
    sweep: str,
    run_dag: Any,
    tmp_path: Path,
    airflow_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
):
    wrong = "wr0ng-of-the-vault"
    login = {"conn_type": "http", "host": server.url, "login": LOGIN, "password": wrong}
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", json.dumps(login))
    with DAG("logged", schedule=None) as dag:
        choose = ElbowOperator(task_id="choose", sweep=sweep, model_path=str(tmp_path / "model.sav"))
        for task_id, conn_id in {"log": "mlflow_default", "shut_out": "wrong"}.items():
            MlflowLogOperator(
                task_id=task_id,
                experiment="{{ dag.dag_id }}",
                report=choose.output,
                model_name="chosen",
                mlflow_conn_id=conn_id,
                retries=0,
            )
    run = run_dag(dag)

    assert run.states == {"choose": "success", "log": "success", "shut_out": "failed"}
    (logged,) = server.runs("logged")
    assert logged["info"]["run_id"] == run.xcom("log", "run_id")
    assert values(logged["data"]["params"])["k"] == str(run.xcom("choose", "k"))
    model = server.get("registered-models/get", name="chosen")["registered_model"]
    assert (len(model["latest_versions"]), model.get("aliases", [])) == (1, [])
    assert run.xcom("log", "_link_MlflowLink").endswith(f"/runs/{logged['info']['run_id']}")
    told = "".join(capfd.readouterr()) + caplog.text
    told += "".join(path.read_text(errors="replace") for path in airflow_home.rglob("*.log"))
    told += json.dumps([run.xcom("log"), run.xcom("shut_out", "segmentation_failure")])
    assert "does not let this task in (401" in told
    assert "Logging k=" in told
    assert [secret for secret in (server.password, wrong) if secret in told] == []
    assert [value for value in os.environ.values() if value == server.password] == []
