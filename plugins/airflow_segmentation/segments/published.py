"""Published segments: the version of them that scoring uses, and every one before it, in one folder.

The folder holds `current.json`, which tells the current version, and `versions/0001/` and so on, each with
`segments.json`, a :class:`Published`, and the files that go with it. No version is ever changed, and they
only follow one another: to go back is to publish an older one anew. So the task that claims the number after
the current one is the one to publish.
"""

from __future__ import annotations

import contextlib
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from airflow_segmentation.errors import InputError, has_control
from airflow_segmentation.segments.model import LARGEST_NUMBER, Model, load_model
from airflow_segmentation.segments.names import MAX_NAME, checked_names
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.storage.files import (
    NoFileError,
    created,
    open_for_reading,
    written_at,
    written_whole,
)

SCHEMA_VERSION = 1
MODEL, SEGMENTS, REPORT, CARD = "model.skops", "segments.json", "report.json", "card.md"
"""The files of a version."""
MOST_BYTES = 64 << 20
"""Of a file that is read: 500 segments of 2,000 features take a third of it."""
CLAIM_LASTS = timedelta(hours=1)
"""After which a task that claimed a version is taken to be dead. If it is not, it finds that another version
was published, and fails."""

_CURRENT, _CLAIM = "current.json", "claim.json"

Number = Annotated[float, Meta(ge=-1e150, le=1e150)]
"""A finite number whose square is one, too."""
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=10**15)]
Version = Annotated[int, Meta(ge=1, le=10**6)]
Text = Annotated[str, Meta(max_length=64_000)]
R = TypeVar("R")


@dataclass(frozen=True)
class PublishedSegment:
    """A segment as whoever scores knows it."""

    number: Annotated[int, Meta(ge=0, le=LARGEST_NUMBER)]
    """Its own for ever: no later segment has the number of one that is gone."""
    name: Annotated[str, Meta(max_length=MAX_NAME)]
    """What people call it; empty where nobody gave it a name."""
    size: Count
    """Rows that were in it when it was swept."""
    share: Share
    """Of all rows that were swept."""
    center: tuple[Number, ...]
    """In original units, one value for each feature."""


@dataclass(frozen=True)
class Bins:
    """How the values of one feature were spread when it was swept, to tell how far others are from that."""

    edges: tuple[Number, ...]
    """Inner edges in original units, rising; a value that is equal to one is in the bin below."""
    shares: tuple[Share, ...]
    """Share of the rows in each bin: one more than there are edges."""


@dataclass(frozen=True)
class Published:
    """One version of published segments; lists of features, and of what each has, are in the same order."""

    version: Version
    k: Annotated[int, Meta(ge=1, le=10_000)]
    features: Annotated[tuple[Text, ...], Meta(min_length=1)]
    minimum: tuple[Number, ...]
    """Smallest value of each feature in the rows that were swept, in original units."""
    maximum: tuple[Number, ...]
    scale: tuple[Number, ...]
    """Scaled units for each original unit."""
    segments: tuple[PublishedSegment, ...]
    """The largest first, in the order of the model's centres."""
    next_number: Count
    """The first number that no segment of any version has."""
    model: Annotated[str, Meta(pattern=r"^\w[\w.-]{0,99}$")]
    """Name of the model's file, beside this one."""
    model_digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of that file, in hexadecimal."""
    bins: tuple[Bins, ...]
    """One for each feature; none where the swept table was gone."""
    sweep_uri: Text
    verdict: Literal["none", "unclear", "clear"] | None = None
    """Whether there are groups at all; None where no sets without groups were swept."""
    dag_id: Text = ""
    run_id: Text = ""
    task_id: Text = ""
    published_at: Text = ""
    """ISO 8601, UTC."""
    reviewer: Text | None = None
    """Who approved it; None where nobody was asked."""
    reason: Text = ""
    """Why, in the reviewer's words."""
    previous: Version | None = None
    """The version that was current before; None of the first."""
    restores: Version | None = None
    """The older version that this one is again; None where it is new."""
    schema_version: int = SCHEMA_VERSION

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of each segment."""
        return tuple(segment.share for segment in self.segments)

    @property
    def rows(self) -> int:
        """How many rows were swept."""
        return sum(segment.size for segment in self.segments)


@dataclass(frozen=True)
class Claimant:
    """The task that publishes a version."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @property
    def in_words(self) -> str:
        """The task, such as a person finds it by."""
        mapped = f"[{self.map_index}]" if self.map_index >= 0 else ""
        return f"task {self.task_id}{mapped} of run {self.run_id} of Dag {self.dag_id}"


@dataclass(frozen=True)
class _Current:
    version: Version
    schema_version: int = SCHEMA_VERSION


def uri_of(path: str, version: int, file: str = SEGMENTS) -> str:
    """Return where a file of a version lies."""
    return f"{path.rstrip('/')}/versions/{version:04d}/{file}"


def path_of(model_uri: str, version: int) -> str:
    """Return the folder in which the model of a version lies, as PublishSegmentsOperator returned both.

    :raises InputError: if it lies in none.
    """
    path, found, _ = model_uri.rpartition(uri_of("", version, ""))
    if not found:
        raise InputError(
            f"{without_secrets(model_uri)} is not where version {version} of published segments lies; give "
            "what PublishSegmentsOperator returned"
        )
    return path


def read_published(path: str, conn_id: str | None = None) -> Published | None:
    """Return the current version of the segments that are published in a folder; None where none is yet.

    :raises InputError: if what lies there is something else.
    """
    with contextlib.suppress(NoFileError):
        return read_version(path, _read(_Current, f"{path.rstrip('/')}/{_CURRENT}", conn_id).version, conn_id)
    return None


