"""Tasks that are tried again or cleared: of each the last try's report counts, and no other is shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.sdk import DAG
from airflow.utils.session import create_session
from airflow_segmentation.operators import ElbowOperator, KMeansSweepOperator
from running import api_server as api_server
from running import callbacks_as_on_a_worker as callbacks_as_on_a_worker
from running import run_dag as run_dag
from sqlalchemy import select

PARTS = [{"k_min": 1, "k_max": 5}, {"k_min": 4, "k_max": 8}]


class SweepTwice(KMeansSweepOperator):
    """Dies in its first try, when it has told how far it is."""

    def execute(self, context: Any) -> Any:
        result = super().execute(context)
        if context["ti"].try_number == 1:
            raise RuntimeError("The worker is gone")
        return result


class ChooseTwice(ElbowOperator):
    """Dies in its first try, when it has pushed its report; that chose another k."""

    def execute(self, context: Any) -> Any:
        first = context["ti"].try_number == 1
        self.k = 7 if first else 3
        result = super().execute(context)
        if first:
            raise RuntimeError("The worker is gone")
        return result


@pytest.mark.parametrize("server", ["simple"], indirect=True)
def test_the_last_try_counts(server: Any, run_dag: Callable[..., Any], tmp_path: Path) -> None:
    data = tmp_path / "customers.csv"
    lines = [f"{20 + n % 3 * 20 + n % 7},{n % 3 * 300 + n % 11}\n" for n in range(90)]
    data.write_text("AGE,SPEND\n" + "".join(lines))
    retries = {"retries": 2, "retry_delay": timedelta(0)}
    with DAG("tried_again", schedule=None, default_args=retries) as dag:
        sweep = SweepTwice.partial(task_id="sweep", data=str(data)).expand_kwargs(PARTS)
        ChooseTwice(task_id="choose", sweep=sweep.output, model_path=str(tmp_path / "model.skops"))

    run = run_dag(dag)

    assert [ti.try_number for ti in run.dag_run.get_task_instances()] == [2, 2, 2]
    address = f"/run?dag_id=tried_again&run_id={quote(run.dag_run.run_id, safe='')}"
    page = server.get(address).text
    assert 'data-chosen-k="3"' in page
    assert "<select" not in page.partition("</header>")[0], "one task reported"
    assert "1 report</h2>" in server.get("/?dag_id=tried_again").text
    assert "1 report of the task choose" in server.get("/dag?dag_id=tried_again").text
    progress = server.get(f"{address}&task_id=sweep").text
    [(done, total)] = re.findall(r'data-done="(\d+)" data-total="(\d+)"', progress)
    assert done == total, "the parts' last tries, joined"

    with create_session(scoped=False) as session:
        cleared = select(TaskInstance).where(
            TaskInstance.dag_id == "tried_again", TaskInstance.task_id == "choose"
        )
        clear_task_instances(list(session.scalars(cleared)), session)
    listed, again = server.get("/?dag_id=tried_again"), server.get(address)
    assert (listed.status_code, again.status_code) == (200, 200)
    assert len(re.findall(r"[01] reports?</h2>", listed.text)) == 1
