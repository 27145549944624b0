from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_segmentation.clustering.methods import SCORES
from airflow_segmentation.errors import InputError
from airflow_segmentation.links import MlflowLink
from airflow_segmentation.operators.arguments import LONGEST_TITLE, NOTHING, as_connection, as_title
from airflow_segmentation.operators.lineage import Traced, Used, facts_of
from airflow_segmentation.operators.mlflow_server import Metric, MlflowServer
from airflow_segmentation.operators.publish_segments import report_of_version
from airflow_segmentation.operators.telling import telling
from airflow_segmentation.reports.files import charts_html, sweep_csv
from airflow_segmentation.reports.records import pull_report
from airflow_segmentation.reports.report import Report
from airflow_segmentation.segments.mlmodel import mlmodel_files
from airflow_segmentation.segments.model import read_model, understood
from airflow_segmentation.segments.published import path_of, read_published
from airflow_segmentation.storage.outputs import writer_of

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg

MODEL_FOLDER = "model"
"""Among the artifacts of a run."""
LONGEST_PARAM = 6000
"""Characters that MLflow keeps of a param."""
SAME = ("segmentation.task", "segmentation.report")
"""Tags by which a retry finds the run of MLflow that the try before began."""


class MlflowLogOperator(Traced, BaseOperator):
    """
    Logs a choice of k, or a published version, as a run of MLflow, and registers the model there.

    Params tell what was swept and chosen; metrics have k as their step, so that MLflow draws the elbow;
    charts, sweep, report and model are artifacts. A retry logs to the same run. Returns a dict of `run_id`
    and `model_version`, the latter None where no model is registered. Needs the extra `mlflow`.

    :param experiment: The experiment of MLflow to log to; it is made where there is none. (templated)
    :param report: The output of the ElbowOperator whose choice is logged, or its task id.
    :param published: What PublishSegmentsOperator returned: that version is logged, at its own k. None, and
        what a template leaves of it, logs `report`. (templated)
    :param model_name: The name to register the model by. None registers none. (templated)
    :param alias: What the registered version is called while it is the one that is published. (templated)
    :param mlflow_conn_id: The connection to the MLflow server, of the type HTTP. (templated)
    :param conn_id: The connection to the storage of the model. (templated)
    """

    template_fields: Sequence[str] = (
        "experiment",
        "published",
        "model_name",
        "alias",
        "mlflow_conn_id",
        "conn_id",
    )
    template_fields_renderers = {"published": "json"}
    ui_color = "#e4f0fa"
    operator_extra_links = (MlflowLink(),)
    mlflow_page: str | None = None
    """The page of the run in MLflow."""

    def __init__(
        self,
        *,
        experiment: str | XComArg,
        report: XComArg | str | None = None,
        published: Mapping[str, Any] | XComArg | None = None,
        model_name: str | XComArg | None = None,
        alias: str | XComArg = "published",
        mlflow_conn_id: str | XComArg = "mlflow_default",
        conn_id: str | XComArg | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=True, **kwargs)
        if report is None and published is None:
            raise ValueError("Give report, published, or both")
        self.experiment = experiment
        if report is not None and not isinstance(report, str):
            [(choose, _)] = report.iter_references()
            self.set_upstream(choose)
            report = choose.task_id
        self.report = report
        self.published = published
        self.model_name = model_name
        self.alias = alias
        self.mlflow_conn_id = mlflow_conn_id
        self.conn_id = conn_id

    @telling
    def execute(self, context: Context) -> dict[str, Any]:
        """Log.

        :raises InputError: if there is nothing to log, no such connection, or the server refuses it.
        """
        experiment, conn_id = as_title("experiment", self.experiment), as_connection(self.conn_id)
        name = None if self.model_name in NOTHING else as_title("model_name", self.model_name)
        alias = as_title("alias", self.alias)
        logged = self._logged(context, conn_id)
        report, files = logged.report, _files(logged.report, conn_id)
        self.note_read(Used(report.model_uri or "", digest=report.model_digest))
        self.note_facts(**facts_of(report))
        server = MlflowServer(as_connection(self.mlflow_conn_id) or "mlflow_default")
        tags = {**_tags_of_task(context, report), **logged.tags}
        title = f"{context['ti'].dag_id} {context['ti'].run_id}"[:LONGEST_TITLE]
        with server.run(server.experiment(experiment), title, tags, SAME) as run:
            self.mlflow_page = run.page
            self.log.info("Logging k=%d to %s", report.k, run.page)
            server.log(run, _params(report), tags, list(_metrics(report)), _moment(report))
            server.upload(run, files)
            version = None if name is None else server.register(run, name, MODEL_FOLDER, logged.tags)
            if name is not None and version is not None:
                self.log.info("The model is version %s of the registered model %r", version, name)
                if logged.is_current(conn_id):
                    server.set_alias(name, alias, version)
                    self.log.info("%r leads to that version", alias)
        return {"run_id": run.run_id, "model_version": version}

    def _logged(self, context: Context, conn_id: str | None) -> _Logged:
        """Return what is to be logged.

        :raises InputError: if there is nothing, or something else.
        """
        if self.published in NOTHING:
            if self.report is None:
                raise InputError(
                    "published is empty, and no report is given: nothing was published that could be logged. "
                    "Let this task be skipped with PublishSegmentsOperator, or give report, too"
                )
            report, _ = pull_report(context, self.report, "log")
            return _Logged(report)
        match self.published:
            case {"version": int(version), "model_path": str(model_uri)}:
                path = path_of(model_uri, version)
            case _:
                raise InputError(
                    f"published={self.published!r:.200} should be what PublishSegmentsOperator returned; "
                    "give its output, or set render_template_as_native_obj=True on the Dag for a template"
                )
        return _Logged(report_of_version(path, version, conn_id), path, version)


