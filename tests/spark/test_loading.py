"""CSV files that a cluster reads: the same table as one machine makes of them."""

from __future__ import annotations

import gzip
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.engines.spark import SparkEngine, executors, loading, session
from airflow_segmentation.errors import InputError
from airflow_segmentation.tables import folders
from airflow_segmentation.tables.csv_files import Csv, csv_to_table
from made.csv_files import ORDINARY, files
from spark import passes
from spark.cluster import Cluster


@pytest.fixture
def engine(connected: SparkEngine, cluster: Cluster, sent: None) -> SparkEngine:
    """The engine, with all of its executors."""
    return connected


def loaded(engine: SparkEngine, target: Path, csv: Csv) -> tuple[pa.Table, Any]:
    """Load, and return the rows with what is told of them."""
    result = engine.load(csv, str(target))
    told = json.loads((target / folders.MARKER).read_text())
    assert told["facts"] == {"id_column": csv.id_column}
    parts = [pq.read_table(target / told["folder"] / name) for name, _ in told["parts"]]
    return pa.concat_tables(parts).replace_schema_metadata(None), result


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (ORDINARY, {"id_column": "id"}),
        (ORDINARY, {"columns": ["spent", "age"]}),
        ("x;y\r\n1,5;2\r\n;3\r\n", {"options": {"sep": ";", "decimal": ","}}),
        ("x,n\n1,é\n2,ü\n".encode("latin-1"), {"options": {"encoding": "latin-1"}}),
        ('x,n\n1,"a\nb"\n2,"c ""d"""\n', {}),
        ("\ufeffx,n\n1,2\n", {}),
        ("x,n\n123456789012345678901,2\n5,3\n", {}),
        ("x,n,b\n1,2,True\n2.5,0x1F,x\n", {}),
        ("x,n\n?,2\n2.5,-\n", {"options": {"na_values": ["?", "-"]}}),
        ("x,n\nNA,2\n,-\n", {"options": {"keep_default_na": False, "na_values": "-"}}),
        ("1,2\n2.5,3\n", {"options": {"header": None, "names": ["p", "q"]}}),
        ("x,n\n'a,b',2\n", {"options": {"quotechar": "'"}}),
        ('x,n\n"a",2\n', {"options": {"quoting": 3}}),
        ("x,x,x.1,,x,\n1,2.5,a,3,b,4\n", {}),
        ("id,n,id\n007,1,2\n", {"id_column": "id"}),
        ("x,n,x\n1,2,007\n", {"id_column": "x.1"}),
        ('"a\nb",n\n007,1\n', {"id_column": "a b"}),
    ],
    ids=lambda value: repr(value)[:30] if isinstance(value, (str, bytes)) else str(value),
)
def test_the_table_is_what_one_machine_makes_of_it(
    engine: SparkEngine, tmp_path: Path, text: str | bytes, arguments: dict[str, Any]
):
    csv = Csv(str(files(tmp_path, data=text) / "data.csv"), **arguments)
    rows, result = loaded(engine, tmp_path / "spark.parquet", csv)
    expected = csv_to_table(csv, str(tmp_path / "local.parquet"))
    here = pq.read_table(tmp_path / "local.parquet").replace_schema_metadata(None)
    # Spark has no type for a column without a value.
    kinds = [pa.int32() if pa.types.is_null(item.type) else item.type for item in here.schema]
    assert rows.equals(here.cast(pa.schema(list(zip(here.schema.names, kinds, strict=True)))))
    assert (result.rows, result.missing) == (expected.rows, expected.missing)


def test_columns_of_the_same_name_are_told(engine: SparkEngine, tmp_path: Path):
    folder = files(tmp_path / "in", a="x,n,x\n1,2,3\n", b="x,x,n\n4,5,6\n")
    rows, result = loaded(engine, tmp_path / "out", Csv(str(folder)))
    assert rows.to_pydict() == {"x": [1, 4], "n": [2, 6], "x.1": [3, 5]}
    assert result.notes == (f"Column 'x' is in {folder} twice; the second is called 'x.1' here",)


