"""The contract between the operators and the page: typed records, and their JSON.

Operators write these records to XCom, the page reads them; neither knows anything else of the other. A record
in XCom is JSON, so it is a list of records rather than a dict keyed by k, and its values are int, float, str
and None.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from airflow_segmentation.clustering.methods import METHODS, SCORES

SCHEMA_VERSION = 5
MAX_REPORT_BYTES = 384_000
"""A report lives in the metadata database, beside thousands of others: enough for the segments of every k up
to 49 of 17 features, and for those that a person compares of 60. Lists read summaries alone."""
MAX_TEXT = 64_000
"""Characters of one text that are read."""

MIN_SAMPLE_ROWS = 100
"""Fewer rows than these draw no picture of the segments, and are left out."""

REPORT_KEY = "segmentation_report"
"""XCom key of an :class:`Report`, pushed by the task that chooses k."""
SUMMARY_KEY = "segmentation_summary"
"""XCom key of a :class:`Summary` of that report, small enough to read hundreds of for a list."""
ASSIGNMENT_KEY = "segmentation_assignment"
"""XCom key of an :class:`Assignment`, pushed by a task that assigns segments."""
PUBLICATION_KEY = "segmentation_publication"
"""XCom key of a :class:`Publication`, pushed by a task that publishes segments."""
PROGRESS_KEY = "segmentation_progress"
"""XCom key of a :class:`Progress`, pushed by the task that sweeps, while it sweeps."""
FAILURE_KEY = "segmentation_failure"
"""XCom key of a :class:`Failure`, pushed by a task that fails for its input; its next try removes it."""
REVIEW_KEY = "segmentation_review"
"""XCom key of a :class:`Review`, pushed by a task that asks a person, and again once that has decided."""

if TYPE_CHECKING:
    from typing_extensions import Self

    Method = str
    Decision = str
else:
    Method = Literal[tuple(METHODS)]
    Decision = Literal[(*METHODS, "given")]
    """What can have given k in the end."""
Verdict = Literal["none", "unclear", "clear"]
VERDICTS: dict[Verdict, str] = {
    "none": "No groups: one continuum",
    "unclear": "Groups that do not lie apart",
    "clear": "Clear groups",
}
"""What each says, in words."""
Fit = Literal["full", "sample"]
"""What the sweep was fitted on: every row, or a weighted sample of rows."""
MAX_K = 10_000
"""More segments than anyone sweeps: a record that names more is damaged."""
MAX_SEGMENTS = 500
"""Segments that a chart can show. Of a larger k a report keeps its scores alone."""
MAX_MIGRATION = 100
"""Segments, published or new, beyond which nobody reads how rows go from one to another."""
MAX_POINTS = 1_000
"""Points of one curve that are read; `_WRITTEN_POINTS` at most are written."""
MAX_ITEMS = 2_000
"""Features, warnings and other items of one kind that are read: more than a report has room for."""
MAX_SAMPLE = 1_000
"""Rows to draw that are read."""
MAX_SHIFTS = 50
"""Features whose shift a record holds."""
MAX_MESSAGE = 4_000
"""Characters of a message that are written: some name all columns of a table."""
MAX_REASON = 1_000
"""Characters of why somebody decided as they did."""
MAX_NUMBER = 1e150
"""The largest number that is read: its square is still a number."""

Number = Annotated[float, Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
"""A finite number: NaN is within no bounds."""
Amount = Annotated[float, Meta(ge=0, le=MAX_NUMBER)]
Share = Annotated[float, Meta(ge=-1, le=1)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=10**15)]
K = Annotated[int, Meta(ge=1, le=MAX_K)]
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Texts = Annotated[tuple[Text, ...], Meta(max_length=MAX_ITEMS)]
SegmentNumber = Annotated[int, Meta(ge=0, le=2**31 - 1)]
"""What a segment is known by for ever: tables have 32 bits for it."""
Row = Annotated[tuple[Number, ...], Meta(max_length=MAX_ITEMS)]
PerSegment = Annotated[tuple[Number | None, ...], Meta(max_length=MAX_SEGMENTS)]
Curve = Annotated[
    tuple[tuple[Annotated[float, Meta(ge=1, le=MAX_K)], Amount], ...], Meta(max_length=MAX_POINTS)
]
"""Pairs of k and SSE."""

_WRITTEN_POINTS = 300
"""Points that leave a report room for the segments."""

R = TypeVar("R")


class ReportError(ValueError):
    """A record that cannot be read: not a record, or written by a newer version."""


@dataclass(frozen=True)
class Feature:
    """One clustered column over the rows that were clustered, in original units."""

    name: Text
    minimum: Number
    maximum: Number
    mean: Number | None = None
    """None where the swept table was gone, or the report is of before it held means; likewise `deviation`."""
    deviation: Amount | None = None
    """Standard deviation; the number of rows is the divisor."""


@dataclass(frozen=True)
class Dropped:
    """Rows left out before the sweep, and why, in words."""

    reason: Text
    rows: Count


@dataclass(frozen=True)
class CurvePoint:
    """What the sweep found for one k. A score that means nothing at this k is not there."""

    k: K
    sse: Amount
    explained: Share
    """1 - SSE / total sum of squares: 0 at k = 1, 1 where every row is a centre."""
    seconds: Amount | None = None
    iterations: Count | None = None
    scores: Annotated[dict[Annotated[str, Meta(max_length=50)], Number | None], Meta(max_length=50)] = field(
        default_factory=dict
    )
    """Scores by name, see :data:`~airflow_segmentation.clustering.methods.SCORES`."""
    sizes: Annotated[tuple[Count, ...], Meta(max_length=MAX_SEGMENTS)] | None = None
    """Rows in each segment, the largest first. None where left out to keep the report small."""
    centers: Annotated[tuple[Row, ...], Meta(max_length=MAX_SEGMENTS)] | None = None
    """One centre for each segment in original units, in the order of `sizes`. None where left out."""
    gap: Number | None = None
    """How much less SSE there is than in rows without groups, as a natural logarithm: 0 at k = 1."""
    gap_se: Amount | None = None
    """Its standard error."""
    jaccard: Annotated[tuple[Probability, ...], Meta(max_length=MAX_SEGMENTS)] | None = None
    """How sure each segment comes again in resamples, in the order of `sizes`: the mean Jaccard similarity to
    that which is most like it. None where that is not known, or left out."""
    numbers: Annotated[tuple[SegmentNumber, ...], Meta(max_length=MAX_SEGMENTS)] | None = None
    """What each segment is known by, in the order of `sizes`, where segments were published before. None
    where none were, or where left out, as `sizes` are then."""

    @property
    def numbered(self) -> tuple[int, ...]:
        """The number of each segment, in the order of `sizes`: its place, unless segments were published."""
        return self.numbers or tuple(range(self.k))


@dataclass(frozen=True)
class Choice:
    """The k that one method would choose; None where that method finds none."""

    method: Method
    k: K | None = None


@dataclass(frozen=True)
class Times:
    """How many resamples chose this k."""

    k: K
    times: Count


@dataclass(frozen=True)
class Stability:
    """The sweep repeated on resamples: how often each k was chosen, most often first."""

    resamples: Count
    rows: Count
    """Rows in each resample."""
    counts: Annotated[tuple[Times, ...], Meta(max_length=MAX_POINTS)]
    method: Method = "kneedle"
    """What chose k on each resample's curve: resamples have no scores."""


