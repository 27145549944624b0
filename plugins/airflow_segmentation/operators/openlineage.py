"""How OpenLineage writes down what a task used. Imported where Airflow's provider is, once it asks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attr
from airflow.providers.openlineage.extractors import OperatorLineage
from fsspec.implementations.local import LocalFileSystem
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    InputDatasetFacet,
    OutputDatasetFacet,
    RunFacet,
    column_lineage_dataset,
    data_quality_metrics_input_dataset,
    dataset_version_dataset,
    lifecycle_state_change_dataset,
    output_statistics_output_dataset,
    schema_dataset,
)

from airflow_segmentation.storage.addresses import without_secrets

if TYPE_CHECKING:
    from airflow_segmentation.operators.lineage import Origin, Used

FACET = "segmentation"
"""Name of our own facet of a run."""
FACET_SCHEMA = "urn:airflow-segmentation:facets:1-0-0:SegmentationRunFacet"
"""What `docs/facets/segmentation-1-0-0.json` is called; a facet that changes gets a new file."""

_LOCAL = ("", "file", "local")
_STORES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss"}
"""Schemes that have another name in OpenLineage."""


@attr.define(kw_only=True)
class SegmentationRunFacet(RunFacet):
    """What a task found: of each field, only what that task knows."""

    features: list[str] | None = None
    rows: int | None = None
    dropped: list[dict[str, Any]] | None = None
    kMin: int | None = None
    kMax: int | None = None
    k: int | None = None
    sse: float | None = None
    explained: float | None = None
    decidedBy: str | None = None
    verdict: str | None = None
    modelDigest: str | None = None
    version: int | None = None
    decision: str | None = None
    unassigned: int | None = None
    drift: dict[str, Any] | None = None

    @staticmethod
    def _get_schema() -> str:
        return f"{FACET_SCHEMA}#/$defs/SegmentationRunFacet"


def lineage_of(read: Iterable[Used], written: Iterable[Used], facts: Mapping[str, Any]) -> OperatorLineage:
    """Return what a task tells OpenLineage."""
    return OperatorLineage(
        inputs=[
            InputDataset(*named(each.uri), facets=_facets(each), inputFacets=_quality(each)) for each in read
        ],
        outputs=[
            OutputDataset(*named(each.uri), facets=_facets(each), outputFacets=_statistics(each))
            for each in written
        ],
        run_facets={FACET: SegmentationRunFacet(**facts)} if facts else {},
    )


def named(uri: str) -> tuple[str, str]:
    """Return namespace and name of a file, by OpenLineage's rules; neither holds a secret."""
    scheme, found, rest = without_secrets(uri).partition("://")
    scheme = scheme.lower() if found else ""
    if scheme in _LOCAL:
        return "file", os.path.normpath(LocalFileSystem._strip_protocol(without_secrets(uri)))
    store, _, key = rest.partition("/")
    # The connection that opens a store is no part of its name.
    return f"{_STORES.get(scheme, scheme)}://{store.rpartition('@')[2]}", key.rstrip("/") or "/"


def _facets(used: Used) -> dict[str, DatasetFacet]:
    facets: dict[str, DatasetFacet] = {}
    if used.columns:
        fields = [
            schema_dataset.SchemaDatasetFacetFields(name=name, type=kind)
            for name, kind in used.columns.items()
        ]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields)
    if used.origins:
        facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(
            fields={
                column: column_lineage_dataset.Fields(inputFields=[_input_field(each) for each in origins])
                for column, origins in used.origins.items()
            }
        )
    if used.digest:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=used.digest)
    if used.is_removed:
        facets["lifecycleStateChange"] = lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet(
            lifecycleStateChange=lifecycle_state_change_dataset.LifecycleStateChange.DROP
        )
    return facets


def _input_field(origin: Origin) -> column_lineage_dataset.InputField:
    namespace, name = named(origin.uri)
    how = column_lineage_dataset.Transformation(type="DIRECT", subtype=origin.how)
    return column_lineage_dataset.InputField(
        namespace=namespace, name=name, field=origin.column, transformations=[how]
    )


def _quality(used: Used) -> dict[str, InputDatasetFacet]:
    if used.rows is None:
        return {}
    metrics = data_quality_metrics_input_dataset
    return {
        "dataQualityMetrics": metrics.DataQualityMetricsInputDatasetFacet(
            rowCount=used.rows,
            columnMetrics={column: metrics.ColumnMetrics(**known) for column, known in used.metrics.items()},
        )
    }


def _statistics(used: Used) -> dict[str, OutputDatasetFacet]:
    if used.rows is None:
        return {}
    statistics = output_statistics_output_dataset
    return {"outputStatistics": statistics.OutputStatisticsOutputDatasetFacet(rowCount=used.rows)}
