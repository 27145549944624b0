"""The table that a sweep leaves: one row for each k, so that any k can be promoted without a new fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_segmentation.clustering.methods import SCORES
from airflow_segmentation.errors import InputError
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.tables.parquet import Table, table_written
from airflow_segmentation.tables.scaling import Scaling

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from airflow_segmentation.clustering import Structure


@dataclass(frozen=True)
class SweepTable:
    """K-Means for every k of a range, on scaled features; each sequence has one entry for each k."""

    data_uri: str
    """The scaled table that was swept."""
    scaling: Scaling
    random_state: int
    total_sse: float
    """SSE at k = 1: the total sum of squares, in scaled units."""
    k_values: Sequence[int]
    inertias: Sequence[float]
    centers: Sequence[np.ndarray]
    """For each k an array of shape (k, n_features) in scaled units, the largest segment first."""
    sizes: Sequence[Sequence[int]]
    """For each k the rows in each segment, in the order of its centres."""
    iterations: Sequence[int]
    seconds: Sequence[float]
    fit_rows: int
    """Rows that the centres were fitted on: all, or a sample. SSE and sizes are over all rows."""
    scores: Mapping[str, Sequence[float]] = field(default_factory=dict)
    silhouette_rows: int = 0
    """Rows that the silhouette was taken over, where it is among the scores: all, or a sample."""
    resamples: Sequence[tuple[Sequence[int], Sequence[float]]] = ()
    """The curve of each resample that was swept: its k and their SSE."""
    resample_rows: int = 0
    """Rows in each resample."""
    jaccard: Sequence[Sequence[float]] = ()
    """For each k and segment how sure it comes again in resamples; empty where none were swept."""
    structure: Structure | None = None
    """What sets without groups say of the rows; None where none were swept."""
    warnings: Sequence[str] = ()
    """What the sweep had to tell, in words."""

    def index(self, k: int) -> int:
        """Return where k stands in each sequence.

        :raises InputError: if k was not swept.
        """
        if k not in self.k_values:
            raise InputError(
                f"k={k} is not in the sweep's range {min(self.k_values)}..{max(self.k_values)}; choose a k "
                "of that range, or sweep a wider one"
            )
        return list(self.k_values).index(k)

    def up_to(self, k_max: int) -> SweepTable | None:
        """Return the sweep as far as k_max, or None if it does not begin below that."""
        count = sum(k <= k_max for k in self.k_values)
        if count < 2:
            return None
        by_k = ("k_values", "inertias", "centers", "sizes", "iterations", "seconds", "jaccard")
        scores = {name: values[:count] for name, values in self.scores.items()}
        return replace(self, **{name: getattr(self, name)[:count] for name in by_k}, scores=scores)


def write_sweep(sweep: SweepTable, uri: str) -> pa.Schema:
    """Write a sweep as a table, and return its columns; facts that are not by k go with it as metadata."""
    import numpy as np
    import pyarrow as pa

    from airflow_segmentation.clustering.arrow import as_array

    k_values = np.array(sweep.k_values)
    centers = np.concatenate([np.asarray(each, float) for each in sweep.centers])
    columns = {
        "k": as_array(k_values),
        "sse": as_array(np.array(sweep.inertias, float)),
        "centers": _lists(k_values, _lists([centers.shape[1]] * len(centers), as_array(centers.ravel()))),
        "sizes": _lists(k_values, as_array(np.concatenate(sweep.sizes).astype(np.int64))),
        "iterations": as_array(np.array(sweep.iterations, np.int64)),
        "seconds": as_array(np.array(sweep.seconds, float)),
        **{name: as_array(np.array(values, float)) for name, values in sweep.scores.items()},
    }
    if sweep.jaccard:
        columns["jaccard"] = _lists(k_values, as_array(np.concatenate(sweep.jaccard)))
    batch = pa.record_batch(columns)
    with table_written(uri, batch.schema) as writer:
        writer.write(batch)
        writer.facts = {
            "data_uri": sweep.data_uri,
            "scaling": sweep.scaling.to_json(),
            "random_state": sweep.random_state,
            "total_sse": sweep.total_sse,
            "fit_rows": sweep.fit_rows,
            "silhouette_rows": sweep.silhouette_rows,
            "resamples": [[list(k_values), list(inertias)] for k_values, inertias in sweep.resamples],
            "resample_rows": sweep.resample_rows,
            "structure": sweep.structure and dataclasses.asdict(sweep.structure),
            "warnings": list(sweep.warnings),
        }
    return batch.schema


def read_sweep(uri: str, conn_id: str | None = None) -> SweepTable:
    """Read a sweep that :func:`write_sweep` wrote.

    :raises InputError: if there is none.
    """
    with Table(uri, conn_id) as table:
        facts = table.facts
        if "total_sse" not in facts:
            raise InputError(
                f"{without_secrets(uri)} is a table, but no sweep; give the URI that "
                "KMeansSweepOperator returned"
            )
        columns = table.read().to_pydict()
        with table.facts_understood():
            return _sweep(facts, columns)


def _sweep(facts: Mapping[str, Any], columns: Mapping[str, Any]) -> SweepTable:
    import numpy as np

    from airflow_segmentation.clustering import Structure

    return SweepTable(
        data_uri=facts["data_uri"],
        scaling=Scaling.from_json(facts["scaling"]),
        random_state=facts["random_state"],
        total_sse=facts["total_sse"],
        k_values=columns["k"],
        inertias=columns["sse"],
        centers=[np.array(centers) for centers in columns["centers"]],
        sizes=columns["sizes"],
        iterations=columns["iterations"],
        seconds=columns["seconds"],
        fit_rows=facts["fit_rows"],
        silhouette_rows=facts.get("silhouette_rows", 0),
        resamples=facts["resamples"],
        resample_rows=facts["resample_rows"],
        jaccard=columns.get("jaccard", ()),
        structure=Structure(**facts["structure"]) if facts.get("structure") else None,
        warnings=facts["warnings"],
        scores={name: columns[name] for name in SCORES if name in columns},
    )


def _lists(lengths: Sequence[int] | np.ndarray, values: pa.Array) -> pa.Array:
    """Return values as lists of the given lengths."""
    import numpy as np
    import pyarrow as pa

    from airflow_segmentation.clustering.arrow import as_array

    offsets = np.cumsum([0, *lengths], dtype=np.int32)
    return pa.ListArray.from_arrays(as_array(offsets), values)