@dataclass(frozen=True)
class Structure:
    """Whether there are groups at all: the sweep held against sweeps of rows without any."""

    verdict: Verdict
    gap: Amount
    """The largest gap at any k."""
    gap_k: K
    """The first k whose gap is within a standard error of that; 1 where the verdict is "none"."""
    p: Probability
    """Share of the sets, the rows among them, that have as large a gap for its standard error."""
    sets: Count
    """Sets of rows without groups."""
    rows: Count
    """Rows in each."""
    null: Text
    """What these sets are, in words."""
    dip_component: Probability | None = None
    """p of the dip test of one peak on the first principal component. None where that is not known."""
    dip_distances: Probability | None = None
    """The same on the distances between rows; outliers and long tails lower it, too."""

    @property
    def in_words(self) -> str:
        """The verdict, in words."""
        return VERDICTS[self.verdict]


@dataclass(frozen=True)
class Recommendation:
    """The k that the evidence supports, or that none is better than another."""

    reason: Text
    """A sentence."""
    k: K | None = None


@dataclass(frozen=True)
class Profile:
    """One numeric column over the segments of the chosen k: each tuple has one entry for each segment."""

    column: Text
    mean: PerSegment
    q25: PerSegment
    q50: PerSegment
    q75: PerSegment
    overall: tuple[Number | None, Number | None, Number | None, Number | None] | None = None
    """Mean, lower quartile, median and upper quartile over all rows. None where they are not known."""


