"""The engine of a Spark cluster, reached through Spark Connect. Engines' own users come in, by its one name.

`session` connects and ends, `page` is where Spark shows it, `engine` opens, `loading` reads CSV files,
`data` passes over a table, `times` makes times of what Spark takes for numbers, and `errors` says in words
what went wrong. `executors` and `lines` are what runs there: they need numpy and pyarrow, and are sent over
with the session.
"""

from airflow_segmentation.engines.spark.engine import SparkEngine

__all__ = ["SparkEngine"]
