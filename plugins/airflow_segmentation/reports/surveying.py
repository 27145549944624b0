"""The survey of a chosen k that its report and its model are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_segmentation.clustering import Survey
    from airflow_segmentation.reports.succession import Succession
    from airflow_segmentation.sweeps.table import SweepTable
    from airflow_segmentation.tables.data import Data

QUARTILES = (0.25, 0.5, 0.75)


def survey_of(table: Data, sweep: SweepTable, k: int, succession: Succession | None) -> Survey:
    """Return what the table that was swept tells of the segments of one k: of its features first, and of its
    other numbers.

    :param succession: tells besides what becomes of published segments; None where there are none.
    """
    import numpy as np

    from airflow_segmentation.clustering import Segmenting, survey

    scaling, index = sweep.scaling, sweep.index(k)
    features, (scale, _) = list(scaling.features), scaling.factors()
    return survey(
        table,
        [*features, *(name for name in table.numeric_columns if name not in features)],
        Segmenting(features, sweep.centers[index], sweep.sizes[index]),
        QUARTILES,
        farthest=float(np.linalg.norm(np.subtract(scaling.maximum, scaling.minimum) * scale)),
        seed=sweep.random_state,
        others=() if succession is None else succession.tallies(k),
    )
