"""Files at a URI: reading them, and writing them whole or not at all.

Every URI opens through :class:`~airflow.sdk.ObjectStoragePath`, so a local path, `s3://connection@bucket/key`,
`gs://…` and `abfss://…` are the same code. Every one passes :func:`resolve`, which lets through only what
lies under `[segmentation] allowed_paths`.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import os
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import fsspec
from airflow.providers.common.compat.sdk import AirflowNotFoundException, conf, redact
from airflow.sdk import ObjectStoragePath
from fsspec.implementations.local import LocalFileSystem

from airflow_segmentation.errors import InputError, has_control
from airflow_segmentation.provider import setting
from airflow_segmentation.storage import scratch
from airflow_segmentation.storage.addresses import LONGEST_URI, decoded, parted, without_secrets
from airflow_segmentation.storage.local_files import LocalFiles, NoLinksError, NotRegularError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


OBJECT_STORES = {"s3", "gs", "abfs"}
"""Filesystems, by their name in fsspec, where a file appears when it is closed and not before."""


def storage_path() -> str:
    """Return `[segmentation] storage_path`: the folder or URI under which all tasks write."""
    return setting("storage_path").rstrip("/")


def project_root(checkout: Path) -> str:
    """Return where data and models lie: in a checkout, or in the object store that workers share instead."""
    root = storage_path()
    return root if "://" in root else str(checkout)


DEEPEST, MOST_FILES = 20, 100_000
"""Folders in folders, and files, that a table has at most."""

_SCHEME = re.compile(r"\A(?:(?:file|local)(?=:)|[a-z0-9+.-]+(?=://))", re.IGNORECASE)
"""The scheme of a URI, and not a local name with a colon in it."""
_CHAIN = re.compile(r"[a-z0-9+.-]+(://[^\[]*)?::", re.IGNORECASE)
"""Several filesystems, one of which opens what another leads to."""
_LOCAL = ("", "file", "local")
"""Protocols of local paths."""
_WILDCARD = re.compile(r"[*?\[]")


class NoFileError(InputError):
    """There is no file of that name."""


def open_for_reading(uri: str, conn_id: str | None = None, **kwargs: Any) -> IO[bytes]:
    """Open a file to read.

    :raises NoFileError: if there is none.
    :raises InputError: if it may not be read, or is a device or a pipe, which may have no end.
    :raises OSError: if the storage fails, or all of it is away, which it may not be when Airflow tries again.
    """
    fs, path = resolve(uri, conn_id)
    shown = without_secrets(uri)
    try:
        return fs.open(path, mode="rb", **kwargs)
    except (FileNotFoundError, NotADirectoryError):
        _require_storage(fs, uri, conn_id)
        raise NoFileError(
            f"There is no file at {shown}; check the path, the connection, and that "
            "this worker sees the same storage. If it arrives later, wait for it with a sensor"
        ) from None
    except IsADirectoryError:
        raise InputError(f"{shown} is a folder; give the path of one file") from None
    except NotRegularError:
        raise InputError(f"{shown} is a device, a pipe or a socket; give the path of a file") from None
    except PermissionError:
        raise InputError(
            f"{shown} may not be read; give this worker's user, or the connection, the right to read it"
        ) from None
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.ELOOP):
            raise _failure(error, f"{shown} could not be opened") from None
        raise InputError(f"{shown} cannot be a file ({error.strerror}); choose another path") from None


def _require_storage(fs: AbstractFileSystem, uri: str, conn_id: str | None) -> None:
    """Raise FileNotFoundError if what is not there is so because all of the storage is away."""
    root = storage_path()
    is_below = uri.startswith(f"{root}/") and not _is_object_store(fs)
    if is_below and not fs.exists(resolve(root, conn_id)[1]):
        raise FileNotFoundError(
            f"The storage at {without_secrets(root)} is away; see that it is mounted on this worker"
        ) from None


@contextlib.contextmanager
def written_whole(uri: str, conn_id: str | None = None, writer: str = "") -> Iterator[IO[bytes]]:
    """Open a file to write; it takes its name only once it is complete, replacing what had the name.

    :param writer: who writes a file that several may write, see :func:`writer_of`. What a try that was killed
        left of the same file by the same writer is removed.

    :raises InputError: if it may not be written, there is a folder of that name, or no bucket.
    :raises OSError: if the storage fails or is full, which it may not be when Airflow tries again.
    """
    fs, final = resolve(uri, conn_id)
    shown = without_secrets(uri)
    with _reason_told(shown):
        if fs.isdir(final):
            raise InputError(f"{shown} is a folder; give the path of a file to write")
        with _uploaded(fs, final) if _is_object_store(fs) else _renamed(fs, final, writer) as file:
            yield file


def created(uri: str, content: bytes, conn_id: str | None = None) -> bool:
    """Write a small file unless one has its name, and return whether: of several at once, one does.

    :raises InputError: if it may not be written, or its store does not tell who was first.
    """
    fs, final = resolve(uri, conn_id)
    shown = without_secrets(uri)
    unordered = InputError(
        f"{shown} is in a store that does not tell which of two tasks wrote a file first; choose a local "
        "path on a disk that has hard links, or one of s3://, gs:// or abfss://"
    )
    if not isinstance(fs, LocalFiles) and not _is_object_store(fs):
        raise unordered
    with _reason_told(shown):
        try:
            if isinstance(fs, LocalFiles):
                fs.makedirs(final.rpartition("/")[0], exist_ok=True)
                fs.create(final, content)
            else:
                with _uploaded(fs, final, "xb") as file:
                    file.write(content)
        except FileExistsError:
            return False
        except NoLinksError:
            raise unordered from None
    return True


@contextlib.contextmanager
def _reason_told(shown: str) -> Iterator[None]:
    """Raise an error in words where a file cannot be written."""
    try:
        yield
    except PermissionError:
        raise InputError(
            f"{shown} may not be written; give this worker's user, or the connection, the right to "
            "write there, or choose another path"
        ) from None
    except (NotADirectoryError, FileExistsError):
        raise InputError(f"{shown} lies below a file, not a folder; choose another path") from None
    except NotRegularError:
        raise InputError(f"{shown} is a device, a pipe or a socket; choose another path") from None
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            raise InputError(f"{shown} cannot be a file ({error.strerror}); choose another path") from None
        if error.errno == errno.ENOSPC:
            message = f"No space is left to write {shown}; free some, or choose a path with more"
            raise OSError(errno.ENOSPC, message) from None
        if error.errno is None:
            raise
        raise _failure(error, f"{shown} was not written") from None


def written_at(uri: str, conn_id: str | None = None) -> datetime:
    """Return when a file was written, by the clock of its store."""
    return modified(*resolve(uri, conn_id))


def modified(fs: AbstractFileSystem, path: str) -> datetime:
    """Return when a file was written, as an aware datetime from any store."""
    moment = fs.modified(path)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


@contextlib.contextmanager
def _renamed(fs: AbstractFileSystem, final: str, writer: str) -> Iterator[IO[bytes]]:
    """Write under another name beside the final one, then rename."""
    fs.makedirs(final.rpartition("/")[0] or "/", exist_ok=True)
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


@contextlib.contextmanager
def _uploaded(fs: AbstractFileSystem, final: str, mode: str = "wb") -> Iterator[IO[bytes]]:
    """Write to an object store, where closing a file puts it in one go; there a rename would be a copy."""
    file = fs.open(final, mode=mode)
    try:
        yield file
        file.close()
    except BaseException as error:
        with contextlib.suppress(Exception):
            file.discard()
        file.closed = True  # or the garbage collector would close it, and so put it after all
        bucket = final.partition("/")[0]
        if isinstance(error, FileNotFoundError) and not fs.exists(bucket):
            raise InputError(
                f"There is no bucket {bucket!r} to write to; make it, or choose another path"
            ) from None
        raise


def _is_object_store(fs: AbstractFileSystem) -> bool:
    return bool(OBJECT_STORES & ({fs.protocol} if isinstance(fs.protocol, str) else {*fs.protocol}))


def _failure(error: OSError, what: str) -> OSError:
    """Return the error of a storage, of which some tell the secrets that they were opened with."""
    return OSError(error.errno or errno.EIO, f"{what}: {redact(str(error.strerror or error))}")


def remove(uri: str) -> None:
    """Remove a file of a task's own, if there is one, and what a try that was killed left of it."""
    fs, path = resolve(uri, None)
    _remove_partials(fs, path, "")
    with contextlib.suppress(FileNotFoundError):
        fs.rm(path)