def read_version(path: str, version: int, conn_id: str | None = None) -> Published:
    """Return one version, current or not.

    :raises InputError: if there is no such version, or something else lies there.
    """
    try:
        published = _read(Published, uri_of(path, version), conn_id)
    except NoFileError:
        raise InputError(
            f"{without_secrets(path)} has no version {version} of published segments; look into its folder "
            "versions for those that there are"
        ) from None
    _require_consistent(published, version, without_secrets(uri_of(path, version)))
    return published


def read_file(path: str, version: int, file: str, conn_id: str | None = None) -> bytes:
    """Return what is in a file of a version.

    :raises InputError: if it is not there.
    """
    with open_for_reading(uri_of(path, version, file), conn_id) as opened:
        return opened.read(MOST_BYTES)


def load_published(path: str, published: Published, conn_id: str | None = None) -> Model:
    """Load the model of a version.

    :raises InputError: if it is not the one that was published.
    """
    uri = uri_of(path, published.version, published.model)
    model = load_model(uri, conn_id, published.model_digest, cure="Publish an older version again")
    if model.features != published.features or len(model.numbers) != published.k:
        raise InputError(f"{without_secrets(uri)} is not the model of the segments beside it. {_CURE}")
    return model


def claim(path: str, after: Published | None, claimant: Claimant, conn_id: str | None = None) -> int:
    """Return the number of the version that this task alone may publish after the current one.

    A task that was killed has its own claim again when it is tried again. Of others, a claim that is older
    than :data:`CLAIM_LASTS` is passed over, and its number with it.

    :raises InputError: if another task is about to publish.
    """
    version = 1 if after is None else after.version + 1
    while True:
        uri = uri_of(path, version, _CLAIM)
        if created(uri, msgspec.json.encode(claimant), conn_id):
            return version
        holder = _holder(uri, conn_id)
        if holder == claimant:
            return version
        if holder is not None:
            raise InputError(
                f"Version {version} of {without_secrets(path)} is being published by the {holder.in_words}; "
                "clear this task when that one has ended. If that one was killed, its next try publishes; "
                f"without one, others may after {CLAIM_LASTS.total_seconds() / 60:.0f} minutes"
            )
        version += 1


def _holder(uri: str, conn_id: str | None) -> Claimant | None:
    """Return the task that holds a claim; None where it is taken to be dead, or was killed as it claimed."""
    if datetime.now(timezone.utc) - written_at(uri, conn_id) > CLAIM_LASTS:
        return None
    with contextlib.suppress(InputError):
        return _read(Claimant, uri, conn_id)
    return None


def publish(
    published: Published, path: str, files: Mapping[str, bytes], writer: str, conn_id: str | None = None
) -> None:
    """Write a version that was claimed, whose model is there already, and make it the current one.

    :param files: what else is in its folder, by name.
    :param writer: the task instance that publishes, by
        :func:`~airflow_segmentation.storage.outputs.writer_of`.

    :raises InputError: if another version was published since this one was claimed, which stays as it is.
    """
    segments = msgspec.json.format(msgspec.json.encode(published), indent=2)
    for name, content in {**files, SEGMENTS: segments}.items():
        with written_whole(uri_of(path, published.version, name), conn_id, writer) as file:
            file.write(content)
    current = read_published(path, conn_id)
    if current is not None and current.version != published.previous:
        raise InputError(
            f"Version {current.version} of {without_secrets(path)} was published since this task began, and "
            f"stays; version {published.version} is kept beside it, and not used. Clear this task to publish "
            "after that one"
        )
    with written_whole(f"{path.rstrip('/')}/{_CURRENT}", conn_id, writer) as file:
        file.write(msgspec.json.encode(_Current(published.version)))


def _read(kind: type[R], uri: str, conn_id: str | None) -> R:
    """Return the record in a file; fields that this version does not know are passed over.

    :raises InputError: if there is none, or one of a newer version.
    """
    shown = without_secrets(uri)
    with open_for_reading(uri, conn_id) as file:
        content = file.read(MOST_BYTES)
    try:
        version = msgspec.json.decode(content, type=_Versioned).schema_version
        if version <= SCHEMA_VERSION:
            return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _foreign(shown, error) from None
    raise InputError(
        f"{shown} has schema version {version}, and this worker reads up to {SCHEMA_VERSION}; update "
        "airflow-segmentation"
    )


_CURE = "Give the folder that it published to; if somebody changed the file, publish an older version again"


def _foreign(shown: str, why: object) -> InputError:
    """Return what to raise of a file that is none of ours, or no longer."""
    return InputError(f"{shown} is not what PublishSegmentsOperator writes: {why}. {_CURE}")


def _require_consistent(published: Published, version: int, shown: str) -> None:
    """Raise an error unless the parts of a record fit together, so that whoever uses it need not look."""
    width, numbers = len(published.features), [segment.number for segment in published.segments]
    centers = (segment.center for segment in published.segments)
    by_feature = (published.minimum, published.maximum, published.scale, *centers)
    fits = (
        published.version == version,
        len(numbers) == len(set(numbers)) == published.k,
        max(numbers, default=0) < published.next_number,
        all(len(values) == width for values in by_feature),
        len(published.bins) in (0, width),
        all(len(bins.shares) == len(bins.edges) + 1 for bins in published.bins),
        all(scale > 0 for scale in published.scale),
    )
    if not all(fits):
        raise _foreign(shown, "its parts do not fit")
    for text in (*published.features, published.sweep_uri, published.reviewer or "", published.reason):
        if has_control(text):
            raise _foreign(shown, f"the text {reprlib.repr(text)} should be on one line")
    try:
        checked_names({segment.number: segment.name for segment in published.segments}, numbers)
    except InputError as error:
        raise _foreign(shown, error) from None


@dataclass(frozen=True)
class _Versioned:
    schema_version: int = 1
