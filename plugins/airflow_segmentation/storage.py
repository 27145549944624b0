"""Files at a URI: where a task's own files lie, reading them, and writing them whole or not at all.

Every URI opens through :class:`~airflow.sdk.ObjectStoragePath`, so a local path, `s3://connection@bucket/key`,
`gs://…` and `abfss://…` are the same code.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import ObjectStoragePath
from fsspec.implementations.local import LocalFileSystem

from airflow_segmentation.errors import InputError

if TYPE_CHECKING:
    from airflow.sdk import Context
    from fsspec import AbstractFileSystem


SCRATCH = "airflow-segmentation-scratch-"
"""What the name of a scratch folder begins with, and nothing else's: those that are left over are removed."""


def output_uri(context: Context, name: str) -> str:
    """Return the URI of this task instance's own file `name`: no other task instance has the same.

    It lies under `[segmentation] storage_path`, then Dag id, run id, task id and, for a mapped task, map
    index.
    """
    return "/".join([storage_path(), *map(safe_segment, _identity(context)), name])


def storage_path() -> str:
    """Return `[segmentation] storage_path`: the folder or URI under which all tasks write."""
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return conf.get("segmentation", "storage_path", fallback=f"{home}/segmentation").rstrip("/")


def writer_of(context: Context) -> str:
    """Return a short name for this task instance, the same in each of its tries and no other's."""
    return hashlib.sha256(repr(_identity(context)).encode()).hexdigest()[:12]


def _identity(context: Context) -> list[str]:
    ti = context["ti"]
    identity = [ti.dag_id, ti.run_id, ti.task_id]
    if ti.map_index is not None and ti.map_index >= 0:
        identity.append(str(ti.map_index))
    return identity


def safe_segment(name: str) -> str:
    """Return `name` as one path segment that no store misreads; different names give different segments.

    A name that is not plain already keeps its letters and digits, and gets a hash of the whole.
    """
    if re.fullmatch(r"[a-z0-9_][a-z0-9_.-]{0,99}", name):
        return name
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:80]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def without_secrets(uri: str) -> str:
    """Return the URI without a password or a query, fit for a log, an XCom or a page."""
    uri = re.sub(r"^([a-z0-9+.-]+://[^/@:]*):[^/@]*@", r"\1@", uri, flags=re.IGNORECASE)
    return uri.partition("?")[0] if "://" in uri else uri


def open_for_reading(uri: str, conn_id: str | None = None, **kwargs: Any) -> IO[bytes]:
    """Open a file to read.

    :raises InputError: if there is none.
    :raises FileNotFoundError: if it is one of ours and all of storage is gone, which a retry may find again.
    """
    fs, path = _resolve(uri, conn_id)
    try:
        return fs.open(path, mode="rb", **kwargs)
    except FileNotFoundError:
        root = storage_path()
        if uri.startswith(f"{root}/") and not fs.exists(_resolve(root, conn_id)[1]):
            raise FileNotFoundError(
                f"The storage at {without_secrets(root)} is away; see that it is mounted on this worker"
            ) from None
        raise InputError(
            f"There is no file at {without_secrets(uri)}; check the path, the connection, and that "
            "this worker sees the same storage. If it arrives later, wait for it with a sensor"
        ) from None
    except IsADirectoryError:
        raise InputError(f"{without_secrets(uri)} is a folder; give the path of one file") from None


@contextlib.contextmanager
def written_whole(uri: str, conn_id: str | None = None, writer: str = "") -> Iterator[IO[bytes]]:
    """Open a file to write; it takes its name only once it is complete, replacing what had the name.

    :param writer: who writes a file that several may write, see :func:`writer_of`. What a try that was killed
        left of the same file by the same writer is removed.
    """
    fs, final = _resolve(uri, conn_id)
    folder = final.rpartition("/")[0]
    fs.makedirs(folder or "/", exist_ok=True)
    _remove_partials(fs, final, writer)
    # A name of its own for each try: one that is taken for dead may yet be writing.
    partial = f"{_partial_stem(final, writer)}{uuid.uuid4().hex}.partial"
    try:
        with fs.open(partial, mode="wb") as file:
            yield file
        fs.mv(partial, final)
    except BaseException:
        with contextlib.suppress(Exception):
            fs.rm(partial)
        raise


def remove(uri: str) -> None:
    """Remove a file of a task's own, if there is one, and what a try that was killed left of it."""
    fs, path = _resolve(uri, None)
    _remove_partials(fs, path, "")
    with contextlib.suppress(FileNotFoundError):
        fs.rm(path)


