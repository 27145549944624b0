"""Tables as a cluster writes them: a folder for each try, and a file beside it that tells which one counts.

    table.parquet/_segmentation.json    written last: the folder, its parts in order, the facts
    table.parquet/try-0123456789abcdef/part-00000-….snappy.parquet

Spark numbers its parts by their size, and puts a UUID in their names: so their order is told. The same layout
is right where a rename is one call, and on object stores, where it would copy all.
"""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_segmentation.errors import InputError
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.storage.files import open_for_reading, resolve, written_whole

MARKER = "_segmentation.json"
VERSION = 1
_TRY = re.compile(r"try-[0-9a-f]{16}")


@dataclass(frozen=True)
class Folder:
    """What the file that is written last tells of a table."""

    folder: str
    """Name of the folder in which the parts lie."""
    parts: Sequence[tuple[str, int]]
    """Name of each part and how many rows it has, in the order of the rows."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(rows for _, rows in self.parts)


def new_try() -> str:
    """Return the name of a folder that nobody has written to."""
    return f"try-{uuid.uuid4().hex[:16]}"


def written(uri: str, conn_id: str | None = None) -> Folder | None:
    """Return what is told of the table at `uri`; None where it is no folder that :func:`finish` completed.

    :raises InputError: if there is such a folder, but not complete.
    """
    fs, path = resolve(uri, conn_id)
    fs.invalidate_cache()
    if not fs.exists(f"{path}/{MARKER}"):
        inside = []
        with contextlib.suppress(OSError):
            inside = [name.rstrip("/").rpartition("/")[2] for name in fs.ls(path, detail=False)]
        if inside and all(map(_TRY.fullmatch, inside)):
            raise InputError(
                f"{without_secrets(uri)} is a table that was not written to its end; run the task that "
                "writes it again"
            )
        return None
    with open_for_reading(f"{uri}/{MARKER}", conn_id) as file:
        try:
            told = json.loads(file.read())
            if told["version"] != VERSION or not _TRY.fullmatch(told["folder"]):
                raise ValueError(told["version"])
            parts = [(str(name), int(rows)) for name, rows in told["parts"]]
            return Folder(told["folder"], parts, dict(told["facts"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{without_secrets(uri)}/{MARKER} cannot be read ({error!r}): it was changed, or written by "
                "another version of airflow-segmentation; run the task that wrote it again"
            ) from None


def finish(uri: str, table: Folder) -> None:
    """Make a table of the folder of a try, and remove those of tries before."""
    told = {"version": VERSION, "rows": table.rows, **vars(table)}
    with written_whole(f"{uri}/{MARKER}") as file:
        file.write(json.dumps(told, default=list).encode())
    remove(uri, kept=table.folder)


def remove(uri: str, kept: str | None = None) -> None:
    """Remove the folders of tries, all but one, as far as that is possible; and the table, if all are.

    What lies below links, or is not ours by its name, stays.
    """
    fs, path = resolve(uri, None)
    fs.invalidate_cache()
    with contextlib.suppress(OSError):
        if kept is None and fs.exists(f"{path}/{MARKER}"):
            fs.rm_file(f"{path}/{MARKER}")
        for entry in fs.ls(path, detail=True):
            name = entry["name"].rstrip("/").rpartition("/")[2]
            if _TRY.fullmatch(name) and name != kept and not entry.get("islink"):
                _remove_folder(fs, entry["name"].rstrip("/"))
        if kept is None:
            fs.rmdir(path)


def _remove_folder(fs: Any, folder: str) -> None:
    entries = [entry for entry in fs.ls(folder, detail=True) if entry["name"].rstrip("/") != folder]
    for entry in entries:
        if entry["type"] == "directory" and not entry.get("islink"):
            _remove_folder(fs, entry["name"].rstrip("/"))
        else:
            fs.rm_file(entry["name"])
    with contextlib.suppress(OSError, NotImplementedError):
        fs.rmdir(folder)