@dataclass(frozen=True)
class Plane:
    """The first two principal components of the scaled features, to draw rows and centres on.

    A row's place along an axis is the sum over all features of its value less that of `center`, as a share
    of the feature's range, times that of the axis.
    """

    center: Row
    """In original units, one value for each feature."""
    axes: tuple[Row, Row]
    """In scaled units for each range of a feature, one value for each feature."""
    shares: tuple[Probability, Probability]
    """Share of the rows' variance along each axis."""
    rows: Count
    """Rows that they were found from: all, or a sample."""


@dataclass(frozen=True)
class Bound:
    """What a rule asks of one feature, in original units: above `low`, at most `high`; None for no end."""

    feature: Text
    low: Number | None = None
    high: Number | None = None


@dataclass(frozen=True)
class Rule:
    """A row whose features lie within all the bounds is taken to be of the segment."""

    segment: Annotated[int, Meta(ge=0, le=MAX_SEGMENTS)]
    bounds: Annotated[tuple[Bound, ...], Meta(max_length=MAX_ITEMS)]
    share: Probability
    """Share of all rows that meet it."""
    accuracy: Probability
    """Share of these that are of the segment."""


@dataclass(frozen=True)
class Rules:
    """The segments of the chosen k by a shallow decision tree: each row meets one rule."""

    rules: Annotated[tuple[Rule, ...], Meta(max_length=MAX_ITEMS)]
    depth: Count
    """Comparisons that a rule makes, at most."""
    accuracy: Probability
    """Share of the rows whose segment they tell."""
    rows: Count
    """Rows that they were found from, and that shares and accuracies are of: all, or a sample."""


@dataclass(frozen=True)
class PublishedBefore:
    """The segments that were published when k was chosen; each tuple has one entry for each of them."""

    version: Count
    numbers: Annotated[tuple[SegmentNumber, ...], Meta(min_length=1, max_length=MAX_SEGMENTS)]
    names: Annotated[tuple[Text, ...], Meta(max_length=MAX_SEGMENTS)]
    """What people call each; empty where nobody gave a name."""
    shares: Annotated[tuple[Probability, ...], Meta(max_length=MAX_SEGMENTS)]
    """Of the rows that they were found in."""
    next_number: SegmentNumber
    """The least that no segment ever had."""
    centers: Annotated[tuple[Row, ...], Meta(max_length=MAX_SEGMENTS)] | None = None
    """In original units, one value for each feature of the report. None where left out, or where they have
    other features, so that no segment of the report is one of them. The same is true of what follows."""
    scale: Row = ()
    """Of their model: scaled units for an original one, for each feature."""
    spacing: Annotated[tuple[Amount, ...], Meta(max_length=MAX_SEGMENTS)] = ()
    """How far off the nearest other one is, in units so scaled."""
    migration: Annotated[
        tuple[Annotated[tuple[Count, ...], Meta(max_length=MAX_MIGRATION)], ...],
        Meta(max_length=MAX_MIGRATION),
    ] = ()
    """How many rows go from each to each segment of the chosen k. None where either are too many."""
    psi: Annotated[tuple[Amount, ...], Meta(max_length=MAX_ITEMS)] = ()
    """The population stability index of each feature: how else its values are spread than they were."""
    psi_shares: Amount | None = None
    """That of the shares which the published segments have of these rows."""
    psi_by_chance: Amount | None = None
    """Up to where an index is by chance alone, as the rows are few."""


