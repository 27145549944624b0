"""Hostile params, templates, paths and models, as the operators meet them in a run."""

from __future__ import annotations

import hashlib
import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow_segmentation.operators import (
    CsvLoadOperator,
    ElbowOperator,
    KMeansPredictOperator,
    KMeansSweepOperator,
    MinMaxPreprocessOperator,
)


class Harm:
    """A pickle that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["model.sav", "model.joblib", "model.skops"])
def test_a_hostile_pickle_in_the_models_place_does_not_run(run_dag, customers, tmp_path, name):
    model = tmp_path / name
    model.write_bytes(pickle.dumps(Harm(tmp_path / "harm")))
    with DAG("hostile_model", schedule=None, default_args={"retries": 2, "retry_delay": timedelta(0)}) as dag:
        KMeansPredictOperator(
            task_id="assign",
            model_path=str(model),
            # Whoever can replace the model may well know its digest.
            model_digest=hashlib.sha256(model.read_bytes()).hexdigest(),
            data=str(customers),
        )
    run = run_dag(dag)
    assert (run.states, run.tries) == ({"assign": "failed"}, {"assign": 1})
    assert not (tmp_path / "harm").exists()


def test_params_are_rendered_once(run_dag, tmp_path):
    (tmp_path / "{{ 7 * 7 }}.csv").write_text("{{ 7 * 7 }}\n1\n")
    (tmp_path / "49.csv").write_text("49\n2\n")
    params = {"file": f"{tmp_path}/{{{{ 7 * 7 }}}}.csv", "columns": ["{{ 7 * 7 }}"]}
    with DAG("rendered_once", schedule=None, params=params, render_template_as_native_obj=True) as dag:
        load = CsvLoadOperator(task_id="load", path="{{ params.file }}", columns="{{ params.columns }}")
        MinMaxPreprocessOperator(task_id="scale", data=load.output, features="{{ params.columns }}")
    run = run_dag(dag)
    assert run.table("load").to_dict("list") == {"{{ 7 * 7 }}": [1]}
    assert run.table("scale").columns.tolist() == ["{{ 7 * 7 }}"]


@pytest.mark.parametrize("native", [False, True])
def test_code_in_params_is_text(run_dag, customers, tmp_path, native):
    code = f"[__import__('pathlib').Path('{tmp_path}/harm').touch()]"
    params = {"features": code, "k": code}
    with DAG(f"code_{native}", schedule=None, params=params, render_template_as_native_obj=native) as dag:
        MinMaxPreprocessOperator(task_id="scale", data=str(customers), features="{{ params.features }}")
        KMeansSweepOperator(task_id="sweep", data=str(customers), k_max="{{ params.k }}")
    assert run_dag(dag).states == {"scale": "failed", "sweep": "failed"}
    assert not (tmp_path / "harm").exists()


TASKS = {
    "load.path": lambda path: CsvLoadOperator(task_id="task", path=path),
    "scale.data": lambda path: MinMaxPreprocessOperator(task_id="task", data=path, features=["BALANCE"]),
    "sweep.data": lambda path: KMeansSweepOperator(task_id="task", data=path),
    "choose.sweep": lambda path: ElbowOperator(task_id="task", sweep=path, model_path="/allowed/model"),
    "assign.model_path": lambda path: KMeansPredictOperator(task_id="task", model_path=path, data=path),
}


@pytest.mark.parametrize("make", TASKS.values(), ids=TASKS)
def test_every_path_that_is_read_must_be_an_allowed_one(run_dag, customers, tmp_path, monkeypatch, make):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__ALLOWED_PATHS", str(allowed))
    told = []
    arguments = {"on_failure_callback": lambda context: told.append(str(context["exception"]))}
    with DAG("paths_read", schedule=None, default_args=arguments, params={"path": str(customers)}) as dag:
        make(f"{allowed}/../{{{{ params.path.split('/')[-1] }}}}")
    run_dag(dag)
    assert [message.partition("; ")[0] for message in told] == [
        f"{allowed}/../customers.csv is not under [segmentation] allowed_paths, which are {allowed}"
    ]


def test_a_run_within_the_allowed_paths_works_and_its_model_lands_nowhere_else(
    run_dag, customers, tmp_path, monkeypatch
):
    models = tmp_path / "models"
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__ALLOWED_PATHS", f"{customers}, {models}")
    with DAG("paths_written", schedule=None) as dag:
        load = CsvLoadOperator(task_id="load", path=str(customers), id_column="CUST_ID")
        scale = MinMaxPreprocessOperator(task_id="scale", data=load.output, features=["BALANCE"])
        sweep = KMeansSweepOperator(task_id="sweep", data=scale.output, k_max=3)
        inside = ElbowOperator(task_id="inside", sweep=sweep.output, model_path=f"{models}/model.sav", k=2)
        ElbowOperator(task_id="outside", sweep=sweep.output, model_path=f"{tmp_path}/model.sav", k=2)
        # A CSV is copied to a table on the way, in a folder of the task's own.
        KMeansPredictOperator(task_id="assign", model_path=inside.output["model_path"], data=str(customers))
    run = run_dag(dag)
    done = dict.fromkeys(["load", "scale", "sweep", "inside", "assign"], "success")
    assert run.states == {**done, "outside": "failed"}
    assert not (tmp_path / "model.sav").exists()


def test_without_a_setting_no_param_leads_out_of_the_project(run_dag, customers, tmp_path, monkeypatch):
    (tmp_path / "project" / "dags").mkdir(parents=True)
    (tmp_path / "project" / "data").mkdir()
    customers = customers.rename(tmp_path / "project" / "data" / "customers.csv")
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "project" / "dags"))
    monkeypatch.delenv("AIRFLOW__SEGMENTATION__ALLOWED_PATHS")
    told = []
    arguments = {"on_failure_callback": lambda context: told.append(str(context["exception"]))}
    params = {"model": f"{tmp_path}/.ssh/authorized_keys", "data": "/proc/self/environ"}
    with DAG("default_paths", schedule=None, default_args=arguments, params=params) as dag:
        load = CsvLoadOperator(task_id="load", path=str(customers), id_column="CUST_ID")
        CsvLoadOperator(task_id="peek", path="{{ params.data }}", columns=["BALANCE"])
        sweep = KMeansSweepOperator(task_id="sweep", data=load.output, features=["PURCHASES"], k_max=3)
        ElbowOperator(task_id="choose", sweep=sweep.output, model_path="{{ params.model }}", k=2)
    states = run_dag(dag).states
    assert states == {"load": "success", "sweep": "success", "peek": "failed", "choose": "failed"}
    assert not (tmp_path / ".ssh").exists()
    assert len(told) == 2
    for message in told:
        assert " is not under [segmentation] allowed_paths, which are " in message
        assert f", {tmp_path}/project/data, {tmp_path}/project/model, " in message
        assert "PATH=" not in message
