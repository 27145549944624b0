from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_segmentation.errors import InputError
from airflow_segmentation.operators.arguments import as_connection, as_names, as_uri
from airflow_segmentation.operators.lineage import Used, copied, made_of, types_of, used
from airflow_segmentation.operators.passing import PassingOperator
from airflow_segmentation.operators.telling import telling
from airflow_segmentation.storage.outputs import output_uri
from airflow_segmentation.tables.scaling import MISSING_RULES, Missing, Scaling, scale_table, scaled_schema

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_segmentation.tables.data import Data


class MinMaxPreprocessOperator(PassingOperator):
    """
    Scales features to a range, as scikit-learn's MinMaxScaler does, and returns the URI of the scaled table.

    The table keeps the id column, and the other numeric columns as they are; minimum and maximum of each
    feature and the rows dropped go with it as metadata. It is read twice in batches, never whole.

    :param data: The table to scale: a Parquet or CSV file at any URI. (templated)
    :param features: The columns to cluster on; they must hold numbers. (templated)
    :param missing: What becomes of a row with a missing value. `drop`: it is dropped if one of the features
        is missing. `drop_any`: if any column is. `median`: a missing feature gets the column's median;
        of more than a million rows, or 100,000 on Spark, it is off by less than a thousandth of the range.
        `fail`: the task fails.
    :param feature_range: What minimum and maximum become.
    :param conn_id: The connection to the storage of `data`. (templated)
    :param spark_conn_id: The connection to a Spark cluster that scales; by default this worker
        does. (templated)
    """

    template_fields: Sequence[str] = ("data", "features", *PassingOperator.template_fields)
    ui_color = "#e6f4ea"
    reads = ("data",)

    def __init__(
        self,
        *,
        data: str | XComArg,
        features: Sequence[str] | str,
        missing: Missing = "drop",
        feature_range: tuple[float, float] = (0, 1),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if missing not in MISSING_RULES:
            raise ValueError(f"missing={missing!r} should be one of {', '.join(map(repr, MISSING_RULES))}")
        if len(feature_range) != 2 or not feature_range[0] < feature_range[1]:
            raise ValueError(f"feature_range={feature_range!r} should be a minimum and a larger maximum")
        if not 1e-100 < feature_range[1] - feature_range[0] <= max(map(abs, feature_range)) * 2 < 1e100:
            raise ValueError(f"feature_range={feature_range!r} should be of numbers that can be squared")
        self.data = data
        self.features = features
        self.missing = missing
        self.feature_range = feature_range

    @telling
    def execute(self, context: Context) -> str:
        """Write the scaled table.

        :raises InputError: if a feature is not there, is no number or is infinite, a value is missing and may
            not be, or no row is left.
        """
        features = as_names("features", self.features)
        if features is None:
            raise InputError("features is empty; name at least one column")
        uri = output_uri(context, "scaled.parquet")
        low, high = map(float, self.feature_range)
        data, conn_id = as_uri("data", self.data), as_connection(self.conn_id)
        with self.engine(context) as engine, engine.open(data, conn_id) as table:
            scaling = scale_table(table, uri, features, self.missing, (low, high))
            total = table.rows
            self._note(table, uri, scaling)
        self.log.info("Scaled %s of %d rows to %g..%g", ", ".join(features), scaling.rows, low, high)
        for reason, rows in scaling.dropped:
            self.log.info("Dropped %d of %d rows: %s", rows, total, reason)
        for feature in scaling.constant:
            self.log.warning(
                "Feature %s has one value only and scales to %g: it cannot tell customers apart; "
                "leave it out",
                feature,
                low,
            )
        return uri

    def _note(self, table: Data, uri: str, scaling: Scaling) -> None:
        """Keep for OpenLineage what was read and written."""
        bounds = zip(scaling.features, scaling.minimum, scaling.maximum, strict=True)
        self.note_read(used(table, metrics={name: {"min": low, "max": high} for name, low, high in bounds}))
        types = types_of(scaled_schema(table, scaling.features))
        origins = copied(table.uri, types)
        for feature in scaling.features:
            origins |= made_of(table.uri, [feature], [feature], "TRANSFORMATION")
        self.note_written(Used(uri, types, scaling.rows, origins=origins))
        dropped = [{"reason": reason, "rows": rows} for reason, rows in scaling.dropped]
        self.note_facts(features=list(scaling.features), rows=scaling.rows, dropped=dropped)