@dataclass(frozen=True)
class Report:
    """Everything the page shows of one choice of k."""

    k: K
    method: Method
    """The method that was asked for, one of :data:`~airflow_segmentation.clustering.methods.METHODS`."""
    decided_by: Decision
    """What gave k in the end: a method, or "given". Differs from `method` where that found no elbow."""
    sensitivity: Amount
    k_min: K
    k_max: K
    random_state: Annotated[int, Meta(ge=-(10**18), le=10**18)] | None = field(default=None, kw_only=True)
    features: Annotated[tuple[Feature, ...], Meta(min_length=1, max_length=MAX_ITEMS)]
    rows: Count
    """Rows that were clustered."""
    curve: Annotated[tuple[CurvePoint, ...], Meta(max_length=MAX_POINTS)]
    dropped: Annotated[tuple[Dropped, ...], Meta(max_length=MAX_ITEMS)] = ()
    fit: Fit = "full"
    fit_rows: Count | None = None
    """Rows that the sweep was fitted on. SSE and sizes are always over all rows."""
    silhouette_rows: Count | None = None
    """Rows that the silhouette was taken over: all, or a sample. None where that is not known."""
    choices: Annotated[tuple[Choice, ...], Meta(max_length=len(METHODS))] = ()
    """What every method would choose."""
    half_range: Choice | None = None
    """What `method` would choose with k_max cut to half; its k is None where it would find none."""
    half_k_max: K | None = None
    stability: Stability | None = None
    structure: Structure | None = None
    """None where no sets without groups were swept."""
    recommendation: Recommendation | None = None
    """Likewise."""
    profiles: Annotated[tuple[Profile, ...], Meta(max_length=MAX_ITEMS)] = ()
    """Columns over the segments of the chosen k, clustered features first."""
    quartiles: Text | None = None
    """How exact the quartiles of the profiles are, in words. None where that is not known."""
    sample: Annotated[tuple[Row, ...], Meta(max_length=MAX_SAMPLE)] = ()
    """Some rows in original units, one value for each feature, to draw: drawn uniformly, but for those that
    make up five of each segment of the chosen k, or all of a smaller one."""
    plane: Plane | None = None
    """None of one feature, or where the swept table was gone; likewise `rules`."""
    rules: Rules | None = None
    published: PublishedBefore | None = None
    """None where none were, or the task was told of none."""
    warnings: Texts = ()
    left_out: Texts = ()
    """What was left out to keep the report small, in words."""
    data_uri: Text | None = None
    sweep_uri: Text | None = None
    model_uri: Text | None = None
    model_digest: Text | None = None
    """SHA-256 of the model's file, in hexadecimal: what lies at `model_uri` may be another run's by now."""
    created_at: Text | None = None
    """ISO 8601, UTC."""
    schema_version: int = SCHEMA_VERSION

    @property
    def chosen(self) -> CurvePoint:
        """The point of the curve at the chosen k."""
        return next(point for point in self.curve if point.k == self.k)

    @property
    def names(self) -> dict[int, str]:
        """What people call segments, by number."""
        published = self.published
        pairs = zip(published.numbers, published.names, strict=True) if published else ()
        return {number: name for number, name in pairs if name}

    @property
    def rows_dropped(self) -> int:
        """Rows left out before the sweep, for whatever reason."""
        return sum(dropped.rows for dropped in self.dropped)

    @property
    def fell_back(self) -> bool:
        """Whether the method asked for found no k, so that another one decided."""
        return self.decided_by not in (self.method, "given")

    def unsettled(self, k: int | None) -> bool:
        """Return whether k is the last of several, so that a method that chose it might go on beyond.

        Where each distinct row is a segment, nothing is beyond.
        """
        return k == self.k_max > self.k_min and self.curve[-1].sse > 0

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

        :param value: the JSON text of a report, or what it holds.
        :raises ReportError: if it is no report, or one of a newer version.
        """
        report = _read(cls, value, upgrade=_with_scores)
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
            silhouette=chosen.scores.get("silhouette"),
            features=len(self.features),
            feature_set=_set_of(feature.name for feature in self.features),
            warnings=len(self.warnings),
            curve=tuple((point.k, significant(point.sse, 4)) for point in self.curve[:: _step(self.curve)]),
            created_at=self.created_at,
        )


class _Record:
    """What every record but a report is written and read like."""

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return _to_json(self)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Read a record of this or an older version.

        :param value: the JSON text of one, or what it holds.
        :raises ReportError: if it is none, or one of a newer version.
        """
        return _read(cls, value)


@dataclass(frozen=True)
class Summary(_Record):
    """A report in a few hundred bytes, for lists and trends."""

    k: K
    decided_by: Decision
    k_min: K
    k_max: K
    rows: Count
    sse: Amount
    explained: Share
    silhouette: Share | None = None
    features: Count = 0
    feature_set: Text | None = None
    """The same in summaries of the same features, whatever their order. None where that is not known."""
    warnings: Count = 0
    curve: Curve = ()
    """Pairs of k and SSE, to draw small."""
    created_at: Text | None = None
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Shift:
    """How far one feature has shifted."""

    feature: Text
    psi: Amount
    """The population stability index."""


