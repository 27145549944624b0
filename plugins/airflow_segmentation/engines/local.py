"""The engine of this machine: files read in batches, by pyarrow and numpy."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from airflow_segmentation.tables.csv_files import Csv, Loaded, csv_to_table
from airflow_segmentation.tables.opening import open_data

if TYPE_CHECKING:
    from airflow_segmentation.tables.data import Data


class LocalEngine:
    """Passes over rows here, as many as fit on a disk, in memory of bounded size."""

    page = None

    def load(self, csv: Csv, uri: str) -> Loaded:
        """Write CSV, a file or several, as a Parquet file."""
        return csv_to_table(csv, uri)

    def open(
        self, uri: str, conn_id: str | None = None, id_column: str | None = None
    ) -> AbstractContextManager[Data]:
        """Open a Parquet file, or a CSV as one."""
        return open_data(uri, conn_id, id_column)

    def stop(self) -> None:
        """Nothing runs elsewhere."""
