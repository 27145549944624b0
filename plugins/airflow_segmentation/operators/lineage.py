"""What a task read and wrote, kept while it runs, for OpenLineage to tell a catalogue.

Airflow's provider asks for it in a process that it forks off the task's, where connections to object stores
do not work any more. So nothing is opened then: what is told is what the task knew.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_segmentation.errors import InputError
from airflow_segmentation.operators.arguments import as_uris
from airflow_segmentation.segments.published import uri_of

if TYPE_CHECKING:
    import pyarrow as pa
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_segmentation.reports.report import Drift, Report
    from airflow_segmentation.segments.published import Published
    from airflow_segmentation.tables.data import Data


@dataclass(frozen=True)
class Origin:
    """A column of what was read that a column of what was written was made of."""

    uri: str
    column: str
    how: Literal["IDENTITY", "TRANSFORMATION", "AGGREGATION"] = "IDENTITY"


@dataclass(frozen=True)
class Used:
    """A table or another file that a task read, wrote or removed, and what the task knows of it."""

    uri: str
    columns: Mapping[str, str] = field(default_factory=dict)
    """Names of its columns, and their types."""
    rows: int | None = None
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What is known of its columns: `nullCount`, or `min` and `max`, of each."""
    origins: Mapping[str, Sequence[Origin]] = field(default_factory=dict)
    """What each of its columns was made of."""
    digest: str | None = None
    """What tells its content from any other's."""
    is_removed: bool = False


class Traced:
    """What operators share that tell OpenLineage what they read and wrote, if Airflow's provider asks."""

    reads: Sequence[str] = ()
    """Names of the arguments that tell what is read."""
    _read: Mapping[str, Used] = {}
    _written: Mapping[str, Used] = {}
    _facts: Mapping[str, Any] = {}

    def note_read(self, *used: Used) -> None:
        """Keep what was read."""
        self._read = {**self._read, **{each.uri: each for each in used}}

    def note_written(self, *used: Used) -> None:
        """Keep what was written, or removed."""
        self._written = {**self._written, **{each.uri: each for each in used}}

    def note_facts(self, **facts: Any) -> None:
        """Keep what our own facet of the run tells; None is left out."""
        self._facts = {**self._facts, **{name: fact for name, fact in facts.items() if fact is not None}}

    def get_openlineage_facets_on_start(self) -> OperatorLineage:
        """Return what the arguments tell will be read."""
        from airflow_segmentation.operators.openlineage import lineage_of

        given: dict[str, Used] = {}
        for name in self.reads:
            # What is wrong with an argument is for `execute` to say.
            with contextlib.suppress(InputError):
                given |= {uri: Used(uri) for uri in as_uris(name, getattr(self, name))}
        return lineage_of({**given, **self._read}.values(), self._written.values(), self._facts)

    def get_openlineage_facets_on_complete(self, _: Any) -> OperatorLineage:
        """Return what was read and written; of a task that failed, as much as it knew by then."""
        return self.get_openlineage_facets_on_start()


def used(table: Data, **known: Any) -> Used:
    """Return what is known of a table that is open."""
    return Used(table.uri, types_of(table.schema), table.rows, **known)


def types_of(schema: pa.Schema) -> dict[str, str]:
    """Return the names of columns, and their types in words."""
    return {item.name: str(item.type) for item in schema}


def published_model(path: str, published: Published) -> Used:
    """Return the model of a version that was published in a folder."""
    return Used(uri_of(path, published.version, published.model), digest=published.model_digest)


def facts_of(report: Report) -> dict[str, Any]:
    """Return what our own facet tells of a choice of k."""
    return {
        "features": [feature.name for feature in report.features],
        "rows": report.rows,
        "kMin": report.k_min,
        "kMax": report.k_max,
        "k": report.k,
        "sse": report.chosen.sse,
        "explained": report.chosen.explained,
        "decidedBy": report.decided_by,
        "verdict": report.structure and report.structure.verdict,
        "modelDigest": report.model_digest,
    }


def shift_of(drift: Drift) -> dict[str, Any]:
    """Return what our own facet tells of how far customers have drifted."""
    return {
        "features": [dataclasses.asdict(shift) for shift in drift.features],
        "shares": drift.shares,
        "outside": drift.outside,
        "found": list(drift.found),
    }


def copied(uri: str, columns: Iterable[str]) -> dict[str, list[Origin]]:
    """Return the origins of columns that are the same as those of a table that was read."""
    return {column: [Origin(uri, column)] for column in columns}


def made_of(
    uri: str, features: Iterable[str], columns: Iterable[str], how: Literal["TRANSFORMATION", "AGGREGATION"]
) -> dict[str, list[Origin]]:
    """Return the origins of columns that are each made of all features of a table that was read."""
    origins = [Origin(uri, feature, how) for feature in features]
    return dict.fromkeys(columns, origins)
