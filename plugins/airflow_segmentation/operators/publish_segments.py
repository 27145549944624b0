from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from airflow_segmentation.errors import InputError, without_control
from airflow_segmentation.operators.arguments import as_connection, as_int, as_optional_int, as_uri, as_uris
from airflow_segmentation.operators.lineage import facts_of, published_model, used
from airflow_segmentation.operators.passing import PassingOperator
from airflow_segmentation.operators.swept import model_of, open_swept
from airflow_segmentation.operators.telling import telling
from airflow_segmentation.reports.building import build_report
from airflow_segmentation.reports.card import card
from airflow_segmentation.reports.choosing import Chooser
from airflow_segmentation.reports.describing import names_of
from airflow_segmentation.reports.records import push_record
from airflow_segmentation.reports.report import (
    MAX_REASON,
    MAX_SEGMENTS,
    PUBLICATION_KEY,
    Publication,
    Report,
    Shown,
    significant,
)
from airflow_segmentation.reports.succession import Succession
from airflow_segmentation.reports.surveying import survey_of
from airflow_segmentation.segments.model import save_model
from airflow_segmentation.segments.names import checked_names
from airflow_segmentation.segments.published import (
    CARD,
    MODEL,
    REPORT,
    Bins,
    Claimant,
    Published,
    PublishedSegment,
    claim,
    load_published,
    publish,
    read_file,
    read_published,
    read_version,
    uri_of,
)
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.storage.files import written_whole
from airflow_segmentation.storage.outputs import writer_of
from airflow_segmentation.sweeps.joining import join_sweeps
from airflow_segmentation.sweeps.table import read_sweep

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

    from airflow_segmentation.sweeps.table import SweepTable
    from airflow_segmentation.tables.data import Data

SCHEME = "segmentation://"
"""What the URI of the Asset begins with."""
_SHOWN = (
    "version",
    "previous",
    "restores",
    "k",
    "model_digest",
    "verdict",
    "reviewer",
    "reason",
    "published_at",
)
"""Fields of a version that the page shows as they are."""


