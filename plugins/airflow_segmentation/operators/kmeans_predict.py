from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_segmentation.errors import InputError
from airflow_segmentation.operators.arguments import as_connection, as_digest, as_name, as_uri
from airflow_segmentation.operators.drifting import Limits, measure_drift
from airflow_segmentation.operators.lineage import Used, copied, made_of, published_model, shift_of, used
from airflow_segmentation.operators.passing import PassingOperator
from airflow_segmentation.operators.telling import telling
from airflow_segmentation.reports.records import push_record
from airflow_segmentation.reports.report import ASSIGNMENT_KEY, Assignment, Drift
from airflow_segmentation.segments.model import load_model
from airflow_segmentation.segments.published import load_published, read_published
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.storage.outputs import output_uri
from airflow_segmentation.tables.passes import ASSIGNED, Assigned, segments_counted

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_segmentation.clustering.rows import Arrays
    from airflow_segmentation.segments.model import Model
    from airflow_segmentation.segments.published import Published
    from airflow_segmentation.tables.data import Data

FIRST_SEGMENT_KEY = "first_segment"
SEGMENT = "segment"
"""Name of the column of segments, unless the customers have one of that name."""


class KMeansPredictOperator(PassingOperator):
    """
    Assigns segments to customers in original units, and returns the URI of the table with their segments.

    The table has the customers' columns and five of ours. `segment`, an integer: the number that a segment
    keeps from run to run once it was published; until then 0 is the largest segment of the data that the
    model was fitted on; `segment_name`, what it is called; `segment_distance`, how far the customer lies from
    its centre, as scaled; `segment_percentile`, what share of the segment's rows in that data, from 0 to 100,
    lay nearer; and `second_segment`, whose centre is the second nearest. Customers who have a column of such
    a name keep it, and ours is `segment_2`, or the next that is free; the table's metadata names them as
    `segment_column` and `columns`. A customer who misses a feature has no segment, unless the model was
    fitted with `missing="median"`. The first customer's segment is pushed under the XCom key `first_segment`;
    the Segmentation page tells where the table is, and how many lie far out.

    :param data: The customers: a Parquet or CSV file at any URI, in original units. (templated)
    :param published: The folder that PublishSegmentsOperator published segments to, whose current version is
        used. The customers are held against those that it was made of. (templated)
    :param model_path: The model that ElbowOperator saved, instead. (templated)
    :param model_digest: The `model_digest` that ElbowOperator returned: a file that was changed or replaced
        since is refused. None takes any model that an ElbowOperator saved; nothing in a model is ever run.
        (templated)
    :param id_column: The column of a CSV that names the customer; it is read as text. (templated)
    :param max_psi: The population stability index, of a feature or of the segments' shares, above which
        customers have drifted from those that the published version was made of.
    :param max_outside: The share of customers with a value beyond its range above which they have.
    :param fail_on_drift: Whether this task fails if they have, and writes no table; else it warns.
    :param conn_id: The connection to the storage of `published`, `model_path` and `data`. (templated)
    :param spark_conn_id: The connection to a Spark cluster that assigns; by default this worker
        does. (templated)
    """

    template_fields: Sequence[str] = (
        "data",
        "published",
        "model_path",
        "model_digest",
        "id_column",
        *PassingOperator.template_fields,
    )
    ui_color = "#f3e8fd"
    reads = ("model_path", "data")

    def __init__(
        self,
        *,
        data: str | XComArg,
        published: str | XComArg | None = None,
        model_path: str | XComArg | None = None,
        model_digest: str | XComArg | None = None,
        id_column: str | None = None,
        max_psi: float = 0.25,
        max_outside: float = 0.01,
        fail_on_drift: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (published is None) == (model_path is None):
            raise ValueError("Give either published or model_path")
        if max_psi < 0 or not 0 <= max_outside <= 1:
            raise ValueError(
                f"max_psi={max_psi!r} should be >= 0, and max_outside={max_outside!r} a share from 0 to 1"
            )
        self.data = data
        self.published = published
        self.max_psi = max_psi
        self.max_outside = max_outside
        self.fail_on_drift = fail_on_drift
        self.model_path = model_path
        self.model_digest = model_digest
        self.id_column = id_column

    @telling
    def execute(self, context: Context) -> str:
        """Write the table of segments.

        :raises InputError: if there is no model of ours, or another than the digest's, or no data, or the
            data lacks a feature of the model; and with `fail_on_drift`, if the customers have drifted.
        """
        import pyarrow as pa

        data, conn_id = as_uri("data", self.data), as_connection(self.conn_id)
        published, model, digest = self._given(conn_id)
        made_by = ", ".join(f"{name}={value!r}" for name, value in model.made_by.items())
        k, features = len(model.assigner.centers), model.features
        self.log.info("The model of %d segments was made by %s", k, made_by or "one unknown")
        uri = output_uri(context, "segments.parquet")
        with self.engine(context) as engine:
            with engine.open(data, conn_id, as_name("id_column", self.id_column)) as table:
                table.require_numeric(features)
                drift = None if published is None else self._drift(context, table, model, published)
                ours = self._named(table.columns)
                added = [pa.field(ours[name], pa.type_for_alias(kind)) for name, kind in ASSIGNED.items()]
                schema = pa.schema([*table.schema, *added])
                facts = {
                    "id_column": table.id_column,
                    "features": list(features),
                    "segment_column": ours[SEGMENT],
                    "columns": ours,
                }
                change = Assigned(
                    schema, features, model.assigner, model.numbers, model.names, model.distances
                )
                table.write(uri, schema, change, facts=facts)
                self.note_read(used(table))
                origins = copied(table.uri, table.columns)
            with engine.open(uri) as table:
                assignment, first = self._tell(table, ours, model)
                origins |= made_of(data, features, ours.values(), "TRANSFORMATION")
                self.note_written(used(table, origins=origins))
        assignment = dataclasses.replace(
            assignment,
            uri=without_secrets(uri),
            model_digest=digest,
            version=None if published is None else published.version,
            drift=drift,
        )
        push_record(context, ASSIGNMENT_KEY, assignment.to_json())
        self.note_facts(
            features=list(features),
            rows=assignment.rows,
            k=k,
            modelDigest=digest,
            version=assignment.version,
            unassigned=assignment.without,
        )
        context["ti"].xcom_push(key=FIRST_SEGMENT_KEY, value=first)
        return uri

    def _given(self, conn_id: str | None) -> tuple[Published | None, Model, str | None]:
        """Return the published version that is current, if it is to be used; the model; and its digest."""
        if self.published is None:
            digest, uri = as_digest("model_digest", self.model_digest), as_uri("model_path", self.model_path)
            self.note_read(Used(uri, digest=digest))
            return None, load_model(uri, conn_id, digest), digest
        path = as_uri("published", self.published)
        published = read_published(path, conn_id)
        if published is None:
            raise InputError(
                f"No segments are published in {without_secrets(path)} so far; run the Dag with the "
                "PublishSegmentsOperator that publishes there"
            )
        self.log.info(
            "Version %d of the segments in %s is current, of %d segments",
            *(published.version, without_secrets(path), published.k),
        )
        self.note_read(published_model(path, published))
        return published, load_published(path, published, conn_id), published.model_digest

    def _drift(self, context: Context, table: Data, model: Model, published: Published) -> Drift | None:
        """Return how far the customers are from those that the version was made of, and warn if it is far.

        :raises InputError: instead, if this task should fail then; the page is told all the same.
        """
        drift = measure_drift(table, model, published, Limits(self.max_psi, self.max_outside))
        if drift is None:
            return None
        self.note_facts(drift=shift_of(drift))
        if not drift.found:
            return drift
        found = "; ".join(drift.found)
        if self.fail_on_drift:
            unassigned = Assignment(
                uri="",
                rows=table.rows,
                without=table.rows,
                model_digest=published.model_digest,
                version=published.version,
                drift=drift,
            )
            push_record(context, ASSIGNMENT_KEY, unassigned.to_json())
            raise InputError(
                f"The customers of {without_secrets(table.uri)} have drifted, and no table of segments was "
                f"written: {found}. Sweep and publish anew, raise the limit, or set fail_on_drift=False"
            )
        self.log.warning("The customers have drifted: %s. Sweep and publish anew", found)
        return drift

    def _named(self, taken: Sequence[str]) -> dict[str, str]:
        """Return what our columns are called beside these."""
        ours = {name: _free_name(name, taken) for name in ASSIGNED}
        for name, column in ours.items():
            if column != name:
                self.log.warning(
                    "The customers have a column %r of their own, which stays as it is; ours is %r",
                    *(name, column),
                )
        return ours

    def _tell(self, table: Data, ours: Mapping[str, str], model: Model) -> tuple[Assignment, int | None]:
        """Log how many customers each segment has, and who has none; return that, and the first's segment."""
        import numpy as np

        from airflow_segmentation.clustering.rows import added_up

        features, k = model.features, len(model.numbers)
        column, percentile = ours[SEGMENT], ours["segment_percentile"]
        count = partial(
            segments_counted,
            features=features,
            column=column,
            percentile=percentile,
            numbers=model.numbers,
            minimum=model.minimum,
            maximum=model.maximum,
        )
        parts = list(table.each([*features, column, percentile], count))
        by_feature, one = np.zeros(len(features), np.int64), np.zeros((), np.int64)
        nothing: Arrays = [np.zeros(k, np.int64), by_feature, one, one, one, by_feature]
        sizes, outside, strange, far, without, lacking = added_up(part[:6] for part in parts) or nothing
        rows = table.rows
        self.log.info("Assigned %d of %d customers to %d segments", rows - without, rows, k)
        for segment in np.flatnonzero(sizes):
            self.log.info("Segment %d: %d customers", model.numbers[segment], sizes[segment])
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
        assignment = Assignment(
            uri="",
            columns=dict(ours),
            rows=rows,
            without=int(without),
            sizes=tuple(sizes.tolist()),
            numbers=model.numbers,
            far=None if model.distances is None else int(far),
            outside=int(strange),
        )
        first = int(parts[0][-1]) if parts else -1
        return assignment, None if first < 0 else first


def _free_name(name: str, taken: Sequence[str]) -> str:
    """Return what a column of ours is called beside these."""
    names = (name, *(f"{name}_{number}" for number in range(2, len(taken) + 2)))
    return next(name for name in names if name not in taken)
