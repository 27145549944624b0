"""What the page takes to answer with 5,000 reports in the metadata database.

Run as `.venv/bin/python benchmarks/page.py`, on SQLite; for another database, name an empty one in
AIRFLOW__DATABASE__SQL_ALCHEMY_CONN. The requests go through Airflow's whole app, in one process, as an admin
and as a user of FAB's who may read only some Dags, the addresses in turn.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "plugins"), str(ROOT / "tests")]
warnings.simplefilter("ignore")

FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
DAGS, RUNS = 25, 200
REPEATS = 60
MEDIAN_MS, P95_MS = 50, 150
BASE = "/pluginsv2/segmentation/"
HELD = ("run", "list")
"""The pages that the limits hold for: what a person sees first."""
PAGES = {
    "run": BASE + "run?dag_id=dag_3&run_id=run_77",
    "run, another k": BASE + "run?dag_id=dag_3&run_id=run_77&k=30&axis=silhouette",
    "list": BASE,
    "list by k, searched": BASE + "?sort=-k&q=run_1",
    "list, last page": BASE + "?page=200",
    "dag": BASE + "dag?dag_id=dag_3",
}


def fill() -> int:
    """Fill an empty metadata database with reports, and return how many there are."""
    from airflow.utils import db
    from airflow.utils.session import create_session
    from made.metadata import add_dag, add_run, push_progress, push_report
    from made.reports import make_progress, make_report

    db.initdb()
    reports = [make_report(seed=seed, k_max=49, k=6 + seed % 4) for seed in range(8)]
    with create_session(scoped=False) as session:
        for dag in range(DAGS):
            add_dag(session, f"dag_{dag}")
            for run in range(RUNS):
                made = add_run(session, f"dag_{dag}", f"run_{run}", number=run)
                push_report(session, made, reports[(dag + run) % len(reports)])
                push_progress(session, made, make_progress(), ("choose", -1))
    return DAGS * RUNS


@contextmanager
def clients() -> Iterator[dict[str, Any]]:
    """Return a client of Airflow's app for each user."""
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
    from starlette.testclient import TestClient

    app = create_app(apps="core")
    with get_application_builder() as builder:
        security = builder.sm
        security.sync_roles()
        security.create_dag_specific_permissions()
        some = [("can_read", f"DAG:dag_{dag}") for dag in range(0, DAGS, 3)]
        security.bulk_sync_roles([{"role": "Some", "perms": [("can_read", "XComs"), *some]}])
        tokens = {}
        for name, role in (("admin", "Admin"), ("some Dags", "Some")):
            user = security.add_user(
                name, name, name, f"{role}@example.com", security.find_role(role), "secret"
            )
            tokens[name] = get_auth_manager().generate_jwt(user)
    with TestClient(app) as client:
        made = {}
        for name, token in tokens.items():
            made[name] = TestClient(app, cookies={"_token": token})
            made[name].portal = client.portal
        yield made


def milliseconds(client: Any, path: str) -> float:
    """Return how long one request takes."""
    start = time.perf_counter()
    response = client.get(path)
    taken = 1000 * (time.perf_counter() - start)
    if response.status_code != 200:
        raise SystemExit(f"{path} answered {response.status_code}")
    return taken


def main() -> int:
    """Print median and 95th percentile of each page; return 1 where one of `HELD` is above its limit."""
    reports = fill()
    with clients() as users:
        jobs = [(user, name) for user in users for name in PAGES]
        figures: dict[tuple[str, str], list[float]] = {job: [] for job in jobs}
        for repeat in range(REPEATS + 1):
            for user, name in jobs:
                taken = milliseconds(users[user], PAGES[name])
                if repeat:  # the first one compiles and connects
                    figures[user, name].append(taken)
    limits = f"at most {MEDIAN_MS} ms in the median and {P95_MS} ms at p95"
    print(f"{reports:,} reports; {' and '.join(HELD)}: {limits}")
    failed = 0
    for (user, name), times in figures.items():
        median, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        missed = name in HELD and (median > MEDIAN_MS or p95 > P95_MS)
        failed += missed
        print(f"{user:10} {name:20} median {median:6.1f} ms   p95 {p95:6.1f} ms   {'too slow' * missed}")
    return int(failed > 0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__AUTH_MANAGER": FAB,
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        }
        raise SystemExit(main())
