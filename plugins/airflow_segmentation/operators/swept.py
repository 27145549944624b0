"""What is made of a sweep once k is known: the table that was swept, and the model of k segments."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from airflow_segmentation.errors import InputError
from airflow_segmentation.segments.model import build_model
from airflow_segmentation.storage.addresses import without_secrets

if TYPE_CHECKING:
    from airflow.sdk import Context
    from sklearn.pipeline import Pipeline

    from airflow_segmentation.clustering import Survey
    from airflow_segmentation.engines import Engine
    from airflow_segmentation.sweeps.table import SweepTable
    from airflow_segmentation.tables.data import Data


@contextlib.contextmanager
def open_swept(
    engine: Engine, sweep: SweepTable, conn_id: str | None
) -> Iterator[tuple[Data | None, tuple[str, ...]]]:
    """Open the table that was swept. Without it a choice stands; the report tells less, and says so."""
    with contextlib.ExitStack() as stack:
        try:
            table = stack.enter_context(engine.open(sweep.data_uri, conn_id))
            table.require_numeric(sweep.scaling.features)
            if table.rows != sweep.scaling.rows:
                raise InputError(
                    f"{without_secrets(table.uri)} has {table.rows} rows, and had "
                    f"{sweep.scaling.rows} when it was swept"
                )
            found: tuple[Data | None, tuple[str, ...]] = (table, ())
        except InputError as error:
            found = (None, (f"The report has no profiles and no standard deviations: {error}",))
        yield found


def model_of(
    sweep: SweepTable,
    k: int,
    numbers: Sequence[int],
    names: Sequence[str],
    survey: Survey | None,
    context: Context,
) -> Pipeline:
    """Return the model of k segments, which tells the task at hand as what made it."""
    index = sweep.index(k)
    return build_model(
        *(sweep.scaling, sweep.centers[index], sweep.inertias[index], sweep.iterations[index]),
        made_by={name: getattr(context["ti"], name) for name in ("dag_id", "run_id", "task_id")},
        numbers=numbers,
        names=names,
        distances=None if survey is None else survey.distances,
    )
