"""A session on a Spark cluster: who connects how, under what name, and that nothing is left running."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import uuid
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_segmentation.engines.spark.errors import told
from airflow_segmentation.engines.spark.page import page_of
from airflow_segmentation.errors import InputError
from airflow_segmentation.storage.scratch import scratch_folder

if TYPE_CHECKING:
    from airflow.sdk import Context
    from pyspark.sql import DataFrame
    from pyspark.sql.connect.client.core import DefaultChannelBuilder
    from pyspark.sql.connect.session import SparkSession

log = logging.getLogger(__name__)

BATCH_ROWS = 1 << 16
"""Rows of a batch that a cluster's Python is handed. Bits of sums depend on it, so it is no setting."""
NO_LIMIT = str(1 << 45)
"""Bytes, more than a file has: each is one part, and no part holds two."""
PIECE_BYTES = 1 << 27
"""Bytes of a large CSV that are one part; bits depend on it, too."""
SETTINGS = {
    "spark.sql.files.maxPartitionBytes": NO_LIMIT,
    "spark.sql.files.openCostInBytes": NO_LIMIT,
    "spark.sql.files.maxPartitionNum": str((1 << 31) - 1),
    # A file that is gone or broken is no empty one.
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.maxRecordsPerFile": "0",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH_ROWS),
    "spark.sql.execution.arrow.useLargeVarTypes": "false",
    # Few rows are ever shuffled: one or two for each part.
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.caseSensitive": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.mergeSchema": "false",
    # Times to a billionth of a second, as pandas 2 writes them, could not be read at all otherwise: `times`.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    # Of its own times, which have no time zone in a file, others would not know that they are of one.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
"""What a session is told before anything runs: so the parts, and the bits, are the same on every cluster."""

RETRIES, LONGEST_WAIT = 4, 3000
"""Five tries within five seconds, where the client's own rule waits ten minutes; Airflow tries again, too."""
CHANNEL = [
    ("grpc.min_reconnect_backoff_ms", 5000),  # is also how long a host may take to answer at all
    ("grpc.max_reconnect_backoff_ms", 3000),
    ("grpc.initial_reconnect_backoff_ms", 500),
]
PATIENCE = 5.0
"""Seconds that the end of a session may take where Airflow is about to kill the task."""
NOTHING_RUNS = 60
"""Seconds after which it is told that no executor has begun with a job."""
USER = "airflow"
"""Who works on the cluster, where the connection names nobody: a session is found again by its user."""
TRIES = 5
"""How many tries before this one are looked after, in case they were killed."""

TURNS = 3
"""How many sessions a try may have, one after the other."""

SHIPPED = ("clustering/*.py", "engines/spark/executors.py", "engines/spark/lines.py", "tables/passes.py")
"""Modules of this package that executors get; they need numpy and pyarrow, and nothing else."""
BESIDE = ("threadpoolctl",)
"""Modules of others that executors get with them, each a single file without needs of its own."""


class Session:
    """A session of one try of one task. Nothing is connected before it is first used.

    :param conn_id: an Airflow connection of the type `spark_connect`.
    :param context: of the task that runs; its Dag, run and task stand on the jobs.
    """

    def __init__(self, conn_id: str, context: Context) -> None:
        self.conn_id = conn_id
        ti = context["ti"]
        self._identity = [ti.dag_id, ti.run_id, ti.task_id, str(ti.map_index)]
        self._try = int(ti.try_number or 1)
        self._spark: SparkSession | None = None
        self._is_over = False
        self._part_bytes = NO_LIMIT
        self._secrets: list[str] = []
        self._turn = 0
        """Sessions that this try had before: none can be opened again."""

    @property
    def id(self) -> str:
        """Id of the session, the same wherever it is asked for: whoever comes next can end what is left."""
        return self._id_of(self._try, self._turn)

    def _id_of(self, number: int, turn: int) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, repr((*self._identity, number, turn))))

    @property
    def tags(self) -> list[str]:
        """What stands on the jobs."""
        names = ("dag", "run", "task", "map_index")
        # Spark takes no comma in a tag.
        pairs = zip(names, self._identity, strict=True)
        return [f"{name}={value.replace(',', ' ')}" for name, value in pairs]

    @property
    def spark(self) -> SparkSession:
        """The session, connected.

        :raises InputError: if the connection cannot be used.
        :raises AirflowException: if the cluster does not answer, which it may when Airflow tries again.
        """
        if self._spark is None:
            self._spark = self._connected()
        return self._spark

    def connect(self) -> None:
        """Connect, if that was not done yet."""
        self.spark  # noqa: B018

    def end(self) -> None:
        """Release the session: nothing of it stays on the cluster."""
        if self._spark is not None and not self._is_over:
            self._is_over = True
            _end_in_time(self._spark.stop)
            self._spark = None

    def stop(self) -> None:
        """End the session, and with it whatever runs on the cluster: for `on_kill`, in any thread.

        The main thread may be waiting for the cluster in the midst of a call, so another one of a channel
        of its own says that this is the end.
        """
        if self._spark is not None and not self._is_over:
            self._is_over = True
            _end_in_time(lambda: self._release(self.id))

    def split(self, pieces: bool) -> None:
        """Set whether large files are read in pieces, each a part, or whole."""
        size = str(PIECE_BYTES) if pieces else NO_LIMIT
        if size != self._part_bytes:
            self.spark.conf.set("spark.sql.files.maxPartitionBytes", size)
            self._part_bytes = size

    def told(self, what: str = "") -> contextlib.AbstractContextManager[None]:
        """Raise what Spark says as one clear line; `what` is the URI that is read or written, if one is."""
        return told(self.conn_id, what, self._secrets)

    @property
    def page(self) -> str | None:
        """Address of the session's page in the Spark UI, as far as the cluster tells."""
        with self.told():
            return page_of(self.spark.conf, self.id)

    def described(self) -> str:
        """Return what Spark's pages show of a job: the Dag, the task and the run."""
        dag, run, task, _ = self._identity
        return f"{dag}.{task} {run}"

    def _connected(self) -> SparkSession:
        # What gRPC's own code has to say of a handshake belongs in no task's log.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        with self.told(), quiet():
            _import_client()
            spark = self._opened()
            try:
                self._end_tries_before()
                spark.registerProgressHandler(Waiting())  # type: ignore[arg-type]
                _ship(spark)
                version = spark.version
            except BaseException:
                _end_in_time(spark.stop)
                raise
        log.info("Connected to Spark %s by the connection %r", version, self.conn_id)
        return spark

    def _opened(self) -> SparkSession:
        from pyspark.sql.connect.session import SparkSession

        while True:
            spark = SparkSession(connection=self._builder(self.id), hook_factories=[self._hook_of])
            _be_quick(spark.client)
            try:
                spark.conf._set_all(dict(SETTINGS), silent=False)
                return spark
            except BaseException as error:
                spark.client.close()  # there is nothing to end
                if "SESSION_CLOSED" not in str(error) or self._turn + 1 == TURNS:
                    raise
                self._turn += 1

    def _hook_of(self, _: Any) -> Any:
        return _Described(self.described(), self.tags)

    def _end_tries_before(self) -> None:
        """End what a try left running that was killed before it could end it."""
        for number in range(max(1, self._try - TRIES), self._try):
            for turn in range(TURNS):
                with contextlib.suppress(Exception):
                    self._release(self._id_of(number, turn))

    def _release(self, session_id: str) -> None:
        from pyspark.sql.connect.client.core import SparkConnectClient

        client = SparkConnectClient(self._builder(session_id))
        _be_quick(client, retries=1)
        try:
            client.release_session()
        finally:
            client.close()

    def _builder(self, session_id: str) -> DefaultChannelBuilder:
        from pyspark.sql.connect.client.core import DefaultChannelBuilder

        builder = DefaultChannelBuilder(self._url, list(CHANNEL))
        builder.set("session_id", session_id)
        if not builder.userId:
            builder.set("user_id", USER)
        return builder

    def _hook(self) -> Any:
        try:
            from airflow.providers.apache.spark.hooks.spark_connect import SparkConnectHook
        except ImportError:
            raise InputError(
                f"spark_conn_id={self.conn_id!r} needs what is not installed here; install "
                "airflow-segmentation[spark]"
            ) from None
        return SparkConnectHook(self.conn_id)

    @cached_property
    def _url(self) -> str:
        """The address of the cluster, token and all.

        :raises InputError: if the connection is not there, or of another type, or names no host.
        """
        hook = self._hook()
        try:
            connection = hook.get_connection(self.conn_id)
        except AirflowNotFoundException:
            raise InputError(
                f"There is no connection {self.conn_id!r}; add it in Admin > Connections, with the type "
                "Spark Connect, or name another as spark_conn_id"
            ) from None
        if connection.conn_type != hook.conn_type:
            raise InputError(
                f"The connection {self.conn_id!r} is of the type {connection.conn_type!r} and should be "
                f"{hook.conn_type!r}: the address of a Spark Connect server, not of a master"
            )
        if not connection.host:
            raise InputError(
                f"The connection {self.conn_id!r} names no host; give it one, such as sc://spark"
            )
        try:
            url = str(hook.get_connection_url())
        except ValueError:
            raise InputError(
                f"The connection {self.conn_id!r} has a path after its host; give the host alone, such as "
                "sc://spark, and the port beside it"
            ) from None
        token = connection.password or ""
        self._secrets[:] = [token, quote(token), quote(token, safe="")] if token else []
        # The hook leaves a slash in a token or a login as it is, and what follows it would be a path.
        address, mark, parameters = url.partition("/;")
        return address + mark + parameters.replace("/", "%2F")


