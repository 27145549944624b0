from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import redact

from airflow_segmentation.errors import InputError, without_control
from airflow_segmentation.reports.records import push_record
from airflow_segmentation.reports.report import FAILURE_KEY, Failure

if TYPE_CHECKING:
    from airflow.sdk import Context

R = TypeVar("R")
log = logging.getLogger(__name__)


@contextlib.contextmanager
def reason_told(context: Context) -> Iterator[None]:
    """Tell the page why a task fails, where that is for its input."""
    try:
        yield
    except InputError as error:
        failure = Failure(without_control(str(redact(str(error)))))
        try:
            push_record(context, FAILURE_KEY, failure.to_json())
        except Exception:
            # What is wrong with the input counts, and stands in the log whether the page can tell or not.
            log.warning("The page cannot tell why this task failed", exc_info=True)
        raise


def telling(execute: Callable[[Any, Context], R]) -> Callable[[Any, Context], R]:
    """Have an operator tell the page why it fails, where that is for its input."""

    @functools.wraps(execute)
    def told(self: Any, context: Context) -> R:
        with reason_told(context):
            return execute(self, context)

    return told
