from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest
from airflow.sdk import DAG
from airflow_segmentation.operators import CsvLoadOperator
from made.csv_files import files


def test_returns_the_uri_of_a_table_with_all_rows_and_columns(run_dag, customers):
    with DAG("load_all", schedule=None) as dag:
        CsvLoadOperator(task_id="load", path=str(customers), id_column="CUST_ID")
    run = run_dag(dag)
    assert run.states == {"load": "success"}
    expected = pd.read_csv(customers, dtype={"CUST_ID": str})
    pd.testing.assert_frame_equal(run.table("load"), expected, check_dtype=False)


def test_templates_choose_the_file_and_the_columns(run_dag, customers):
    with DAG("load_templated", schedule=None, params={"file": str(customers)}) as dag:
        CsvLoadOperator(task_id="load", path="{{ params.file }}", columns="BALANCE, PURCHASES")
    assert run_dag(dag).table("load").columns.tolist() == ["BALANCE", "PURCHASES"]


def test_read_csv_kwargs_reach_pandas(run_dag, tmp_path):
    (tmp_path / "european.csv").write_bytes("Ort;Betrag\nZürich;1,5\n".encode("latin-1"))
    with DAG("load_european", schedule=None) as dag:
        CsvLoadOperator(
            task_id="load",
            path=str(tmp_path / "european.csv"),
            read_csv_kwargs={"sep": ";", "decimal": ",", "encoding": "latin-1"},
        )
    assert run_dag(dag).table("load").to_dict("records") == [{"Ort": "Zürich", "Betrag": 1.5}]


def test_a_folder_and_a_pattern_are_one_table(run_dag, tmp_path):
    folder = files(tmp_path / "in", a="id,x\n007,1\n", b="x,id\n2.5,008\n")
    with DAG("load_several", schedule=None) as dag:
        CsvLoadOperator(task_id="folder", path=str(folder), id_column="id")
        CsvLoadOperator(task_id="pattern", path=f"{folder}/?.csv", id_column="id")
    run = run_dag(dag)
    expected = [{"id": "007", "x": 1.0}, {"id": "008", "x": 2.5}]
    assert run.table("folder").to_dict("records") == expected
    assert run.table("pattern").to_dict("records") == expected


def test_two_runs_share_no_file(run_dag, customers):
    with DAG("load_twice", schedule=None) as dag:
        CsvLoadOperator(task_id="load", path=str(customers))
    assert run_dag(dag).xcom("load") != run_dag(dag).xcom("load")


def test_mapped_tasks_share_no_file(run_dag, customers):
    with DAG("load_mapped", schedule=None) as dag:
        CsvLoadOperator.partial(task_id="load").expand(path=[str(customers), str(customers)])
    run = run_dag(dag)
    assert run.xcom("load", map_index=0) != run.xcom("load", map_index=1)


@pytest.mark.parametrize("content", ["", "BALANCE,PURCHASES\n", "BALANCE\n1\n2,3\n"])
def test_bad_input_fails_at_once_whatever_the_retries(run_dag, tmp_path, content):
    (tmp_path / "bad.csv").write_text(content)
    with DAG("load_bad", schedule=None) as dag:
        CsvLoadOperator(task_id="load", path=str(tmp_path / "bad.csv"), retries=3, retry_delay=timedelta(0))
    assert run_dag(dag).states == {"load": "failed"}
