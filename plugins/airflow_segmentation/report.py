"""The contract between the operators and the page: typed records, and their JSON.

Operators write these records to XCom, the page reads them; neither knows anything else of the other. A record
in XCom is JSON, so it is a list of records rather than a dict keyed by k, and its values are int, float, str
and None.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

import msgspec

SCHEMA_VERSION = 1
MAX_REPORT_BYTES = 64_000
"""A report lives in the metadata database, beside thousands of others, and travels whole to the browser."""

MIN_SAMPLE_ROWS = 100
"""Fewer rows than these draw no picture of the segments, and are left out."""

REPORT_KEY = "segmentation_report"
"""XCom key of an :class:`Report`, pushed by the task that chooses k."""
SUMMARY_KEY = "segmentation_summary"
"""XCom key of a :class:`Summary` of that report, small enough to read hundreds of for a list."""
PROGRESS_KEY = "segmentation_progress"
"""XCom key of a :class:`Progress`, pushed by the task that sweeps, while it sweeps."""

Method = Literal["kneedle", "silhouette", "calinski_harabasz", "davies_bouldin", "chord"]
METHODS: tuple[Method, ...] = get_args(Method)
"""Every method that can choose k, in the order in which a person should meet them."""

Fit = Literal["full", "sample"]
"""What the sweep was fitted on: every row, or a weighted sample of rows."""
MAX_K = 10_000
"""More segments than a page could ever show: a record that names more is damaged."""


R = TypeVar("R")


class ReportError(ValueError):
    """A record that cannot be read: not a record, or written by a newer version."""


@dataclass(frozen=True)
class Feature:
    """One clustered column, and its range over the rows that were scaled, in original units."""

    name: str
    minimum: float
    maximum: float


@dataclass(frozen=True)
class Dropped:
    """Rows left out before the sweep, and why, in words."""

    reason: str
    rows: int


@dataclass(frozen=True)
class CurvePoint:
    """What the sweep found for one k. A score that was not computed, or means nothing at this k, is None."""

    k: int
    sse: float
    explained: float
    """1 - SSE / total sum of squares: 0 at k = 1, 1 where every row is a centre."""
    seconds: float | None = None
    iterations: int | None = None
    silhouette: float | None = None
    calinski_harabasz: float | None = None
    davies_bouldin: float | None = None
    sizes: tuple[int, ...] | None = None
    """Rows in each segment, the largest first. None where left out to keep the report small."""
    centers: tuple[tuple[float, ...], ...] | None = None
    """One centre for each segment in original units, in the order of `sizes`. None where left out."""


@dataclass(frozen=True)
class Choice:
    """The k that one method would choose; None where that method finds none."""

    method: str
    k: int | None = None


@dataclass(frozen=True)
class Times:
    """How many resamples chose this k."""

    k: int
    times: int


@dataclass(frozen=True)
class Stability:
    """The sweep repeated on resamples: how often each k was chosen, most often first."""

    resamples: int
    rows: int
    """Rows in each resample."""
    counts: tuple[Times, ...]
    method: str = "kneedle"
    """What chose k on each resample's curve: resamples have no scores."""


@dataclass(frozen=True)
class Profile:
    """One numeric column over the segments of the chosen k: each tuple has one entry for each segment."""

    column: str
    mean: tuple[float | None, ...]
    q25: tuple[float | None, ...]
    q50: tuple[float | None, ...]
    q75: tuple[float | None, ...]


