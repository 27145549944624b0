"""The operators as tasks run them: what choosing k takes beside the sweep, and each of 100 million rows."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from making import MILLION, make_parts
from processes import RUNS, Row, Timed, measured, median

FEATURES = ["f0", "f1", "f2"]
ENORMOUS = "100M x 3"
PARTS = 100
OPERATORS = {
    "scale": "MinMaxPreprocessOperator",
    "medians": 'MinMaxPreprocessOperator, `missing="median"`',
    "sweep": "KMeansSweepOperator",
    "choose": "ElbowOperator",
    "predict": "KMeansPredictOperator",
}
"""What is executed of 100M rows, by what it is called in the figures."""
MEMORY_MB = 1000
"""What each may take of any number of rows."""
CHOOSING = 0.2
"""What choosing k may take, in times of the sweep."""


# Works: each is called in a process of its own with the folder of the data, and returns figures.


def made_parts(folder: Path, name: str, parts: str, rows: str) -> dict[str, Any]:
    with Timed() as timed:
        make_parts(folder / name, int(parts), int(rows), len(FEATURES))
    return timed.figures


def operator(folder: Path, kind: str, arguments: str) -> dict[str, Any]:
    """Execute an operator as Airflow does, and return what it returns and the seconds of each pass, too."""
    os.environ["AIRFLOW_HOME"] = str(folder / "airflow")
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow_segmentation import operators

    ti = mock.MagicMock(dag_id="bench", run_id="bench", task_id=kind, map_index=-1, try_number=1)
    task = getattr(operators, kind)(task_id=kind, **json.loads(arguments))
    with mock.patch.object(BaseXCom, "set"), _passes() as passes, Timed() as timed:
        returned = task.execute({"ti": ti})
    return timed.figures | {"returned": returned, "passes": passes}


@contextmanager
def _passes() -> Iterator[list[float]]:
    """Note the seconds of each pass over a table's rows, those included that work on them meanwhile takes."""
    from airflow_segmentation.tables.parquet import Batched

    each, write = Batched.each, Batched.write
    seconds: list[float] = []

    def timed_each(*arguments: Any, **named: Any) -> Iterator[Any]:
        started = time.perf_counter()
        yield from each(*arguments, **named)
        seconds.append(time.perf_counter() - started)

    def timed_write(*arguments: Any, **named: Any) -> None:
        started = time.perf_counter()
        write(*arguments, **named)
        seconds.append(time.perf_counter() - started)

    with mock.patch.multiple(Batched, each=timed_each, write=timed_write):
        yield seconds


WORKS: tuple[Callable[..., dict[str, Any]], ...] = (made_parts, operator)


# What is compared.


def executed(folder: Path, kind: str, **arguments: Any) -> tuple[Any, dict[str, Any]]:
    """Execute an operator in a process of its own; return what it returns, and its figures."""
    figures = measured(folder, "operator", kind, json.dumps(arguments))
    return figures.pop("returned"), figures


def compare_choose(folder: Path, figures: dict[str, Any], rows: int = MILLION) -> list[Row]:
    """Set choosing k beside the sweep, in turns."""
    measured(folder, "made_parts", "swept", "1", str(rows))
    scaled, _ = executed(folder, "MinMaxPreprocessOperator", data=str(folder / "swept"), features=FEATURES)
    figures |= {"sweep": [], "choose": []}
    model = str(folder / "airflow" / "model.skops")
    for _ in range(RUNS):
        sweep, swept = executed(folder, "KMeansSweepOperator", data=scaled)
        _, chosen = executed(folder, "ElbowOperator", sweep=sweep, model_path=model)
        figures["sweep"].append(swept)
        figures["choose"].append(chosen)
    shutil.rmtree(folder / "swept")
    shutil.rmtree(folder / "airflow")
    return [_row_of_choosing("1M x 3", median(figures["sweep"], "wall"), median(figures["choose"], "wall"))]


def compare_enormous(
    folder: Path, figures: dict[str, Any], parts: int = PARTS, rows: int = MILLION
) -> list[Row]:
    """Take so many parts of so many rows through all operators."""
    data, model = str(folder / "enormous"), str(folder / "airflow" / "model.skops")
    measured(folder, "made_parts", "enormous", str(parts), str(rows))
    filled, figures["medians"] = executed(
        folder, "MinMaxPreprocessOperator", data=data, features=FEATURES, missing="median"
    )
    Path(filled).unlink()
    scaled, figures["scale"] = executed(folder, "MinMaxPreprocessOperator", data=data, features=FEATURES)
    sweep, figures["sweep"] = executed(folder, "KMeansSweepOperator", data=scaled)
    _, figures["choose"] = executed(folder, "ElbowOperator", sweep=sweep, model_path=model)
    _, figures["predict"] = executed(folder, "KMeansPredictOperator", data=data, model_path=model)
    shutil.rmtree(data)
    shutil.rmtree(folder / "airflow")
    most = max(OPERATORS, key=lambda name: float(figures[name]["memory"]))
    memory = figures[most]["memory"]
    return [
        (
            f"{ENORMOUS}: peak memory of any task",
            "< 1 GB",
            f"{memory:.0f} MB, {OPERATORS[most]}",
            memory < MEMORY_MB,
        ),
        _row_of_choosing(ENORMOUS, figures["sweep"]["wall"], figures["choose"]["wall"], CHOOSING),
    ]


def _row_of_choosing(name: str, sweep: float, choose: float, limit: float = math.inf) -> Row:
    share = choose / sweep
    target = f"<= {limit}" if limit < math.inf else ""
    return (f"{name}: wall of choose / of the sweep", target, f"{share:.2f}", share <= limit)


def table_of_tasks(figures: dict[str, Any]) -> str:
    """Return what each operator took of the most rows."""
    lines = [f"| {ENORMOUS} | wall | CPU | peak memory | each pass |", "|---|---|---|---|---|"]
    for name, label in OPERATORS.items():
        run = figures[name]
        passes = ", ".join(f"{seconds:.0f}" for seconds in run["passes"])
        took = f"{run['wall']:.0f} s | {run['cpu']:.0f} s | {run['memory']:.0f} MB"
        lines.append(f"| {label} | {took} | {passes} s |")
    return "\n".join(lines)
