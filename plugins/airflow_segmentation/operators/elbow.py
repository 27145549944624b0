from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow_segmentation.clustering.methods import METHODS
from airflow_segmentation.errors import InputError
from airflow_segmentation.links import ElbowLink
from airflow_segmentation.operators.arguments import as_connection, as_optional_int, as_uri, as_uris
from airflow_segmentation.operators.passing import PassingOperator
from airflow_segmentation.reports.building import build_report
from airflow_segmentation.reports.choosing import Chooser
from airflow_segmentation.reports.records import push_record
from airflow_segmentation.reports.report import REPORT_KEY, SUMMARY_KEY, Method, Report
from airflow_segmentation.segments.model import build_model, save_model
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.storage.outputs import output_uri, writer_of
from airflow_segmentation.sweeps.joining import join_sweeps
from airflow_segmentation.sweeps.table import SweepTable, read_sweep, write_sweep

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_segmentation.engines import Engine
    from airflow_segmentation.tables.data import Data


class ElbowOperator(PassingOperator):
    """
    Chooses k at the elbow of a sweep, saves the model for that k, and reports to the Segmentation page.

    Returns a dict of the chosen `k`, `model_path`, the model's URI, and `model_digest`, the SHA-256 digest of
    that file; each is an XCom of its own, too, so that `choose.output["model_path"]` can be handed to a
    KMeansPredictOperator.

    :param sweep: The table that KMeansSweepOperator wrote, or a list of those that mapped ones wrote, each of
        a part of the range. They are joined into one table, this task's own; where ranges overlap, the lower
        SSE counts. (templated)
    :param model_path: Where to save the model, a scikit-learn Pipeline that takes customers in original
        units; what was there is replaced. A name that ends in `.skops` saves it in the format of skops, which
        others can load without running what is in it; any other name saves a pickle. (templated)
    :param method: How to choose k. `kneedle`: where the SSE curve bends most (Satopaa et al. 2011, by kneed).
        `chord`: the point farthest from the line between the curve's ends. `silhouette` and
        `calinski_harabasz`: the largest score; `davies_bouldin`: the smallest. `gap`: the first k after which
        one more segment gains no more than in rows without groups (Tibshirani and others 2001). `evidence`:
        the k that gap and resamples support together; where they support none, as `chord`.
    :param sensitivity: Kneedle's S: the larger, the more pronounced a bend must be.
    :param k: The k to take instead of the elbow. None, and what a template leaves of it, chooses by `method`.
        (templated)
    :param conn_id: The connection to the storage of `sweep` and `model_path`. (templated)
    :param spark_conn_id: The connection to a Spark cluster that describes the segments; by default this
        worker does. (templated)
    """

    template_fields: Sequence[str] = ("sweep", "model_path", "k", *PassingOperator.template_fields)
    ui_color = "#fce8ec"
    operator_extra_links = (ElbowLink(), *PassingOperator.operator_extra_links)

    def __init__(
        self,
        *,
        sweep: str | Sequence[str] | XComArg,
        model_path: str | XComArg,
        method: Method = "kneedle",
        sensitivity: float = 1.0,
        k: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        if method not in METHODS:
            raise ValueError(f"method={method!r} should be one of {', '.join(map(repr, METHODS))}")
        if sensitivity < 0:
            raise ValueError(f"sensitivity={sensitivity!r} should be >= 0")
        self.sweep = sweep
        self.model_path = model_path
        self.method = method
        self.sensitivity = sensitivity
        self.k = k

    def execute(self, context: Context) -> dict[str, Any]:
        """Choose k, save the model and push the report.

        :raises InputError: if there is no such sweep, several cannot be joined, or k is not in the range.
        """
        uris, model_path = as_uris("sweep", self.sweep), as_uri("model_path", self.model_path)
        sweep = join_sweeps([read_sweep(uri, as_connection(self.conn_id)) for uri in uris])
        chooser = Chooser(self.method, self.sensitivity, as_optional_int("k", self.k, minimum=1))
        choice = chooser.choose(sweep)
        sweep_uri = uris[0] if len(uris) == 1 else output_uri(context, "sweep.parquet")
        with self.engine(context) as engine, self._swept(engine, sweep) as (table, lacking):
            report = build_report(
                sweep, chooser, choice, sweep_uri=sweep_uri, model_uri=model_path, table=table
            )
        if len(uris) > 1:
            self.log.info(
                "Joined %d sweeps into one of k=%d..%d at %s",
                *(len(uris), report.k_min, report.k_max, report.sweep_uri),
            )
            write_sweep(sweep, sweep_uri)
        digest = self._saved(context, sweep, choice.k, model_path)
        report = dataclasses.replace(report, model_digest=digest, warnings=(*report.warnings, *lacking))
        push_record(context, REPORT_KEY, report.to_json())
        push_record(context, SUMMARY_KEY, report.summary().to_json())
        self._tell(report)
        return {"k": choice.k, "model_path": model_path, "model_digest": digest}

    def _saved(self, context: Context, sweep: SweepTable, k: int, model_path: str) -> str:
        """Save the model of k segments, and return its digest."""
        index = sweep.index(k)
        model = build_model(
            *(sweep.scaling, sweep.centers[index], sweep.inertias[index], sweep.iterations[index]),
            made_by={name: getattr(context["ti"], name) for name in ("dag_id", "run_id", "task_id")},
        )
        return save_model(model, model_path, as_connection(self.conn_id), writer_of(context))

    def _tell(self, report: Report) -> None:
        """Log what was chosen, and what else would be."""
        for warning in report.warnings:
            self.log.warning("%s", warning)
        self.log.info(
            "Chose k=%d by %s in k=%d..%d: SSE %.6g, %.1f %% explained; saved the model at %s",
            *(report.k, report.decided_by, report.k_min, report.k_max),
            *(report.chosen.sse, 100 * report.chosen.explained, report.model_uri),
        )
        for choice in report.choices:
            self.log.info("%s would choose %s", choice.method, choice.k or "no k")
        if report.structure is not None:
            self.log.info(
                "%s: against %d sets of rows without groups the largest gap is %.3g, p %.2g; it takes k=%d",
                *(report.structure.in_words, report.structure.sets, report.structure.gap),
                *(report.structure.p, report.structure.gap_k),
            )
        if report.recommendation is not None:
            self.log.info(
                "The evidence is for %s. %s",
                f"k={report.recommendation.k}" if report.recommendation.k else "no k",
                report.recommendation.reason,
            )
        if report.stability is not None:
            self.log.info(
                "Over %d resamples %s chose k: %s",
                *(report.stability.resamples, report.stability.method),
                ", ".join(f"{item.k} in {item.times}" for item in report.stability.counts),
            )

    @contextlib.contextmanager
    def _swept(self, engine: Engine, sweep: SweepTable) -> Iterator[tuple[Data | None, tuple[str, ...]]]:
        """Open the table that was swept. Without it the choice stands; the report tells less, and says so."""
        with contextlib.ExitStack() as stack:
            try:
                table = stack.enter_context(engine.open(sweep.data_uri, as_connection(self.conn_id)))
                table.require_numeric(sweep.scaling.features)
                if table.rows != sweep.scaling.rows:
                    raise InputError(
                        f"{without_secrets(table.uri)} has {table.rows} rows, and had "
                        f"{sweep.scaling.rows} when it was swept"
                    )
                found: tuple[Data | None, tuple[str, ...]] = (table, ())
            except InputError as error:
                found = (None, (f"The report has no profiles and no standard deviations: {error}",))
            yield found
