"""Where links lead, whatever the ids hold."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.sdk import BaseOperator
from airflow_segmentation import links
from airflow_segmentation.links import ElbowLink, page_path, ui_path
from hypothesis import given
from hypothesis import strategies as st


@given(dag_id=st.text(min_size=1), run_id=st.text(min_size=1), map_index=st.integers(-1, 1000))
def test_the_link_of_a_task_names_its_run_and_itself(dag_id: str, run_id: str, map_index: int) -> None:
    key: Any = TaskInstanceKey(dag_id, "choose", run_id, map_index=map_index)

    link = urlsplit(ElbowLink().get_link(BaseOperator(task_id="choose"), ti_key=key))

    assert link.path == "/pluginsv2/segmentation/run"
    assert parse_qs(link.query) == {
        "dag_id": [dag_id],
        "run_id": [run_id],
        "task_id": ["choose"],
        "map_index": [str(map_index)],
    }


def test_ids_in_a_path_of_the_ui_cannot_leave_it() -> None:
    assert ui_path("dags", "a/../b?c#d", "runs", "x+y") == "/dags/a%2F..%2Fb%3Fc%23d/runs/x%2By"


@pytest.mark.parametrize(
    ("base_url", "prefix"),
    [("", ""), ("http://localhost:8080", ""), ("https://x.org/a/b/", "/a/b"), ("https://x.org/a", "/a")],
)
def test_links_lead_below_the_base_path(base_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
    links._base_path.cache_clear()

    try:
        assert page_path("run", dag_id="d") == f"{prefix}/pluginsv2/segmentation/run?dag_id=d"
        assert ui_path("dags", "d") == f"{prefix}/dags/d"
    finally:
        links._base_path.cache_clear()