@dataclass(frozen=True)
class Drift:
    """How far customers are from those that the published segments were made of."""

    shares: Amount
    """The population stability index of how many customers each segment has."""
    outside: Probability
    """Share of the customers with a segment who have a value beyond the range that it was made of."""
    max_psi: Amount
    """The limit that was set; likewise `max_outside`."""
    max_outside: Probability
    features: Annotated[tuple[Shift, ...], Meta(max_length=MAX_SHIFTS)] = ()
    """Those that have shifted most, most first; none where the version does not tell how its own lay."""
    found: Texts = ()
    """What is above its limit, in words."""


@dataclass(frozen=True)
class Assignment(_Record):
    """A table of customers with their segments, and how many there are."""

    uri: Text
    """Empty where the customers had drifted, and none was written."""
    rows: Count
    without: Count
    """Rows that have no segment, as a value is missing, or all."""
    columns: Annotated[dict[Annotated[str, Meta(max_length=50)], Text], Meta(max_length=20)] = field(
        default_factory=dict
    )
    """What the columns of ours are called there: their usual name, and that which was free."""
    sizes: Annotated[tuple[Count, ...], Meta(max_length=MAX_K)] = ()
    """Rows in each segment."""
    numbers: Annotated[tuple[SegmentNumber, ...], Meta(max_length=MAX_K)] = ()
    """The number of each segment, in the order of `sizes`; none where they are 0 to k - 1."""
    far: Count | None = None
    """Rows that lie farther out than 99 of 100 rows of their segment did that the model was made of. None
    where the model does not tell."""
    outside: Count = 0
    """Rows with a value beyond the range that the model was made of."""
    model_digest: Text | None = None
    """SHA-256 of the model's file, in hexadecimal."""
    version: Count | None = None
    """The version of the published segments; None where a model was given instead. Likewise `drift`."""
    drift: Drift | None = None
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Shown:
    """A published segment, as far as the page shows it."""

    number: SegmentNumber
    share: Probability
    name: Text = ""
    """What people call it; empty where nobody gave it a name."""


@dataclass(frozen=True)
class Publication(_Record):
    """A version of published segments."""

    name: Text
    """What the segments are published as; their Asset is `segmentation://` and this."""
    path: Text
    """The folder that they are published to."""
    version: Count
    k: K
    model_digest: Text
    segments: Annotated[tuple[Shown, ...], Meta(max_length=MAX_SEGMENTS)] = ()
    """None where there are more than a page can show."""
    verdict: Verdict | None = None
    reviewer: Text | None = None
    """Who approved it; None where nobody was asked."""
    reason: Text = ""
    previous: Count | None = None
    """The version before; None of the first."""
    restores: Count | None = None
    """The older version that this one is again; None where it is new."""
    published_at: Text | None = None
    """ISO 8601, UTC."""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True)
class Progress(_Record):
    """How far a sweep has come."""

    done: Count
    total: Count
    curve: Curve = ()
    """Pairs of k and SSE found so far, by rising k."""
    sweep: Text | None = None
    """The same in tasks that sweep the same rows, features and seed: their curves are parts of one."""
    updated_at: Text | None = None
    started_at: Text | None = None
    """When this try of the task began to sweep; ISO 8601, UTC. None where that is not known."""
    before: Count = 0
    """Steps, of those done, that an earlier try had done."""
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """Return the progress as JSON values."""
        return _to_json(dataclasses.replace(self, curve=self.curve[:: _step(self.curve)]))


@dataclass(frozen=True)
class Failure(_Record):
    """Why a task failed, as its log says: what a person can put right."""

    message: Text
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> dict[str, Any]:
        """Return the failure as JSON values, the end of a long message left out."""
        return _to_json(dataclasses.replace(self, message=self.message[:MAX_MESSAGE]))


@dataclass(frozen=True)
class Review(_Record):
    """What a person is asked to decide, and has decided."""

    task_id: Text
    """The task that chose k, whose report is reviewed."""
    subject: Text
    k: K
    """The k that is asked about; once it is decided, the one that was taken."""
    decision: Literal["Approve", "Reject"] | None = None
    """None while nobody has decided."""
    names: Annotated[dict[Text, Text], Meta(max_length=MAX_K)] = field(default_factory=dict)
    """What segments are called from now on, by their numbers."""
    by: Text | None = None
    """Who decided; None where nobody had to, or nobody did in time."""
    at: Text | None = None
    """When; ISO 8601, UTC."""
    reason: Text = ""
    refused: Text | None = None
    """Why the last answer could not be taken, so that it is asked again."""
    schema_version: int = SCHEMA_VERSION