def remove_outputs(
    context: Context, names: Collection[str], this_run: bool, older_than: timedelta | None
) -> list[str]:
    """Remove files that tasks of this Dag wrote at :func:`output_uri`, and return what they were.

    What a try that was killed left of them goes, too, and folders that are empty then.

    :param names: names of the files; others stay.
    :param this_run: whether to remove those of this run.
    :param older_than: the age from which those of other runs are removed; None to leave them.
    """
    fs, root = _resolve(storage_path(), None)
    root = fs._strip_protocol(root)  # as the store itself writes it in what it lists
    dag, run = map(safe_segment, _identity(context)[:2])
    ours = re.compile(rf"\.?({'|'.join(map(re.escape, names))})(\.state)?(\.[0-9a-f]{{32}}\.partial)?")
    oldest = None if older_than is None else datetime.now(timezone.utc) - older_than
    folder = f"{root.rstrip('/')}/{dag}"
    removed: list[str] = []
    if isinstance(fs, LocalFileSystem) and Path(folder).is_symlink():
        return removed  # a link may lead out of storage, and none is followed
    # Run, task, and map index where there is one.
    for path in _find(fs, folder, depth=4):
        parts = path[len(folder) + 1 :].split("/")
        if len(parts) < 3 or not ours.fullmatch(parts[-1]):
            continue
        if this_run if parts[0] == run else oldest is not None and _modified(fs, path) < oldest:
            fs.rm_file(path)
            _remove_empty(fs, path.rpartition("/")[0], folder)
            removed.append(path)
    return removed


def _find(fs: AbstractFileSystem, folder: str, depth: int) -> Iterator[str]:
    """Yield the files below a folder, at most so many levels deep."""
    fs.invalidate_cache(folder)
    with contextlib.suppress(FileNotFoundError):
        for entry in fs.ls(folder, detail=True):
            if entry.get("islink"):
                continue
            if entry["type"] == "file":
                yield entry["name"]
            elif depth > 1 and entry["name"].rstrip("/") != folder:
                yield from _find(fs, entry["name"].rstrip("/"), depth - 1)


def _modified(fs: AbstractFileSystem, path: str) -> datetime:
    moment = fs.modified(path)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _remove_empty(fs: AbstractFileSystem, folder: str, top: str) -> None:
    """Remove folders that are empty, from `folder` up to `top`; object stores have none."""
    with contextlib.suppress(OSError):
        while folder != top and isinstance(fs, LocalFileSystem):
            fs.rmdir(folder)
            folder = folder.rpartition("/")[0]


def _partial_stem(final: str, writer: str) -> str:
    folder, _, name = final.rpartition("/")
    return f"{folder}/.{name}.{writer}." if writer else f"{folder}/.{name}."


def _remove_partials(fs: AbstractFileSystem, final: str, writer: str) -> None:
    partial = re.compile(re.escape(_partial_stem(final, writer)) + r"[0-9a-f]{32}\.partial")
    with contextlib.suppress(FileNotFoundError):
        for path in fs.ls(final.rpartition("/")[0] or "/", detail=False):
            if partial.fullmatch(path):
                fs.rm(path)


@contextlib.contextmanager
def scratch_folder() -> Iterator[str]:
    """Make a local folder for this process alone, which is gone afterwards.

    A process that is killed cannot remove its own: whoever comes next does. Each is locked as long as its
    process lives, and has its name only once it is locked.
    """
    parent = Path(tempfile.gettempdir())
    for folder in parent.glob(f"{SCRATCH}????????"):
        with contextlib.suppress(OSError), _locked(folder):
            shutil.rmtree(folder)
    with tempfile.TemporaryDirectory(prefix=f".{SCRATCH}") as new, _locked(Path(new)):
        folder = Path(new).rename(parent / Path(new).name[1:])
        try:
            yield str(folder)
        finally:
            folder.rename(new)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder.

    :raises OSError: if another has locked it, or it is a link.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def fingerprint(uri: str, conn_id: str | None = None) -> str:
    """Return what tells a file from one that was there before: its size and time, or the store's own tag."""
    fs, path = _resolve(uri, conn_id)
    return fs.ukey(path)


def _resolve(uri: str, conn_id: str | None) -> tuple[AbstractFileSystem, str]:
    """Return the filesystem of a URI, and the path in it."""
    try:
        path = ObjectStoragePath(uri, conn_id=conn_id)
        return path.fs, path.path
    except ValueError as error:
        raise InputError(
            f"{without_secrets(uri)} cannot be opened: {error}; install the Airflow provider for that "
            "storage (amazon for s3, google for gs, microsoft-azure for abfss)"
        ) from None
