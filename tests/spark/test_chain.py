"""The whole chain on a cluster, through Airflow's own task runner, beside the same chain here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk import DAG
from airflow_segmentation.operators import (
    CleanUpOperator,
    CsvLoadOperator,
    ElbowOperator,
    KMeansPredictOperator,
    KMeansSweepOperator,
    MinMaxPreprocessOperator,
    kmeans_sweep,
)
from airflow_segmentation.reports.report import REPORT_KEY, Report
from airflow_segmentation.sweeps.table import SweepTable, read_sweep
from airflow_segmentation.tables.opening import open_data
from running import Run
from running import api_server as api_server
from running import callbacks_as_on_a_worker as callbacks_as_on_a_worker
from running import run_dag as run_dag
from spark import passes
from spark.cluster import Cluster

FEATURES = ["BALANCE", "PURCHASES", "LIMIT"]


def customers(folder: Path, rows: int, files: int = 3) -> Path:
    """Write a folder of CSV files with gaps, and return it."""
    rng = np.random.default_rng(rows)
    centers = rng.lognormal(sigma=2, size=(5, 3)) * 100
    amounts = centers[rng.integers(0, 5, rows)] * rng.lognormal(sigma=0.2, size=(rows, 3))
    frame = pd.DataFrame(amounts, columns=FEATURES).round(3)
    frame.insert(0, "ID", [f"{number:07d}" for number in range(rows)])
    frame["AGE"] = rng.integers(18, 80, rows)
    frame["CITY"] = rng.choice(["Basel", "Bern"], rows)
    frame.loc[::50, "LIMIT"] = np.nan
    folder.mkdir()
    for number, part in enumerate(np.array_split(frame.index.to_numpy(), files)):
        frame.loc[part].to_csv(folder / f"part-{number}.csv", index=False)
    frame.to_csv(folder.with_suffix(".csv"), index=False)
    return folder


def chain(
    name: str, data: Path, model: Path, spark_conn_id: str | None, missing: Any = "drop", **sweep: Any
) -> DAG:
    """Return a Dag of every operator."""
    where: dict[str, Any] = {"spark_conn_id": spark_conn_id}
    with DAG(name, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), schedule=None) as dag:
        load = CsvLoadOperator(task_id="load", path=str(data), id_column="ID", **where)
        scale = MinMaxPreprocessOperator(
            task_id="scale", data=load.output, features=FEATURES, missing=missing, **where
        )
        found = KMeansSweepOperator(task_id="sweep", data=scale.output, **{"k_max": 8} | sweep, **where)
        choose = ElbowOperator(task_id="choose", sweep=found.output, model_path=str(model), **where)
        assign = KMeansPredictOperator(
            task_id="assign",
            model_path=cast("Any", choose.output)["model_path"],
            model_digest=cast("Any", choose.output)["model_digest"],
            data=load.output,
            **where,
        )
        assign >> CleanUpOperator(task_id="clean_up", this_run=False)
    return dag


@pytest.fixture
def on_both(
    run_dag: Callable[..., Run], spark_conn_id: str, tmp_path: Path
) -> Callable[..., tuple[Run, Run]]:
    """Run the chain on the cluster and here."""

    def run(rows: int, **arguments: Any) -> tuple[Run, Run]:
        folder = customers(tmp_path / "customers", rows)
        there = chain("there", folder, tmp_path / "there.sav", spark_conn_id, **arguments)
        here = chain("here", folder.with_suffix(".csv"), tmp_path / "here.sav", None, **arguments)
        return run_dag(there), run_dag(here)

    return run


def described(run: Run) -> Report:
    return Report.from_json(run.xcom("choose", key=REPORT_KEY))


def segments(run: Run) -> pd.DataFrame:
    with open_data(run.xcom("assign")) as table:
        return pd.concat([batch.to_pandas() for batch in table.batches()], ignore_index=True)


@pytest.mark.parametrize(
    ("rows", "arguments"),
    [
        (6_000, {"stability": 5, "missing": "median"}),
        (150_000, {"missing": "drop_any"}),
    ],
    ids=["few", "sampled"],
)
def test_the_chain_on_a_cluster_finds_what_it_finds_here(on_both, rows, arguments):
    there, here = on_both(rows, **arguments)

    assert set(there.states.values()) == set(here.states.values()) == {"success"}
    sweep, other = read_sweep(there.xcom("sweep")), read_sweep(here.xcom("sweep"))
    assert sweep.total_sse == pytest.approx(other.total_sse, rel=1e-12)
    assert sweep.scaling.rows == other.scaling.rows
    assert sweep.scaling.minimum == other.scaling.minimum
    assert sweep.scaling.dropped == other.scaling.dropped
    assert np.mean(np.divide(sweep.inertias, other.inertias)) == pytest.approx(1, abs=0.005)
    assert sorted(sweep.scores) == sorted(other.scores)
    one, two = described(there), described(here)
    assert one.k == two.k
    assert [feature.name for feature in one.features] == [feature.name for feature in two.features]
    for feature, same in zip(one.features, two.features, strict=True):
        assert feature.mean == pytest.approx(same.mean, rel=1e-4)
        assert feature.deviation == pytest.approx(same.deviation, rel=1e-4)
    assert [profile.column for profile in one.profiles] == [profile.column for profile in two.profiles]
    assert len(one.sample) > 100
    assert (one.stability is None) == (two.stability is None)
    assert one.warnings == two.warnings
    frame, theirs = segments(there), segments(here)
    assert list(frame) == list(theirs)
    assert frame["ID"].tolist() == theirs["ID"].tolist()
    own = frame["segment"].value_counts().sort_index()
    if sweep.scaling.medians is None:
        assert tuple(own) == tuple(sweep.sizes[sweep.index(one.k)])
    assert one.model_digest


def test_the_tables_of_a_cluster_are_read_here(run_dag, spark_conn_id, tmp_path):
    folder = customers(tmp_path / "customers", 3_000)
    dag = chain("read", folder, tmp_path / "model.sav", spark_conn_id)
    for task_id in ("sweep", "choose", "assign"):
        dag.task_dict[task_id].spark_conn_id = None

    run = run_dag(dag)

    assert set(run.states.values()) == {"success"}
    assert len(segments(run)) == 3_000


def swept(uri: str, spark_conn_id: str, number: int, task_id: str) -> SweepTable:
    """Sweep in a try of a task."""
    context = passes.context(number, task_id)
    context["ti"].xcom_push = lambda **_: None
    operator = KMeansSweepOperator(
        task_id=task_id, data=uri, k_max=5, scores=("silhouette",), spark_conn_id=spark_conn_id
    )
    return read_sweep(operator.execute(context))


def test_a_sweep_goes_on_where_it_was_when_the_server_was_killed(
    cluster: Cluster, spark_conn_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "table").mkdir()
    for number in range(4):
        rows = np.random.default_rng(number).lognormal(size=(30_000, 2))
        pq.write_table(pa.table({"a": rows[:, 0], "b": rows[:, 1]}), tmp_path / "table" / f"{number}.parquet")
    uri = str(tmp_path / "table")
    undisturbed = swept(uri, spark_conn_id, 1, "whole")
    told, steps = kmeans_sweep._Reporter.__call__, []

    def noted(reporter: Any, step: Any) -> None:
        told(reporter, step)
        steps.append(step.done)
        if len(steps) == 3:
            cluster.kill_server()

    monkeypatch.setattr(kmeans_sweep, "PACE_SECONDS", 0.0)
    monkeypatch.setattr(kmeans_sweep._Reporter, "__call__", noted)
    with pytest.raises(AirflowException, match="does not answer") as error:
        swept(uri, spark_conn_id, 1, "killed")
    assert "\n" not in str(error.value)
    assert type(error.value) is AirflowException, "so that Airflow tries again"
    first, steps[:] = list(steps), [0] * 3
    cluster.restore()
    again = swept(uri, spark_conn_id, 2, "killed")

    assert steps[3] == first[-1] + 1, "it began anew"
    assert again.fit_rows < again.scaling.rows
    assert np.array(again.inertias).tobytes() == np.array(undisturbed.inertias).tobytes()
    assert again.scores["silhouette"][1:] == undisturbed.scores["silhouette"][1:]