def _set_of(names: Iterable[str]) -> str:
    """Return a short name that is the same for the same names in any order."""
    return hashlib.sha256(json.dumps(sorted(names)).encode()).hexdigest()[:12]


def _require_consistent(report: Report) -> None:
    """Raise an error unless a report's parts fit together, so that a page need not look again."""
    width = len(report.features)
    for point in report.curve:
        for name, score in point.scores.items():
            low, high = SCORES[name].bounds if name in SCORES else (-math.inf, math.inf)
            if score is not None and not low <= score <= high:
                raise ReportError(f"report.curve.{name} at k={point.k} should be from {low:g} to {high:g}")
        for name in ("sizes", "centers", "jaccard", "numbers"):
            if (parts := getattr(point, name)) is not None:
                _require_length(parts, point.k, f"report.curve.{name} at k={point.k}")
        if point.numbers is not None:
            _require_distinct(point.numbers, f"report.curve.numbers at k={point.k}")
        if point.sizes is not None and sum(point.sizes) < 1:
            raise ReportError(f"report.curve.sizes at k={point.k} should hold a row")
        for center in point.centers or ():
            _require_length(center, width, f"report.curve.centers at k={point.k}")
    for row in report.sample:
        _require_length(row, width, "report.sample")
    if report.plane is not None:
        for direction in (report.plane.center, *report.plane.axes):
            _require_length(direction, width, "report.plane")
    for rule in report.rules.rules if report.rules else ():
        if rule.segment >= report.k:
            raise ReportError(f"report.rules names segment {rule.segment} of {report.k}")
    for profile in report.profiles:
        for values in (profile.mean, profile.q25, profile.q50, profile.q75):
            _require_length(values, report.k, "report.profiles")
    if report.published is not None:
        _require_published(report.published, width, report.k)


def _require_published(published: PublishedBefore, width: int, k: int) -> None:
    count, where = len(published.numbers), "report.published"
    _require_distinct(published.numbers, f"{where}.numbers")
    for name in ("names", "shares", *(("centers", "spacing") if published.centers is not None else ())):
        _require_length(getattr(published, name), count, f"{where}.{name}")
    for row in (*(published.centers or ()), *((published.scale,) if published.centers is not None else ())):
        _require_length(row, width, where)
    if published.psi:
        _require_length(published.psi, width, f"{where}.psi")
    if published.migration:
        _require_length(published.migration, count, f"{where}.migration")
    for counts in published.migration:
        _require_length(counts, k, f"{where}.migration")


