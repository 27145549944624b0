from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_segmentation.clustering.methods import METHODS
from airflow_segmentation.links import ElbowLink
from airflow_segmentation.operators.arguments import (
    as_connection,
    as_one_of,
    as_optional_int,
    as_optional_uri,
    as_uri,
    as_uris,
)
from airflow_segmentation.operators.lineage import (
    Origin,
    Used,
    facts_of,
    published_model,
    types_of,
    used,
)
from airflow_segmentation.operators.passing import PassingOperator
from airflow_segmentation.operators.swept import model_of, open_swept
from airflow_segmentation.operators.telling import telling
from airflow_segmentation.reports.building import build_report
from airflow_segmentation.reports.choosing import Chooser
from airflow_segmentation.reports.describing import describe, names_of
from airflow_segmentation.reports.identity import identified
from airflow_segmentation.reports.records import push_record
from airflow_segmentation.reports.report import REPORT_KEY, SUMMARY_KEY, PublishedBefore, Report
from airflow_segmentation.reports.succession import Succession
from airflow_segmentation.reports.surveying import survey_of
from airflow_segmentation.segments.model import save_model
from airflow_segmentation.segments.published import read_published
from airflow_segmentation.storage.outputs import output_uri, writer_of
from airflow_segmentation.sweeps.joining import join_sweeps
from airflow_segmentation.sweeps.table import read_sweep, write_sweep

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg


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
        the k that gap and resamples support together; where they support none, as `chord`. (templated)
    :param sensitivity: Kneedle's S: the larger, the more pronounced a bend must be.
    :param k: The k to take instead of the elbow. None, and what a template leaves of it, chooses by `method`.
        (templated)
    :param published: The URI of the folder that PublishSegmentsOperator publishes segments to, where there
        need be none yet. A segment that goes on from a published one keeps its number and its name, others
        have numbers that none ever had; and the report tells what moved, and where customers go. None, and
        what a template leaves of it, gives the numbers 0 to k - 1. (templated)
    :param conn_id: The connection to the storage of `sweep`, `model_path` and `published`. (templated)
    :param spark_conn_id: The connection to a Spark cluster that describes the segments; by default this
        worker does. (templated)
    """

    template_fields: Sequence[str] = (
        "sweep",
        "model_path",
        "method",
        "k",
        "published",
        *PassingOperator.template_fields,
    )
    ui_color = "#fce8ec"
    reads = ("sweep",)
    operator_extra_links = (ElbowLink(), *PassingOperator.operator_extra_links)

    def __init__(
        self,
        *,
        sweep: str | Sequence[str] | XComArg,
        model_path: str | XComArg,
        method: str | XComArg = "kneedle",
        sensitivity: float = 1.0,
        k: int | str | None = None,
        published: str | XComArg | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        # A template has braces, and is checked once it is rendered.
        if isinstance(method, str) and "{" not in method and method not in METHODS:
            raise ValueError(f"method={method!r} should be one of {', '.join(map(repr, METHODS))}")
        if sensitivity < 0:
            raise ValueError(f"sensitivity={sensitivity!r} should be >= 0")
        self.sweep = sweep
        self.model_path = model_path
        self.method = method
        self.sensitivity = sensitivity
        self.k = k
        self.published = published

    @telling
    def execute(self, context: Context) -> dict[str, Any]:
        """Choose k, save the model and push the report.

        :raises InputError: if there is no such sweep or method, several sweeps cannot be joined, k is not in
            the range, or what is published is something else than segments.
        """
        method = as_one_of("method", self.method, METHODS)
        uris, model_path = as_uris("sweep", self.sweep), as_uri("model_path", self.model_path)
        folder, conn_id = as_optional_uri("published", self.published), as_connection(self.conn_id)
        published = None if folder is None else read_published(folder, conn_id)
        if folder is not None and published is not None:
            self.note_read(published_model(folder, published))
        sweep = join_sweeps([read_sweep(uri, conn_id) for uri in uris])
        chooser = Chooser(method, self.sensitivity, as_optional_int("k", self.k, minimum=1))
        choice = chooser.choose(sweep)
        sweep_uri = uris[0] if len(uris) == 1 else output_uri(context, "sweep.parquet")
        succession = None if published is None else Succession(published, sweep)
        with self.engine(context) as engine, open_swept(engine, sweep, conn_id) as (table, lacking):
            survey = None if table is None else survey_of(table, sweep, choice.k, succession)
            if table is not None:
                self.note_read(used(table))
        report = build_report(
            *(sweep, chooser, choice),
            sweep_uri=sweep_uri,
            model_uri=model_path,
            survey=survey,
            succession=succession,
        )
        if len(uris) > 1:
            self.log.info(
                "Joined %d sweeps into one of k=%d..%d at %s",
                *(len(uris), report.k_min, report.k_max, report.sweep_uri),
            )
            types = types_of(write_sweep(sweep, sweep_uri))
            origins = {column: [Origin(uri, column) for uri in uris] for column in types}
            self.note_written(Used(sweep_uri, types, len(sweep.k_values), origins=origins))
        numbers, names = report.chosen.numbered, names_of(report, report.chosen)
        model = model_of(sweep, choice.k, numbers, names, survey, context)
        digest = save_model(model, model_path, conn_id, writer_of(context))
        report = dataclasses.replace(report, model_digest=digest, warnings=(*report.warnings, *lacking))
        self.note_written(Used(model_path, digest=digest))
        self.note_facts(**facts_of(report))
        push_record(context, REPORT_KEY, report.to_json())
        push_record(context, SUMMARY_KEY, report.summary().to_json())
        self._tell(report)
        return {"k": choice.k, "model_path": model_path, "model_digest": digest}

    def _tell(self, report: Report) -> None:
        """Log what was chosen, and what else would be."""
        for warning in report.warnings:
            self.log.warning("%s", warning)
        self.log.info(
            "Chose k=%d by %s in k=%d..%d: SSE %.6g, %.1f %% explained; saved the model at %s",
            *(report.k, report.decided_by, report.k_min, report.k_max),
            *(report.chosen.sse, 100 * report.chosen.explained, report.model_uri),
        )
        for segment in describe(report, report.chosen):
            self.log.info(
                "Segment %s, %.1f %%: %s", segment.identity.label, 100 * segment.share, segment.in_words
            )
        if report.published is not None:
            self._tell_of_published(report, report.published)
        if report.rules is not None:
            self.log.info(
                "%d rules of up to %d comparisons tell the segment of %.1f %% of rows",
                *(len(report.rules.rules), report.rules.depth, 100 * report.rules.accuracy),
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

    def _tell_of_published(self, report: Report, published: PublishedBefore) -> None:
        """Log what became of the published segments, and how many customers go from one to another."""
        found = identified(report, report.chosen)
        self.log.info("Against version %d of the published segments:", published.version)
        for segment in (*found.segments, *found.gone):
            self.log.info("Segment %s is %s", segment.label, segment.in_words)
        places = {number: place for place, number in enumerate(report.chosen.numbered)}
        if published.migration:
            stay = sum(
                counts[places[number]]
                for number, counts in zip(published.numbers, published.migration, strict=True)
                if number in places
            )
            self.log.info("%d of %d rows stay in their segment", stay, sum(map(sum, published.migration)))
        if published.psi_shares is not None:
            self.log.info("The PSI of the segments' shares is %.3g", published.psi_shares)
        for feature, psi in zip(report.features, published.psi, strict=False):
            self.log.info("The PSI of %s is %.3g", feature.name, psi)
