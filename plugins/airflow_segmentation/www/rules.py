"""The rules that tell segments, as sentences and as SQL."""

from __future__ import annotations

from dataclasses import replace

from airflow_segmentation.reports.figures import isolated
from airflow_segmentation.reports.report import Bound, Report, Rule, Rules


def numbered(report: Report) -> Rules | None:
    """Return the rules of a report, for the segments' numbers rather than for their places."""
    if report.rules is None:
        return None
    numbers = report.chosen.numbered
    return replace(
        report.rules, rules=tuple(replace(rule, segment=numbers[rule.segment]) for rule in report.rules.rules)
    )


def sentence(rule: Rule) -> str:
    """Return one rule in words, with how many rows meet it and how often it is right."""
    asked = " and ".join(map(_asked, rule.bounds)) or "whatever their values"
    return f"{asked} ({rule.share:.1%} of rows, right for {rule.accuracy:.0%})"


def by_segment(rules: Rules) -> list[tuple[int, list[str]]]:
    """Return the sentences of each segment that has a rule."""
    found: dict[int, list[str]] = {}
    for rule in rules.rules:
        found.setdefault(rule.segment, []).append(sentence(rule))
    return sorted(found.items())


def sql(rules: Rules, column: str = "segment") -> str:
    """Return one CASE expression of standard SQL; NULL where a value that it compares is missing."""
    lines = [f"  WHEN {_condition(rule)} THEN {rule.segment}" for rule in rules.rules]
    return "\n".join(["CASE", *lines, f"END AS {column}"])


def _asked(bound: Bound) -> str:
    name = isolated(bound.feature)
    if bound.low is None:
        return f"{name} at most {_number(bound.high or 0.0)}"
    if bound.high is None:
        return f"{name} above {_number(bound.low)}"
    return f"{name} above {_number(bound.low)} and at most {_number(bound.high)}"


def _number(bound: float) -> str:
    return f"{bound:,.12g}"  # as it is: it was rounded when the rule was made


def _condition(rule: Rule) -> str:
    name = {bound.feature: f'"{_on_one_line(bound.feature)}"' for bound in rule.bounds}
    asked = [f"{name[bound.feature]} > {bound.low!r}" for bound in rule.bounds if bound.low is not None]
    asked += [f"{name[bound.feature]} <= {bound.high!r}" for bound in rule.bounds if bound.high is not None]
    return " AND ".join(asked) or "TRUE"


def _on_one_line(name: str) -> str:
    """Return a column's name as it stands between the quotes of SQL."""
    return "".join(character if character.isprintable() else " " for character in name).replace('"', '""')
