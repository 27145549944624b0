"""Two runs at once that save the same model."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow_segmentation.reports.report import REPORT_KEY, Report
from airflow_segmentation.segments.model import load_model

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
SAVES = 50

# What ElbowOperator does with the model it chose, many times.
SAVE = """
import pickle, sys
sys.path.insert(0, sys.argv[1])
from airflow_segmentation.segments.model import save_model
model = pickle.load(open(sys.argv[2], "rb"))
for _ in range(int(sys.argv[4])):
    save_model(model, sys.argv[3], writer=sys.argv[5])
"""


@pytest.fixture(scope="module")
def models(runs: Any) -> list[bytes]:
    """The models of two runs, one of 3 segments and one of 9, that saved them at the same path."""
    models = []
    for k in (3, 9):
        run = runs.start(f"model-{k}", k=k, k_max=9)
        runs.finish(run, ("load", "scale", "sweep", "choose"))
        models.append(runs.model.read_bytes())
    return models


def test_each_report_tells_of_its_own_run_and_the_last_model_stands(runs: Any, models: list[bytes]) -> None:
    reports = [Report.from_json(runs.xcom(f"model-{k}", "choose", REPORT_KEY)) for k in (3, 9)]
    assert [report.k for report in reports] == [3, 9]
    assert [len(report.chosen.centers or ()) for report in reports] == [3, 9]
    assert ["/model-3/" in (report.sweep_uri or "") for report in reports] == [True, False]
    assert len(load_model(str(runs.model)).assigner.centers) == 9


def test_whoever_reads_while_two_write_finds_one_whole_model(models: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "model.sav"
    path.write_bytes(models[0])
    writers = []
    for name, model in zip(("one", "other"), models, strict=True):
        (tmp_path / name).write_bytes(model)
        command = [
            sys.executable,
            "-c",
            SAVE,
            str(PLUGINS),
            str(tmp_path / name),
            str(path),
            str(SAVES),
            name,
        ]
        writers.append(subprocess.Popen(command))
    found = set()
    while any(writer.poll() is None for writer in writers):
        found.add(path.read_bytes())
    assert [writer.wait() for writer in writers] == [0, 0]
    sizes = {len(pickle.loads(content).named_steps["cluster"].cluster_centers_) for content in found}
    assert sizes == {3, 9}
    assert {file.name for file in tmp_path.iterdir()} == {"model.sav", "one", "other"}
