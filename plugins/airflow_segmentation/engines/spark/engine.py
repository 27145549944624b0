"""The engine of a Spark cluster: tables are folders, whose parts are read and written there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException

from airflow_segmentation.engines.spark import loading
from airflow_segmentation.engines.spark.addresses import for_cluster, for_worker, require_allowed
from airflow_segmentation.engines.spark.data import Part, Source, SparkData, parts_of
from airflow_segmentation.engines.spark.session import Session
from airflow_segmentation.engines.spark.times import Times, as_times, times_in, with_times
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.storage.files import NoFileError, open_for_reading, resolve
from airflow_segmentation.tables import folders
from airflow_segmentation.tables.csv_files import Csv, Loaded
from airflow_segmentation.tables.parquet import Table

if TYPE_CHECKING:
    import pyarrow as pa
    from airflow.sdk import Context


class SparkEngine:
    """Passes over rows on a cluster, in the session of one try of a task.

    >>> with SparkEngine("spark", context) as engine, engine.open(uri) as table:
    ...     table.rows

    :param conn_id: an Airflow connection of the type `spark_connect`.
    """

    def __init__(self, conn_id: str, context: Context) -> None:
        self.session = Session(conn_id, context)

    def __enter__(self) -> SparkEngine:
        self.session.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.session.end()

    @property
    def page(self) -> str | None:
        """Address of the page that shows this session's jobs, as far as the cluster tells it."""
        return self.session.page

    def stop(self) -> None:
        """End what runs on the cluster, for `on_kill`."""
        self.session.stop()

    def load(self, csv: Csv, uri: str) -> Loaded:
        """Write CSV files as a folder of Parquet parts."""
        return loading.load(self.session, csv, uri)

    @contextlib.contextmanager
    def open(self, uri: str, conn_id: str | None = None, id_column: str | None = None) -> Iterator[SparkData]:
        """Open a folder, a file or a pattern of Parquet files, or a CSV.

        :param id_column: a column of the CSV that is read as text.
        """
        if self._is_csv(uri, conn_id):
            data, _, notes = loading.opened(self.session, Csv(uri, conn_id, id_column=id_column))
            for note in notes:
                loading.log.warning("%s", note)
            yield data
        else:
            yield self._opened(uri, conn_id)

    def _opened(self, uri: str, conn_id: str | None) -> SparkData:
        table = folders.written(uri, conn_id)
        path = for_cluster(uri, conn_id, may_match=True)
        facts: Any = {}
        if table is not None:
            path, facts = f"{path}/{table.folder}", table.facts
        elif _is_file(uri, conn_id):
            with Table(uri, conn_id) as file:
                facts = file.facts
        self.session.split(False)
        with self.session.told(uri):
            from pyspark.sql.pandas.types import to_arrow_schema

            spark = self.session.spark
            frame = spark.read.parquet(path)
            schema = to_arrow_schema(frame.schema, timezone="UTC")
            # Tells of a file by what it is called, and reads no column.
            parts = parts_of(frame)
        require_allowed(part.mark.partition(" ")[2] for part in parts)
        # A cluster itself writes no times that it cannot read.
        times = {} if table is not None else _times_of(parts, schema, uri, conn_id)
        if table is not None:
            order = {name: (place, rows) for place, (name, rows) in enumerate(table.parts)}
            if {part.name: part.rows for part in parts} != dict(table.parts):
                raise AirflowException(
                    f"The parts of {without_secrets(uri)} are not those that were written; run the task that "
                    "wrote it again"
                )
            parts.sort(key=lambda part: order[part.name])
        source = Source(
            lambda: as_times(spark.read.parquet(path), times), with_times(schema, times), parts, facts=facts
        )
        return SparkData(self.session, uri, source)

    def _is_csv(self, uri: str, conn_id: str | None) -> bool:
        if _is_file(uri, conn_id):
            with open_for_reading(uri, conn_id) as file:
                return file.read(4) != b"PAR1"
        # A pattern, or what only the cluster sees.
        fs, path = resolve(uri, conn_id)
        return ".csv" in uri.lower().rpartition("/")[2] and not fs.isdir(path)


def _is_file(uri: str, conn_id: str | None) -> bool:
    fs, path = resolve(uri, conn_id)
    return fs.isfile(path)


def _times_of(parts: Sequence[Part], schema: pa.Schema, uri: str, conn_id: str | None) -> Times:
    """Return the columns of a table's first part that hold times which Spark reads as whole numbers.

    None where only the cluster sees it.
    """
    for part in parts[:1]:
        with contextlib.suppress(NoFileError), Table(for_worker(part.path, uri), conn_id) as file:
            return times_in(file.schema, schema)
    return {}
