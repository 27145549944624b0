"""What a run of the example Dag takes beside a run of five tasks that do nothing, on the same Airflow.

Run as `.venv/bin/python benchmarks/run.py`. The runs alternate; a run's time is its duration as the UI shows
it. The scheduler keeps Airflow's own pace here; the demo's is quicker.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

from local_airflow import Airflow, free_port  # noqa: E402  the path comes first

RUNS = 7
LIMIT = 2.0
EMPTY = """
from airflow.sdk import DAG, chain, task

with DAG("empty", schedule=None):
    @task
    def nothing():
        pass
    chain(*(nothing.override(task_id=f"task_{number}")() for number in range(5)))
"""


def seconds(airflow: Airflow, dag_id: str) -> float:
    """Run a Dag and return how long the run took."""
    run_id = airflow.trigger(dag_id)
    for task in airflow.follow(dag_id, run_id):
        if task["state"] != "success":
            raise SystemExit(f"The task {task['task_id']} of {dag_id} failed; logs are in {airflow.logs}")
    run = airflow.request("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
    start, end = (
        datetime.fromisoformat(run[name].replace("Z", "+00:00")) for name in ("start_date", "end_date")
    )
    return (end - start).total_seconds()


def main() -> int:
    """Print the medians and their ratio; return 1 where it is over the limit."""
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        for folder in ("dags", "data"):
            shutil.copytree(ROOT / folder, project / folder)
        (project / "dags" / "empty.py").write_text(EMPTY)
        with Airflow(
            project / "home",
            free_port(),
            dags=project / "dags",
            plugins=ROOT / "plugins",
            settings={"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1"},
        ) as airflow:
            for dag_id in ("empty", "customer_segmentation"):
                airflow.wait_for_dag(dag_id)
                seconds(airflow, dag_id)  # the first run of each compiles and fills caches
            pairs = [
                (seconds(airflow, "customer_segmentation"), seconds(airflow, "empty")) for _ in range(RUNS)
            ]
    ours, empty = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"customer_segmentation {ours:.1f} s, five empty tasks {empty:.1f} s: {ratio:.2f} times")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
