"""What people get wrong, one case a row.

Each message tells the value, the rule and the cure. Nothing is written, no good model or report is touched.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG, BaseHook, BaseOperator
from airflow.sdk.io import attach
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators import (
    CsvLoadOperator,
    ElbowOperator,
    KMeansPredictOperator,
    KMeansSweepOperator,
    MinMaxPreprocessOperator,
)
from airflow_segmentation.reports.report import MAX_REPORT_BYTES, REPORT_KEY, Report
from airflow_segmentation.tables.csv_files import Csv, csv_to_table
from airflow_segmentation.tables.parquet import table_written
from airflow_segmentation.tables.passes import ASSIGNED
from airflow_versions import refusal
from fsspec.implementations.memory import MemoryFileSystem
from made.csv_files import files as files_of

ROWS = [f"{i:05d},{i % 9 * 10.5},{i % 7},Bern" for i in range(60)]
CUSTOMERS = "\n".join(["CUST_ID,BALANCE,PURCHASES,CITY", *ROWS, ""])
FEATURES = ["BALANCE", "PURCHASES"]


class Denied(MemoryFileSystem):
    """A bucket that the connection may not use, as s3fs tells of one."""

    cachable = False

    def _open(self, path: str, *args: Any, **kwargs: Any) -> Any:
        raise PermissionError("Access Denied")


@dataclass(frozen=True)
class Good:
    """A run that went well, and a folder with its customers and its model."""

    run: Any
    folder: Path

    @property
    def model(self) -> Path:
        return self.folder / "model.sav"

    @property
    def customers(self) -> str:
        return str(self.folder / "customers.csv")

    def uri(self, task_id: str) -> str:
        """Return the URI of what a task wrote."""
        return self.run.xcom(task_id)

    def file(self, content: str | bytes, name: str = "bad.csv") -> str:
        """Write a file, and return its path."""
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return str(self.folder / name)

    def subfolder(self, **texts: str) -> str:
        """Write CSV files of these names into a folder that holds nothing else, and return its path."""
        shutil.rmtree(self.folder / "several", ignore_errors=True)
        return str(files_of(self.folder / "several", **texts))

    def parquet(self, table: pa.Table) -> str:
        """Write a Parquet file as others do, and return its path."""
        pq.write_table(table, self.folder / "bad.parquet")
        return str(self.folder / "bad.parquet")

    def filled(self, message: str) -> str:
        """Return a message with the names that stand in it replaced."""
        for name in ("load", "scale", "sweep"):
            message = message.replace(f"<{name}>", self.uri(name))
        return message.replace("<folder>", str(self.folder))

    def kept(self) -> Any:
        """Return what no later task may change."""
        return (
            self.model.read_bytes(),
            self.run.xcom("choose", REPORT_KEY),
            pd.read_parquet(self.uri("sweep")),
        )


@pytest.fixture(scope="module")
def good(run_dag: Any, tmp_path_factory: pytest.TempPathFactory) -> Good:
    folder = tmp_path_factory.mktemp("bad_input")
    (folder / "customers.csv").write_text(CUSTOMERS)
    with DAG("good", schedule=None) as dag:
        table = CsvLoadOperator(task_id="load", path=str(folder / "customers.csv"), id_column="CUST_ID")
        scale = MinMaxPreprocessOperator(task_id="scale", data=table.output, features=FEATURES)
        sweep = KMeansSweepOperator(task_id="sweep", data=scale.output, k_max=6)
        ElbowOperator(task_id="choose", sweep=sweep.output, model_path=str(folder / "model.sav"), k=3)
    attach("s3", "denied", fs=Denied())
    return Good(run_dag(dag), folder)


def run_failing(
    run_dag: Any, dag_id: str, make: Callable[[], BaseOperator]
) -> tuple[Any, list[BaseException]]:
    """Run the task that `make` makes, with two retries; return the run and what the task raised."""
    raised: list[BaseException] = []
    keep = {"on_failure_callback": lambda context: raised.append(context["exception"])}
    with DAG(dag_id, schedule=None, default_args={"retries": 2, "retry_delay": timedelta(0), **keep}) as dag:
        make()
    return run_dag(dag), raised


def load(good: Good, content: str | bytes, name: str = "bad.csv", **arguments: Any) -> BaseOperator:
    return CsvLoadOperator(task_id="bad", path=good.file(content, name), **arguments)


def scale(good: Good, content: str, **arguments: Any) -> BaseOperator:
    arguments = {"features": FEATURES} | arguments
    return MinMaxPreprocessOperator(task_id="bad", data=good.file(content), **arguments)


def sweep(good: Good, **arguments: Any) -> BaseOperator:
    arguments = {"data": good.uri("scale")} | arguments
    return KMeansSweepOperator(task_id="bad", **arguments)


def choose(good: Good, **arguments: Any) -> BaseOperator:
    arguments = {"sweep": good.uri("sweep"), "model_path": str(good.model)} | arguments
    return ElbowOperator(task_id="bad", **arguments)


def assign(good: Good, content: str = CUSTOMERS, **arguments: Any) -> BaseOperator:
    arguments = {"model_path": str(good.model), "data": good.file(content)} | arguments
    return KMeansPredictOperator(task_id="bad", **arguments)


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, CUSTOMERS)
    return content.getvalue()


CUT_OFF = (
    "cannot be decompressed (Compressed file ended before the end-of-stream marker was reached); it is cut "
    "off or "
    "damaged, or its name tells another compression than it has: write it again, or name it rightly"
)
NO_CSV = "Tell its separator, encoding or quoting with read_csv_kwargs, as pandas.read_csv takes them"
LOOK = "should be a path or a URI; look at the template or the task that it comes from"
NUMBERS = (
    "and only numbers can be clustered; to make numbers of it, load it with "
    "CsvLoadOperator(read_csv_kwargs={{'na_values': ['{}']}}); numeric columns are:"
).format
FOREIGN = pa.table({"x": [1.0, 2.0]})

Case = tuple[str, Callable[[Good], BaseOperator], str]
CASES: list[Case] = [
    (
        "missing file",
        lambda good: CsvLoadOperator(task_id="bad", path=f"{good.folder}/none.csv"),
        "There is no file at <folder>/none.csv; check the path, the connection, and that this worker sees "
        "the "
        "same storage. If it arrives later, wait for it with a sensor",
    ),
    (
        "empty directory",
        lambda good: CsvLoadOperator(task_id="bad", path=good.subfolder()),
        "<folder>/several is a folder without a file whose name begins with neither . nor _; give a file, or "
        "the folder in which the files lie",
    ),
    (
        "pattern without a match",
        lambda good: CsvLoadOperator(task_id="bad", path=f"{good.subfolder(a='A')}/b*.csv"),
        "No file matches <folder>/several/b*.csv, where * is any text, ? any letter and […] one of several; "
        "check the path, and that this worker sees the same storage. If the files arrive later, wait for "
        "them with a sensor",
    ),
    (
        "files of different columns",
        lambda good: CsvLoadOperator(task_id="bad", path=good.subfolder(a="A,B\n1,2\n", b="A\n1\n")),
        "<folder>/several/b.csv lacks column 'B' than <folder>/several/a.csv; files that are read as one "
        "table have the same columns: leave it out, or put it right",
    ),
    (
        "empty file",
        lambda good: load(good, ""),
        "<folder>/bad.csv is empty; look at what should have written it",
    ),
    (
        "header only",
        lambda good: load(good, "A,B\n"),
        "<folder>/bad.csv has a header and no rows; there is nothing to segment",
    ),
    (
        "wrong separator",
        lambda good: load(good, "CUST_ID;BALANCE\n1;2\n", id_column="CUST_ID"),
        "Column 'CUST_ID' is not in <folder>/bad.csv; it has: CUST_ID;BALANCE; if that is more than one, "
        "name their separator: CsvLoadOperator(read_csv_kwargs={'sep': ';'})",
    ),
    (
        "wrong encoding",
        lambda good: load(good, "CITY\nZürich\n".encode("latin-1")),
        "<folder>/bad.csv is not utf-8 text (invalid start byte); name its encoding, for "
        "example CsvLoadOperator(read_csv_kwargs={'encoding': 'latin-1'})",
    ),
    (
        "UTF-16",
        lambda good: load(good, CUSTOMERS.encode("utf-16")),
        "<folder>/bad.csv is not utf-8 text (invalid start byte); name its encoding, for example "
        "CsvLoadOperator(read_csv_kwargs={'encoding': 'utf-16'})",
    ),
    (
        "truncated gzip",
        lambda good: load(good, gzip.compress(CUSTOMERS.encode())[:200], "bad.csv.gz"),
        f"<folder>/bad.csv.gz {CUT_OFF}",
    ),
    (
        "truncated bzip2",
        lambda good: load(good, bz2.compress(CUSTOMERS.encode())[:200], "bad.csv.bz2"),
        f"<folder>/bad.csv.bz2 {CUT_OFF}",
    ),
    (
        "no gzip at all",
        lambda good: load(good, CUSTOMERS, "bad.csv.gz"),
        "<folder>/bad.csv.gz cannot be decompressed (Not a gzipped file (b'CU')); it is cut off or "
        "damaged, or "
        "its name tells another compression than it has: write it again, or name it rightly",
    ),
    (
        "archive of two files",
        lambda good: load(good, zipped("a.csv", "b.csv"), "bad.csv.zip"),
        "<folder>/bad.csv.zip holds 2 files; give one file, plain or compressed",
    ),
    (
        "ragged rows",
        lambda good: load(good, "A,B\n1,2\n3,4,5\n"),
        "<folder>/bad.csv cannot be read as CSV: Error tokenizing data. C error: Expected 2 fields in line "
        "3, "
        f"saw 3. {NO_CSV}",
    ),
    (
        "unknown encoding",
        lambda good: load(good, CUSTOMERS, read_csv_kwargs={"encoding": "klingon"}),
        f"<folder>/bad.csv cannot be read as CSV: unknown encoding: klingon. {NO_CSV}",
    ),
    (
        "options of another reader",
        lambda good: load(good, CUSTOMERS, read_csv_kwargs={"storage_options": {"key": "hunter2"}}),
        "read_csv_kwargs sets storage_options, which the operator sets itself; choose columns with "
        "columns=[…], "
        "and storage with path and conn_id",
    ),
    (
        "options as text",
        lambda good: load(good, CUSTOMERS, read_csv_kwargs="{'sep': ';'}"),
        "read_csv_kwargs is a str and should be a dict of pandas.read_csv's arguments; to make one of a "
        "template, set render_template_as_native_obj=True on the Dag",
    ),
    (
        "columns without names",
        lambda good: load(good, CUSTOMERS, read_csv_kwargs={"header": None}),
        "<folder>/bad.csv has columns that are named 0 and such; read one line as the header, or name them "
        "with "
        "read_csv_kwargs={'header': None, 'names': […]}",
    ),
    (
        "misspelt column",
        lambda good: scale(good, CUSTOMERS, features=["BALANC"]),
        "Column 'BALANC' is not in <folder>/bad.csv; it has: CUST_ID, BALANCE, PURCHASES, CITY; did you mean "
        "'BALANCE'?",
    ),
    (
        "column named twice",
        lambda good: scale(good, CUSTOMERS, features="BALANCE, BALANCE"),
        "features names 'BALANCE' twice; name each column once",
    ),
    (
        "two columns of one name",
        lambda good: MinMaxPreprocessOperator(
            task_id="bad", data=good.parquet(pa.table([[1.0], [2.0]], names=["a", "a"])), features=["a"]
        ),
        "<folder>/bad.parquet has two columns named 'a'; rename one of them",
    ),
    (
        "text in a feature",
        lambda good: scale(good, "BALANCE,PURCHASES\n1,2\nunknown,3\n"),
        f"Column 'BALANCE' of <folder>/bad.csv holds text such as 'unknown', {NUMBERS('unknown')} PURCHASES",
    ),
    (
        "thousands separators",
        lambda good: scale(good, 'BALANCE,PURCHASES\n900,2\n"1,234.5",3\n'),
        "Column 'BALANCE' of <folder>/bad.csv holds text such as '1,234.5', and only numbers can be "
        "clustered; to "
        "make numbers of it, load it with CsvLoadOperator(read_csv_kwargs={'thousands': ','}); numeric "
        "columns "
        "are: PURCHASES",
    ),
    (
        "infinity",
        lambda good: scale(good, "BALANCE,PURCHASES\n1,2\ninf,3\n"),
        "Column 'BALANCE' of <folder>/bad.csv holds an infinite value, which has no place in a range: "
        "clean the "
        "column, or leave it out of features",
    ),
    (
        "numbers too large",
        lambda good: scale(good, "BALANCE,PURCHASES\n1,2\n-1e200,3\n"),
        "Column 'BALANCE' of <folder>/bad.csv holds -1e+200, and numbers beyond 1e+150 cannot be squared: "
        "clean "
        "the column, or leave it out of features",
    ),
    (
        "all missing",
        lambda good: scale(good, "BALANCE,PURCHASES\n,2\n,3\n"),
        "No row of <folder>/bad.csv has a value in every column that needs one (of 2, 2 miss 'BALANCE'); "
        "choose "
        "other features, or missing='median'",
    ),
    (
        "no median",
        lambda good: scale(good, "BALANCE,PURCHASES\n,2\n,3\n", missing="median"),
        "Column 'BALANCE' of <folder>/bad.csv has no value at all, and so no median; leave it out of "
        "features",
    ),
    (
        "all rows dropped",
        lambda good: scale(good, "BALANCE,PURCHASES\n,2\n1,\n"),
        "No row of <folder>/bad.csv has a value in every column that needs one (of 2, 1 miss 'BALANCE', 1 "
        "miss "
        "'PURCHASES'); choose other features, or missing='median'",
    ),
    (
        "missing values",
        lambda good: scale(good, "BALANCE,PURCHASES\n,2\n1,3\n", missing="fail"),
        "<folder>/bad.csv misses values in 'BALANCE' (1 rows); fill them, or choose missing='drop' or "
        "'median'",
    ),
    (
        "table without rows",
        lambda good: sweep(good, data=good.parquet(pa.table({"x": pa.array([], pa.float64())}))),
        "<folder>/bad.parquet has no rows; look at the task that wrote it",
    ),
    (
        "table without numbers",
        lambda good: sweep(good, data=good.parquet(pa.table({"x": ["a"]}))),
        "<folder>/bad.parquet has no column of numbers to cluster on",
    ),
    (
        "fewer distinct rows than k_min",
        lambda good: sweep(good, data=good.parquet(pa.table({"x": [1.0, 2.0, 2.0]})), k_min=3),
        "<folder>/bad.parquet: k_min=3 should be <= 2, the number of distinct rows; lower k_min or add rows",
    ),
    ("k_min > k_max", lambda good: sweep(good, k_min=5, k_max=4), "k_min=5 should be <= k_max=4"),
    ("k_min = 0", lambda good: sweep(good, k_min=0), "k_min=0 should be >= 1"),
    ("negative k_max", lambda good: sweep(good, k_max=-3), "k_max=-3 should be >= 1"),
    ("k_max not an int", lambda good: sweep(good, k_max="many"), "k_max='many' should be an integer"),
    (
        "n_jobs = 0",
        lambda good: sweep(good, n_jobs="{{ 0 }}"),
        "n_jobs=0 should be >= 1, or -1 for all cores; leave it out for one",
    ),
    ("half a k", lambda good: sweep(good, k_max=2.5), "k_max=2.5 should be an integer"),
    (
        "k_max that a template left empty",
        lambda good: sweep(good, k_max="{{ none }}"),
        "k_max='None' should be an integer of at least 1",
    ),
    ("empty template", lambda good: sweep(good, data="{{ '' }}"), f"data='' {LOOK}"),
    (
        "template of an XCom that is not there",
        lambda good: sweep(good, data="{{ ti.xcom_pull(task_ids='gone') }}"),
        f"data='None' {LOOK}",
    ),
    ("dict for a path", lambda good: choose(good, sweep={"uri": "x"}), f"sweep={{'uri': 'x'}} {LOOK}"),
    (
        "features that a template left empty",
        lambda good: scale(good, CUSTOMERS, features="{{ none }}"),
        "features is empty; name at least one column",
    ),
    (
        "k outside the sweep",
        lambda good: choose(good, k=7),
        "k=7 is not in the sweep's range 1..6; choose a k of that range, or sweep a wider one",
    ),
    (
        "unknown scheme",
        lambda good: CsvLoadOperator(task_id="bad", path="nowhere://bucket/key"),
        f"nowhere://bucket/key cannot be opened: {refusal('nowhere://bucket/key')}; install the Airflow "
        "provider for that storage (amazon for s3, google for gs, microsoft-azure for abfss)",
    ),
    (
        "bucket without rights to read",
        lambda good: CsvLoadOperator(task_id="bad", path="s3://denied@bucket/key.csv"),
        "s3://denied@bucket/key.csv may not be read; give this worker's user, or the connection, the right "
        "to "
        "read it",
    ),
    (
        "bucket without rights to write",
        lambda good: choose(good, model_path="s3://denied@bucket/model.sav"),
        "s3://denied@bucket/model.sav may not be written; give this worker's user, or the connection, the "
        "right "
        "to write there, or choose another path",
    ),
    (
        "model over a folder",
        lambda good: choose(good, model_path=str(good.folder)),
        "<folder> is a folder; give the path of a file to write",
    ),
    (
        "password in a path",
        lambda good: CsvLoadOperator(task_id="bad", path="ftp://me:hunter2@host/key"),
        "ftp://me@host/key was given with a password or a token, which would end up in logs and on pages; "
        "keep "
        "it in an Airflow connection, and name that: scheme://connection@bucket/key",
    ),
    (
        "table of others to scale",
        lambda good: MinMaxPreprocessOperator(task_id="bad", data=good.parquet(FOREIGN), features=FEATURES),
        "Column 'BALANCE' is not in <folder>/bad.parquet; it has: x",
    ),
    (
        "differences too small to be squared",
        lambda good: sweep(good, data=good.parquet(pa.table({"x": [1e-170, 2e-170, 9e-170]}))),
        "The values of x of <folder>/bad.parquet differ by 8e-170 at most, and differences below 1e-150 "
        "cannot be "
        "squared: scale them with MinMaxPreprocessOperator",
    ),
    (
        "no header",
        lambda good: scale(good, "5.5,2\n3,4\n"),
        "Column 'BALANCE' is not in <folder>/bad.csv; it has: 5.5, 2; if these are values, and the file "
        "has no "
        "header, name the columns: CsvLoadOperator(read_csv_kwargs={'header': None, 'names': ['…']})",
    ),
    (
        "feature that was not scaled",
        lambda good: sweep(good, features=["CUST_ID"]),
        "CUST_ID of <scale> was not scaled, and would be clustered in other units than BALANCE, PURCHASES; "
        "name "
        "it in the features of MinMaxPreprocessOperator",
    ),
    (
        "table of others as a sweep",
        lambda good: choose(good, sweep=good.parquet(FOREIGN)),
        "<folder>/bad.parquet is a table, but no sweep; give the URI that KMeansSweepOperator returned",
    ),
    (
        "CSV as a sweep",
        lambda good: choose(good, sweep=good.customers),
        "<folder>/customers.csv is not a whole Parquet table (Parquet magic bytes not found in footer. "
        "Either "
        "the file is corrupted or this is not a parquet file.); give the URI that an operator returned, or "
        "write "
        "the file again",
    ),
    (
        "sweep of another version",
        lambda good: choose(
            good, sweep=good.parquet(FOREIGN.replace_schema_metadata({"segmentation": '{"total_sse": 1}'}))
        ),
        "<folder>/bad.parquet tells of itself what cannot be read (KeyError('data_uri')): it was changed, or "
        "written by another version of airflow-segmentation; run the task that wrote it again",
    ),
    (
        "customers without a feature",
        lambda good: assign(good, "CUST_ID,PURCHASE,BALANCE\n1,2,3\n"),
        "Column 'PURCHASES' is not in <folder>/bad.csv; it has: CUST_ID, PURCHASE, BALANCE; did you mean "
        "'PURCHASE'?",
    ),
    (
        "customers with text for a number",
        lambda good: assign(good, "PURCHASES,BALANCE\n1,-\n"),
        f"Column 'BALANCE' of <folder>/bad.csv holds text such as '-', {NUMBERS('-')} PURCHASES",
    ),
    (
        "truncated model",
        lambda good: assign(good, model_path=good.file(good.model.read_bytes()[:300], "bad.sav")),
        "<folder>/bad.sav is not a model that ElbowOperator saved (it is damaged, or another kind of file); "
        "it was not used. Run the task that chooses k again",
    ),
    (
        "no digest",
        lambda good: assign(good, model_digest="latest"),
        "model_digest='latest' should be the model_digest that ElbowOperator returned",
    ),
]


@pytest.mark.parametrize(("make", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_fails_at_once_in_words_and_touches_nothing(run_dag, airflow_home, good, request, make, message):
    model, report, swept = good.kept()
    dag_id = "bad_" + re.sub(r"\W+", "_", request.node.callspec.id)
    run, raised = run_failing(run_dag, dag_id, lambda: make(good))
    assert [str(error) for error in raised] == [good.filled(message)]
    assert isinstance(raised[0], InputError)
    assert (run.states, run.tries) == ({"bad": "failed"}, {"bad": 1}), "no retry: it cannot help"
    assert not files(airflow_home / "segmentation" / dag_id)
    assert (good.model.read_bytes(), good.run.xcom("choose", REPORT_KEY)) == (model, report)
    pd.testing.assert_frame_equal(pd.read_parquet(good.uri("sweep")), swept)
    assert not [*good.folder.glob(".*.partial")]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


WARNINGS: list[Case] = [
    (
        "duplicate column names",
        lambda good: load(good, "A,A\n1,2\n"),
        "Column 'A' is in <folder>/bad.csv twice; the second is called 'A.1' here",
    ),
    (
        "wrong separator",
        lambda good: load(good, "A;B\n1;2\n"),
        "<folder>/bad.csv has a single column, 'A;B'; if it has more, read it with "
        "CsvLoadOperator(read_csv_kwargs={'sep': ';'})",
    ),
    (
        "whole numbers beyond those of floating point",
        lambda good: scale(good, "BALANCE,PURCHASES\n1152921504606846976,1\n1152921504606846983,2\n"),
        "Feature BALANCE holds whole numbers beyond 9007199254740992, which are rounded to 16 digits. If "
        "it is an "
        "id, name it in id_column and leave it out of features",
    ),
    (
        "a quote that swallows a line, in a file that is not loaded before",
        lambda good: scale(good, 'BALANCE,PURCHASES,N\n1,2,"x\n3,4,"y\n5,6,z\n'),
        "1 line breaks of <folder>/bad.csv lie between quotes and were read as part of a value, the first "
        "after the "
        "quote in line 2.",
    ),
    (
        "constant feature",
        lambda good: scale(good, "BALANCE,PURCHASES\n5,1\n5,2\n"),
        "Feature BALANCE has one value only and scales to 0: it cannot tell customers apart; leave it out",
    ),
    (
        "fewer distinct rows than k_max",
        lambda good: sweep(good, data=good.parquet(pa.table({"x": [1.0, 2.0, 2.0]}))),
        "k_max=49 is more than the 2 distinct rows, so the range ends at k=2; lower k_max to get rid of this "
        "warning",
    ),
    (
        "one row",
        lambda good: sweep(good, data=good.parquet(pa.table({"x": [1.0]}))),
        "k_max=49 is more than the 1 distinct rows, so the range ends at k=1; lower k_max to get rid of this "
        "warning",
    ),
    (
        "customers without a value",
        lambda good: assign(good, "PURCHASES,BALANCE\n1,\n2,inf\n3,4\n"),
        "2 of 3 customers have no segment, as a feature is missing or infinite: BALANCE in 2",
    ),
]


@pytest.mark.parametrize(("make", "warning"), [case[1:] for case in WARNINGS], ids=[c[0] for c in WARNINGS])
def test_goes_on_and_warns(run_dag, good, request, capsys, caplog, make, warning):
    dag_id = "odd_" + re.sub(r"\W+", "_", request.node.callspec.id)
    run, _ = run_failing(run_dag, dag_id, lambda: make(good))
    assert run.states == {"bad": "success"}
    out = capsys.readouterr()
    assert good.filled(warning) in out.out + out.err + caplog.text


def test_one_customer_makes_one_segment(run_dag, good):
    path = good.file("BALANCE,PURCHASES\n5,1\n", "one.csv")
    with DAG("one_customer", schedule=None) as dag:
        scaled = MinMaxPreprocessOperator(task_id="scale", data=path, features=FEATURES)
        swept = KMeansSweepOperator(task_id="sweep", data=scaled.output)
        chosen = ElbowOperator(task_id="choose", sweep=swept.output, model_path=f"{good.folder}/one.sav")
        KMeansPredictOperator(task_id="assign", model_path=chosen.output["model_path"], data=path)
    assert run_dag(dag).table("assign")["segment"].tolist() == [0]


def test_columns_may_come_in_any_order_and_script_and_ids_keep_their_zeros(run_dag, good):
    names = ["رصيد", "余额", "Käufe"]
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(50, 3)), columns=names)
    frame.insert(0, "№", [f"{i:04}" for i in range(50)])
    path, other = good.folder / "script.csv", good.folder / "reordered.csv"
    frame.to_csv(path, index=False)
    frame.assign(extra="x")[["Käufe", "extra", "№", "余额", "رصيد"]].to_csv(other, index=False)
    with DAG("any_script", schedule=None) as dag:
        loaded = CsvLoadOperator(task_id="load", path=str(path), id_column="№")
        scaled = MinMaxPreprocessOperator(task_id="scale", data=loaded.output, features=names)
        swept = KMeansSweepOperator(task_id="sweep", data=scaled.output, k_max=5)
        chosen = ElbowOperator(task_id="choose", sweep=swept.output, model_path=f"{good.folder}/s.sav", k=4)
        for task_id, data in (("assign", path), ("assign_reordered", other)):
            KMeansPredictOperator(
                task_id=task_id, model_path=chosen.output["model_path"], data=str(data), id_column="№"
            )
    run = run_dag(dag)
    one, reordered = run.table("assign"), run.table("assign_reordered")
    assert reordered["segment"].tolist() == one["segment"].tolist()
    assert reordered.columns.tolist() == ["Käufe", "extra", "№", "余额", "رصيد", *ASSIGNED]
    assert reordered["№"].tolist() == frame["№"].tolist()


def test_two_thousand_columns_work_and_their_report_stays_small(run_dag, good):
    names = [f"A_COLUMN_WITH_A_RATHER_LONG_NAME_{i}" for i in range(2000)]
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2000)).round(3), columns=names)
    frame.to_csv(good.folder / "wide.csv", index=False)
    with DAG("wide", schedule=None) as dag:
        loaded = CsvLoadOperator(task_id="load", path=f"{good.folder}/wide.csv")
        scaled = MinMaxPreprocessOperator(task_id="scale", data=loaded.output, features=names)
        swept = KMeansSweepOperator(task_id="sweep", data=scaled.output, k_max=5)
        chosen = ElbowOperator(task_id="choose", sweep=swept.output, model_path=f"{good.folder}/w.sav", k=4)
        KMeansPredictOperator(
            task_id="assign", model_path=chosen.output["model_path"], data=f"{good.folder}/wide.csv"
        )
    run = run_dag(dag)
    assert len(run.table("assign")) == 60
    written = run.xcom("choose", REPORT_KEY)
    report = Report.from_json(written)
    assert len(json.dumps(written)) <= MAX_REPORT_BYTES
    shown = len(report.features)
    assert report.left_out[0] == f"all but the first {shown} of 2000 features"
    assert {len(center) for point in report.curve for center in point.centers or ()} == {shown}


def test_mapped_sweeps_that_leave_out_a_k_are_not_joined(run_dag, good):
    def tasks() -> None:
        swept = KMeansSweepOperator.partial(task_id="sweep", data=good.uri("scale")).expand_kwargs(
            [{"k_min": 1, "k_max": 2}, {"k_min": 4, "k_max": 5}]
        )
        ElbowOperator(task_id="choose", sweep=swept.output, model_path=str(good.model))

    _, raised = run_failing(run_dag, "mapped_sweeps_with_a_gap", tasks)
    assert [str(error) for error in raised] == [
        "The sweeps k=1..2, k=4..5 leave out k=3; sweep these, too: a curve with a gap has no elbow to trust"
    ]


def test_a_connection_that_is_not_there_is_named(run_dag, good, monkeypatch):
    # What the amazon provider's filesystem does first, without the provider.
    stores = {"s3": lambda conn_id: BaseHook.get_connection(conn_id)}
    monkeypatch.setattr("airflow.sdk.io.fs._register_filesystems", lambda: stores)
    run, raised = run_failing(
        run_dag, "no_connection", lambda: CsvLoadOperator(task_id="bad", path="s3://gone@bucket/key")
    )
    assert [str(error) for error in raised] == [
        "s3://gone@bucket/key needs the connection 'gone', which there is not; add it in Admin > "
        "Connections, or "
        "name another"
    ]
    assert run.tries == {"bad": 1}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_tried_again_and_keeps_the_old_model(run_dag, good, small_disk):
    model = small_disk / "model.sav"
    model.write_bytes(b"old")
    (small_disk / "full").write_bytes(bytes(small_disk.stat().st_blksize * 15))
    run, raised = run_failing(run_dag, "full_disk", lambda: choose(good, model_path=str(model)))
    assert [str(error) for error in raised][-1:] == [
        f"[Errno 28] No space is left to write {model}; free some, or choose a path with more"
    ]
    assert run.tries == {"bad": 3}
    assert model.read_bytes() == b"old"
    assert {item.name for item in small_disk.iterdir()} == {"model.sav", "full"}


def test_a_table_on_a_full_disk_is_not_there_in_part(run_dag, good, small_disk, monkeypatch):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", str(small_disk))
    rows = "".join(f"{value}\n" for value in np.random.default_rng(0).normal(size=30_000))
    _, raised = run_failing(run_dag, "full_store", lambda: load(good, f"A\n{rows}"))
    assert "No space is left to write" in str(raised[-1])
    assert not files(small_disk)


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Run as a user with no rights, as a worker does, even where tests run as root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_what_the_worker_may_not_read_or_write_is_told(tmp_path, unprivileged):
    folder = Path(tempfile.mkdtemp())
    (folder / "file.csv").write_text("A\n1\n")
    (folder / "file.csv").chmod(0)
    with pytest.raises(InputError) as caught:
        csv_to_table(Csv(str(folder / "file.csv")), str(folder / "table.parquet"))
    assert str(caught.value) == (
        f"{folder}/file.csv may not be read; give this worker's user, or the connection, the right to read it"
    )
    folder.chmod(0o500)
    with pytest.raises(InputError) as caught, table_written(f"{folder}/sub/t.parquet", pa.schema([])):
        pass
    assert str(caught.value) == (
        f"{folder}/sub/t.parquet may not be written; give this worker's user, or the connection, the right "
        f"to "
        "write there, or choose another path"
    )
    assert [item.name for item in folder.iterdir()] == ["file.csv"]
    folder.chmod(0o700)
    shutil.rmtree(folder)


def test_truth_values_count_as_0_and_1_and_long_ids_stay_what_they_are(run_dag, good):
    rows = "".join(f"17000000000000{i:05d},{i % 3 == 0},{i % 7 * 1e-170}\n" for i in range(40))
    path = good.file(f"ID,MEMBER,SPEND\n{rows}", "long_ids.csv")
    with DAG("long_ids", schedule=None) as dag:
        table = CsvLoadOperator(task_id="load", path=path)
        scaled = MinMaxPreprocessOperator(task_id="scale", data=table.output, features=["MEMBER", "SPEND"])
        swept = KMeansSweepOperator(task_id="sweep", data=scaled.output, k_max=4)
        ElbowOperator(task_id="choose", sweep=swept.output, model_path=f"{good.folder}/ids.sav", k=2)
    run = run_dag(dag)
    assert run.states == dict.fromkeys(run.states, "success")
    assert run.table("load")["ID"].iloc[-1] == 1700000000000000039
    assert run.table("scale").groupby("MEMBER").size().to_dict() == {0.0: 26, 1.0: 14}
    report = Report.from_json(run.xcom("choose", REPORT_KEY))
    assert report.chosen.sizes == (26, 14), "told apart by what is true or false"
    assert {profile.column for profile in report.profiles} == {"ID", "MEMBER", "SPEND"}