def _import_client() -> None:
    """Import PySpark's client, which takes a program without a file, `python -c …`, for its own doctests.

    It would end the process there, with words on SPARK_HOME.
    """
    main = sys.modules["__main__"]
    is_without_file = getattr(main, "__spec__", None) is None and not hasattr(main, "__file__")
    if is_without_file:
        main.__file__ = "airflow"
    try:
        import pyspark.sql.connect  # noqa: F401
    finally:
        if is_without_file:
            del main.__file__


class Waiting:
    """Tells, once a minute, that a job waits for executors: none may ever be free."""

    def __init__(self) -> None:
        self._operation: str | None = None
        self._since = 0.0

    def __call__(self, stages: Any, inflight_tasks: int, operation_id: str | None, done: bool) -> None:
        """Take what Spark says every other second of a job that runs."""
        now = time.monotonic()
        goes_on = inflight_tasks or done or any(stage.num_completed_tasks for stage in stages or ())
        if goes_on or operation_id != self._operation:
            self._operation, self._since = operation_id, now
        elif now - self._since > NOTHING_RUNS:
            self._since = now
            log.warning(
                "A job on Spark waits for an executor for more than %d seconds; look on the cluster's page "
                "whether there are workers, and whether others hold their cores",
                NOTHING_RUNS,
            )


