"""`docker compose --profile flower up` with no `.env`: start, log in, run the Dag, look at the elbow."""

from __future__ import annotations

from urllib.error import HTTPError

import pytest
from airflow_segmentation.reports.report import REPORT_KEY, Report
from made.stack import INIT, Stack
from playwright.sync_api import Page, expect

DAG_ID = "customer_segmentation"


@pytest.fixture(scope="module")
def run_id(up: Stack) -> str:
    return up.run_on_every_worker(DAG_ID)


def test_starts_every_service_and_as_many_workers_as_asked_for(up: Stack):
    workers = {"airflow-worker-1", "airflow-worker-2"}
    started = {name for name, service in up.services.items() if "spark" not in service.profiles}
    assert up.containers.keys() == started - {"airflow-worker"} | workers


def test_says_loudly_which_secrets_everybody_knows(up: Stack):
    told = up.containers[INIT].log.read_text()
    assert "WARNING: everybody knows these secrets" in told
    for name in ("CORE__FERNET_KEY", "API__SECRET_KEY", "API_AUTH__JWT_SECRET", "DATABASE__SQL_ALCHEMY_CONN"):
        assert f"\nAIRFLOW__{name}\n" in told
    assert "\n_AIRFLOW_WWW_USER_PASSWORD\n" in told
    assert "INSECURE" not in told, "the values themselves have no place in a log"


@pytest.mark.parametrize("role", ["Viewer", "User"])
def test_an_analyst_is_shown_the_tabs_of_plugins(up: Stack, role: str):
    up.add_user(role.lower(), role)
    with up.as_user(role.lower()):
        assert "segmentation" in [plugin["name"] for plugin in up.request("GET", "/plugins")["plugins"]]


def test_tasks_run_on_both_workers_and_pass_on_what_they_made(up: Stack, run_id: str):
    report = Report.from_json(up.xcom(DAG_ID, run_id, "choose", REPORT_KEY))
    assert (report.rows, report.rows_dropped) == (8949, 1)
    assert 6 <= report.k <= 9
    assert (up.home / "project" / "model" / "model.sav").exists()
    for worker in ("airflow-worker-1", "airflow-worker-2"):
        assert "succeeded in" in up.containers[worker].log.read_text(), worker


def test_logs_of_a_task_are_read_in_the_ui(up: Stack, run_id: str):
    path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/sweep/logs/1"
    assert "Swept k=1..49 over 8949 rows" in str(up.request("GET", path))


def test_without_the_login_there_is_no_way_in(up: Stack):
    with pytest.raises(HTTPError, match="401"):
        up.log_in("airflow", "guessed")


def test_a_person_logs_in_and_sees_the_elbow(up: Stack, run_id: str, page: Page):
    page.goto(f"{up.url}/dags/{DAG_ID}/runs/{run_id}")
    page.get_by_label("Username").fill("airflow")
    page.get_by_label("Password").fill("airflow")
    page.get_by_role("button", name="Sign In").click()
    page.get_by_role("link", name="Segmentation", exact=True).last.click()
    frame = page.frame_locator("iframe")
    expect(frame.locator("#elbow .main-svg").first).to_be_visible()
    expect(frame.locator("#chosen-k")).to_have_text(
        str(up.xcom(DAG_ID, run_id, "choose", "segmentation_summary")["k"])
    )