def _partial_stem(final: str, writer: str) -> str:
    folder, _, name = final.rpartition("/")
    return f"{folder}/.{name}.{writer}." if writer else f"{folder}/.{name}."


def _remove_partials(fs: AbstractFileSystem, final: str, writer: str) -> None:
    partial = re.compile(re.escape(_partial_stem(final, writer)) + r"[0-9a-f]{32}\.partial")
    with contextlib.suppress(FileNotFoundError):
        for path in fs.ls(final.rpartition("/")[0] or "/", detail=False):
            if partial.fullmatch(path):
                fs.rm(path)


def fingerprint(uri: str, conn_id: str | None = None) -> str:
    """Return what tells a file, or the files of a folder or a pattern, from what was there before.

    It is made of their sizes and times, or of the store's own tags.
    """
    fs, path = resolve(uri, conn_id)
    if is_pattern(uri, conn_id):
        matching, _ = _matching(uri, conn_id)
        return repr([(file, fs.ukey(resolve(file, conn_id)[1])) for file in matching])
    if not fs.isdir(path):
        return fs.ukey(path)
    return repr([(name, fs.ukey(f"{path}/{name}")) for name in visible_files(uri, conn_id)])


def is_folder(uri: str, conn_id: str | None = None) -> bool:
    """Tell whether a URI is that of a folder."""
    fs, path = resolve(uri, conn_id)
    return _looked_up(fs.isdir, path, uri)