@dataclass(frozen=True)
class Report:
    """Everything the page shows of one choice of k."""

    k: int
    method: str
    """The method that was asked for, one of :data:`METHODS`."""
    decided_by: str
    """What gave k in the end: a method, or "given". Differs from `method` where that found no elbow."""
    sensitivity: float
    k_min: int
    k_max: int
    random_state: int | None = field(default=None, kw_only=True)
    features: tuple[Feature, ...]
    rows: int
    """Rows that were clustered."""
    curve: tuple[CurvePoint, ...]
    dropped: tuple[Dropped, ...] = ()
    fit: Fit = "full"
    fit_rows: int | None = None
    """Rows that the sweep was fitted on. SSE and sizes are always over all rows."""
    choices: tuple[Choice, ...] = ()
    """What every method would choose."""
    half_range: Choice | None = None
    """What `method` would choose with k_max cut to half; its k is None where it would find none."""
    half_k_max: int | None = None
    stability: Stability | None = None
    profiles: tuple[Profile, ...] = ()
    """Columns over the segments of the chosen k, clustered features first."""
    sample: tuple[tuple[float, ...], ...] = ()
    """Some rows in original units, one value for each feature, to draw."""
    warnings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """What was left out to keep the report small, in words."""
    data_uri: str | None = None
    sweep_uri: str | None = None
    model_uri: str | None = None
    model_digest: str | None = None
    """SHA-256 of the model's file, in hexadecimal: what lies at `model_uri` may be another run's by now."""
    created_at: str | None = None
    """ISO 8601, UTC."""
    schema_version: int = SCHEMA_VERSION

    @property
    def chosen(self) -> CurvePoint:
        """The point of the curve at the chosen k."""
        return next(point for point in self.curve if point.k == self.k)

    @property
    def rows_dropped(self) -> int:
        """Rows left out before the sweep, for whatever reason."""
        return sum(dropped.rows for dropped in self.dropped)

    @property
    def fell_back(self) -> bool:
        """Whether the method asked for found no k, so that another one decided."""
        return self.decided_by not in (self.method, "given")

    @property
    def agree(self) -> bool:
        """Whether every method that found a k found the same one."""
        return len({choice.k for choice in self.choices if choice.k is not None}) <= 1

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values, below :data:`MAX_REPORT_BYTES` when written out."""
        return _to_json(_shrunk(self))

    @classmethod
    def from_json(cls, value: object) -> Report:
        """Read a report of this or an older version.

        :raises ReportError: if it is no report, or one of a newer version.
        """
        report = _read(cls, value)
        if not any(point.k == report.k for point in report.curve):
            raise ReportError(f"The report's k={report.k} is not on its curve")
        _require_consistent(report)
        return report

    def summary(self) -> Summary:
        """Return what a list of runs shows of this report."""
        chosen = self.chosen
        return Summary(
            k=self.k,
            decided_by=self.decided_by,
            k_min=self.k_min,
            k_max=self.k_max,
            rows=self.rows,
            sse=chosen.sse,
            explained=chosen.explained,
            silhouette=chosen.silhouette,
            features=len(self.features),
            warnings=len(self.warnings),
            curve=tuple((point.k, significant(point.sse, 4)) for point in self.curve),
            created_at=self.created_at,
        )


@dataclass(frozen=True)
class Summary:
    """A report in a few hundred bytes, for lists and trends."""

    k: int
    decided_by: str
    k_min: int
    k_max: int
    rows: int
    sse: float
    explained: float
    silhouette: float | None = None
    features: int = 0
    warnings: int = 0
    curve: tuple[tuple[float, float], ...] = ()
    """Pairs of k and SSE, to draw small."""
    created_at: str | None = None
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON values."""
        return _to_json(self)

    @classmethod
    def from_json(cls, value: object) -> Summary:
        """Read a summary of this or an older version.

        :raises ReportError: if it is none, or one of a newer version.
        """
        return _read(cls, value)


@dataclass(frozen=True)
class Progress:
    """How far a sweep has come."""

    done: int
    total: int
    curve: tuple[tuple[float, float], ...] = ()
    """Pairs of k and SSE found so far, by rising k."""
    sweep: str | None = None
    """The same in tasks that sweep the same rows, features and seed: their curves are parts of one."""
    updated_at: str | None = None
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """Return the progress as JSON values."""
        return _to_json(self)

    @classmethod
    def from_json(cls, value: object) -> Progress:
        """Read progress of this or an older version.

        :raises ReportError: if it is none, or one of a newer version.
        """
        return _read(cls, value)


def _require_consistent(report: Report) -> None:
    """Raise an error unless a report's parts fit together, so that a page need not look again."""
    width = len(report.features)
    if not width:
        raise ReportError("report.features should not be empty")
    for point in report.curve:
        if not 1 <= point.k <= MAX_K:
            raise ReportError(f"report.curve.k should be 1 to {MAX_K}, not {point.k!r:.60}")
        for name, parts in (("sizes", point.sizes), ("centers", point.centers)):
            if parts is not None:
                _require_length(parts, point.k, f"report.curve.{name} at k={point.k}")
        if point.sizes is not None and sum(point.sizes) < 1:
            raise ReportError(f"report.curve.sizes at k={point.k} should hold a row")
        for center in point.centers or ():
            _require_length(center, width, f"report.curve.centers at k={point.k}")
    for row in report.sample:
        _require_length(row, width, "report.sample")
    for profile in report.profiles:
        for values in (profile.mean, profile.q25, profile.q50, profile.q75):
            _require_length(values, report.k, "report.profiles")


def _require_length(values: Sequence[Any], length: int, where: str) -> None:
    if len(values) != length:
        raise ReportError(f"{where} should hold {length} values, not {len(values)}")


