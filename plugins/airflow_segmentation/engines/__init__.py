"""Who passes over the rows: this machine, or a Spark cluster. Operators come in, and nobody else.

An engine loads CSV files into a table, and opens tables as :class:`~airflow_segmentation.tables.data.Data`.
All that is done to rows is done in two ways: *each* part is visited, and makes arrays; or the table is
*written* anew, part by part. What is done there is the same code for all engines, in `clustering/` and
`tables/passes.py`, which need numpy and pyarrow only.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

from airflow_segmentation.engines.local import LocalEngine
from airflow_segmentation.provider import setting

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_segmentation.tables.csv_files import Csv, Loaded
    from airflow_segmentation.tables.data import Data


class Engine(Protocol):
    """Passes over rows, wherever they are."""

    @property
    def page(self) -> str | None:
        """Address of a page that shows what runs elsewhere; None where nothing does."""

    def load(self, csv: Csv, uri: str) -> Loaded:
        """Write a CSV as a table, and log as warnings what a person should know about it.

        :raises InputError: if the file cannot be read as CSV, has no rows, or lacks a column; nothing is
            written then.
        """

    def open(
        self, uri: str, conn_id: str | None = None, id_column: str | None = None
    ) -> AbstractContextManager[Data]:
        """Open a table, or a CSV as one.

        :param id_column: a column of the CSV that is read as text.

        :raises InputError: if there is no such file, or it is neither.
        """

    def stop(self) -> None:
        """End what runs elsewhere; may be called from another thread."""


def engine_of(spark_conn_id: str | None, context: Context) -> AbstractContextManager[Engine]:
    """Return the engine: a Spark cluster where a connection to one is given or set, else this machine.

    :raises InputError: on entering, if there is no such cluster, or it does not let this worker in.
    """
    spark_conn_id = spark_conn_id or setting("spark_conn_id")
    if not spark_conn_id:
        return nullcontext(LocalEngine())
    from airflow_segmentation.engines.spark import SparkEngine

    return SparkEngine(spark_conn_id, context)


__all__ = ["Engine", "LocalEngine", "engine_of"]
