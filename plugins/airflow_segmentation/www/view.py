"""The Flask-AppBuilder view: it routes, lets in or refuses, and renders what other modules make."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any
from urllib.parse import urlsplit

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.utils.session import create_session
from flask import Blueprint, Response, redirect, request
from flask_appbuilder import BaseView, expose
from werkzeug.exceptions import NotFound

from airflow_segmentation.links import ROUTE_BASE, page_path
from airflow_segmentation.reports.files import sweep_csv
from airflow_segmentation.reports.report import Report, ReportError
from airflow_segmentation.www import documents, pages, runs, words
from airflow_segmentation.www.access import BadToken, Forbidden, NotLoggedIn, Viewer, authenticate, login_url
from airflow_segmentation.www.runs import KeptElsewhere

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Sent with every page. Scripts and styles come from our files only; a chart becomes a PNG through a blob."""


class SegmentationView(BaseView):
    """Every page of Segmentation.

    A request is let in before its route is looked at, and refused by default: a route added here is guarded
    without saying so. Routes read reports by the parameter `dag_id`, which has been authorized by then.
    """

    route_base = ROUTE_BASE
    default_view = "runs"

    def create_blueprint(self, *args: Any, **kwargs: Any) -> Blueprint:
        """Return the blueprint of this view, guarded."""
        blueprint: Blueprint = super().create_blueprint(*args, **kwargs)
        blueprint.before_request(_let_in)
        blueprint.after_request(_harden)
        blueprint.after_app_request(_harden_redirect)
        blueprint.register_error_handler(NotLoggedIn, _not_logged_in)
        blueprint.register_error_handler(BadToken, _bad_token)
        blueprint.register_error_handler(Forbidden, _forbidden)
        blueprint.register_error_handler(NotFound, _not_found)
        blueprint.register_error_handler(ReportError, _unreadable)
        blueprint.register_error_handler(KeptElsewhere, _kept_elsewhere)
        return blueprint

    @expose("/")
    def runs(self) -> Response:
        """List the runs with a report of every Dag that the viewer may read."""
        query = pages.query_of(request.args)
        with create_session(scoped=False) as session:
            readable = _viewer().readable_dag_ids(session)
            counts = {
                dag_id: count for dag_id, count in runs.count_reports(session).items() if dag_id in readable
            }
            listed = runs.list_reports(session, counts, query)
            going = [
                row
                for row in runs.list_going(session, readable)
                if _viewer().may_read(row.run.dag_id, DagAccessEntity.RUN)
            ]
            waiting = runs.waiting_runs(session, readable)
        return _page(
            "runs.html", **pages.runs_page(listed, going, waiting, query, sorted(counts), request.args)
        )

    @expose("/run")
    def run(self) -> Response:
        """Show the report of a run, or how far the run has come."""
        with create_session(scoped=False) as session:
            run = _run(session)
            tasks = _tasks(session, run)
            task = _task(tasks)
            report = task and runs.read_report(session, run, task)
            if task and report:
                conf = run.conf if _may_choose(session, run) else None
                assigned = runs.read_assignments(session, run)
                if not _may_read_tasks(run):
                    assigned = [(runs.Task(*by.key), table) for by, table in assigned]
                reviews = [
                    (asked, asked.waits and _viewer().may_answer(run.dag_id, asked.assigned))
                    for asked in runs.read_reviews(session, run, task)
                ]
                reasons = runs.read_failures(session, run) if run.state not in (None, "success") else {}
                shown = run, task, tasks, report, request.args, conf, assigned, reviews, reasons
                return _page("run.html", **pages.run_page(*shown, logs=_may_read_tasks(run)))
            try:
                sweeps, elsewhere = runs.read_sweeps(session, run), None
            except KeptElsewhere as error:
                sweeps, elsewhere = [], error
            if run.state is None and not tasks and not sweeps and not elsewhere:
                raise _no_run()  # that it exists is more than its viewer may know
            finished, running, reasons = None, [], {}
            if _may_read_tasks(run):
                finished = runs.finished_tasks(session, run)
                # What failed only because another did has a state of its own.
                failed, running = runs.tasks_in(session, run, "failed", "running")
                if failed:
                    reasons = runs.read_failures(session, run)
            else:
                sweeps = [(runs.Task(*task.key), progress) for task, progress in sweeps]
                if run.state:
                    reasons = runs.read_failures(session, run)
                failed = [runs.Task(*key) for key in reasons]
        standing = pages.progress_page(run, sweeps, elsewhere, finished, failed, reasons, running, tasks)
        return _page("progress.html", **standing)

    @expose("/dag")
    def dag(self) -> Response:
        """Show what changed from run to run of a Dag: its reports, what it published, and whom it scored."""
        dag_id = _argument("dag_id")
        with create_session(scoped=False) as session:
            tasks = runs.reporting_tasks(session, dag_id)
            task = _task(tasks)
            pushed, total = runs.trend(session, dag_id, task) if task else ([], 0)
            reports = [row for row in pushed if row.summary]
            released = runs.publications(session, dag_id), runs.scorings(session, dag_id)
            if any(released) and not reports:
                return _page("released.html", **pages.released_page(dag_id, *released))
            if not task or not pushed:
                return _page("message.html", 200, **_NO_REPORTS)
            if not reports:
                raise pushed[-1].problem or ReportError
            comparison = pages.Comparison.of(
                reports,
                request.args.getlist("curves"),
                request.args.get("before", ""),
                request.args.get("after", ""),
                picked=bool(request.args.get("picked")),
            )
            compared = runs.read_reports(session, dag_id, task, {comparison.before, comparison.after})
            waiting = runs.waiting_runs(session, {dag_id})
        page = pages.dag_page(dag_id, task, tasks, pushed, total, comparison, compared, waiting, *released)
        return _page("dag.html", **page)

    @expose("/run/sweep.csv")
    def sweep_csv(self) -> Response:
        """Hand over the sweep as CSV."""
        run, _, _, report = _reported()
        return _download(sweep_csv(report), "text/csv", run, "sweep.csv")

    @expose("/run/segments.csv")
    def segments_csv(self) -> Response:
        """Hand over the segments at the k that is looked at as CSV."""
        run, _, _, report = _reported()
        k = request.args.get("k", report.k, type=int)
        return _download(pages.segments_csv(report, k), "text/csv", run, "segments.csv")

    @expose("/run/report.json")
    def report_json(self) -> Response:
        """Hand over the report as JSON."""
        run, _, _, report = _reported()
        return _download(json.dumps(report.to_json(), indent=1), "application/json", run, "report.json")

    @expose("/run/charts.html")
    def charts_html(self) -> Response:
        """Hand over the charts as one HTML file that opens without Airflow."""
        run, task, tasks, report = _reported()
        context = pages.run_page(run, task, tasks, report, request.args, None)
        return _download(pages.self_contained(context), "text/html", run, "charts.html")

    @expose("/choosing-k")
    def choosing_k(self) -> Response:
        """Show the document on choosing k."""
        document = documents.choosing_k()
        if document is None:
            raise NotFound("The document on choosing k was not installed with the plugin.")
        return _page("choosing-k.html", document=document)

    @expose("/images/<name>")
    def image(self, name: str) -> Response:
        """Hand over an image of that document."""
        path = documents.image(name)
        if path is None:
            raise NotFound(f"There is no image {name}.")
        return Response(path.read_bytes(), mimetype="image/png")


