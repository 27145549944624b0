"""How records get to the page: as XComs in the metadata database, which is all that the page reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_segmentation.errors import InputError
from airflow_segmentation.provider import setting
from airflow_segmentation.reports.report import REPORT_KEY, Report

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.bases.xcom import BaseXCom

_AIRFLOWS_OWN = {
    "airflow.sdk.bases.xcom.BaseXCom",
    "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
}
"""Backends that keep large values elsewhere, if any, and only since they are large; records are small."""
_STORING = ("set", "serialize_value", "store_value")
"""Methods by which a backend decides how a value is stored; the last is one of Airflow 3.4's."""


def push_record(context: Context, key: str, record: dict[str, Any]) -> None:
    """Push a record for the page, past an XCom backend that would keep it where the page cannot read it.

    Through a backend of the administrator's own it goes like any other value, unless
    `[segmentation] reports_in_database` is set: that backend may encrypt on purpose.
    """
    from airflow.sdk.bases.xcom import BaseXCom

    ti = context["ti"]
    if configured_backend() is BaseXCom or not are_records_past(configured_backend()):
        ti.xcom_push(key=key, value=record)
        return
    map_index = -1 if ti.map_index is None else ti.map_index
    BaseXCom.set(key, record, dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=map_index)


def pull_record(context: Context, key: str, task_id: str, map_index: int = -1) -> Any:
    """Return a record that a task of the same run pushed, as it was pushed; None where there is none."""
    from airflow.sdk.bases.xcom import BaseXCom

    ti, backend = context["ti"], configured_backend()
    reader = BaseXCom if are_records_past(backend) else backend
    return reader.get_one(key=key, dag_id=ti.dag_id, task_id=task_id, run_id=ti.run_id, map_index=map_index)


def pull_report(context: Context, task_id: str, purpose: str) -> tuple[Report, int]:
    """Return the report of a task of the same run that chose k, and the map index of that task.

    :param purpose: what the report is needed for.

    :raises InputError: if it pushed none.
    """
    own = context["ti"].map_index
    # Of a task that is mapped as this one is, or else of one that is not mapped.
    for map_index in (-1 if own is None else own, -1):
        if (record := pull_record(context, REPORT_KEY, task_id, map_index)) is not None:
            return Report.from_json(record), map_index
    raise InputError(
        f"The task {task_id!r} pushed no report to {purpose}; name the ElbowOperator that chose k, put this "
        "task after it and, where that one is mapped, map this one alike"
    )


def are_records_past(backend: type[BaseXCom]) -> bool:
    """Whether records are written to the metadata database past this backend."""
    storing = {
        next(name_of(kind) for kind in backend.__mro__ if method in vars(kind))
        for method in _STORING
        if hasattr(backend, method)
    }
    return storing <= _AIRFLOWS_OWN or setting("reports_in_database")


def configured_backend() -> type[BaseXCom]:
    """Return the class that `[core] xcom_backend` names."""
    from airflow.sdk.execution_time.xcom import XCom

    return XCom


def name_of(kind: type) -> str:
    """Return a class as `[core] xcom_backend` names it."""
    return f"{kind.__module__}.{kind.__qualname__}"
