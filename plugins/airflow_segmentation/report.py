"""The contract between the operators and the page: typed records, and their JSON.

Operators write these records to XCom, the page reads them; neither knows anything else of the other. A record
in XCom is JSON, so it is a list of records rather than a dict keyed by k, and its values are int, float, str
and None.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

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


class ReportError(ValueError):
    """A record that cannot be read: not a record, or written by a newer version."""


@dataclass(frozen=True)
class Feature:
    """One clustered column over the rows that were clustered, in original units."""

    name: str
    minimum: float
    maximum: float
    mean: float | None = None
    """None where the swept table was gone, or the report is of before it held means; likewise `deviation`."""
    deviation: float | None = None
    """Standard deviation; the number of rows is the divisor."""


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
    k: int | None


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
    random_state: int | None
    features: tuple[Feature, ...]
    rows: int
    """Rows that were clustered."""
    curve: tuple[CurvePoint, ...]
    dropped: tuple[Dropped, ...] = ()
    fit: Fit = "full"
    fit_rows: int | None = None
    """Rows that the sweep was fitted on. SSE and sizes are always over all rows."""
    silhouette_rows: int | None = None
    """Rows that the silhouette was taken over: all, or a sample. None where that is not known."""
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

    def unsettled(self, k: int | None) -> bool:
        """Return whether k is the last of several, so that a method that chose it might go on beyond."""
        return k == self.k_max > self.k_min

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
            feature_set=hashlib.sha256(
                "\0".join(sorted(one.name for one in self.features)).encode()
            ).hexdigest()[:12],
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
    feature_set: str | None = None
    """The same in summaries of the same features, whatever their order. None where that is not known."""
    warnings: int = 0
    curve: tuple[tuple[float, ...], ...] = ()
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
        summary = _read(cls, value)
        _require_pairs(summary.curve, "summary.curve")
        return summary


@dataclass(frozen=True)
class Progress:
    """How far a sweep has come."""

    done: int
    total: int
    curve: tuple[tuple[float, ...], ...] = field(default=())
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
        progress = _read(cls, value)
        _require_pairs(progress.curve, "progress.curve")
        return progress


def _set_of(names: Iterable[str]) -> str:
    """Return a short name that is the same for the same names in any order."""
    return hashlib.sha256(json.dumps(sorted(names)).encode()).hexdigest()[:12]


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


def _require_pairs(curve: tuple[tuple[float, ...], ...], where: str) -> None:
    for pair in curve:
        _require_length(pair, 2, where)


def _require_length(values: Sequence[Any], length: int, where: str) -> None:
    if len(values) != length:
        raise ReportError(f"{where} should hold {length} values, not {len(values)}")


def _to_json(record: Any) -> dict[str, Any]:
    """Return a record as JSON values, leaving out what is None or empty by default."""
    values = {item: getattr(record, item.name) for item in dataclasses.fields(record)}
    return {
        item.name: _value_to_json(value)
        for item, value in values.items()
        if not (item.default in (None, ()) and isinstance(value, (tuple, type(None))) and not value)
    }


def _value_to_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return _to_json(value)
    if isinstance(value, (list, tuple)):
        return [_value_to_json(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"{value!r} is a {type(value).__name__}; a report holds int, float, str and None only")


def _read(cls: Any, value: object) -> Any:
    if not isinstance(value, Mapping):
        raise ReportError(f"A {cls.__name__.lower()} is a JSON object, not {type(value).__name__}")
    version = value.get("schema_version", 1)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise ReportError(
            f"This {cls.__name__.lower()} has schema version {version!r}, and this plugin reads up to "
            f"{SCHEMA_VERSION}; update airflow-segmentation"
        )
    return _reader(cls)(value, cls.__name__.lower())


@cache
def _reader(kind: Any) -> Callable[[Any, str], Any]:
    """Return what reads a value as `kind`, a record or a type in one, and knows `where` the value stands.

    Fields that this version does not know are passed over. A report holds thousands of values: what can be
    known of a type is found out once.
    """
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind):
        return _record_reader(kind)
    if origin in (Union, UnionType):
        read_some = _reader(next(arg for arg in get_args(kind) if arg is not type(None)))
        return lambda value, where: None if value is None else read_some(value, where)
    if origin is tuple:
        return _tuple_reader(_reader(get_args(kind)[0]))
    if origin is Literal:
        return _literal_reader(get_args(kind))
    return _plain_reader(kind)


def _record_reader(kind: Any) -> Callable[[Any, str], Any]:
    hints = get_type_hints(kind)
    readers = {item.name: _reader(hints[item.name]) for item in dataclasses.fields(kind)}
    required = {item.name for item in dataclasses.fields(kind) if item.default is dataclasses.MISSING}

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, Mapping):
            raise ReportError(f"{where} should be a JSON object, not {value!r:.60}")
        if lacking := required - value.keys():
            raise ReportError(f"{where} lacks {', '.join(sorted(lacking))}")
        return kind(
            **{
                name: read_field(value[name], f"{where}.{name}")
                for name, read_field in readers.items()
                if name in value
            }
        )

    return read


def _tuple_reader(read_item: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, (list, tuple)):
            raise ReportError(f"{where} should be a JSON array, not {value!r:.60}")
        return tuple([read_item(item, where) for item in value])

    return read


def _literal_reader(allowed: tuple[Any, ...]) -> Callable[[Any, str], Any]:
    def read(value: Any, where: str) -> Any:
        if value not in allowed:
            raise ReportError(f"{where} should be one of {', '.join(allowed)}, not {value!r:.60}")
        return value

    return read


def _plain_reader(kind: Any) -> Callable[[Any, str], Any]:
    def read(value: Any, where: str) -> Any:
        if type(value) is kind:
            return value
        if kind is float and type(value) is int:
            return float(value)
        raise ReportError(f"{where} should be {kind.__name__}, not {value!r:.60}")

    return read


def significant(value: float, digits: int = 6, spread: float = 0.0) -> float:
    """Return the value with the digits that a person can use, which keeps a record small.

    :param spread: how far apart such values lie; of that so many digits are kept, too.
    """
    if 0 < spread < abs(value) < math.inf:
        digits += math.floor(math.log10(abs(value))) - math.floor(math.log10(spread))
    return float(f"{value:.{min(digits, 17)}g}")


def _size(report: Report) -> int:
    return len(json.dumps(_to_json(report)))


def _shrunk(report: Report) -> Report:
    """Return the report below its limit, leaving out what the page needs least.

    First the features that it has no room for, then rows to draw, the centres of the k farthest from the
    chosen one, the sizes likewise, and the profiles of the last columns. Centres of the chosen k stay.
    """
    report = _with_fewer_features(report)
    if _size(report) <= MAX_REPORT_BYTES:
        return report
    if report.sample:
        each = len(json.dumps(report.sample)) / len(report.sample)
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
            excess -= len(json.dumps(_value_to_json(getattr(point, name))))
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
        excess -= len(json.dumps(_value_to_json(report.profiles[kept])))
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
        len(json.dumps([_value_to_json(feature), *(center[index] for center in centers)]))
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
