from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_segmentation.csv_files import open_data
from airflow_segmentation.model import load_model
from airflow_segmentation.operators.arguments import as_connection, as_digest, as_name, as_uri
from airflow_segmentation.outputs import output_uri
from airflow_segmentation.tables import as_array, as_matrix, table_written

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

FIRST_SEGMENT_KEY = "first_segment"
SEGMENT = "segment"
"""Name of the column of segments, unless the customers have one of that name."""


class KMeansPredictOperator(BaseOperator):
    """
    Assigns segments to customers in original units, and returns the URI of the table with their segments.

    The table has the customers' columns and `segment`, an integer: 0 is the largest segment of the data that
    the model was fitted on. Customers who have a column of that name keep it, and ours is `segment_2`, or the
    next that is free; the table's metadata names it as `segment_column`. A customer who misses a feature has
    no segment, unless the model was fitted with `missing="median"`. The first customer's segment is pushed
    under the XCom key `first_segment`.

    :param model_path: The model that ElbowOperator saved. (templated)
    :param data: The customers: a Parquet or CSV file at any URI, in original units. (templated)
    :param model_digest: The `model_digest` that ElbowOperator returned: a file that was changed or replaced
        since is refused. None takes any model that an ElbowOperator saved; nothing in a model is ever run.
        (templated)
    :param id_column: The column of a CSV that names the customer; it is read as text. (templated)
    :param conn_id: The connection to the storage of `model_path` and `data`. (templated)
    """

    template_fields: Sequence[str] = ("model_path", "data", "model_digest", "id_column", "conn_id")
    ui_color = "#f3e8fd"

    def __init__(
        self,
        *,
        model_path: str | XComArg,
        data: str | XComArg,
        model_digest: str | XComArg | None = None,
        id_column: str | None = None,
        conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_path = model_path
        self.data = data
        self.model_digest = model_digest
        self.id_column = id_column
        self.conn_id = conn_id

    def execute(self, context: Context) -> str:
        """Write the table of segments.

        :raises InputError: if there is no model of ours, or another than the digest's, or no data, or the
            data lacks a feature of the model.
        """
        import numpy as np
        import pyarrow as pa

        data, digest = as_uri("data", self.data), as_digest("model_digest", self.model_digest)
        conn_id = as_connection(self.conn_id)
        model = load_model(as_uri("model_path", self.model_path), conn_id, digest)
        made_by = ", ".join(f"{name}={value!r}" for name, value in model.made_by.items())
        self.log.info("The model of %d segments was made by %s", len(model.centers), made_by or "one unknown")
        features = list(model.features)
        sizes = np.zeros(len(model.centers), dtype=np.int64)
        outside, lacking, without = np.zeros(len(features), int), np.zeros(len(features), int), 0
        first: int | None = None
        uri = output_uri(context, "segments.parquet")
        with open_data(data, conn_id, as_name("id_column", self.id_column)) as table:
            table.require_numeric(features)
            column = _free_name(table.columns)
            if column != SEGMENT:
                self.log.warning(
                    "The customers have a column %r of their own, which stays as it is; the segments "
                    "assigned here are in the column %r",
                    *(SEGMENT, column),
                )
            schema = pa.schema([*table.schema, pa.field(column, pa.int32())])
            with table_written(uri, schema) as writer:
                for batch in table.batches():
                    values = as_matrix(batch, features)
                    segments = model.predict(values)
                    assigned = segments >= 0
                    if writer.rows == 0 and assigned[0]:
                        first = int(segments[0])
                    sizes += np.bincount(segments[assigned], minlength=len(sizes))
                    without += int((~assigned).sum())
                    lacking += (~np.isfinite(values[~assigned])).sum(axis=0)
                    beyond = (values < model.minimum) | (values > model.maximum)
                    outside += beyond[assigned].sum(axis=0)
                    columns = [*batch.columns, as_array(segments, present=assigned)]
                    writer.write(pa.record_batch(columns, schema=schema))
                writer.metadata = {
                    "id_column": table.id_column,
                    "features": features,
                    "segment_column": column,
                }
            rows = table.rows
        self.log.info("Assigned %d of %d customers to %d segments", rows - without, rows, len(sizes))
        for segment in np.flatnonzero(sizes):
            self.log.info("Segment %d: %d customers", segment, sizes[segment])
        if without:
            self.log.warning(
                "%d of %d customers have no segment, as a feature is missing or infinite: %s",
                *(without, rows),
                ", ".join(
                    f"{name} in {count}" for name, count in zip(features, lacking, strict=True) if count
                ),
            )
        for index, feature in enumerate(features):
            if outside[index]:
                self.log.warning(
                    "%d of %d customers with a segment are outside the range that the model was fitted on: "
                    "%s is %g to %g there. Their segment is the nearest one, and may mean little",
                    *(outside[index], rows - without, feature, model.minimum[index], model.maximum[index]),
                )
        context["ti"].xcom_push(key=FIRST_SEGMENT_KEY, value=first)
        return uri


def _free_name(taken: Sequence[str]) -> str:
    """Return what the column of segments is called beside these."""
    names = (SEGMENT, *(f"{SEGMENT}_{number}" for number in range(2, len(taken) + 2)))
    return next(name for name in names if name not in taken)
