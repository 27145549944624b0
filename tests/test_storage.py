from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest
from airflow.sdk.io import attach
from airflow_segmentation.errors import InputError
from airflow_segmentation.storage import (
    SCRATCH,
    open_for_reading,
    output_uri,
    remove,
    safe_segment,
    scratch_folder,
    without_secrets,
    written_whole,
)
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


def test_outputs_lie_under_the_configured_path(monkeypatch):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", "s3://aws@bucket/segments/")
    assert output_uri(context(), "t.parquet") == "s3://aws@bucket/segments/dag/run/task/t.parquet"


def test_outputs_lie_under_airflow_home_by_default(monkeypatch):
    monkeypatch.delenv("AIRFLOW__SEGMENTATION__STORAGE_PATH")
    monkeypatch.setenv("AIRFLOW_HOME", "/somewhere")
    assert output_uri(context(), "t.parquet") == "/somewhere/segmentation/dag/run/task/t.parquet"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("/data/file.csv", "/data/file.csv"),
        ("s3://aws@bucket/key", "s3://aws@bucket/key"),
        ("ftp://me:secret@host/key", "ftp://me@host/key"),
        ("https://host/key?sig=secret", "https://host/key"),
    ],
)
def test_no_secret_of_a_uri_is_shown(uri, shown):
    assert without_secrets(uri) == shown


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder" / "file"
    with contextlib.suppress(ZeroDivisionError), written_whole(str(path)) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert list(path.parent.iterdir()) == []


def test_what_was_there_stays_until_the_new_file_is_complete(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with written_whole(str(path)) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def leave_partial(path, writer=""):
    """Write half of a file as a process does that is killed: nothing is cleaned up."""
    code = (
        "import os, sys; from airflow_segmentation.storage import written_whole\n"
        "with written_whole(sys.argv[1], None, sys.argv[2]) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), 9)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", code, str(path), writer], env=env, check=False)
    assert killed.returncode == -signal.SIGKILL


def test_what_a_killed_try_left_goes_with_the_next_and_that_of_others_stays(tmp_path):
    path = tmp_path / "model.sav"
    leave_partial(path, "one")
    leave_partial(path, "other")
    assert len(list(tmp_path.iterdir())) == 2
    with written_whole(str(path), writer="one") as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert len(list(tmp_path.glob(".model.sav.other.*.partial"))) == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_to_remove_a_file_removes_what_a_killed_try_left_of_it(tmp_path):
    leave_partial(tmp_path / "sweep.parquet.state")
    (tmp_path / "sweep.parquet").write_bytes(b"stays")
    remove(str(tmp_path / "sweep.parquet.state"))
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.parquet"]


def test_a_scratch_folder_goes_with_its_process_or_with_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import os, sys; from airflow_segmentation.storage import scratch_folder\n"
        "with scratch_folder() as folder:\n"
        "    open(folder + '/rows', 'w').write('x'); os.kill(os.getpid(), 9)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=env, check=False)
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    others = tmp_path / "segmentation-of-others"
    others.mkdir()
    (tmp_path / f"{SCRATCH}12345678").symlink_to(others, target_is_directory=True)
    with scratch_folder() as first, scratch_folder() as second:
        assert not left[0].exists()
        assert others.exists()
        assert Path(first).is_dir()
        assert Path(second).is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {others.name, f"{SCRATCH}12345678"}


def test_any_store_that_fsspec_knows_will_do():
    attach("memory", fs=fsspec.filesystem("memory"))
    with written_whole("memory://folder/file") as file:
        file.write(b"content")
    with open_for_reading("memory://folder/file") as file:
        assert file.read() == b"content"


def test_a_store_that_is_not_installed_names_the_cure():
    with pytest.raises(InputError, match=r"nowhere://x cannot be opened: .*; install the Airflow provider"):
        open_for_reading("nowhere://x")


def test_a_file_of_ours_that_is_gone_is_bad_input_unless_all_of_storage_is(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", str(tmp_path / "storage"))
    uri = output_uri(context(), "table.parquet")
    with pytest.raises(FileNotFoundError, match=r"storage at .* is away; see that it is mounted"):
        open_for_reading(uri)
    (tmp_path / "storage").mkdir()
    with pytest.raises(InputError, match="There is no file at"):
        open_for_reading(uri)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match="is a folder; give the path of one file"):
        open_for_reading(str(tmp_path))