def _looked_up(is_so: Callable[[str], bool], path: str, uri: str) -> bool:
    """Return what a storage tells of a path; False where it lets nobody ask, who may yet read the file.

    :raises OSError: if the storage fails.
    """
    try:
        return is_so(path)
    except PermissionError:
        return False
    except OSError as error:
        raise _failure(error, f"{without_secrets(uri)} could not be opened") from None


def visible_files(uri: str, conn_id: str | None = None) -> list[str]:
    """Return the names of the files below a folder, sorted; what begins with `.` or `_` is passed over.

    :raises InputError: if there are more than anybody writes, or folders in folders without end.
    """
    fs, top = resolve(uri, conn_id)
    top, found = top.rstrip("/"), []
    fs.invalidate_cache(top)
    folders = [("", 0)]
    while folders:
        folder, depth = folders.pop()
        for last, is_inner in _visible(fs, f"{top}/{folder}".rstrip("/")):
            name = f"{folder}/{last}".lstrip("/")
            if is_inner:
                folders.append((name, depth + 1))
            else:
                found.append(name)
            if depth > DEEPEST or len(found) + len(folders) > MOST_FILES:
                raise InputError(
                    f"{without_secrets(uri)} has more than {MOST_FILES} files, or folders more than "
                    f"{DEEPEST} deep; give the folder of one table"
                )
    return sorted(found)


def _visible(fs: AbstractFileSystem, folder: str) -> Iterator[tuple[str, bool]]:
    """Yield the names in a folder that begin with neither `.` nor `_`, and whether each is a folder."""
    for entry in fs.ls(folder, detail=True):
        path = entry["name"].rstrip("/")
        name = path.rpartition("/")[2]
        # An object store may list the folder itself, too.
        if name[:1] not in ("", ".", "_") and len(path) > len(folder):
            yield name, entry["type"] == "directory"