def _to_json(value: Any) -> Any:
    """Return a record, or what stands in one, as JSON values; a number that is not finite is None.

    Fields that are None or empty are left out: records have them by default.
    """
    return _filled(msgspec.json.decode(msgspec.json.encode(value)))


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _filled(item) for name, item in value.items() if item not in (None, [])}
    return [_filled(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class _Versioned:
    """What is read of a record first: that of a newer version need not have the same fields."""

    schema_version: int = 1


def _read(kind: type[R], value: object) -> R:
    """Return the record that a JSON value holds; fields that this version does not know are passed over."""
    name = kind.__name__.lower()
    try:
        version = msgspec.convert(value, _Versioned).schema_version
        if version > SCHEMA_VERSION:
            raise ReportError(
                f"This {name} has schema version {version}, and this plugin reads up to {SCHEMA_VERSION}; "
                "update airflow-segmentation"
            )
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        raise ReportError(f"{name}{path.rstrip('`')}: {what}") from None


def significant(value: float, digits: int = 6) -> float:
    """Return the value with the digits that a person can use, which keeps a record small."""
    return float(f"{value:.{digits}g}")


def _size(value: Any) -> int:
    """Return how many bytes a record, or what stands in one, takes in the database."""
    return len(json.dumps(_to_json(value)))


def _shrunk(report: Report) -> Report:
    """Return the report below its limit, leaving out what the page needs least.

    First the features that it has no room for, then rows to draw, the centres of the k farthest from the
    chosen one, the sizes likewise, and the profiles of the last columns. Centres of the chosen k stay.
    """
    report = _with_fewer_features(report)
    if _size(report) <= MAX_REPORT_BYTES:
        return report
    if report.sample:
        each = _size(report.sample) / len(report.sample)
        kept = len(report.sample) - math.ceil((_size(report) - MAX_REPORT_BYTES + 200) / each)
        kept = kept if kept >= MIN_SAMPLE_ROWS else 0
        words = f"all but {kept} of the rows to draw" if kept else "the rows to draw"
        report = dataclasses.replace(report, sample=report.sample[:kept], left_out=(*report.left_out, words))
    farthest_first = sorted(
        (point.k for point in report.curve if point.k != report.k), key=lambda k: -abs(k - report.k)
    )
    for name, words in (("centers", "centres"), ("sizes", "sizes")):
        excess = _size(report) - MAX_REPORT_BYTES + 200
        without = set()
        for k in farthest_first:
            if excess <= 0:
                break
            point = next(point for point in report.curve if point.k == k)
            excess -= _size(getattr(point, name))
            without.add(k)
        if without:
            changes: dict[str, Any] = {name: None}
            left = [point.k for point in report.curve if point.k not in without]
            report = dataclasses.replace(
                report,
                curve=tuple(
                    dataclasses.replace(point, **changes) if point.k in without else point
                    for point in report.curve
                ),
                left_out=(*report.left_out, f"{words} but for k={min(left)}..{max(left)}"),
            )
    excess, kept = _size(report) - MAX_REPORT_BYTES + 200, len(report.profiles)
    while kept and excess > 0:
        kept -= 1
        excess -= _size(report.profiles[kept])
    if kept < len(report.profiles):
        words = f"the profiles of {len(report.profiles) - kept} columns"
        report = dataclasses.replace(
            report, profiles=report.profiles[:kept], left_out=(*report.left_out, words)
        )
    return report


def _with_fewer_features(report: Report) -> Report:
    """Return the report with as many features as it has room for, with their centres of the chosen k."""
    centers = report.chosen.centers or ()
    points = tuple(dataclasses.replace(point, centers=None, sizes=None) for point in report.curve)
    room = MAX_REPORT_BYTES - 1_000  # for what is left out, in words
    room -= _size(dataclasses.replace(report, features=(), curve=points, profiles=(), sample=()))
    sizes = (
        _size([feature, *(center[index] for center in centers)])
        for index, feature in enumerate(report.features)
    )
    kept = sum(total <= room for total in itertools.accumulate(sizes))
    if kept == len(report.features):
        return report
    return dataclasses.replace(
        report,
        features=report.features[:kept],
        curve=tuple(
            dataclasses.replace(point, centers=point.centers and _narrowed(point.centers, kept))
            for point in report.curve
        ),
        sample=_narrowed(report.sample, kept),
        left_out=(*report.left_out, f"all but the first {kept} of {len(report.features)} features"),
    )


def _narrowed(rows: tuple[tuple[float, ...], ...], columns: int) -> tuple[tuple[float, ...], ...]:
    return tuple(row[:columns] for row in rows)
