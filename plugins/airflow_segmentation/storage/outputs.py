"""Each task's own files: where they lie, and removing them."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from fsspec.implementations.local import LocalFileSystem

from airflow_segmentation.storage.files import modified, resolve, storage_path

if TYPE_CHECKING:
    from airflow.sdk import Context
    from fsspec import AbstractFileSystem


DEEPEST = 10
"""Folders below a Dag's own: run, task, table of parts, and what a cluster makes while it writes them."""


def output_uri(context: Context, name: str) -> str:
    """Return the URI of this task instance's own file `name`: no other task instance has the same.

    It lies under `[segmentation] storage_path`, then Dag id, run id, task id and, for a mapped task, map
    index.
    """
    return "/".join([storage_path(), *map(safe_segment, _identity(context)), name])


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


def remove_outputs(
    context: Context, names: Collection[str], this_run: bool, older_than: timedelta | None
) -> list[str]:
    """Remove what tasks of this Dag wrote at :func:`output_uri`, and return the files that it was.

    What a try that was killed left of them goes, too, and folders that are empty then.

    :param names: names of the files; others stay.
    :param this_run: whether to remove those of this run.
    :param older_than: the age from which those of other runs are removed; None to leave them.
    """
    fs, root = resolve(storage_path(), None)
    root = fs._strip_protocol(root)  # as the store itself writes it in what it lists
    dag, run = map(safe_segment, _identity(context)[:2])
    ours = re.compile(rf"\.?({'|'.join(map(re.escape, names))})(\.state)?(\.[0-9a-f]{{32}}\.partial)?")
    oldest = None if older_than is None else datetime.now(timezone.utc) - older_than
    folder = f"{root.rstrip('/')}/{dag}"
    removed: list[str] = []
    if isinstance(fs, LocalFileSystem) and Path(folder).is_symlink():
        return removed  # a link may lead out of storage, and none is followed
    for path in _find(fs, folder, DEEPEST):
        # Run, task, map index where there is one; then the file, or a folder of parts.
        parts = path[len(folder) + 1 :].split("/")
        if not any(map(ours.fullmatch, parts[2:4])):
            continue
        with contextlib.suppress(FileNotFoundError):  # another run of this Dag may remove it, too
            if this_run if parts[0] == run else oldest is not None and modified(fs, path) < oldest:
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


def _remove_empty(fs: AbstractFileSystem, folder: str, top: str) -> None:
    """Remove folders that are empty, from `folder` up to `top`; object stores have none."""
    with contextlib.suppress(OSError):
        while folder != top and isinstance(fs, LocalFileSystem):
            fs.rmdir(folder)
            folder = folder.rpartition("/")[0]