_NO_REPORTS = {
    "title": "No report yet",
    "text": (
        "No run of this Dag has chosen a k so far, published segments, or scored customers by them. Once one "
        "has, it appears here."
    ),
}


def _let_in() -> None:
    """Refuse a request that names a Dag whose reports its sender may not read, or whose sender is unknown."""
    viewer = authenticate(request)
    if any("\0" in value for _, value in request.args.items(multi=True)):
        # PostgreSQL has no such text, and refuses a query that holds it.
        raise NotFound("The address of this page holds a null character.")
    for dag_id in request.args.getlist("dag_id"):
        if dag_id and not viewer.may_read(dag_id):
            raise Forbidden
    request.environ["segmentation.viewer"] = viewer


def _viewer() -> Viewer:
    return request.environ["segmentation.viewer"]


def _harden(response: Any) -> Any:
    response.headers.update(HEADERS)
    return response


def _harden_redirect(response: Response) -> Response:
    """Treat what Flask answers in our place, such as a redirect to the address with one slash more or less.

    Its location would be absolute, and of whatever host the request names.
    """
    if request.blueprint is not None or not request.path.lstrip("/").startswith(ROUTE_BASE.lstrip("/")):
        return response
    if response.location:
        path = urlsplit(response.location)._replace(scheme="", netloc="").geturl()
        return _harden(redirect("/" + path.lstrip("/"), response.status_code))
    return _harden(response)


def _argument(name: str) -> str:
    """Return a parameter that a page cannot be without."""
    value = request.args.get(name, "")
    if not value:
        raise NotFound(f"The address of this page lacks {name}.")
    return value


