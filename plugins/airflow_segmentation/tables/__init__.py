"""Tables of customers: reading CSV, reading and writing Parquet, scaling.

A table is opened as :class:`~airflow_segmentation.tables.data.Data` and visited part by part, wherever it is.
What is done to its batches stands in :mod:`.passes`, without Airflow, so that it runs on a cluster as well.
Operators come in through an engine; of the rest, only the record of a scaling is for other rooms.
"""
