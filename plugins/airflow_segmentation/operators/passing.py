from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_segmentation.engines import Engine, engine_of
from airflow_segmentation.links import SparkLink
from airflow_segmentation.operators.arguments import as_connection
from airflow_segmentation.operators.lineage import Traced

if TYPE_CHECKING:
    from airflow.sdk import BaseOperatorLink, Context


class PassingOperator(Traced, BaseOperator):
    """
    What operators share that pass over rows: which engine does, and that it stops when the task is killed.

    :param conn_id: The connection to the storage of what is read. (templated)
    :param spark_conn_id: The connection to a Spark cluster, of the type `spark_connect`, that passes over the
        rows; by default `[segmentation] spark_conn_id`, or else this worker does. (templated)
    """

    template_fields: Sequence[str] = ("conn_id", "spark_conn_id")
    operator_extra_links: Sequence[BaseOperatorLink] = (SparkLink(),)
    spark_page: str | None = None
    """Where the cluster's own page shows the jobs of this task."""

    def __init__(
        self, *, conn_id: str | None = None, spark_conn_id: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.spark_conn_id = spark_conn_id
        self._engine: Engine | None = None

    @contextmanager
    def engine(self, context: Context) -> Iterator[Engine]:
        """Give the engine; it is released at the end.

        :raises InputError: if there is no such cluster, or it does not let this worker in.
        """
        with engine_of(as_connection(self.spark_conn_id), context) as engine:
            self._engine, self.spark_page = engine, engine.page
            if self.spark_page:
                self.log.info("The jobs of this task are at %s", self.spark_page)
            yield engine

    def on_kill(self) -> None:
        """End what still runs elsewhere."""
        if self._engine is not None:
            self._engine.stop()
