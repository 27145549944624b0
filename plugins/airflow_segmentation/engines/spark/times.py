"""Times to a billionth of a second, as pandas writes them: Spark reads them as whole numbers, and knows
times to a millionth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

Times = Mapping[str, "pa.TimestampType"]
"""Columns that hold such times, and the types that these get."""


def times_in(file: pa.Schema, read: pa.Schema) -> Times:
    """Return the columns that hold such times in a file, of what Spark reads as whole numbers of it."""
    import pyarrow as pa

    numbers = {item.name for item in read if pa.types.is_int64(item.type)}
    return {
        item.name: pa.timestamp("us", item.type.tz and "UTC")
        for item in file
        if item.name in numbers and pa.types.is_timestamp(item.type)
    }


def with_times(schema: pa.Schema, times: Times) -> pa.Schema:
    """Return the schema of :func:`as_times`."""
    import pyarrow as pa

    return pa.schema([(item.name, times.get(item.name, item.type)) for item in schema])


def as_times(frame: DataFrame, times: Times) -> DataFrame:
    """Return what Spark read with times where it has whole numbers, cut to what it knows."""
    from pyspark.sql.connect.functions import builtin as functions

    found = {}
    for name, kind in times.items():
        quoted = f"`{name.replace('`', '``')}`"
        moment = functions.expr(f"timestamp_micros({quoted} div 1000)")
        # The session's time zone is UTC.
        found[name] = moment if kind.tz else moment.cast("timestamp_ntz")
    return frame.withColumns(found) if found else frame