def _require_distinct(numbers: Sequence[int], where: str) -> None:
    if len(set(numbers)) < len(numbers):
        raise ReportError(f"{where} should differ")


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
        filled = {name: _filled(item) for name, item in value.items()}
        return {name: item for name, item in filled.items() if item not in (None, [], {})}
    return [_filled(item) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class _Versioned:
    """What is read of a record first: that of a newer version need not have the same fields."""

    schema_version: int = 1


def _with_scores(value: Any) -> Any:
    """Return a report of version 1 as later ones are: its points had a field for each score."""
    if value.get("schema_version", 1) > 1:
        return value
    for point in value["curve"]:
        point["scores"] = {name: point[name] for name in SCORES if name in point}
    return value


def _read(kind: type[R], value: object, upgrade: Callable[[Any], Any] | None = None) -> R:
    """Return the record that JSON holds; fields that this version does not know are passed over.

    :param upgrade: makes of what a record of an older version holds what this version does.
    """
    name = kind.__name__.lower()
    try:
        version = _decoded(_Versioned, value).schema_version
        if version > SCHEMA_VERSION:
            raise ReportError(
                f"This {name} has schema version {version}, and this plugin reads up to {SCHEMA_VERSION}; "
                "update airflow-segmentation"
            )
        if upgrade is not None and version < SCHEMA_VERSION:
            with contextlib.suppress(LookupError, TypeError, AttributeError):  # else it is no such record
                value = upgrade(
                    msgspec.json.decode(value) if isinstance(value, str) else copy.deepcopy(value)
                )
        return _decoded(kind, value)
    except (msgspec.MsgspecError, RecursionError) as error:
        what, _, path = str(error).partition(" - at `$")
        raise ReportError(f"{name}{path.rstrip('`')}: {what}") from None


def _decoded(kind: Any, value: object) -> Any:
    if isinstance(value, str):
        return _decoder(kind).decode(value)
    _require_numbers(value)
    return msgspec.convert(value, kind)


def _require_numbers(value: object) -> None:
    """Raise an error where a whole number is too large for a floating-point one.

    msgspec before 0.22 takes it for whatever number is at hand.
    """
    if isinstance(value, int) and abs(value) > MAX_NUMBER:
        raise msgspec.ValidationError("Number out of range")
    if isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            _require_numbers(item)


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def significant(value: float, digits: int = 6, spread: float = 0.0) -> float:
    """Return the value with the digits that a person can use, which keeps a record small.

    :param spread: how far apart such values lie; of that so many digits are kept, too.
    """
    if 0 < spread < abs(value) < math.inf:
        digits += math.floor(math.log10(abs(value))) - math.floor(math.log10(spread))
    return float(f"{value:.{min(digits, 17)}g}")


def _size(value: Any) -> int:
    """Return how many bytes a record, or what stands in one, takes in the database."""
    return len(json.dumps(_to_json(value)))


def _shrunk(report: Report) -> Report:
    """Return the report below its limit, leaving out what the page needs least.

    First what no page could show, and the features that it has no room for; then centres, how sure segments
    are, and sizes, each of the k farthest from the chosen one but for those that a person compares, and how
    far segments moved before the sizes; profiles of columns that were not clustered; and where that is not
    enough, what is left of all these, the rows to draw, and the profiles of the last features. Centres of the
    chosen k stay.
    """
    report = _with_fewer_features(_showable(report))
    if _size(report) <= MAX_REPORT_BYTES:
        return report
    compared = _compared(report)
    for name, words in _BY_SEGMENT[:2]:
        report = _without_far(report, name, words, _excess(report), compared)
    if _excess(report) > 0:
        report = _without_moves(report)
    report = _without_far(report, *_BY_SEGMENT[2], _excess(report), compared)
    report = _with_fewer_profiles(report, len(report.features))
    for name, words in _BY_SEGMENT[:2]:
        report = _without_far(report, name, words, _excess(report))
    report = _with_fewer_rows(report)
    report = _without_far(report, *_BY_SEGMENT[2], _excess(report))
    return _with_fewer_profiles(report, 0)


_BY_SEGMENT = (("centers", "centres"), ("jaccard", "trust in segments"), ("sizes", "sizes"))
"""What each point of a curve tells of its segments, what is needed least first, and how it is called."""


def _compared(report: Report) -> set[int]:
    """Return the k that a person compares: the chosen one, those beside it, and what methods suggest."""
    suggested = {choice.k for choice in report.choices}
    if report.recommendation is not None:
        suggested.add(report.recommendation.k)
    return {point.k for point in report.curve if abs(point.k - report.k) <= 1 or point.k in suggested}


def _with_fewer_rows(report: Report) -> Report:
    """Return the report with as many rows to draw as it has room for, or none where those draw no picture."""
    if not report.sample or (excess := _excess(report)) <= 0:
        return report
    each = _size(report.sample) / len(report.sample)
    kept = len(report.sample) - math.ceil(excess / each)
    kept = kept if kept >= MIN_SAMPLE_ROWS else 0
    words = f"all but {kept} of the rows to draw" if kept else "the rows to draw"
    return dataclasses.replace(report, sample=report.sample[:kept], left_out=(*report.left_out, words))


def _with_fewer_profiles(report: Report, least: int) -> Report:
    """Return the report with as many profiles as it has room for, but `least` at least."""
    excess, kept = _excess(report), len(report.profiles)
    while kept > least and excess > 0:
        kept -= 1
        excess -= _size(report.profiles[kept])
    if kept == len(report.profiles):
        return report
    said = tuple(one for one in report.left_out if not one.startswith(_PROFILES))
    gone = sum(int(one.removeprefix(_PROFILES).split()[0]) for one in report.left_out if one not in said)
    words = f"{_PROFILES}{gone + len(report.profiles) - kept} columns"
    return dataclasses.replace(report, profiles=report.profiles[:kept], left_out=(*said, words))


_PROFILES = "the profiles of "


def _excess(report: Report) -> int:
    """Return how many bytes of a report should go, with room for what was left out, in words."""
    size = _size(report)
    return 0 if size <= MAX_REPORT_BYTES else size - MAX_REPORT_BYTES + 200


def _without_far(report: Report, name: str, words: str, excess: int, kept: Collection[int] = ()) -> Report:
    """Return the report without so many bytes of a field, that of the k farthest from the chosen one.

    :param kept: the k that keep it, besides the chosen one.
    """
    # Whatever the number of a segment, without its size there is nothing to tell of it.
    names = ("sizes", "numbers") if name == "sizes" else (name,)
    without = set()
    for point in sorted(report.curve, key=lambda point: -abs(point.k - report.k)):
        value = getattr(point, name)
        if excess <= 0:
            break
        if value is not None and point.k != report.k and point.k not in kept:
            excess -= sum(_size(getattr(point, each)) for each in names)
            without.add(point.k)
    if not without:
        return report
    changes: dict[str, Any] = dict.fromkeys(names)
    curve = tuple(
        dataclasses.replace(point, **changes) if point.k in without else point for point in report.curve
    )
    left = [point.k for point in curve if getattr(point, name) is not None] or [report.k]
    said = (one for one in report.left_out if not one.startswith(words))
    return dataclasses.replace(report, curve=curve, left_out=(*said, f"{words} but for k={_ranges(left)}"))


def _ranges(numbers: Sequence[int]) -> str:
    """Return rising whole numbers in words, such as "1..4, 7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}..{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _showable(report: Report) -> Report:
    """Return the report with as many points as a curve needs, and as many segments as a chart can show."""
    step, wanted = _step(report.curve), {report.k, *(choice.k for choice in report.choices)}
    kept = [point for index, point in enumerate(report.curve) if index % step == 0 or point.k in wanted]
    curve = tuple(point if point.k <= MAX_SEGMENTS else _without_segments(point) for point in kept)
    left_out = report.left_out
    if len(kept) < len(report.curve):
        left_out += (f"{len(report.curve) - len(kept)} of {len(report.curve)} points of the curve",)
    published = report.published
    if published is not None and len(published.numbers) > MAX_SEGMENTS:
        published = None
        left_out += (f"the published segments, of which there are more than {MAX_SEGMENTS}",)
    if curve[-1].k > MAX_SEGMENTS:
        left_out += (f"the segments of each k above {MAX_SEGMENTS}",)
    profiles = report.profiles if report.k <= MAX_SEGMENTS else ()
    return dataclasses.replace(report, curve=curve, profiles=profiles, published=published, left_out=left_out)


def _without_segments(point: CurvePoint) -> CurvePoint:
    return dataclasses.replace(point, sizes=None, centers=None, jaccard=None, numbers=None)


def _without_moves(report: Report) -> Report:
    """Return the report without what it takes to tell how far segments and features moved."""
    if report.published is None or not (report.published.scale or report.published.psi):
        return report
    return dataclasses.replace(
        report,
        published=dataclasses.replace(report.published, centers=None, scale=(), spacing=(), psi=()),
        left_out=(*report.left_out, "how far segments and features moved"),
    )


def _step(curve: Sequence[Any]) -> int:
    """Return which points of a long curve are written: every so many-th."""
    return max(1, math.ceil(len(curve) / _WRITTEN_POINTS))


def _with_fewer_features(report: Report) -> Report:
    """Return the report with as many features as it has room for, with their centres of the chosen k."""
    columns = [*(report.chosen.centers or ())]
    if (published := report.published) is not None:
        columns += [row for row in (*(published.centers or ()), published.scale, published.psi) if row]
    others = dataclasses.replace(
        _without_moves(report),
        features=(),
        curve=tuple(map(_without_segments, report.curve)),
        profiles=(),
        sample=(),
    )
    room = MAX_REPORT_BYTES - 1_000 - _size(others)  # for what is left out, in words
    sizes = (
        _size([feature, *(column[index] for column in columns)])
        for index, feature in enumerate(report.features)
    )
    kept = sum(total <= room for total in itertools.accumulate(sizes))
    if kept == len(report.features):
        return report
    report = _without_moves(report)  # a distance takes all features
    return dataclasses.replace(
        report,
        features=report.features[:kept],
        curve=tuple(
            dataclasses.replace(point, centers=point.centers and _narrowed(point.centers, kept))
            for point in report.curve
        ),
        sample=_narrowed(report.sample, kept),
        plane=None,  # a row's place on it takes all features
        left_out=(*report.left_out, f"all but the first {kept} of {len(report.features)} features"),
    )


def _narrowed(rows: tuple[tuple[float, ...], ...], columns: int) -> tuple[tuple[float, ...], ...]:
    return tuple(row[:columns] for row in rows)