def test_a_large_file_is_read_in_pieces_that_keep_their_order(
    engine: SparkEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(session, "PIECE_BYTES", 20_000)
    files(tmp_path / "in", b=ORDINARY, a="none,spent,id,age,active,name,since\n,0.5,7,1.5,,,\n", c="")
    (tmp_path / "in" / "d.csv.gz").write_bytes(gzip.compress(ORDINARY.encode()))
    (tmp_path / "in" / "_not.csv").write_text("x,y\n1,2\n")
    rows, result = loaded(engine, tmp_path / "out", Csv(str(tmp_path / "in"), id_column="id"))
    assert result.rows == 6001
    assert rows.column_names == ["none", "spent", "id", "age", "active", "name", "since"]
    assert rows["id"].to_pylist() == ["7", *(2 * [f"{n:05d}" for n in range(3000)])]
    assert rows.schema.field("age").type == pa.float64()
    assert result.missing["age"] == 2 * 429
    told = json.loads((tmp_path / "out" / folders.MARKER).read_text())
    assert len(told["parts"]) > 6


def test_a_csv_is_a_table_without_being_loaded(engine: SparkEngine, tmp_path: Path):
    files(tmp_path / "in", a=ORDINARY, b=ORDINARY)
    with engine.open(str(tmp_path / "in" / "*.csv"), id_column="id") as table:
        assert (table.rows, table.parts([]), table.id_column) == (6000, 2, "id")
        with pytest.raises(InputError, match=r"'since' .*holds text such as '-'"):
            table.require_numeric(["since"])


@pytest.mark.parametrize(
    ("texts", "arguments", "message"),
    [
        ({"a": "x,y\n1,2\n", "b": "y,z\n1,2\n"}, {}, r"b\.csv lacks column 'x'.*a\.csv"),
        ({"a": "x,y\n1,2\n", "b": "x,y,z\n1,2,3\n"}, {}, r"b\.csv has a column 'z' more"),
        ({"a": "x,y\n1,2,3\n2,3\n"}, {}, r"a\.csv cannot be read as CSV: .*Expected 3 columns, got 2"),
        ({"a": "x,y\n1,2,3\n"}, {}, r"Rows of .*a\.csv have 3 fields, and its header 2"),
        (
            {"a": '"x\ny","x y"\n1,2\n'},
            {},
            r"a\.csv has two columns named 'x y'; give each a name of its own",
        ),
        ({"a": "x,y\n1,2\n"}, {"options": {"header": 0, "names": ["x", "x"]}}, "has two columns named 'x'"),
        ({"a": "x,y\n"}, {}, "has a header and no rows"),
        ({"a": ""}, {}, "is empty"),
        ({"a": 'x,y\n1,"2\n3,4\n'}, {}, r"a\.csv cannot be read as CSV: a quote that opens does not end"),
        ({"a": b"PAR1\nx"}, {}, r"a\.csv is no CSV but a Parquet table"),
        ({"a": b"x,y\n\xff\xfe,2\n"}, {}, r"a\.csv cannot be read as CSV: .*(UTF8|utf-8)"),
        ({"a": "x,y\n1,2\n"}, {"columns": ["z"]}, "Column 'z' is not in"),
        ({"a": "x,y\n1,2\n"}, {"options": {"thousands": ","}}, r"^read_csv_kwargs sets 'thousands', which"),
        ({"a": "x,y\n1,2\n"}, {"options": {"sep": r"\s+"}}, "takes one ASCII character"),
        (
            {"a": "x,y\n1,2\n"},
            {"options": {"encoding": "utf-16"}},
            "encoding='utf-16', and Spark reads one of",
        ),
        ({"a": "x,y\n1,2\n"}, {"options": {"header": 3}}, "header=3, and Spark takes 0, None"),
        ({"a": "x,y\n1,2\n"}, {"options": {"header": None}}, "header=None and no names"),
        ({"a": "x,y\n1,2\n"}, {"options": {"na_values": {"x": "-"}}}, "na_values for single columns"),
        ({"a": "x,y\n1,2\n"}, {"options": {"compression": "zip"}}, "compression='zip', and Spark tells it"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_told(
    engine: SparkEngine, tmp_path: Path, texts: dict[str, Any], arguments: dict[str, Any], message: str
):
    folder = files(tmp_path / "in", **texts)
    with pytest.raises(InputError, match=message) as error:
        engine.load(Csv(str(folder), **arguments), str(tmp_path / "out"))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_line_breaks_in_quotes_are_not_cut_up(
    engine: SparkEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = files(tmp_path / "in", a="x,y\n" + '1,"a\nb"\n' * 100)
    monkeypatch.setattr(session, "PIECE_BYTES", 500)
    with pytest.raises(InputError, match="has line breaks between quotes and is larger than"):
        engine.load(Csv(str(folder)), str(tmp_path / "out"))


def test_a_csv_may_be_too_large(engine: SparkEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = files(tmp_path / "in", a=ORDINARY)
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__MAX_CSV_BYTES", "1000")
    with pytest.raises(InputError, match=r"larger than 1000 bytes.*max_csv_bytes"):
        engine.load(Csv(str(folder)), str(tmp_path / "out"))


def test_all_options_that_are_taken_are_known_to_pandas():
    import inspect

    import pandas as pd

    assert set(loading.OPTIONS) <= set(inspect.signature(pd.read_csv).parameters)
    assert re.fullmatch("[a-z_]+", "".join(loading.OPTIONS))


@pytest.mark.parametrize("victim", ["executor", "python worker"])
def test_the_same_table_whatever_is_killed_while_files_are_looked_through(
    engine: SparkEngine, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str
):
    lines = "".join(f"{n},{n / 7}\n" for n in range(80_000))  # two batches
    csv = Csv(str(files(tmp_path / "csv", a=f"id,spent\n{lines}", b=f"spent,id\n{lines}")))
    undisturbed = loaded(engine, tmp_path / "undisturbed", csv)
    gate, marked, jobs = tmp_path / "gate", executors.Marked, len(cluster.jobs())
    monkeypatch.setattr(executors, "Marked", lambda look: marked(passes.Gated(look, gate)))
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(loaded, engine, tmp_path / "killed", csv)
        cluster.kill_at_gate(victim, gate, jobs)
    assert done.result() == undisturbed
