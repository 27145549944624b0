from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_segmentation.clustering.methods import SCORES
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators.arguments import as_connection, as_int, as_names, as_optional_int, as_uri
from airflow_segmentation.operators.lineage import Used, made_of, types_of, used
from airflow_segmentation.operators.passing import PassingOperator
from airflow_segmentation.operators.telling import telling
from airflow_segmentation.reports.records import push_record
from airflow_segmentation.reports.report import PROGRESS_KEY, Progress, significant
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.storage.outputs import output_uri
from airflow_segmentation.sweeps.state import SweepState
from airflow_segmentation.sweeps.table import SweepTable, write_sweep
from airflow_segmentation.tables.scaling import Scaling, unscaled

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg
    from airflow.sdk.types import Logger

    from airflow_segmentation.clustering import Resamples, Rows, Step, Structure, Sweep
    from airflow_segmentation.tables.data import Data


PACE_SECONDS = 1.0
"""Time between two reports of how far a sweep is."""
DRAWN_ROWS = 20_000
"""Rows, of all, that resamples and sets without groups are made from."""


class KMeansSweepOperator(PassingOperator):
    """
    Fits K-Means for every k of a range, and returns the URI of a table with one row for each k.

    The table holds for every k the SSE (within-cluster sum of squared errors, scikit-learn's inertia), the
    centres, the sizes and the quality scores. Of a large table the centres are fitted on a sample; SSE and
    sizes are over all rows nevertheless. A sweep that is interrupted goes on, when Airflow retries it, from
    the last k it finished; meanwhile its progress is pushed under the XCom key `segmentation_progress`.

    `KMeansSweepOperator.partial(…).expand_kwargs([{"k_min": 1, "k_max": 18}, {"k_min": 16, "k_max": 34}, …])`
    spreads the range over workers, and ElbowOperator joins the parts. Let them overlap by two or three k: a
    sweep is a little worse at its largest k, where no larger one helps.

    :param data: The scaled table, or any Parquet or CSV file. (templated)
    :param k_min: The smallest k. (templated)
    :param k_max: The largest k; it is cut to the number of distinct rows. (templated)
    :param random_state: The seed: the same seed and data give the same sweep. (templated)
    :param features: The columns to cluster on. By default those that MinMaxPreprocessOperator scaled or, for
        any other table, all that hold numbers. (templated)
    :param scores: The quality scores to compute for every k; by default all: `silhouette` (of more
        than 5,000 rows on a sample of about so many, by segment), `calinski_harabasz` and `davies_bouldin`.
    :param stability: How many resamples to sweep, so that the report tells how often each k would be chosen,
        and how sure each segment comes again; 0 for none. (templated)
    :param reference_sets: How many sets of rows without groups to hold the sweep against, so that the report
        tells whether there are groups at all; 0 for none, and fewer than 19 prove nothing. (templated)
    :param n_jobs: Cores to use: by default one, -1 for all. (templated)
    :param conn_id: The connection to the storage of `data`. (templated)
    :param spark_conn_id: The connection to a Spark cluster that passes over the rows; by default this worker
        does. (templated)
    """

    template_fields: Sequence[str] = (
        "data",
        "k_min",
        "k_max",
        "random_state",
        "features",
        "stability",
        "reference_sets",
        "n_jobs",
        *PassingOperator.template_fields,
    )
    ui_color = "#fdf1e0"
    reads = ("data",)

    def __init__(
        self,
        *,
        data: str | XComArg,
        k_min: int | str = 1,
        k_max: int | str = 49,
        random_state: int | str = 42,
        features: Sequence[str] | str | None = None,
        scores: Sequence[str] = tuple(SCORES),
        stability: int | str = 0,
        reference_sets: int | str = 20,
        n_jobs: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        unknown = [score for score in scores if score not in SCORES]
        if unknown:
            raise ValueError(f"scores={unknown} should be among {', '.join(SCORES)}")
        self.data = data
        self.k_min = k_min
        self.k_max = k_max
        self.random_state = random_state
        self.features = features
        self.scores = scores
        self.stability = stability
        self.reference_sets = reference_sets
        self.n_jobs = n_jobs

    @telling
    def execute(self, context: Context) -> str:
        """Sweep, and write the table.

        :raises InputError: if the data or the range of k cannot be swept.
        """
        data = as_uri("data", self.data)
        k_min, k_max = as_int("k_min", self.k_min, minimum=1), as_int("k_max", self.k_max, minimum=1)
        if k_min > k_max:
            raise InputError(f"k_min={k_min} should be <= k_max={k_max}")
        parameters: dict[str, Any] = {
            "k_min": k_min,
            "k_max": k_max,
            "random_state": as_int("random_state", self.random_state, minimum=0),
        }
        from airflow_segmentation.clustering import RangeCut, TableRows

        conn_id = as_connection(self.conn_id)
        stability = as_int("stability", self.stability, minimum=0)
        sets = as_int("reference_sets", self.reference_sets, minimum=0)
        jobs = as_optional_int("n_jobs", self.n_jobs, minimum=-1)
        if jobs == 0:
            raise InputError("n_jobs=0 should be >= 1, or -1 for all cores; leave it out for one")
        jobs = (os.cpu_count() or 1) if jobs == -1 else jobs or 1

        uri = output_uri(context, "sweep.parquet")
        with (
            self.engine(context) as engine,
            engine.open(data, conn_id) as table,
            warnings.catch_warnings(record=True) as caught,
        ):
            warnings.simplefilter("always", RangeCut)
            scaling = self._scaling(table)
            self.note_read(used(table))
            identity = {**parameters, "features": scaling.features}
            state = SweepState(f"{uri}.state", data, conn_id, identity)
            rows = TableRows(table, scaling.features, jobs)
            alike = [without_secrets(str(self.data)), scaling.features, parameters["random_state"]]
            reporter = _Reporter(context, state, _name_of(alike), self.log)
            try:
                found = self._sweep(rows, parameters, jobs, state, reporter)
            except ValueError as error:
                raise InputError(f"{without_secrets(table.uri)}: {error}") from error
            scores, silhouette_rows = self._scores(rows, found, parameters["random_state"], jobs)
            drawn: Any = rows.uniform(DRAWN_ROWS, parameters["random_state"]) if stability or sets else ()
            resamples = self._resamples(drawn, found, parameters, stability)
            structure = self._structure(drawn, parameters, sets)
        told = list(dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, RangeCut)))
        for message in told:
            self.log.warning("%s", message)
        schema = write_sweep(
            SweepTable(
                data_uri=without_secrets(data),
                scaling=scaling,
                random_state=parameters["random_state"],
                total_sse=float(found.total_inertia),
                k_values=found.k_values.tolist(),
                inertias=found.inertias.tolist(),
                centers=found.cluster_centers,
                sizes=[sizes.tolist() for sizes in found.sizes],
                iterations=found.n_iter.tolist(),
                seconds=found.fit_seconds.tolist(),
                fit_rows=found.fit_rows,
                scores=scores,
                silhouette_rows=silhouette_rows,
                resamples=resamples.curves,
                resample_rows=len(drawn) if resamples.curves else 0,
                jaccard=resamples.jaccard,
                structure=structure,
                warnings=told,
            ),
            uri,
        )
        types = types_of(schema)
        origins = made_of(data, scaling.features, [name for name in types if name != "k"], "AGGREGATION")
        self.note_written(Used(uri, types, len(found.k_values), origins=origins))
        self.note_facts(
            features=list(scaling.features),
            rows=found.rows,
            kMin=int(found.k_values[0]),
            kMax=int(found.k_values[-1]),
            verdict=structure and structure.verdict,
        )
        state.discard()
        return uri

    def _sweep(
        self, rows: Rows, parameters: dict[str, Any], jobs: int, state: SweepState, reporter: _Reporter
    ) -> Sweep:
        from airflow_segmentation.clustering import sweep_table

        saved = state.load()
        if saved is not None:
            self.log.info("An earlier try was interrupted; going on from where it was")
        started = time.monotonic()
        found = sweep_table(rows, **parameters, n_jobs=jobs, state=saved, on_step=reporter)
        self.log.info(
            "Swept k=%d..%d over %d rows, fitted on %d, in %.1f s; SSE falls from %.6g to %.6g",
            *(found.k_values[0], found.k_values[-1], found.rows, found.fit_rows, time.monotonic() - started),
            *(found.inertias[0], found.inertias[-1]),
        )
        return found

    def _scores(self, rows: Rows, found: Sweep, seed: int, jobs: int) -> tuple[dict[str, list[float]], int]:
        """Return the scores, and how many rows the silhouette was taken over."""
        from airflow_segmentation.clustering import compute_score

        scores, silhouette_rows = {}, 0
        for name in self.scores:
            values, count = compute_score(name, rows, found, seed, n_jobs=jobs)
            scores[name] = values.tolist()
            if name == "silhouette":
                silhouette_rows = count
        return scores, silhouette_rows

    def _resamples(self, drawn: Any, found: Sweep, parameters: dict[str, Any], count: int) -> Resamples:
        from airflow_segmentation.clustering import Resamples, sweep_resamples

        if not count:
            return Resamples([], [])
        started = time.monotonic()
        swept = sweep_resamples(drawn, resamples=count, cluster_centers=found.cluster_centers, **parameters)
        self.log.info("Swept %d resamples in %.1f s", count, time.monotonic() - started)
        return swept

    def _structure(self, drawn: Any, parameters: dict[str, Any], sets: int) -> Structure | None:
        from airflow_segmentation.clustering import measure_structure

        if not sets:
            return None
        started = time.monotonic()
        structure = measure_structure(
            drawn, sets=sets, k_max=parameters["k_max"], random_state=parameters["random_state"]
        )
        self.log.info("Swept %d sets without groups in %.1f s", sets, time.monotonic() - started)
        return structure

    def _scaling(self, table: Data) -> Scaling:
        """Return which features to cluster on, and how they were scaled."""
        where = without_secrets(table.uri)
        features = as_names("features", self.features)
        facts = table.facts
        with table.facts_understood():
            scaled = Scaling.from_json(facts["scaling"]) if "scaling" in facts else None
        if scaled is not None:
            return scaled if features is None else scaled.of(features, where)
        features = features or table.numeric_columns
        if not features:
            raise InputError(f"{where} has no column of numbers to cluster on")
        return unscaled(table, features)


