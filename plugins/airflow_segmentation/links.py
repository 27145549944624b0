"""Where the Segmentation page is served, and the button on a task that leads there."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

ROUTE_BASE = "/segmentation"


def page_path(page: str = "", **query: str | int) -> str:
    """Return the absolute path of a page, below the path of ``[api] base_url``.

    Ids go into the query string, never the path: run ids hold ``+``, ``:`` and ``~``, and may hold ``/``.

    :param page: route below ``/pluginsv2/segmentation/``.
    :param query: parameters of the query string.
    """
    path = f"{_base_path()}/pluginsv2{ROUTE_BASE}/{page}"
    return f"{path}?{urlencode(query)}" if query else path


def ui_path(*segments: str | int) -> str:
    """Return the absolute path of a page of Airflow's own UI, below the path of ``[api] base_url``.

    :param segments: parts of the path, in which any character may stand.
    """
    return "/".join([_base_path(), *(quote(str(segment), safe="") for segment in segments)])


@cache
def _base_path() -> str:
    # Looked up once: a page holds dozens of links, and Airflow's configuration takes 0.1 ms to answer.
    from airflow.providers.common.compat.sdk import conf

    return urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")


class ElbowLink(BaseOperatorLink):
    """Leads from the task that chose k to its elbow chart.

    It serves those, too, who see no tab: Airflow lists the tabs of plugins only to users who may read
    plugins.
    """

    name = "Elbow chart"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the path of the run's page; Airflow asks when the task ends, and keeps it as an XCom."""
        return page_path(
            "run",
            dag_id=ti_key.dag_id,
            run_id=ti_key.run_id,
            task_id=ti_key.task_id,
            map_index=ti_key.map_index,
        )


class SparkLink(BaseOperatorLink):
    """Leads from a task that ran on a Spark cluster to its jobs there; no other task has it."""

    name = "Spark jobs"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the session's page, as the cluster told it."""
        page = getattr(operator, "spark_page", None)
        # Airflow shows no button where there is none.
        return page if urlsplit(page or "").scheme in ("http", "https") else None  # type: ignore[return-value]


class MlflowLink(BaseOperatorLink):
    """Leads from a task that logged to MLflow to its run there."""

    name = "MLflow run"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the run's page on the server."""
        # As above; and the address has a scheme, or nothing could have been logged there.
        return getattr(operator, "mlflow_page", None)  # type: ignore[return-value]
