"""The table that a task was given: Parquet as it is, a file or a folder; else CSV by pandas' defaults."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from airflow_segmentation.storage.files import is_folder, is_pattern, open_for_reading
from airflow_segmentation.storage.scratch import scratch_folder
from airflow_segmentation.tables.csv_files import Csv, csv_to_table
from airflow_segmentation.tables.parquet import Batched, Table
from airflow_segmentation.tables.parts import Parts


@contextlib.contextmanager
def open_data(uri: str, conn_id: str | None = None, id_column: str | None = None) -> Iterator[Batched]:
    """Open a table.

    :param uri: a file, a folder of Parquet files, or a pattern that CSV files match.
    :param id_column: a column of the CSV that is read as text.

    :raises InputError: if there is no such file, or it is neither; or a folder holds CSV files.
    """
    if is_folder(uri, conn_id):
        with Parts(uri, conn_id) as table:
            yield table
        return
    if not is_pattern(uri, conn_id):
        with open_for_reading(uri, conn_id) as file:
            is_parquet = file.read(4) == b"PAR1"
        if is_parquet:
            with Table(uri, conn_id) as table:
                yield table
            return
    with scratch_folder() as folder:
        copy = f"{folder}/table.parquet"
        csv_to_table(Csv(uri, conn_id, id_column=id_column), copy)
        with Table(copy) as table:
            table.uri = uri
            yield table
