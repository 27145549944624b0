from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.definitions.param import ParamsDict

from airflow_segmentation.errors import InputError, has_control, without_control
from airflow_segmentation.links import page_path
from airflow_segmentation.operators.arguments import as_int
from airflow_segmentation.operators.lineage import Traced
from airflow_segmentation.operators.telling import telling
from airflow_segmentation.reports.records import pull_report, push_record
from airflow_segmentation.reports.report import (
    MAX_K,
    MAX_MESSAGE,
    MAX_REASON,
    REVIEW_KEY,
    Report,
    Review,
)
from airflow_segmentation.reports.reviewing import Unchanged, told
from airflow_segmentation.segments.names import checked_names

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context


class ReviewSegmentsOperator(Traced, ApprovalOperator):
    """
    Waits until a person has approved the segments of a run, or rejected them: on its page, or in Airflow.

    The person may take another k of those swept, name segments, and say why. Returns a dict of `k`, `names`
    (by segment number, as text), `decision`, `by`, `at` and `reason`. After a rejection what comes next is
    skipped. An answer that cannot be taken, such as a k that was not swept, is refused, and asked for again.

    :param choose: The ElbowOperator whose choice is reviewed, or its task id. Where that task is mapped, this
        one is mapped alike, and each reviews the choice of its own map index.
    :param subject: What is asked, in a line; by default it names the Dag and k. (templated)
    :param body: What to tell the person in Markdown, before the facts. (templated)
    :param skip_when: `Unchanged(psi=0.1)` approves without asking anybody where segments go on from the
        published ones, within its limits. By default somebody is always asked.
    :param fail_on_reject: Whether a rejection fails this task, instead of skipping what comes next.

    Further parameters are those of Airflow's ApprovalOperator, such as `assigned_users`, `response_timeout`,
    `defaults`, the option that is taken when that is over, and `notifiers`.
    """

    ui_color = "#e6f4ea"

    def __init__(
        self,
        *,
        choose: BaseOperator | str,
        subject: str = "",
        skip_when: Unchanged | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(subject=subject, **kwargs)
        self.choose: str = choose if isinstance(choose, str) else choose.task_id
        if not isinstance(choose, str):
            self.set_upstream(choose)
        self.chosen_at = -1
        """The map index of the choice that is reviewed."""
        self.skip_when = skip_when
        # An answer is held to this form, whose bounds are known once there is a report.
        self.params = _form()

    @telling
    def execute(self, context: Context) -> Any:
        """Ask, unless nobody need look.

        :raises InputError: if the task that should have chosen k pushed no report.
        """
        report = self._report(context)
        if self.skip_when is None:
            return self._ask(context, report)
        if exceeded := self.skip_when.exceeded(report):
            self.log.info("Somebody should look. %s", ". ".join(exceeded))
            return self._ask(context, report)
        now = datetime.now(timezone.utc)
        reason = f"Nothing changed beyond the limits, a PSI of {self.skip_when.psi:g} among them."
        return self._taken(context, self._review(report, self.APPROVE, None, now, reason))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Take the answer, or refuse it and ask again.

        :raises HITLTimeoutError: if nobody answered in time, and there is no default.
        :raises HITLRejectException: if the segments were rejected, with `fail_on_reject`.
        """
        report = self._report(context)
        if event.get("error_type") == "validation":
            # Before Airflow 3.3 a trigger holds the answer to the form, and says first what is wrong.
            return self._ask(context, report, refused=str(event["error"]).partition("\n")[0])
        if "error" in event:
            return super().execute_complete(context, event)
        try:
            review = self._reviewed(report, event)
        except InputError as error:
            return self._ask(context, report, refused=str(error))
        answer = self._taken(context, review)
        # What is skipped after a rejection ends this method, and so returns nothing.
        context["ti"].xcom_push(BaseXCom.XCOM_RETURN_KEY, answer)
        form = {name: answer[name] for name in self.params}
        super().execute_complete(context, {**event, "params_input": form})
        return answer

    def _taken(self, context: Context, review: Review) -> dict[str, Any]:
        """Tell what was decided, and return it."""
        self.log.info("%s by %s: k=%d. %s", review.decision, review.by or "nobody", review.k, review.reason)
        push_record(context, REVIEW_KEY, review.to_json())
        self.note_facts(k=review.k, decision=review.decision)
        return {name: getattr(review, name) for name in ("k", "names", "decision", "by", "at", "reason")}

    def _report(self, context: Context) -> Report:
        """Return what is reviewed, and name it in the subject where there is none."""
        report, self.chosen_at = pull_report(context, self.choose, "review")
        self.subject = self.subject or f"Approve the segments of {context['ti'].dag_id}, k = {report.k}?"
        return report

    def _ask(self, context: Context, report: Report, refused: str | None = None) -> Any:
        """Have a person decide about the segments of a report; Airflow goes on with the answer.

        :param refused: why the answer before could not be taken.
        """
        ti = context["ti"]
        if refused is not None:
            self.log.warning("The answer cannot be taken, and is asked for again. %s", refused)
            refused = without_control(refused)[:MAX_MESSAGE]
        page = page_path(
            "run", dag_id=ti.dag_id, run_id=ti.run_id, task_id=self.choose, map_index=self.chosen_at
        )
        self.body = "\n\n".join(filter(None, (self.body, told(report, page))))
        self.params = _form(report.k, report.curve[0].k, report.curve[-1].k)
        asked = Review(task_id=self.choose, subject=self.subject, k=report.k, refused=refused)
        push_record(context, REVIEW_KEY, asked.to_json())
        return super().execute(context)

    def _reviewed(self, report: Report, event: dict[str, Any]) -> Review:
        """Return what was decided.

        :raises InputError: if that cannot be done.
        """
        options, person = event["chosen_options"], event["responded_by_user"]
        given = event["params_input"] or {}
        if options not in ([self.APPROVE], [self.REJECT]):
            raise InputError(f"{options} should be one of {self.options}")
        reason = _reason(given.get("reason"))
        if event.get("timedout"):
            reason = "Nobody answered in time, and this is the default."
        by = person["name"] if person else None
        review = self._review(report, options[0], by, event["responded_at"], reason)
        if review.decision == self.REJECT:
            return review
        k = report.k if given.get("k") is None else as_int("k", given["k"], minimum=1)
        swept = [point.k for point in report.curve]
        if k not in swept:
            raise InputError(f"k={k} was not swept; take one of {swept[0]} to {swept[-1]}")
        point = next(point for point in report.curve if point.k == k)
        names = checked_names(_mapping(given.get("names")), point.numbered)
        return dataclasses.replace(review, k=k, names={str(number): name for number, name in names.items()})

    def _review(self, report: Report, decision: Any, by: str | None, at: datetime, reason: str) -> Review:
        return Review(
            task_id=self.choose,
            subject=self.subject,
            k=report.k,
            decision=decision,
            by=by,
            at=at.astimezone(timezone.utc).isoformat(timespec="seconds"),
            reason=reason,
        )


def _form(k: int | None = None, k_min: int = 1, k_max: int = MAX_K) -> ParamsDict:
    """Return the form that a person fills in, with the k that was chosen."""
    return ParamsDict(
        {
            "k": Param(
                k,
                type=["null", "integer"],
                title="Number of segments, k",
                description="The one to publish, of those swept; empty for the chosen one.",
                minimum=k_min,
                maximum=k_max,
            ),
            "names": Param(
                {},
                type=["null", "object"],
                title="Names of segments",
                description='By their numbers, such as {"0": "Savers"}; those you leave out keep theirs.',
            ),
            "reason": Param(
                "",
                type=["null", "string"],
                title="Reason",
                description="Why, for those who ask later.",
                maxLength=MAX_REASON,
            ),
        }
    )


def _mapping(names: Any) -> dict[Any, Any]:
    if names is not None and not isinstance(names, dict):
        raise InputError(f'The names {names!r:.200} should be an object, such as {{"0": "Savers"}}')
    return names or {}


def _reason(value: Any) -> str:
    reason = " ".join(value.split()) if isinstance(value, str) else value or ""
    if not isinstance(reason, str) or has_control(reason) or len(reason) > MAX_REASON:
        raise InputError(f"The reason {value!r:.200} should be text of at most {MAX_REASON} characters")
    return reason