def is_pattern(uri: str, conn_id: str | None = None) -> bool:
    """Tell whether the last part of a path has wildcards in it, and nothing is called so.

    :raises InputError: if there are wildcards for folders.
    """
    fs, path = resolve(uri, conn_id)
    folder = path.rpartition("/")[0]
    if not _WILDCARD.search(path) or _looked_up(fs.exists, path, uri):
        return False
    if _WILDCARD.search(folder) and not _looked_up(fs.exists, folder, uri):
        _require_storage(fs, uri, conn_id)
        raise InputError(
            f"{without_secrets(uri)} has a wildcard in the name of a folder, and only the last part of a "
            "path may have one; give the files of one folder"
        )
    return bool(_WILDCARD.search(path.rpartition("/")[2]))


def files_at(uri: str, conn_id: str | None = None) -> tuple[list[str], list[str]] | None:
    """Return the URIs of the files in a folder, or of those that match a pattern; None if a path is neither.

    They come in the order of their names. What begins with `.` or `_` is passed over, and folders are not
    entered: the names of those come second.

    :raises InputError: if there is no such file, or they may not be listed.
    """
    if is_pattern(uri, conn_id):
        found = _matching(uri, conn_id)
        cure = (
            f"No file matches {without_secrets(uri)}, where * is any text, ? any letter and […] one of "
            "several; check the path, and that this worker sees the same storage. If the files arrive later, "
            "wait for them with a sensor"
        )
    elif is_folder(uri, conn_id):
        found = _matching(f"{uri.rstrip('/')}/*", conn_id)
        inside = f", but for folders such as {found[1][0]!r}," if found[1] else ""
        cure = (
            f"{without_secrets(uri)} is a folder without a file{inside} whose name begins with neither . nor "
            "_; give a file, or the folder in which the files lie"
        )
    else:
        return None
    if not found[0]:
        raise InputError(cure)
    return found


def _matching(uri: str, conn_id: str | None) -> tuple[list[str], list[str]]:
    """Return the URIs of files, and the names of folders, that match the last part of a path."""
    parent, found, pattern = uri.rpartition("/")
    parent = parent or found or "."
    fs, path = resolve(parent, conn_id)
    fs.invalidate_cache(path)
    try:
        names = [
            entry for entry in _visible(fs, path.rstrip("/") or "/") if fnmatch.fnmatchcase(entry[0], pattern)
        ]
    except FileNotFoundError:
        _require_storage(fs, uri, conn_id)
        names = []
    except PermissionError:
        raise InputError(
            f"The files in {without_secrets(parent)} may not be listed; give this worker's user, or the "
            "connection, the right to read it"
        ) from None
    except OSError as error:
        raise _failure(error, f"The files in {without_secrets(parent)} could not be listed") from None
    if len(names) > MOST_FILES:
        raise InputError(f"{without_secrets(uri)} has more than {MOST_FILES} files; give those of one table")
    files = sorted(name for name, is_inner in names if not is_inner)
    base = parent.rstrip("/")
    return [f"{base}/{name}" for name in files], sorted(name for name, is_inner in names if is_inner)