class _Described:
    """Puts Dag, run and task on each request, and where Spark's pages show its beginning.

    PySpark's own tags are of one thread.
    """

    def __init__(self, description: str, tags: Sequence[str]) -> None:
        self._description = description
        self._tags = tags

    def on_execute_plan(self, request: Any) -> Any:
        request.user_context.user_name = self._description
        request.tags.extend(self._tags)
        return request


def _be_quick(client: Any, retries: int = RETRIES) -> None:
    from pyspark.sql.connect.client.retries import DefaultPolicy

    client.set_retry_policies([DefaultPolicy(max_retries=retries, max_backoff=LONGEST_WAIT)])


def _end_in_time(end: Any) -> None:
    """Call what ends a session, whose success nobody waits for beyond reason, nor its failure."""

    def call() -> None:
        with contextlib.suppress(Exception), quiet():
            end()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep out of the task's log that PySpark knows no pandas 3, which is not used, and that it gave up."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas")
        warnings.filterwarnings("ignore", message=r"\[RETRIES_EXCEEDED\]")
        yield


def _ship(spark: SparkSession) -> None:
    """Give executors the modules that run there."""
    before = list(sys.path)
    with scratch_folder() as folder:
        path = Path(folder) / "airflow_segmentation.zip"
        packed(path)
        try:
            spark.addArtifacts(str(path), pyfile=True)
        finally:
            sys.path[:] = before  # where the client puts the archive, too


def packed(path: Path, patterns: Sequence[str] = SHIPPED) -> None:
    """Write an archive of the modules that executors need.

    Packages on the way are empty but for `clustering`, which is whole: elsewhere an `__init__` may import
    what is not there.
    """
    import importlib.util

    package = Path(__file__).resolve().parents[2]
    files = sorted({file for pattern in patterns for file in package.glob(pattern)})
    contents: dict[str, bytes] = {}
    for file in files:
        inner = file.relative_to(package.parent)
        for folder in list(inner.parents)[:-1]:
            contents.setdefault(f"{folder.as_posix()}/__init__.py", b"")
        contents[inner.as_posix()] = file.read_bytes()
    for name in BESIDE:
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            contents[f"{name}.py"] = Path(spec.origin).read_bytes()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(contents.items()):
            archive.writestr(name, content)


def run(frame: DataFrame) -> Iterator[Any]:
    """Yield the rows of a frame as they come, in the order of its partitions.

    Who closes the generator before its end ends the job.
    """
    with contextlib.closing(frame.toLocalIterator()) as rows:  # type: ignore[type-var]
        while True:
            with quiet():
                row = next(rows, None)
            if row is None:
                return
            yield row
