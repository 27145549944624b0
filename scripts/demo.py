"""Start Airflow in .demo, run customer_segmentation, tell what it found, and serve the page until Ctrl-C.

With ``--once`` it stops after the run. It exits with 1 unless the run succeeded.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time

from local_airflow import FAILED, ROOT, Airflow, AirflowError, tail

DAG = "customer_segmentation"
ROUTE = "segmentation"
"""The plugin's tab on the page of a run."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def follow(airflow: Airflow, run_id: str) -> None:
    """Print each task of the run when it ends.

    :raises AirflowError: with the end of the log of the task that failed.
    """
    failed = None
    for task in airflow.follow(DAG, run_id):
        say(f"  {task['task_id']:<10} {task['state']:<8} {task['duration'] or 0:5.1f} s")
        if task["state"] in FAILED and failed is None:
            failed = task["task_id"]
    state = airflow.run_state(DAG, run_id)
    if failed is not None:
        log = airflow.task_log(DAG, run_id, failed)
        end = f", with this at the end of {log}:\n{tail(log)}" if log else " before it started"
        raise AirflowError(f"The task {failed} failed{end}")
    if state != "success":
        raise AirflowError(f"The run {run_id} ended as {state}; logs are in {airflow.logs}")


def tell_result(airflow: Airflow, run_id: str) -> None:
    """Print what the run found, from what its tasks pushed."""
    summary = airflow.xcom(DAG, run_id, "choose", "segmentation_summary")
    segment = airflow.xcom(DAG, run_id, "assign", "first_segment")
    say(f"k = {summary['k']}, SSE = {summary['sse']:.4g}; the test customer belongs to segment {segment}")


def run(port: int, once: bool) -> None:
    """Start Airflow, run the Dag once, and serve until a signal comes, or stop at once."""
    say("Starting Airflow …")
    begin = time.monotonic()
    with Airflow(ROOT / ".demo", port) as airflow:
        airflow.fail_unfinished()
        airflow.wait_for_dag(DAG)
        say(f"Airflow is ready after {time.monotonic() - begin:.0f} s; running {DAG}:")
        run_id = airflow.trigger(DAG)
        follow(airflow, run_id)
        tell_result(airflow, run_id)
        say(f"\nThe elbow: {airflow.plugin_url(DAG, run_id, ROUTE)}")
        if not once:
            say("Serving on this machine only, until Ctrl-C.")
            airflow.serve()


def _end(number: int, _: object) -> None:
    """Leave whatever is being done, once: what follows is cleaning up."""
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # not print: the signal may have come in the midst of one
        os.write(sys.stderr.fileno(), "\nStopping Airflow …\n".encode())
    sys.exit(128 + number)


def main() -> None:
    """Read the command line and run the demo; a failure is told in words and exits with 1."""
    parser = argparse.ArgumentParser(description="Run the demo.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--once", action="store_true")
    arguments = parser.parse_args()
    for number in SIGNALS:
        signal.signal(number, _end)
    try:
        run(arguments.port, arguments.once)
    except AirflowError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