def _name_of(values: Sequence[Any]) -> str:
    """Return a short name that is the same for the same values, and tells none of them."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


class _Reporter:
    """Logs how far a sweep is, pushes it for the page, and saves its state, at most once a second.

    The end is always told: the curve of a mapped sweep stands on the page until the others are done.
    """

    def __init__(self, context: Context, state: SweepState, sweep: str, log: Logger) -> None:
        self._context = context
        self._state = state
        self._sweep = sweep
        self._log = log
        self._last = time.monotonic()
        self._started_at = _now()
        self._before: int | None = None

    def __call__(self, step: Step) -> None:
        if self._before is None:
            self._before = step.done - 1
        if step.done < step.total and time.monotonic() < self._last + PACE_SECONDS:
            return
        self._state.save(step.state)
        curve = zip(step.k_values.tolist(), step.inertias.tolist(), strict=True)
        record = Progress(
            done=step.done,
            total=step.total,
            curve=tuple((float(k), significant(sse)) for k, sse in curve),
            sweep=self._sweep,
            updated_at=_now(),
            started_at=self._started_at,
            before=self._before,
        )
        push_record(self._context, PROGRESS_KEY, record.to_json())
        self._log.info("%d of %d steps done, up to k=%d", step.done, step.total, step.k_values.max(initial=0))
        self._last = time.monotonic()
