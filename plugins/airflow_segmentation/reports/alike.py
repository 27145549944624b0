"""Which runs can be set side by side: those with the same range of k, features, and method that decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from airflow_segmentation.clustering.methods import METHODS
from airflow_segmentation.reports.report import Summary

METHOD_NAMES = {**{name: method.label for name, method in METHODS.items()}, "given": "Set by you"}


@dataclass(frozen=True)
class Setting:
    """One thing, beside the customers, that k depends on, and whether it differs from another run's."""

    words: str
    differs: bool


def settings(summary: Summary, other: Summary) -> tuple[Setting, ...]:
    """Return the settings of a run, beside those of another."""
    count = summary.features
    same_set = None in (summary.feature_set, other.feature_set) or summary.feature_set == other.feature_set
    which = "" if same_set or count != other.features else "other "
    method = METHOD_NAMES.get(summary.decided_by, summary.decided_by)
    return (
        Setting(
            f"k = {summary.k_min}..{summary.k_max}",
            (summary.k_min, summary.k_max) != (other.k_min, other.k_max),
        ),
        Setting(
            f"{count} {which}feature{'' if count == 1 else 's'}", count != other.features or not same_set
        ),
        Setting(
            "k set by you" if summary.decided_by == "given" else f"by {method}",
            summary.decided_by != other.decided_by,
        ),
    )


def described(summary: Summary, other: Summary) -> str:
    """Return all settings of a run, such as "k = 1..49, 3 features, by Kneedle"."""
    return ", ".join(setting.words for setting in settings(summary, other))


def differences(summary: Summary, other: Summary) -> str:
    """Return the settings of a run that differ from another's; empty where the two are alike."""
    return ", ".join(setting.words for setting in settings(summary, other) if setting.differs)


def groups(summaries: Sequence[Summary]) -> list[int]:
    """Return the number of the group that each run is in: runs of a group are alike; the first is in 0."""
    firsts: list[Summary] = []
    numbers = []
    for summary in summaries:
        alike = (number for number, first in enumerate(firsts) if not differences(summary, first))
        number = next(alike, len(firsts))
        if number == len(firsts):
            firsts.append(summary)
        numbers.append(number)
    return numbers