class PublishSegmentsOperator(PassingOperator):
    """
    Publishes segments as the version that scoring uses: those of one k of a sweep, or an older version again.

    A version is a folder of its own below `path`, with the model, `segments.json`, the report and a card for
    people; none is ever changed. It is current once all of it is there. Any k that was swept can be published
    without a new fit. Returns a dict of `version`, `k`, `model_path` and `model_digest`, each an XCom of its
    own, and emits the Asset `segmentation://<name>`, whose event tells version, k, digest and verdict. Where
    two tasks publish at once, one does, and the other fails.

    :param name: What the segments are known by to other Dags: the Asset's name after `segmentation://`.
    :param path: The folder of all versions: a local path or a URI in S3, GCS or Azure. (templated)
    :param sweep: The table that KMeansSweepOperator wrote, or a list of those that mapped ones wrote.
        (templated)
    :param review: What ReviewSegmentsOperator returned: k, names, and who approved them. (templated)
    :param k: The k to publish, where nobody reviews it. (templated)
    :param version: An older version to publish again, instead of a sweep. (templated)
    :param conn_id: The connection to the storage of `path` and `sweep`. (templated)
    :param spark_conn_id: The connection to a Spark cluster that describes the segments; by default this
        worker does. (templated)
    """

    template_fields: Sequence[str] = (
        "path",
        "sweep",
        "review",
        "k",
        "version",
        *PassingOperator.template_fields,
    )
    template_fields_renderers = {"review": "json"}
    ui_color = "#e6f5ea"
    reads = ("sweep",)

    def __init__(
        self,
        *,
        name: str,
        path: str | XComArg,
        sweep: str | Sequence[str] | XComArg | None = None,
        review: Mapping[str, Any] | XComArg | None = None,
        k: int | str | XComArg | None = None,
        version: int | str | XComArg | None = None,
        outlets: Sequence[Any] = (),
        **kwargs: Any,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
            raise ValueError(f"name={name!r} should be letters, digits and any of - _ . between them")
        if (sweep is None) == (version is None):
            raise ValueError("Give either sweep, or the version to publish again")
        if sweep is not None and (review is None) == (k is None):
            raise ValueError("Give either review or k, for the segments of sweep to publish")
        self.asset = Asset(f"{SCHEME}{name}")
        super().__init__(multiple_outputs=True, outlets=[self.asset, *outlets], **kwargs)
        self.name = name
        self.path = path
        self.sweep = sweep
        self.review = review
        self.k = k
        self.version = version

    @telling
    def execute(self, context: Context) -> dict[str, Any]:
        """Publish.

        :raises InputError: if there is no such sweep, k or version, if it was rejected, a name is none, or
            another task publishes there.
        """
        ti, path, conn_id = context["ti"], as_uri("path", self.path), as_connection(self.conn_id)
        current = read_published(path, conn_id)
        version = as_optional_int("version", self.version, minimum=1)
        draft = (
            self._of_sweep(context, current, conn_id)
            if version is None
            else _of_version(path, version, current, conn_id)
        )
        if version is not None:
            self.note_read(published_model(path, draft.published))
        made = dataclasses.replace(
            draft.published,
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            previous=None if current is None else current.version,
        )
        if current is not None and _are_same(made, current):
            self.log.info("This task has published version %d before it was tried again", current.version)
            published = current
        else:
            published = self._publish(context, made, draft, path, current, conn_id)
        self._tell(context, published, path)
        self.note_written(published_model(path, published))
        self.note_facts(
            **{**facts_of(draft.report), "modelDigest": published.model_digest, "version": published.version}
        )
        return {
            "version": published.version,
            "k": published.k,
            "model_path": uri_of(path, published.version, published.model),
            "model_digest": published.model_digest,
        }

    def _of_sweep(self, context: Context, current: Published | None, conn_id: str | None) -> _Draft:
        """Return the segments of one k of a sweep, with numbers and names."""
        uris, review = as_uris("sweep", self.sweep), _approved(self.review)
        sweep = join_sweeps([read_sweep(uri, conn_id) for uri in uris])
        k = as_int("k", self.k if review is None else review["k"], minimum=1)
        chooser = Chooser("kneedle", 1.0, k)
        choice, sweep_uri = chooser.choose(sweep), ", ".join(map(without_secrets, uris))
        succession = None if current is None else Succession(current, sweep)
        with self.engine(context) as engine, open_swept(engine, sweep, conn_id) as (table, lacking):
            survey = None if table is None else survey_of(table, sweep, k, succession)
            bins = () if table is None else _bins(table, sweep)
            if table is not None:
                self.note_read(used(table))
        report = build_report(
            *(sweep, chooser, choice),
            sweep_uri=sweep_uri,
            model_uri="",
            survey=survey,
            succession=succession,
        )
        report = dataclasses.replace(report, warnings=(*report.warnings, *lacking))
        numbers, names = report.chosen.numbered, _names(report, review)
        called = [
            names.get(number, name)
            for number, name in zip(numbers, names_of(report, report.chosen), strict=True)
        ]
        model = model_of(sweep, k, numbers, called, survey, context)
        return _Draft(
            published=_published(sweep, report, names, bins, review, current),
            report=report,
            save=partial(save_model, model, conn_id=conn_id, writer=writer_of(context)),
        )

    def _publish(
        self,
        context: Context,
        made: Published,
        draft: _Draft,
        path: str,
        current: Published | None,
        conn_id: str | None,
    ) -> Published:
        """Write a new version, and make it the current one."""
        ti = context["ti"]
        claimant = Claimant(ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index)
        version = claim(path, current, claimant, conn_id)
        model_uri = uri_of(path, version, MODEL)
        published = dataclasses.replace(
            made,
            version=version,
            model_digest=draft.save(model_uri),
            published_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        report = dataclasses.replace(
            draft.report, model_uri=without_secrets(model_uri), model_digest=published.model_digest
        )
        files = {
            REPORT: json.dumps(report.to_json(), indent=1).encode(),
            CARD: card(report, self._publication(published, path)).encode(),
        }
        publish(published, path, files, writer_of(context), conn_id)
        return published

    def _publication(self, published: Published, path: str) -> Publication:
        """Return what the page is told of a version."""
        shown = [Shown(one.number, significant(one.share, 4), one.name) for one in published.segments]
        return Publication(
            name=self.name,
            path=without_secrets(path),
            segments=tuple(shown) if published.k <= MAX_SEGMENTS else (),
            **{name: getattr(published, name) for name in _SHOWN},
        )

    def _tell(self, context: Context, published: Published, path: str) -> None:
        """Log what is published, and tell the page and whoever waits for the Asset."""
        self.log.info(
            "Version %d of the segments %r is current: %d segments, %s",
            *(published.version, self.name, published.k),
            f"approved by {published.reviewer}" if published.reviewer else "which no person was asked about",
        )
        for segment in published.segments:
            self.log.info(
                "Segment %d, %.1f %%: %s", segment.number, 100 * segment.share, segment.name or "no name"
            )
        push_record(context, PUBLICATION_KEY, self._publication(published, path).to_json())
        context["outlet_events"][self.asset].extra = {
            "version": published.version,
            "k": published.k,
            "model_digest": published.model_digest,
            "verdict": published.verdict,
        }


@dataclass(frozen=True)
class _Draft:
    """What is to be published, before it has a number."""

    published: Published
    report: Report
    save: Callable[[str], str]
    """Writes the model at a URI, and returns its digest."""


def _approved(review: Any) -> Mapping[str, Any] | None:
    """Return what was approved; None where nobody was asked.

    :raises InputError: if it is no approval.
    """
    if review is None:
        return None
    if not isinstance(review, Mapping) or not {"k", "decision"} <= review.keys():
        raise InputError(
            f"review={review!r:.200} should be what ReviewSegmentsOperator returned; give its output, or set "
            "render_template_as_native_obj=True on the Dag for a template of it"
        )
    if review["decision"] != "Approve":
        raise InputError(
            f"These segments were not approved ({review['decision']!r:.50}); nothing is published"
        )
    return review


def _bins(table: Data, sweep: SweepTable) -> tuple[Bins, ...]:
    """Return how the values of each feature are spread, in original units."""
    import numpy as np

    from airflow_segmentation.clustering.shifts import spread

    scaling = sweep.scaling
    scale, offset = scaling.factors()
    found = spread(table, scaling.features, (np.subtract(scaling.maximum, scaling.minimum) * scale).tolist())
    return tuple(
        Bins(tuple(((np.array(edges) - offset[place]) / scale[place]).tolist()), tuple(shares))
        for place, (edges, shares) in enumerate(found)
    )


def _names(report: Report, review: Mapping[str, Any] | None) -> dict[int, str]:
    """Return the names of the segments: those that a person gave, and of others those that they had.

    :raises InputError: if a name is none, two segments have the same, or there is no segment of a number.
    """
    numbers = report.chosen.numbered
    kept = {str(number): name for number, name in report.names.items() if number in numbers}
    given = {} if review is None else review.get("names") or {}
    return checked_names({**kept, **{str(number): name for number, name in given.items()}}, numbers)


def _published(
    sweep: SweepTable,
    report: Report,
    names: Mapping[int, str],
    bins: tuple[Bins, ...],
    review: Mapping[str, Any] | None,
    current: Published | None,
) -> Published:
    """Return the record of the segments that a report is of, which has neither a version nor a model yet."""
    k, numbers = report.k, report.chosen.numbered
    scaling, index = sweep.scaling, sweep.index(k)
    sizes, centers = sweep.sizes[index], scaling.to_original(sweep.centers[index]).tolist()
    return Published(
        version=1,
        k=k,
        features=scaling.features,
        minimum=scaling.minimum,
        maximum=scaling.maximum,
        scale=tuple(scaling.factors()[0].tolist()),
        segments=tuple(
            PublishedSegment(number, names.get(number, ""), size, size / sum(sizes), tuple(center))
            for number, size, center in zip(numbers, map(int, sizes), centers, strict=True)
        ),
        next_number=max(max(numbers) + 1, 0 if current is None else current.next_number),
        model=MODEL,
        model_digest="",
        bins=bins,
        sweep_uri=report.sweep_uri or "",
        verdict=None if report.structure is None else report.structure.verdict,
        reviewer=_said(review, "by") or None,
        reason=_said(review, "reason"),
    )


def _said(review: Mapping[str, Any] | None, field: str) -> str:
    """Return what a review says, fit for one line of a log; empty where it says nothing."""
    said = None if review is None else review.get(field)
    return without_control(str(said or ""))[:MAX_REASON]


def report_of_version(path: str, version: int, conn_id: str | None) -> Report:
    """Return the report that lies with a version.

    :raises InputError: if it is not there, or is none any longer.
    """
    try:
        return Report.from_json(read_file(path, version, REPORT, conn_id).decode())
    except ValueError as error:
        raise InputError(
            f"The report of version {version} in {without_secrets(path)} cannot be read ({error}); publish "
            "another version, or a sweep"
        ) from None


def _of_version(path: str, version: int, current: Published | None, conn_id: str | None) -> _Draft:
    """Return an older version, to be published again.

    :raises InputError: if there is none, or it is no longer what was published.
    """
    old = read_version(path, version, conn_id)
    load_published(path, old, conn_id)
    report = report_of_version(path, version, conn_id)

    def save(uri: str) -> str:
        with written_whole(uri, conn_id) as file:
            file.write(read_file(path, version, old.model, conn_id))
        return old.model_digest

    next_number = old.next_number if current is None else max(old.next_number, current.next_number)
    return _Draft(dataclasses.replace(old, next_number=next_number, restores=version), report, save)


def _are_same(made: Published, current: Published) -> bool:
    """Tell whether this very task made the current version of what it is to publish, and was killed then."""
    own = ("version", "next_number", "model_digest", "published_at", "previous")
    return dataclasses.replace(made, **{name: getattr(current, name) for name in own}) == current
