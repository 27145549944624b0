"""The operators that sweep and choose, each alone: what it takes over from before, and what it must not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from airflow_segmentation import clustering
from airflow_segmentation.clustering import stability
from airflow_segmentation.operators import ElbowOperator, KMeansSweepOperator, kmeans_sweep
from airflow_segmentation.reports.report import PROGRESS_KEY, REPORT_KEY
from airflow_segmentation.sweeps.table import SweepTable, read_sweep


class Killed(Exception):
    """The task ends in the middle of its work."""


@pytest.fixture(autouse=True)
def told_at_every_step(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", str(tmp_path / "storage"))
    monkeypatch.setattr(kmeans_sweep, "PACE_SECONDS", 0)


@pytest.fixture
def data(tmp_path) -> str:
    path = tmp_path / "data.parquet"
    rows = np.random.default_rng(0).lognormal(size=(800, 3))
    pd.DataFrame(rows, columns=list("abc")).to_parquet(path)
    return str(path)


def task(run_id: str, pushed: dict[str, Any], killed_after: int | None = None) -> Any:
    """Return the context of a task of a run, which is killed after so many steps."""

    def push(key: str, value: Any) -> None:
        pushed[key] = value
        pushed.setdefault("steps", []).append(value.get("done"))
        if len(pushed["steps"]) == killed_after:
            raise Killed

    ti = SimpleNamespace(dag_id="d", run_id=run_id, task_id="t", map_index=-1, xcom_push=push)
    return {"ti": ti}


def swept(data: str, run_id: str = "run", **parameters: Any) -> SweepTable:
    given = {"k_max": 9, "features": ["a", "b"], "scores": [], **parameters}
    return read_sweep(KMeansSweepOperator(task_id="t", data=data, **given).execute(task(run_id, {})))


@pytest.mark.parametrize(
    ("changed", "goes_on"),
    [
        ({}, True),
        ({"stability": 2}, True),
        ({"reference_sets": 3}, True),
        ({"n_jobs": 2}, True),
        ({"features": ["a", "c"]}, False),
        ({"features": ["b", "a"]}, False),
        ({"random_state": 1}, False),
        ({"k_max": 8}, False),
        ({"k_min": 2}, False),
    ],
    ids=str,
)
def test_a_sweep_goes_on_from_its_own_steps_and_no_other_sweeps(data, changed, goes_on):
    # Reference sets come after all steps.
    given = {"k_max": 9, "features": ["a", "b"], "scores": [], "reference_sets": 0}
    with pytest.raises(Killed):
        KMeansSweepOperator(task_id="t", data=data, **given).execute(task("run", {}, killed_after=4))
    pushed = {}
    parameters = {**given, **changed}

    uri = KMeansSweepOperator(task_id="t", data=data, **parameters).execute(task("run", pushed))

    assert pushed["steps"][0] == (5 if goes_on else 1)
    assert pushed[PROGRESS_KEY]["done"] == pushed[PROGRESS_KEY]["total"]
    fresh = swept(data, "fresh", **parameters)
    assert read_sweep(uri).inertias == fresh.inertias
    assert read_sweep(uri).scaling.features == tuple(parameters["features"])


def test_the_seed_counts_in_the_sweep_in_its_resamples_and_in_what_they_are_drawn_from(data, monkeypatch):
    drawn = []

    def noted(rows, **given):
        drawn.append(rows.tolist())
        return stability.sweep_resamples(rows, **given)

    monkeypatch.setattr(clustering, "sweep_resamples", noted, raising=False)
    monkeypatch.setattr(kmeans_sweep, "DRAWN_ROWS", 300)
    one, again, other = (swept(data, f"run{i}", stability=3, random_state=i % 2) for i in (0, 2, 1))

    assert one.inertias == again.inertias != other.inertias
    assert one.resamples == again.resamples != other.resamples
    assert one.resample_rows == len(drawn[0]) == 300
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_sweep_is_held_against_sets_without_groups_unless_there_are_to_be_none(data):
    found = swept(data).structure

    assert found is not None
    assert (found.sets, found.rows <= 800, len(found.gap)) == (20, True, 9)
    assert found.verdict == "none"
    assert swept(data, reference_sets=0).structure is None
    assert swept(data, reference_sets="3").structure.sets == 3


def test_the_trust_in_segments_is_of_those_that_were_found(data):
    sweep = swept(data, stability=5, k_min=3)

    assert [len(values) for values in sweep.jaccard] == sweep.k_values == [3, 4, 5, 6, 7, 8, 9]
    assert all(0 < value <= 1 for values in sweep.jaccard for value in values)
    assert not swept(data).jaccard


def test_evidence_chooses_k_and_says_why(tmp_path, caplog):
    rows = np.random.default_rng(0).normal(size=(400, 2)) + np.repeat(
        [[0, 0], [20, 0], [0, 20], [20, 20]], 100, axis=0
    )
    path = tmp_path / "groups.parquet"
    pd.DataFrame(rows, columns=["a", "b"]).to_parquet(path)
    uri = KMeansSweepOperator(task_id="t", data=str(path), k_max=9, stability=10).execute(task("run", {}))
    pushed: dict[str, Any] = {}
    model = str(tmp_path / "model.skops")

    chosen = ElbowOperator(task_id="e", sweep=uri, model_path=model, method="evidence").execute(
        task("run", pushed)
    )

    report = pushed[REPORT_KEY]
    assert (chosen["k"], report["decided_by"], report["structure"]["verdict"]) == (4, "evidence", "clear")
    assert report["recommendation"]["k"] == 4
    assert not report.get("warnings")


def test_rows_that_came_or_went_since_the_sweep_are_not_profiled(data, tmp_path):
    uri = KMeansSweepOperator(task_id="t", data=data, k_max=9).execute(task("run", {}))
    elbow = ElbowOperator(task_id="e", sweep=uri, model_path=str(tmp_path / "model.skops"))
    before, after = {}, {}

    elbow.execute(task("before", before))
    pd.read_parquet(data).head(799).to_parquet(data)
    elbow.execute(task("after", after))

    assert [profile["column"] for profile in before[REPORT_KEY]["profiles"]] == ["a", "b", "c"]
    assert not after[REPORT_KEY].get("profiles")
    assert after[REPORT_KEY]["warnings"][-1] == (
        f"The report has no profiles and no standard deviations: {data} has 799 rows, and had 800 when "
        "it was swept"
    )
    assert after[REPORT_KEY]["k"] == before[REPORT_KEY]["k"]
