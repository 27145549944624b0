"""Files at a URI: where a task's own files lie, reading them, and writing them whole or not at all.

Every URI opens through :class:`~airflow.sdk.ObjectStoragePath`, so a local path, `s3://connection@bucket/key`,
`gs://…` and `abfss://…` are the same code. Every one passes :func:`_resolve`, which lets through only what
lies under the administrator's `[segmentation] allowed_paths`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow.providers.common.compat.sdk import AirflowNotFoundException, conf, redact
from airflow.sdk import ObjectStoragePath
from fsspec.implementations.local import LocalFileSystem

from airflow_segmentation.errors import InputError

if TYPE_CHECKING:
    from airflow.sdk import Context
    from fsspec import AbstractFileSystem


def output_uri(context: Context, name: str) -> str:
    """Return the URI of this task instance's own file `name`: no other task instance has the same.

    It lies under `[segmentation] storage_path`, then Dag id, run id, task id and, for a mapped task, map
    index.
    """
    ti = context["ti"]
    parts = [ti.dag_id, ti.run_id, ti.task_id]
    if ti.map_index is not None and ti.map_index >= 0:
        parts.append(str(ti.map_index))
    return "/".join([_storage_path().rstrip("/"), *map(safe_segment, parts), name])


def safe_segment(name: str) -> str:
    """Return `name` as one path segment that no store misreads; different names give different segments.

    A name that is not plain already keeps its letters and digits, and gets a hash of the whole.
    """
    if re.fullmatch(r"[a-z0-9_][a-z0-9_.-]{0,99}", name):
        return name
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:80]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


_PASSWORD = re.compile(r"(?P<user>[a-z0-9+.-]+://[^/@:]*):(?!\d*/)([^@]*@)([^/@]*@)*", re.IGNORECASE)
"""A user's name and the password after it, in a URI; a port is none."""
_SIGNED = re.compile(r"://.*[?&][^=&]*(sig|token|secret|passw|credential|key)[^=&]*=", re.IGNORECASE)
"""A parameter of a URI's query that by its name lets in whoever has it."""


def without_secrets(uri: str) -> str:
    """Return the URI without a password or a query, fit for a log, an XCom or a page."""
    uri = _PASSWORD.sub(r"\g<user>@", uri)
    return uri.partition("?")[0] if "://" in uri else uri


