from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_segmentation.operators.arguments import as_connection, as_digest, as_name, as_uri
from airflow_segmentation.operators.passing import PassingOperator
from airflow_segmentation.segments.model import load_model
from airflow_segmentation.storage.outputs import output_uri
from airflow_segmentation.tables.passes import Assigned, segments_counted

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_segmentation.segments.model import Model
    from airflow_segmentation.tables.data import Data

FIRST_SEGMENT_KEY = "first_segment"
SEGMENT = "segment"
"""Name of the column of segments, unless the customers have one of that name."""


class KMeansPredictOperator(PassingOperator):
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
    :param spark_conn_id: The connection to a Spark cluster that assigns; by default this worker
        does. (templated)
    """

    template_fields: Sequence[str] = (
        "model_path",
        "data",
        "model_digest",
        "id_column",
        *PassingOperator.template_fields,
    )
    ui_color = "#f3e8fd"

    def __init__(
        self,
        *,
        model_path: str | XComArg,
        data: str | XComArg,
        model_digest: str | XComArg | None = None,
        id_column: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_path = model_path
        self.data = data
        self.model_digest = model_digest
        self.id_column = id_column

    def execute(self, context: Context) -> str:
        """Write the table of segments.

        :raises InputError: if there is no model of ours, or another than the digest's, or no data, or the
            data lacks a feature of the model.
        """
        import pyarrow as pa

        data, digest = as_uri("data", self.data), as_digest("model_digest", self.model_digest)
        conn_id = as_connection(self.conn_id)
        model = load_model(as_uri("model_path", self.model_path), conn_id, digest)
        made_by = ", ".join(f"{name}={value!r}" for name, value in model.made_by.items())
        k, features = len(model.assigner.centers), model.features
        self.log.info("The model of %d segments was made by %s", k, made_by or "one unknown")
        uri = output_uri(context, "segments.parquet")
        with self.engine(context) as engine:
            with engine.open(data, conn_id, as_name("id_column", self.id_column)) as table:
                table.require_numeric(features)
                column = _free_name(table.columns)
                if column != SEGMENT:
                    self.log.warning(
                        "The customers have a column %r of their own, which stays as it is; the segments "
                        "assigned here are in the column %r",
                        *(SEGMENT, column),
                    )
                schema = pa.schema([*table.schema, pa.field(column, pa.int32())])
                facts = {"id_column": table.id_column, "features": list(features), "segment_column": column}
                table.write(uri, schema, Assigned(schema, features, model.assigner), facts=facts)
            with engine.open(uri) as table:
                first = self._tell(table, column, model) if table.rows else None
        context["ti"].xcom_push(key=FIRST_SEGMENT_KEY, value=first)
        return uri

    def _tell(self, table: Data, column: str, model: Model) -> int | None:
        """Log how many customers each segment has, and who has none; return the first customer's segment."""
        import numpy as np

        from airflow_segmentation.clustering.rows import added_up

        features, k = model.features, len(model.assigner.centers)
        count = partial(
            segments_counted,
            features=features,
            column=column,
            k=k,
            minimum=model.minimum,
            maximum=model.maximum,
        )
        parts = list(table.each([*features, column], count))
        sizes, outside, without, lacking = added_up(part[:4] for part in parts)
        rows = table.rows
        self.log.info("Assigned %d of %d customers to %d segments", rows - without, rows, k)
        for segment in np.flatnonzero(sizes):
            self.log.info("Segment %d: %d customers", segment, sizes[segment])
        if without:
            self.log.warning(
                "%d of %d customers have no segment, as a feature is missing or infinite: %s",
                *(without, rows),
                ", ".join(
                    f"{name} in {lacks}" for name, lacks in zip(features, lacking, strict=True) if lacks
                ),
            )
        for index, feature in enumerate(features):
            if outside[index]:
                self.log.warning(
                    "%d of %d customers with a segment are outside the range that the model was fitted on: "
                    "%s is %g to %g there. Their segment is the nearest one, and may mean little",
                    *(outside[index], rows - without, feature, model.minimum[index], model.maximum[index]),
                )
        first = int(parts[0][4])
        return None if first < 0 else first


def _free_name(taken: Sequence[str]) -> str:
    """Return what the column of segments is called beside these."""
    names = (SEGMENT, *(f"{SEGMENT}_{number}" for number in range(2, len(taken) + 2)))
    return next(name for name in names if name not in taken)
