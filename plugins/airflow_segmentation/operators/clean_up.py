from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_segmentation.operators.lineage import Traced, Used
from airflow_segmentation.operators.telling import telling
from airflow_segmentation.storage.files import storage_path
from airflow_segmentation.storage.outputs import remove_outputs

if TYPE_CHECKING:
    from airflow.sdk import Context

INTERMEDIATE = ("table.parquet", "scaled.parquet", "sweep.parquet")
"""The tables that one task leaves for the next. Segments, the model and the report are what a run is for."""


class CleanUpOperator(Traced, BaseOperator):
    """
    Removes the tables that tasks of its Dag left for one another, and returns how many files it removed.

    Placed after all other tasks, it runs only if they succeed. Segments, models and reports stay, and so does
    the page. What is removed lies in the Dag's own folder under `[segmentation] storage_path`, nowhere else.
    Once a run's tables are gone, clear its first task rather than the elbow task alone to choose k anew.

    :param this_run: Whether to remove the tables of the run at hand.
    :param older_than: Remove the tables of other runs of the Dag, too, that were written longer ago than
        this, also of runs that failed. Choose more than a run takes. None leaves them.
    """

    ui_color = "#eeeeee"

    def __init__(self, *, this_run: bool = True, older_than: timedelta | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if older_than is not None and older_than <= timedelta(0):
            raise ValueError(f"older_than={older_than!r} should be longer than no time at all")
        self.this_run = this_run
        self.older_than = older_than

    @telling
    def execute(self, context: Context) -> int:
        """Remove the tables."""
        removed = remove_outputs(context, INTERMEDIATE, self.this_run, self.older_than)
        for uri in removed:
            self.log.info("Removed %s", uri)
        self.note_written(*(Used(uri, is_removed=True) for uri in _tables(removed)))
        self.log.info("Removed %d files", len(removed))
        return len(removed)


def _tables(removed: Sequence[str]) -> list[str]:
    """Return the URIs of the tables that files were of: of a folder of parts, that of the folder."""
    scheme, found, _ = storage_path().partition("://")
    names = "|".join(map(re.escape, INTERMEDIATE))
    tables = [re.match(rf".*/(?:{names})(?=/|$)", path) for path in removed]
    return [f"{scheme}{found}{table[0]}" if found else table[0] for table in tables if table]
