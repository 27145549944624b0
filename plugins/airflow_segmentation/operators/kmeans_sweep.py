from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_segmentation.csv import open_data
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators.arguments import as_int, as_names, as_optional_int
from airflow_segmentation.scaling import Scaling, as_matrix
from airflow_segmentation.storage import output_uri, without_secrets
from airflow_segmentation.sweep_table import Sweep, write_sweep

if TYPE_CHECKING:
    import numpy as np
    from airflow.sdk import Context, XComArg

    from airflow_segmentation.tables import Table


class KMeansSweepOperator(BaseOperator):
    """
    Fits K-Means for every k of a range, and returns the URI of a table with one row for each k.

    The table holds the SSE (within-cluster sum of squared errors, scikit-learn's inertia), the centres and
    the sizes for every k.

    :param data: The scaled table, or any Parquet or CSV file. (templated)
    :param k_min: The smallest k. (templated)
    :param k_max: The largest k; it is cut to the number of distinct rows. (templated)
    :param random_state: The seed: the same seed and data give the same sweep. (templated)
    :param features: The columns to cluster on. By default those that MinMaxPreprocessOperator scaled or, for
        any other table, all that hold numbers. (templated)
    :param n_jobs: Cores to use; by default 1, and -1 for all. (templated)
    :param conn_id: The connection to the storage of `data`. (templated)
    """

    template_fields: Sequence[str] = (
        "data",
        "k_min",
        "k_max",
        "random_state",
        "features",
        "n_jobs",
        "conn_id",
    )
    ui_color = "#fdf1e0"

    def __init__(
        self,
        *,
        data: str | XComArg,
        k_min: int | str = 1,
        k_max: int | str = 49,
        random_state: int | str = 42,
        features: Sequence[str] | str | None = None,
        n_jobs: int | str | None = None,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data = data
        self.k_min = k_min
        self.k_max = k_max
        self.random_state = random_state
        self.features = features
        self.n_jobs = n_jobs
        self.conn_id = conn_id

    def execute(self, context: Context) -> str:
        """Sweep, and write the table.

        :raises InputError: if the data or the range of k cannot be swept.
        """
        k_min, k_max = as_int("k_min", self.k_min, minimum=1), as_int("k_max", self.k_max, minimum=1)
        if k_min > k_max:
            raise InputError(f"k_min={k_min} should be <= k_max={k_max}")
        random_state = as_int("random_state", self.random_state, minimum=0)
        n_jobs = as_optional_int("n_jobs", self.n_jobs, minimum=-1)
        with open_data(str(self.data), self.conn_id) as table:
            scaling, rows = self._rows(table)

        from airflow_segmentation.clustering import sweep_rows

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            try:
                found = sweep_rows(rows, k_min=k_min, k_max=k_max, random_state=random_state, n_jobs=n_jobs)
            except ValueError as error:
                raise InputError(str(error)) from error
        told = list(dict.fromkeys(str(warning.message) for warning in caught))
        for message in told:
            self.log.warning("%s", message)
        uri = output_uri(context, "sweep.parquet")
        write_sweep(
            Sweep(
                data_uri=without_secrets(str(self.data)),
                scaling=scaling,
                random_state=random_state,
                total_sse=float(found.total_inertia),
                k_values=found.k_values.tolist(),
                inertias=found.inertias.tolist(),
                centers=found.cluster_centers,
                sizes=[sizes.tolist() for sizes in found.sizes],
                iterations=found.n_iter.tolist(),
                seconds=found.fit_seconds.tolist(),
                warnings=told,
            ),
            uri,
        )
        self.log.info(
            "Swept k=%d..%d over %d rows in %.2f s; SSE falls from %.6g to %.6g",
            *(found.k_values[0], found.k_values[-1], len(rows), found.fit_seconds.sum()),
            *(found.inertias[0], found.inertias[-1]),
        )
        return uri

    def _rows(self, table: Table) -> tuple[Scaling, np.ndarray]:
        """Return how the features were scaled, and the rows to cluster, of shape (n_rows, n_features)."""
        import numpy as np

        where = without_secrets(table.uri)
        features = as_names("features", self.features)
        scaled = Scaling.from_json(table.metadata["scaling"]) if "scaling" in table.metadata else None
        if features is None:
            features = list(scaled.features) if scaled else table.numeric_columns
        if not features:
            raise InputError(f"{where} has no column of numbers to cluster on")
        table.require_numeric(features)
        rows = as_matrix(table.read(features), features)
        unfit = ~np.isfinite(rows).all(axis=0)
        if unfit.any():
            raise InputError(
                f"Column {features[int(unfit.argmax())]!r} of {where} has missing or infinite values; "
                "put a MinMaxPreprocessOperator before the sweep"
            )
        if not len(rows):
            raise InputError(f"{where} has no rows; there is nothing to segment")
        if scaled is not None:
            return scaled.of(features, where), rows
        minimum, maximum = rows.min(axis=0).tolist(), rows.max(axis=0).tolist()
        return Scaling(tuple(features), tuple(minimum), tuple(maximum), rows=len(rows)), rows
