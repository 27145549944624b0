"""CSV files to Parquet tables, in bounded memory. Operators come in by the names below, and by no others.

pyarrow reads a plain CSV in blocks, on all cores, but takes each column's type from the
first block. Where that proves wrong, or where the file needs what only `pandas.read_csv` knows, pandas reads
it: once to find the types that fit every row, once for the rows. Either way the outcome is what pandas makes
of the file, but for rows that are longer than the header, which pandas shifts by a column without a word.
Several files are read one by one, and become the table that they would be in one file.
What a person should know of a file is logged as a warning; what cannot be read rightly is refused.
"""

from airflow_segmentation.tables.csv_files.file import Csv
from airflow_segmentation.tables.csv_files.loading import Loaded
from airflow_segmentation.tables.csv_files.several import csv_to_table

__all__ = ["Csv", "Loaded", "csv_to_table"]
