from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_segmentation.errors import InputError
from airflow_segmentation.operators.arguments import as_connection, as_name, as_names, as_uri
from airflow_segmentation.operators.lineage import Used, copied, types_of
from airflow_segmentation.operators.passing import PassingOperator
from airflow_segmentation.operators.telling import telling
from airflow_segmentation.storage.outputs import output_uri
from airflow_segmentation.tables.csv_files import Csv

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg


class CsvLoadOperator(PassingOperator):
    """
    Loads CSV into a Parquet table, in bounded memory, and returns the table's URI.

    :param path: The CSV file: a local path or any URI that Airflow's ObjectStoragePath opens, plain or
        compressed (by its name's ending). Or a folder of such files, or a pattern with `*`, `?` or `[…]` in
        its last part: then all are one table, in the order of their names, columns by their names. What
        begins with `.` or `_` is passed over, and folders in the folder are not entered. (templated)
    :param columns: The columns to load, in that order; all by default. (templated)
    :param id_column: A column that names the customer. It is read as text, and every later table keeps it.
        (templated)
    :param conn_id: The connection to the storage of `path`. (templated)
    :param spark_conn_id: The connection to a Spark cluster that loads; by default this worker
        does. (templated)
    :param read_csv_kwargs: Keyword arguments of `pandas.read_csv`, such as `sep` or `encoding`. (templated)
    """

    template_fields: Sequence[str] = (
        "path",
        "columns",
        "id_column",
        *PassingOperator.template_fields,
        "read_csv_kwargs",
    )
    template_fields_renderers = {"read_csv_kwargs": "json"}
    ui_color = "#e8f4fb"
    reads = ("path",)

    def __init__(
        self,
        *,
        path: str | XComArg,
        columns: Sequence[str] | str | None = None,
        id_column: str | None = None,
        read_csv_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.columns = columns
        self.id_column = id_column
        self.read_csv_kwargs = read_csv_kwargs

    @telling
    def execute(self, context: Context) -> str:
        """Write the table.

        :raises InputError: if the file is not there, is no CSV, has no rows or lacks a column, or if the
            files of a folder or a pattern have different columns.
        """
        options = self.read_csv_kwargs or {}
        if not isinstance(options, Mapping):
            # Its value may hold a secret.
            raise InputError(
                f"read_csv_kwargs is a {type(options).__name__} and should be a dict of pandas.read_csv's "
                "arguments; to make one of a template, set render_template_as_native_obj=True on the Dag"
            )
        csv = Csv(
            uri=as_uri("path", self.path),
            conn_id=as_connection(self.conn_id),
            columns=as_names("columns", self.columns),
            id_column=as_name("id_column", self.id_column),
            options=options,
        )
        uri = output_uri(context, "table.parquet")
        with self.engine(context) as engine:
            loaded = engine.load(csv, uri)
        types = types_of(loaded.schema)
        metrics = {column: {"nullCount": count} for column, count in loaded.missing.items()}
        self.note_read(Used(csv.uri, types, loaded.rows, metrics))
        self.note_written(Used(uri, types, loaded.rows, origins=copied(csv.uri, types)))
        self.log.info("Loaded %d rows of %d columns from %s", loaded.rows, len(loaded.missing), csv.name)
        incomplete = {column: count for column, count in loaded.missing.items() if count}
        for column, count in incomplete.items():
            self.log.info("Column %s misses %d of %d values", column, count, loaded.rows)
        self.log.info("%d columns are complete", len(loaded.missing) - len(incomplete))
        return uri
