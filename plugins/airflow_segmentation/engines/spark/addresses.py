"""URIs as a cluster opens them, once it is sure that they may be opened."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from urllib.parse import unquote

from fsspec.implementations.local import LocalFileSystem

from airflow_segmentation.errors import InputError
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.storage.files import resolve

SCHEMES = {
    "s3": "s3a",
    "s3a": "s3a",
    "gs": "gs",
    "gcs": "gs",
    "abfs": "abfss",
    "abfss": "abfss",
    "hdfs": "hdfs",
}
"""How Hadoop calls what fsspec opens."""
_PATTERN = re.compile(r"[*?\[{]")


def for_cluster(uri: str, conn_id: str | None = None, may_match: bool = False) -> str:
    """Return a path or URI as Spark opens it: `file:///…` or `s3a://bucket/key`, without a connection.

    The cluster has credentials of its own.

    :param may_match: whether the path may be a pattern that several match; a file of just that name comes
        first.

    :raises InputError: if it is not under `[segmentation] allowed_paths`, or of a storage that has no name on
        a cluster.
    """
    fs, path = resolve(uri, conn_id)
    if _PATTERN.search(path) and not (may_match and is_pattern(uri, conn_id)):
        path = re.sub(r"([*?\[\]{}\\])", r"\\\1", path)
    if isinstance(fs, LocalFileSystem):
        return f"file://{path}"
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    scheme = next((SCHEMES[name] for name in protocols if name in SCHEMES), None)
    if scheme is None:
        raise InputError(
            f"{without_secrets(uri)} is of a storage ({protocols[0]}) that Spark has no name for; give a "
            "path that all its machines see, or a URI of s3, gs or abfs"
        )
    path = path.lstrip("/")
    if scheme != "abfss":
        return f"{scheme}://{path}"
    container, _, key = path.partition("/")
    account = getattr(fs, "account_name", None)
    if not account:
        raise InputError(
            f"{without_secrets(uri)} needs the name of its storage account; give it in the connection's login"
        )
    return f"abfss://{container}@{account}.dfs.core.windows.net/{key}"


def is_pattern(uri: str, conn_id: str | None = None) -> bool:
    """Tell whether a path has wildcards in it and is no file or folder of that name."""
    fs, path = resolve(uri, conn_id)
    return bool(_PATTERN.search(path)) and not fs.exists(path)


def name_of(path: str) -> str:
    """Return the path that Spark tells of a file, as a person writes it."""
    scheme, _, rest = path.partition(":")
    return unquote("/" + rest.lstrip("/") if scheme == "file" else path)


def for_worker(path: str, uri: str) -> str:
    """Return as this worker opens it what :func:`name_of` returned of a file below a URI."""
    scheme, found, rest = uri.partition("://")
    if not found or scheme in ("file", "local"):
        return path
    key = unquote(path.partition("://")[2].partition("/")[2])
    return f"{scheme}://{rest.partition('/')[0]}/{key}"


def require_allowed(paths: Iterable[str]) -> None:
    """Raise an error unless local files lie where they may, with every link in their paths followed.

    :param paths: as Spark tells them. A folder or a pattern leads through links not looked at before.
    """
    for path in paths:
        if path.startswith("file:"):
            name = name_of(path)
            if os.path.realpath(name) != name:
                resolve(name, None)
