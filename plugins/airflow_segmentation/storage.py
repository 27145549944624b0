"""Files at a URI: where a task's own files lie, reading them, and writing them whole or not at all.

Every URI opens through :class:`~airflow.sdk.ObjectStoragePath`, so a local path, `s3://connection@bucket/key`,
`gs://…` and `abfss://…` are the same code.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf
from airflow.sdk import ObjectStoragePath

from airflow_segmentation.errors import InputError

if TYPE_CHECKING:
    from airflow.sdk import Context
    from fsspec import AbstractFileSystem


OBJECT_STORES = {"s3", "gs", "abfs"}
"""Filesystems, by their name in fsspec, where a file appears when it is closed and not before."""


def storage_path() -> str:
    """Return `[segmentation] storage_path`: the folder or URI under which all tasks write."""
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return conf.get("segmentation", "storage_path", fallback=f"{home}/segmentation").rstrip("/")


def project_root(checkout: Path) -> str:
    """Return where data and models lie: in a checkout, or in the object store that workers share instead."""
    root = storage_path()
    return root if "://" in root else str(checkout)


def output_uri(context: Context, name: str) -> str:
    """Return the URI of this task instance's own file `name`: no other task instance has the same.

    It lies under `[segmentation] storage_path`, then Dag id, run id, task id and, for a mapped task, map
    index.
    """
    ti = context["ti"]
    parts = [ti.dag_id, ti.run_id, ti.task_id]
    if ti.map_index is not None and ti.map_index >= 0:
        parts.append(str(ti.map_index))
    return "/".join([storage_path(), *map(safe_segment, parts), name])


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
    """
    fs, path = _resolve(uri, conn_id)
    try:
        return fs.open(path, mode="rb", **kwargs)
    except FileNotFoundError:
        raise InputError(
            f"There is no file at {without_secrets(uri)}; check the path, the connection, and that "
            "this worker sees the same storage. If it arrives later, wait for it with a sensor"
        ) from None
    except IsADirectoryError:
        raise InputError(f"{without_secrets(uri)} is a folder; give the path of one file") from None


@contextlib.contextmanager
def written_whole(uri: str, conn_id: str | None = None) -> Iterator[IO[bytes]]:
    """Open a file to write; it takes its name only once it is complete, replacing what had the name."""
    fs, final = _resolve(uri, conn_id)
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else {*fs.protocol}
    with _uploaded(fs, final) if protocols & OBJECT_STORES else _renamed(fs, final) as file:
        yield file


@contextlib.contextmanager
def _renamed(fs: AbstractFileSystem, final: str) -> Iterator[IO[bytes]]:
    """Write under another name beside the final one, then rename."""
    folder, _, name = final.rpartition("/")
    partial = f"{folder}/.{name}.{uuid.uuid4().hex}.partial"
    fs.makedirs(folder or "/", exist_ok=True)
    try:
        with fs.open(partial, mode="wb") as file:
            yield file
        fs.mv(partial, final)
    except BaseException:
        with contextlib.suppress(Exception):
            fs.rm(partial)
        raise


@contextlib.contextmanager
def _uploaded(fs: AbstractFileSystem, final: str) -> Iterator[IO[bytes]]:
    """Write to an object store, where closing a file puts it in one go; there a rename would be a copy."""
    file = fs.open(final, mode="wb")
    try:
        yield file
        file.close()
    except BaseException:
        with contextlib.suppress(Exception):
            file.discard()
        file.closed = True  # or the garbage collector would close it, and so put it after all
        raise


def remove(uri: str) -> None:
    """Remove a file, if there is one."""
    fs, path = _resolve(uri, None)
    with contextlib.suppress(FileNotFoundError):
        fs.rm(path)


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
