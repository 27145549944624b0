"""What Spark says, in one line that tells the value, the rule and the cure."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException

from airflow_segmentation.errors import InputError, in_short
from airflow_segmentation.storage.addresses import without_secrets

AWAY = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
"""Statuses of gRPC where nobody answers."""


@contextlib.contextmanager
def told(conn_id: str, uri: str = "", secrets: Sequence[str] = ()) -> Iterator[None]:
    """Raise an error of Spark, or of the way there, in words.

    :param uri: what is being read or written.
    :param secrets: words that no message may hold.

    :raises InputError: where no retry makes it right.
    :raises AirflowException: where one may.
    """
    try:
        yield
    except AirflowException:
        raise
    except Exception as error:
        if not _is_of_spark(error):
            raise
        raise _in_words(error, conn_id, without_secrets(uri), secrets) from None


def _is_of_spark(error: Exception) -> bool:
    modules = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
    return bool(modules & {"pyspark", "grpc"})


def _in_words(error: Exception, conn_id: str, uri: str, secrets: Sequence[str]) -> AirflowException:
    said = str(error)
    status, details = _status(error)
    if status is not None:
        return _of_the_way(status, in_short(details or said, secrets), conn_id)
    for pattern, kind, message in _KNOWN:
        found = re.search(pattern, said, re.DOTALL)
        if found:
            words = {name: value or "" for name, value in found.groupdict().items()}
            return kind(message.format(conn_id=conn_id, uri=uri or "the table", **words))
    return AirflowException(
        f"Spark failed{f' on {uri}' if uri else ''}: {in_short(_last_line(said), secrets)}; its own log "
        "tells more"
    )


def _of_the_way(status: str, said: str, conn_id: str) -> AirflowException:
    """Return the error of a call that did not come through."""
    where = f"the Spark Connect server of the connection {conn_id!r}"
    if status == "UNAUTHENTICATED":
        return InputError(
            f"There is no way in at {where}: it takes another token ({said}); put its token in the "
            "connection's password"
        )
    if status == "PERMISSION_DENIED":
        return InputError(
            f"{where[0].upper()}{where[1:]} lets this user do nothing ({said}); ask who runs it for the right"
        )
    if status == "UNIMPLEMENTED":
        return InputError(
            f"What answers is not {where}, or an old one ({said}); its port is 15002 unless set otherwise, "
            "and it is Spark 4 or newer"
        )
    if status in AWAY and _SSL.search(said):
        return InputError(
            f"TLS was not agreed on with {where} ({said}): where the server or the proxy before it has TLS, "
            'set {"use_ssl": true} in the connection\'s extra, and where it has none, set false; a token is '
            "sent over TLS only, but for localhost. The certificate is to be one that this worker trusts"
        )
    if status in AWAY and _NOT_SPARK.search(said):
        return AirflowException(
            f"What answers at the port is not {where}, or wants TLS ({said}); the port is 15002 unless set "
            'otherwise, not the one of a master or a web page; for TLS set {"use_ssl": true} in the '
            "connection's extra"
        )
    if status in AWAY:
        return AirflowException(
            f"{where[0].upper()}{where[1:]} does not answer ({said}); look whether it runs, and at the host "
            "and port of the connection (15002 unless set otherwise)"
        )
    return AirflowException(
        f"{where[0].upper()}{where[1:]} failed ({status}: {said}); its own log tells more"
    )


_SSL = re.compile(r"SSL|TLS|handshake|certificate|WRONG_VERSION_NUMBER", re.IGNORECASE)
_NOT_SPARK = re.compile(
    r"http1|HTTP/1|Socket closed|End of TCP stream|settings frame|protocol", re.IGNORECASE
)

_RESTARTED = (
    "The Spark Connect server of the connection {conn_id!r} was restarted, or has ended the session; what "
    "ran there is lost, and a retry of the task begins anew"
)
_KNOWN: list[tuple[str, type[AirflowException], str]] = [
    (r"INVALID_HANDLE\.|SESSION_(NOT_FOUND|CLOSED|CHANGED)", AirflowException, _RESTARTED),
    (
        r"OPERATION_CANCELED",
        AirflowException,
        "The job on Spark was cancelled: the task was ended, or somebody did so on Spark's own page",
    ),
    (
        r"PYTHON_VERSION_MISMATCH.*?version: ?\D{0,3}(?P<there>\d+[., ]+\d+)\b.*?(?P<here>\d+[., ]+\d+)\b",
        InputError,
        "Spark's executors run Python {there} and this worker {here}, which cannot be mixed; install the "
        "same minor version on both, and name it there as spark.pyspark.python or PYSPARK_PYTHON",
    ),
    (
        r"Cannot run program \"(?P<name>[^\"]+)\"",
        InputError,
        "Spark's executors have no Python called {name}; install it there, or name theirs as "
        "spark.pyspark.python or PYSPARK_PYTHON",
    ),
    (
        r"(?:ModuleNotFoundError: No module named|PACKAGE_NOT_INSTALLED.*?) ?'?(?P<name>[\w.]+)",
        InputError,
        "The Python of Spark's executors lacks {name}; install numpy and pyarrow of the same major versions "
        "as here for it",
    ),
    (
        r"(PATH_NOT_FOUND|FAILED_READ_FILE\.FILE_NOT_EXIST|FileNotFoundException)",
        InputError,
        "Spark finds nothing at {uri}; check the path, and that every machine of the cluster sees the same "
        "storage as this worker. If it arrives later, wait for it with a sensor",
    ),
    (
        r"No FileSystem for scheme \"?(?P<scheme>\w+)|(?P<name>[\w.]*FileSystem) not found",
        InputError,
        "Spark cannot open {uri}: the cluster lacks what opens such a URI ({scheme}{name}); add the jar of "
        "that storage to the cluster, for s3a hadoop-aws",
    ),
    (
        r"(Mkdirs failed|AccessControlException|AccessDenied|Permission denied|PERMISSION_DENIED|"
        r"403 Forbidden|NoAuthWithAWS|CredentialInitialization)",
        InputError,
        "Spark may not open {uri}; give the cluster, which uses its own credentials and not Airflow's, the "
        "right to read and write there",
    ),
    (
        r"(UNABLE_TO_INFER_SCHEMA|CONFLICTING_DIRECTORY_STRUCTURES|CONFLICTING_PARTITION_COLUMN_NAMES)",
        InputError,
        "{uri} holds no Parquet files, or in folders that make no table; give the folder in which the parts "
        "lie, or those of partitions (year=2026)",
    ),
    (
        r"(is not a Parquet file|CANNOT_READ_FILE_FOOTER|FAILED_READ_FILE\.(?!FILE_NOT))",
        InputError,
        "{uri} is not a whole Parquet table; give the URI that an operator returned, or write it again",
    ),
    (
        r"(NoSpaceLeft|No space left on device|Disk quota exceeded)",
        AirflowException,
        "No space is left on the cluster to write {uri}; free some there",
    ),
    (
        r"(OutOfMemoryError|MemoryError|exited with code 137|Container killed)",
        AirflowException,
        "Spark's executors ran out of memory; give them more, or split the data into more parts",
    ),
]
"""What is said, the kind of error, and the words for it; the first that fits."""


def _status(error: Exception) -> tuple[str | None, str]:
    """Return the status of a call that did not come through, and its details."""
    code: Any = None
    owners: list[Any] = [error, error.__cause__, error.__context__]
    for owner in owners:
        for method in ("code", "getGrpcStatusCode"):
            if callable(getattr(owner, method, None)):
                with contextlib.suppress(Exception):
                    code = code or getattr(owner, method)()
    name: Any = getattr(code, "name", None)
    if name in (None, "INTERNAL", "UNKNOWN", "OK", "CANCELLED", "INVALID_ARGUMENT", "NOT_FOUND"):
        return None, ""
    details = ""
    for owner in owners:
        if callable(getattr(owner, "details", None)):
            with contextlib.suppress(Exception):
                details = details or str(owner.details())
    return name, details


def _last_line(said: str) -> str:
    """Return the line that tells most: of a traceback the last, of the JVM the first."""
    body = said.partition("\n\nJVM stacktrace:")[0].strip()
    if "Traceback (most recent call last)" in body:
        lines = [line for line in body.splitlines() if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)]
        if lines:
            return lines[-1]
    return body.splitlines()[0] if body else "no reason given"
