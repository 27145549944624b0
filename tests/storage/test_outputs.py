from __future__ import annotations

from types import SimpleNamespace

from airflow_segmentation.storage.outputs import output_uri, safe_segment, writer_of
from hypothesis import given
from hypothesis import strategies as st


def context(**changes):
    names = {"dag_id": "dag", "run_id": "run", "task_id": "task", "map_index": -1} | changes
    return {"ti": SimpleNamespace(**names)}


@given(st.text(min_size=1, max_size=300))
def test_a_name_becomes_one_plain_path_segment(name):
    segment = safe_segment(name)
    assert segment not in (".", "..")
    assert all(letter.isascii() and (letter.isalnum() or letter in "_.-") for letter in segment)
    assert len(segment) <= 100


@given(st.lists(st.text(min_size=1, max_size=300), unique_by=str.casefold, min_size=2, max_size=2))
def test_different_names_become_different_segments(names):
    one, other = map(safe_segment, names)
    assert one.casefold() != other.casefold()


def test_names_that_differ_in_case_only_differ_where_files_do_not():
    assert safe_segment("Sales").casefold() != safe_segment("sales").casefold()


def test_each_task_instance_has_a_file_of_its_own():
    contexts = [
        context(),
        context(run_id="run2"),
        context(task_id="task2"),
        context(map_index=0),
        context(map_index=1),
        context(dag_id="../dag"),
    ]
    assert len({output_uri(item, "t.parquet") for item in contexts}) == len(contexts)


def test_a_writer_is_a_task_instance_in_any_of_its_tries():
    tries = [context(try_number=1), context(try_number=2), context(map_index=None)]
    others = [context(map_index=0), context(task_id="task2"), context(run_id="run2"), context(dag_id="dag2")]

    assert len({writer_of(item) for item in tries}) == 1
    assert len({writer_of(item) for item in [*tries, *others]}) == 1 + len(others)


def test_outputs_lie_under_the_configured_path(monkeypatch):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", "s3://aws@bucket/segments/")
    assert output_uri(context(), "t.parquet") == "s3://aws@bucket/segments/dag/run/task/t.parquet"


def test_outputs_lie_under_airflow_home_by_default(monkeypatch):
    monkeypatch.delenv("AIRFLOW__SEGMENTATION__STORAGE_PATH")
    monkeypatch.setenv("AIRFLOW_HOME", "/somewhere")
    assert output_uri(context(), "t.parquet") == "/somewhere/segmentation/dag/run/task/t.parquet"