def open_for_reading(uri: str, conn_id: str | None = None, **kwargs: Any) -> IO[bytes]:
    """Open a file to read.

    :raises InputError: if there is none, or it may not be read.
    :raises OSError: if the storage fails, which it may not when Airflow tries again.
    """
    fs, path = _resolve(uri, conn_id)
    shown = without_secrets(uri)
    try:
        return fs.open(path, mode="rb", **kwargs)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"There is no file at {shown}; check the path, the connection, and that "
            "this worker sees the same storage. If it arrives later, wait for it with a sensor"
        ) from None
    except IsADirectoryError:
        raise InputError(f"{shown} is a folder; give the path of one file") from None
    except PermissionError:
        raise InputError(
            f"{shown} may not be read; give this worker's user, or the connection, the right to read it"
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
            raise _failure(error, f"{shown} could not be opened") from None
        raise InputError(f"{shown} cannot be a file ({error.strerror}); choose another path") from None


@contextlib.contextmanager
def written_whole(uri: str, conn_id: str | None = None) -> Iterator[IO[bytes]]:
    """Open a file to write; it takes its name only once it is complete, replacing what had the name.

    :raises InputError: if it may not be written, or there is a folder of that name.
    :raises OSError: if the storage fails or is full, which it may not be when Airflow tries again.
    """
    fs, final = _resolve(uri, conn_id)
    shown = without_secrets(uri)
    folder, _, name = final.rpartition("/")
    partial = f"{folder}/.{name}.{uuid.uuid4().hex}.partial"
    try:
        if fs.isdir(final):
            raise InputError(f"{shown} is a folder; give the path of a file to write")
        fs.makedirs(folder or "/", exist_ok=True)
        with fs.open(partial, mode="wb") as file:
            yield file
        fs.mv(partial, final)
    except BaseException as error:
        with contextlib.suppress(Exception):
            fs.rm(partial)
        if isinstance(error, PermissionError):
            raise InputError(
                f"{shown} may not be written; give this worker's user, or the connection, the right to "
                "write there, or choose another path"
            ) from None
        if isinstance(error, (NotADirectoryError, FileExistsError)):
            raise InputError(f"{shown} lies below a file, not a folder; choose another path") from None
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            message = f"No space is left to write {shown}; free some, or choose a path with more"
            raise OSError(errno.ENOSPC, message) from None
        if isinstance(error, OSError) and error.errno is not None:
            raise _failure(error, f"{shown} was not written") from None
        raise


def _failure(error: OSError, what: str) -> OSError:
    """Return the error of a storage, of which some tell the secrets that they were opened with."""
    return OSError(error.errno or errno.EIO, f"{what}: {redact(str(error.strerror or error))}")


def remove(uri: str) -> None:
    """Remove a file, if there is one."""
    fs, path = _resolve(uri, None)
    with contextlib.suppress(FileNotFoundError):
        fs.rm(path)


def fingerprint(uri: str, conn_id: str | None = None) -> str:
    """Return what tells a file from one that was there before: its size and time, or the store's own tag."""
    fs, path = _resolve(uri, conn_id)
    return fs.ukey(path)


@contextlib.contextmanager
def scratch_folder() -> Iterator[str]:
    """Make a local folder for this process alone, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="segmentation-") as folder:
        _scratch.add(folder)
        try:
            yield folder
        finally:
            _scratch.discard(folder)


_scratch: set[str] = set()


def _storage_path() -> str:
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return conf.get("segmentation", "storage_path", fallback=f"{home}/segmentation")


def _resolve(uri: str, conn_id: str | None) -> tuple[AbstractFileSystem, str]:
    """Return the filesystem of a URI, and the path in it.

    :raises InputError: if there is no such filesystem, or the path is not an allowed one.
    """
    shown = without_secrets(uri)
    if _PASSWORD.search(uri) or _SIGNED.search(uri):
        raise InputError(
            f"{shown} was given with a password or a token, which would end up in logs and on pages; keep it "
            "in an Airflow connection, and name that: scheme://connection@bucket/key"
        )
    try:
        path = ObjectStoragePath(uri, conn_id=conn_id)
        _require_allowed(path, shown)
        fs = path.fs
    except AirflowNotFoundException:
        raise InputError(
            f"{shown} needs the connection {path.conn_id!r}, which there is not; add it in Admin > "
            "Connections, or name another"
        ) from None
    except (ValueError, ImportError) as error:
        raise InputError(
            f"{shown} cannot be opened: {error}; install the Airflow provider for that "
            "storage (amazon for s3, google for gs, microsoft-azure for abfss)"
        ) from None
    return fs, _real(path) if isinstance(fs, LocalFileSystem) else path.path


def _require_allowed(path: ObjectStoragePath, shown: str) -> None:
    allowed = conf.get("segmentation", "allowed_paths", fallback="")
    roots = [root.strip() for root in re.split(r"[,\n]", allowed) if root.strip()]
    if not roots:
        return
    place = _place(path)
    try:
        above = [_place(ObjectStoragePath(root)) for root in (*roots, _storage_path(), *_scratch)]
    except ValueError as error:
        raise InputError(
            f"[segmentation] allowed_paths holds what is no path ({error}), so nothing is opened; the "
            "administrator of this Airflow can put it right"
        ) from None
    if place is None or not any(root and place[: len(root)] == root for root in above):
        raise InputError(
            f"{shown} is not under [segmentation] allowed_paths, which are "
            f"{', '.join(map(without_secrets, roots))}; choose a path under one of them, or ask the "
            "administrator of this Airflow to allow another"
        )


def _place(path: ObjectStoragePath) -> tuple[str, ...] | None:
    """Return where a path leads: its store, then segment by segment; None if it may lead anywhere.

    A local path is what the operating system makes of it, links and all. What another store makes of `..`,
    plain or encoded once or more, is for that store to know, so no path with one is taken.
    """
    if path.protocol in ("", "file", "local"):
        return ("file", *Path(_real(path)).parts)
    decoded = path.path
    while decoded != (decoded := unquote(decoded)):
        pass
    if ".." in re.split(r"[/\\]", decoded):
        return None
    store = (path.protocol, str(path.conn_id), repr(sorted(path.storage_options.items())))
    return (*store, *path.path.rstrip("/").split("/"))


def _real(path: ObjectStoragePath) -> str:
    """Return the path that the operating system opens in the end."""
    return os.path.realpath(LocalFileSystem._strip_protocol(path.path))