@dataclass(frozen=True)
class _Logged:
    """What is logged: a choice of k, or a version that was published in a folder."""

    report: Report
    path: str | None = None
    version: int | None = None

    @property
    def tags(self) -> dict[str, str]:
        """What the run and the registered model are found by."""
        report = self.report
        told = {
            "segmentation.model_digest": report.model_digest,
            "segmentation.verdict": report.structure and report.structure.verdict,
            "segmentation.recommended_k": report.recommendation and report.recommendation.k,
            "segmentation.published_version": self.version,
        }
        return {key: str(value) for key, value in told.items() if value is not None}

    def is_current(self, conn_id: str | None) -> bool:
        """Tell whether this is the version that scoring uses by now."""
        current = None if self.path is None else read_published(self.path, conn_id)
        return current is not None and current.version == self.version


def _tags_of_task(context: Context, report: Report) -> dict[str, str]:
    """Return whose run it is, and what it is of."""
    ti, found = context["ti"], json.dumps(report.to_json(), sort_keys=True).encode()
    return {
        "segmentation.task": writer_of(context),
        "segmentation.report": hashlib.sha256(found).hexdigest(),
        **{f"airflow.{name}": str(getattr(ti, name)) for name in ("dag_id", "run_id", "task_id")},
        "airflow.map_index": str(-1 if ti.map_index is None else ti.map_index),
        "mlflow.source.type": "JOB",
        "mlflow.source.name": ti.dag_id,
    }


def _files(report: Report, conn_id: str | None) -> dict[str, bytes]:
    """Return the artifacts of a run, by their paths.

    :raises InputError: if the model is not the one that the report is of.
    """
    uri = report.model_uri or ""
    content = read_model(uri, conn_id, report.model_digest)
    file = "model.skops" if uri.endswith(".skops") else "model.pkl"
    model = {**mlmodel_files(understood(content, uri), file), file: content}
    return {
        "charts.html": charts_html(report).encode(),
        "sweep.csv": sweep_csv(report).encode(),
        "report.json": json.dumps(report.to_json(), indent=1).encode(),
        **{f"{MODEL_FOLDER}/{name}": part for name, part in model.items()},
    }


def _params(report: Report) -> dict[str, str]:
    """Return what was swept, of what, and what was chosen."""
    features = [feature.name for feature in report.features]
    params = {
        **{name: getattr(report, name) for name in ("k", "k_min", "k_max", "method", "decided_by")},
        "random_state": report.random_state,
        "features": json.dumps(features, ensure_ascii=False),
        "n_features": len(features),
        "rows": report.rows,
        "rows_dropped": report.rows_dropped,
        "fit": report.fit,
        "fit_rows": report.fit_rows,
        "reference_sets": report.structure.sets if report.structure else 0,
        "resamples": report.stability.resamples if report.stability else 0,
        "data_uri": report.data_uri,
    }
    return {key: str(value)[:LONGEST_PARAM] for key, value in params.items() if value is not None}


def _metrics(report: Report) -> Iterator[Metric]:
    """Yield what is known of every k, which is the step, and of the chosen one, to compare runs by."""
    for point in report.curve:
        found = {"sse": point.sse, "explained": point.explained, "gap": point.gap}
        for key, value in {**found, **{name: point.scores.get(name) for name in SCORES}}.items():
            if value is not None:
                yield Metric(key, value, point.k)
                if point.k == report.k:
                    yield Metric(f"chosen/{key}", value)
    yield Metric("chosen/k", report.k)


def _moment(report: Report) -> int:
    """Return when k was chosen, in milliseconds; 0 where that is not known."""
    with contextlib.suppress(TypeError, ValueError):
        return int(datetime.fromisoformat(report.created_at or "").timestamp() * 1000)
    return 0
