"""A table on a cluster: files that each are one part, visited and written by Spark."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException

from airflow_segmentation.engines.spark.addresses import for_cluster, name_of
from airflow_segmentation.engines.spark.session import Session, run
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.tables import folders
from airflow_segmentation.tables.data import Data

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

    from airflow_segmentation.clustering.rows import Arrays, Join, Visit
    from airflow_segmentation.engines.spark.executors import Prepare
    from airflow_segmentation.tables.passes import Change

RESULTS = 8
"""Results that come back at most where parts may come as one: of a sweep some 30 kB each."""
_MARK = "_segmentation_mark"
_ROW = (1 << 33) - 1
"""Bits of Spark's numbers of rows that count within a part."""


@dataclass(frozen=True)
class Part:
    """One file of a table, or a piece of a CSV."""

    mark: str
    """What executors know it by: its place in the file, and the file's URI."""
    rows: int
    task: int
    """The number of the Spark task that reads it."""

    @property
    def start(self) -> int:
        """The byte of the file that it begins at."""
        return int(self.mark.partition(" ")[0])

    @property
    def path(self) -> str:
        """The file, as a person writes it."""
        return name_of(self.mark.partition(" ")[2])

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.path.rpartition("/")[2]


@dataclass
class Source:
    """Where the rows of a table come from."""

    frame: Callable[[], DataFrame]
    """The files, as Spark reads them."""
    schema: pa.Schema
    parts: list[Part]
    """In their order, those that have rows."""
    empty: Sequence[str] = ()
    """Marks of what is read and has no rows, such as a header alone."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    columns: Sequence[str] | None = None
    """What is read of the files whatever columns are asked for; None for the same columns."""
    prepare: Callable[[Sequence[str]], Prepare] | None = None
    """Makes columns of what is read."""
    split: bool = False
    """Whether a large file is several parts."""


class SparkData(Data):
    """A table that a cluster reads. What comes of it depends on its parts, and not on who reads them."""

    gathered = 100_000

    def __init__(self, session: Session, uri: str, source: Source) -> None:
        self.uri = uri
        self._session = session
        self._source = source

    @property
    def schema(self) -> pa.Schema:
        """The table's columns and their types."""
        return self._source.schema

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(part.rows for part in self._source.parts)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the operator that wrote the table left with it; empty for a table of others."""
        return self._source.facts

    def parts(self, columns: Sequence[str]) -> int:
        """Return how many results :meth:`each` yields where it is told how to join them."""
        return -(-len(self._source.parts) // self._together)

    @property
    def _together(self) -> int:
        """How many parts come as one result, where they may."""
        return max(1, -(-len(self._source.parts) // RESULTS))

    def each(
        self,
        columns: Sequence[str],
        visit: Visit,
        *,
        join: Join | None = None,
        n_jobs: int = 1,
    ) -> Iterator[Arrays]:
        """Yield what a visit makes of each part that has rows, in order.

        :param join: makes the arrays of two parts, one after the other, those of one; where it is given,
            consecutive parts may come as one.
        :param n_jobs: is the cluster's own affair.

        :raises ValueError: if a visit does.
        """
        from airflow_segmentation.engines.spark import executors

        with self._told():
            visited = executors.Visited(visit, self._places, self._names(columns), self._prepare(columns))
            results = self._read(columns).mapInArrow(visited, executors.RESULT)
            count = len(self._source.parts)
            expected = list(range(count))
            if join is not None and self._together > 1:
                expected, results = self._joined(results, join)
            early: dict[int, Any] = {}
            for result in run(results):
                early[result.place] = result
                while expected and expected[0] in early:
                    found = early.pop(expected.pop(0))
                    if found.error is not None:
                        raise ValueError(found.error)
                    yield executors.unpacked(bytes(found.value))
            if expected or early:
                raise AirflowException(f"{self._changed}: {len(expected)} parts of it are gone")

    def write(
        self,
        uri: str,
        schema: pa.Schema,
        change: Change,
        *,
        columns: Sequence[str] | None = None,
        facts: Mapping[str, Any],
    ) -> None:
        """Write what a change makes of this table's rows as a folder of as many parts, in the same order.

        It is a table once the file that tells of its parts is there, which is written last.

        :param columns: the columns that the change needs; all by default.
        :param facts: what the new table is to tell of itself.
        """
        from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

        from airflow_segmentation.engines.spark import executors

        own = folders.new_try()
        target = f"{for_cluster(uri)}/{own}"
        kinds = from_arrow_schema(schema)
        wanted = to_arrow_schema(kinds, timezone="UTC")
        names = self.schema.names if columns is None else columns
        with self._told(uri):
            places = {part.task: place for place, part in enumerate(self._source.parts)}
            changed = executors.Changed(
                *(change, self._places, places, wanted, self._names(names), self._prepare(names))
            )
            self._read(names).mapInArrow(changed, kinds).write.mode("error").parquet(target)
        with self._session.told(uri):
            self._session.split(False)
            found = parts_of(self._session.spark.read.schema(kinds).parquet(target))
        by_task = {int(part.name.removeprefix("part-").partition("-")[0]): part for part in found}
        order = [by_task[part.task] for part in self._source.parts if part.task in by_task]
        parts = [(part.name, part.rows) for part in order]
        folders.finish(uri, folders.Folder(own, parts, dict(facts)))

    def _read(self, columns: Sequence[str]) -> DataFrame:
        """Return the columns, under names that Spark never misreads, and the mark."""
        from pyspark.sql.connect.functions import builtin as functions

        self._session.split(self._source.split)
        read = self._source.columns or columns
        quoted = [f"`{name.replace('`', '``')}`" for name in read]
        chosen = [functions.col(name).alias(f"c{place}") for place, name in enumerate(quoted)]
        return self._source.frame().select(*chosen, mark())

    def _names(self, columns: Sequence[str]) -> tuple[str, ...]:
        return tuple(self._source.columns or columns)

    def _prepare(self, columns: Sequence[str]) -> Prepare | None:
        return None if self._source.prepare is None else self._source.prepare(columns)

    def _joined(self, results: DataFrame, join: Join) -> tuple[list[int], DataFrame]:
        """Join on the cluster what was made of consecutive parts; return the first place of each result."""
        from pyspark.sql.connect.functions import builtin as functions

        from airflow_segmentation.engines.spark import executors

        group = functions.floor(functions.col("place") / self._together).alias("group")
        joined = results.groupBy(group).applyInArrow(executors.joining(join), executors.JOINED)
        return list(range(0, len(self._source.parts), self._together)), joined

    @cached_property
    def _places(self) -> dict[str, int]:
        places = {part.mark: place for place, part in enumerate(self._source.parts)}
        return {**places, **dict.fromkeys(self._source.empty, -1)}

    @property
    def _changed(self) -> str:
        return (
            f"The files of {without_secrets(self.uri)} are not those that there were when the task "
            "began; see that nobody writes there meanwhile, and run it again"
        )

    @contextlib.contextmanager
    def _told(self, uri: str = "") -> Iterator[None]:
        from airflow_segmentation.engines.spark import executors

        try:
            with self._session.told(uri or self.uri):
                yield
        except AirflowException as error:
            if executors.CHANGED in str(error):
                raise AirflowException(self._changed) from None
            raise


def mark() -> Column:
    """Return the column that holds a part's mark in its first row, and nothing elsewhere."""
    from pyspark.sql.connect.functions import builtin as functions

    in_part = functions.monotonically_increasing_id().bitwiseAND(_ROW)
    start = functions.col("_metadata.file_block_start").cast("string")
    text = functions.concat_ws(" ", start, functions.col("_metadata.file_path"))
    return functions.when(in_part == 0, text).alias(_MARK)


def parts_of(frame: DataFrame) -> list[Part]:
    """Return the files that a frame is read from, in the order of their names; those that have rows."""
    from pyspark.sql.connect.functions import builtin as functions

    path, task = functions.col("_metadata.file_path"), functions.spark_partition_id()
    counted = frame.groupBy(path.alias("path"), task.alias("task")).count()
    found = [Part(f"0 {row['path']}", row["count"], row["task"]) for row in counted.toLocalIterator()]
    return sorted(found, key=lambda part: part.path)