def _run(session: Any) -> runs.Run:
    run = runs.find_run(session, _argument("dag_id"), _argument("run_id"))
    if run is None:
        raise _no_run()
    if _viewer().may_read(run.dag_id, DagAccessEntity.RUN):
        return run
    return dataclasses.replace(run, state=None, conf={})


def _no_run() -> NotFound:
    return NotFound(f"There is no run {request.args['run_id']} of the Dag {request.args['dag_id']}.")


def _may_read_tasks(run: runs.Run) -> bool:
    """Return whether the viewer may read a run's tasks, and not only what they pushed."""
    return run.state is not None and _viewer().may_read(run.dag_id, DagAccessEntity.TASK_INSTANCE)


def _may_choose(session: Any, run: runs.Run) -> bool:
    """Return whether a run of this Dag can be given a k, as far as the viewer may read the Dag itself."""
    return _viewer().may_read(run.dag_id, None) and runs.has_param(session, run.dag_id, "k")


def _tasks(session: Any, run: runs.Run) -> list[runs.Task]:
    """Return the tasks of a run that pushed a report; what a mapped one is called is the task's own."""
    tasks = runs.reported_tasks(session, run)
    return tasks if _may_read_tasks(run) else [runs.Task(*task.key) for task in tasks]


def _task(tasks: list[runs.Task]) -> runs.Task | None:
    """Return the task that the address names, or else the first of `tasks`.

    One that is named need not be among them: a selector does not offer thousands of mapped tasks.
    """
    task_id = request.args.get("task_id")
    if not task_id:
        return next(iter(tasks), None)
    named = runs.Task(task_id, request.args.get("map_index", -1, type=_map_index))
    return next((task for task in tasks if task.key == named.key), named)


def _map_index(text: str) -> int:
    """Return a map index, or raise a ValueError where a database has no room for it."""
    number = int(text)
    if not -1 <= number < 2**31:
        raise ValueError
    return number


def _reported() -> tuple[runs.Run, runs.Task, list[runs.Task], Report]:
    with create_session(scoped=False) as session:
        run = _run(session)
        tasks = _tasks(session, run)
        task = _task(tasks)
        report = task and runs.read_report(session, run, task)
        if not task or not report:
            raise NotFound(f"The run {run.run_id} has no report to take away.")
        return run, task, tasks, report


def _page(template: str, status: int = 200, /, **context: Any) -> Response:
    return Response(pages.render(template, **context), status, mimetype="text/html")


def _download(body: str, mimetype: str, run: runs.Run, name: str) -> Response:
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{run.dag_id}_{run.run_id}")[:120]
    response = Response(body, mimetype=mimetype)
    response.headers["Content-Disposition"] = f'attachment; filename="{stem}_{name}"'
    return response


def _not_logged_in(_: NotLoggedIn) -> Any:
    """Send a browser to log in, and say so inside a frame, where a login page would be out of place."""
    here = f"{request.script_root}{request.full_path}".rstrip("?")
    if _is_navigation():
        return redirect(login_url(here))
    return _page(
        "message.html",
        401,
        title="You are not logged in",
        text="Your session has ended. Log in to Airflow again to see this page.",
        action=("Log in", login_url(here)),
    )


def _bad_token(_: BadToken) -> Response:
    return _page(
        "message.html",
        403,
        title="Your login is not valid",
        text="It is not one of this Airflow, or it was ended elsewhere. Log in to Airflow again.",
        action=("Log in", login_url(page_path())),
    )


def _is_navigation() -> bool:
    """Return whether a browser asks for this page to fill a whole tab."""
    destination = request.headers.get("Sec-Fetch-Dest")
    return destination == "document" if destination else "text/html" in request.accept_mimetypes.values()


def _forbidden(_: Forbidden) -> Response:
    return _page(
        "message.html",
        403,
        title="You may not see this",
        text=(
            "This Dag does not exist, or you may not read its XComs, which hold the reports. "
            "An admin of this Airflow can give you the permission."
        ),
    )


def _not_found(error: NotFound) -> Response:
    return _page("message.html", 404, title="Nothing here", text=error.description or "")


def _unreadable(error: ReportError) -> Response:
    return _page(
        "message.html",
        422,
        title="This report cannot be read",
        text="What the task left as its report is none that this page knows. Clear the task for a new one.",
        detail=str(error),
    )


def _kept_elsewhere(error: KeptElsewhere) -> Response:
    return _page("message.html", 422, title="This report is kept elsewhere", text=words.elsewhere(error))
