"""The configuration to trigger a run with: offered where the Dag takes a k, as it is now."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk import Param
from airflow.utils.session import create_session
from airflow_segmentation.www.runs import has_param
from made.metadata import add_dag, add_params
from sqlalchemy import event, update


def test_it_is_offered_for_a_dag_with_a_param_k_alone(server: Any) -> None:
    assert "copy-trigger" in server.get("/run?dag_id=open&run_id=manual__0").text
    assert "copy-trigger" not in server.get("/run?dag_id=secret&run_id=manual__0").text


def test_the_dag_as_it_is_now_counts(metadata_database: None) -> None:
    with create_session(scoped=False) as session:
        add_dag(session, "changing")
        assert not has_param(session, "changing", "k")
        for params, has in (({"k_max": 9}, False), ({"k": Param(3, type="integer")}, True), ({}, False)):
            add_params(session, "changing", params)
            assert has_param(session, "changing", "k") is has


@pytest.mark.parametrize(
    "data", [None, {}, {"dag": {}}, {"dag": {"params": {"k": 1}}}, {"dag": {"params": [3]}}]
)
def test_where_the_params_cannot_be_told_it_is_not_offered(metadata_database: None, data: Any) -> None:
    with create_session(scoped=False) as session:
        add_dag(session, "untold")
        add_params(session, "untold", {"k": 3})
        assert has_param(session, "untold", "k")
        row = {"_data": data}
        session.execute(update(SerializedDagModel).filter_by(dag_id="untold").values(row))
        assert not has_param(session, "untold", "k")
        session.rollback()


def test_it_takes_one_query(metadata_database: None) -> None:
    queries: list[str] = []
    with create_session(scoped=False) as session:
        event.listen(session.get_bind(), "before_cursor_execute", lambda *told: queries.append(told[2]))
        has_param(session, "open", "k")
    assert len(queries) == 1