def resolve(uri: str, conn_id: str | None) -> tuple[AbstractFileSystem, str]:
    """Return the filesystem of a URI, and the path in it.

    :param conn_id: the connection of a URI that names none. Of a URI that names one, every version of Airflow
        would choose otherwise: 3.1 this, even if it is None, 3.2 the URI's, 3.3 this, unless it is None.

    :raises InputError: if there is no such filesystem, or the path is not an allowed one.
    """
    shown = without_secrets(uri)
    if len(uri) > LONGEST_URI:
        raise InputError(f"{shown} has {len(uri)} characters; a path or URI has at most {LONGEST_URI}")
    if has_control(uri):
        raise InputError(
            f"{shown} has a line break or another control character in it; look at the template or the task "
            "that it comes from"
        )
    if parted(uri)[1]:
        raise InputError(
            f"{shown} was given with a password or a token, which would end up in logs and on pages; keep it "
            "in an Airflow connection, and name that: scheme://connection@bucket/key"
        )
    if _CHAIN.match(uri):
        raise InputError(
            f"{shown} chains filesystems, which is not supported; give the path of the file itself"
        )
    uri = _SCHEME.sub(lambda scheme: scheme[0].lower(), uri)  # Airflow 3.1 opens no other
    try:
        path = ObjectStoragePath(uri)
        if conn_id and not _connection(path):
            path = ObjectStoragePath(uri, conn_id=conn_id)
        real = _real(path) if path.protocol in _LOCAL else path.path
        _require_allowed(_place(path, real), shown)
        fs = path.fs
    except AirflowNotFoundException:
        raise InputError(
            f"{shown} needs the connection {_connection(path)!r}, which there is not; add it in Admin > "
            "Connections, or name another"
        ) from None
    except (ValueError, ImportError) as error:
        raise InputError(
            f"{shown} cannot be opened: {error}; install the Airflow provider for that "
            "storage (amazon for s3, google for gs, microsoft-azure for abfss)"
        ) from None
    except (
        TypeError,
        AttributeError,
        NotImplementedError,
    ):  # of filesystems that are there for others to use
        raise InputError(f"{shown} names no storage that holds files; choose another path") from None
    # In the path every link is resolved, and it was checked so: whoever opens it follows none.
    return (LocalFiles(), real) if isinstance(fs, LocalFileSystem) else (fs, real)


def _connection(path: ObjectStoragePath) -> str | None:
    """Return the connection that a path opens with; Airflow 3.1 keeps it among the options of the store."""
    return getattr(path, "conn_id", None) or path.storage_options.get("conn_id")


def _require_allowed(place: tuple[str, ...] | None, shown: str) -> None:
    roots = _allowed_roots()
    if "*" in roots:
        return
    try:
        for root in roots:
            _require_known(ObjectStoragePath(root).protocol)
        above = [_place_of(root) for root in (*roots, storage_path(), *scratch.in_use)]
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


def _allowed_roots() -> list[str]:
    """Return where operators may read and write: by default the storage and the project's own folders."""
    roots = [root.strip() for root in re.split(r"[,\n]", setting("allowed_paths")) if root.strip()]
    if roots:
        return roots
    # Where a Dags folder is a link, as git-sync makes it, the project is beside what it leads to.
    dags = os.path.realpath(conf.get("core", "dags_folder"))
    project = os.path.dirname(dags)  # noqa: PTH120
    return [storage_path(), f"{project}/data", f"{project}/model", f"{dags}/data"]


def _require_known(protocol: str) -> None:
    """Raise ValueError if there is no such protocol, as Airflow 3.1 says only when it opens a path."""
    with contextlib.suppress(ImportError):  # one that there is, though not installed here
        fsspec.get_filesystem_class(protocol)


def _place_of(root: str) -> tuple[str, ...] | None:
    path = ObjectStoragePath(root)
    return _place(path, _real(path))


def _place(path: ObjectStoragePath, real: str) -> tuple[str, ...] | None:
    """Return where a path leads: its store, then segment by segment; None if it may lead anywhere.

    A local path is what the operating system makes of it, links and all. What another store makes of `..`,
    plain or encoded once or more, is for that store to know, so no path with one is taken.

    :param real: a local path as the operating system opens it in the end.
    """
    if path.protocol in _LOCAL:
        return ("file", *Path(real).parts)
    if ".." in re.split(r"[/\\]", decoded(path.path)):
        return None
    store = (path.protocol, str(_connection(path)), repr(sorted(path.storage_options.items())))
    return (*store, *path.path.rstrip("/").split("/"))


def _real(path: ObjectStoragePath) -> str:
    """Return the path that the operating system opens in the end, in which no link is left."""
    return os.path.realpath(LocalFileSystem._strip_protocol(path.path))
