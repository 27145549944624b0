"""Another process puts links in the place of folders and files while they are opened."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from airflow_segmentation.errors import InputError
from airflow_segmentation.segments.model import load_model
from airflow_segmentation.storage.files import open_for_reading, remove, written_whole

HERE = Path(__file__).parent
OPENED = 3000


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """The only allowed folder, beside one that is not."""
    root = tmp_path / "allowed"
    for folder, content in (
        (root / "folder", "allowed"),
        (root / "sub", "allowed"),
        (tmp_path / "outside", ""),
    ):
        folder.mkdir(parents=True)
        (folder / "file").write_text(content or "forbidden")
    (root / "file").write_text("allowed")
    (root / "link").symlink_to(root / "sub" / "file")
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__ALLOWED_PATHS", str(root))
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", str(tmp_path / "storage"))
    return root


@pytest.fixture
def swapped(root):
    """The same, with a process that swaps links and folders in it."""
    with subprocess.Popen([sys.executable, str(HERE / "swap_links.py"), str(root)]) as process:
        yield root
        assert process.poll() is None, "it swaps to the end"
        process.kill()


def test_no_forbidden_file_is_read(swapped):
    read = Counter()
    for number in range(OPENED):
        path = swapped / ("folder/file", "link", "file")[number % 3]
        with contextlib.suppress(InputError, OSError), open_for_reading(str(path)) as file:
            read[f"{file.read().decode()} {path.name}"] += 1
    assert [what for what in read if what.startswith("forbidden")] == []
    assert len(read) == 2
    assert min(read.values()) > OPENED / 20, read
    print(f"opened: {OPENED}, forbidden: 0")


def test_no_forbidden_file_is_written_or_removed(swapped):
    outside = swapped.parent / "outside"
    written = Counter()
    for number in range(OPENED // 3):
        path = swapped / ("folder/model", "link", "folder/sub/model")[number % 3]
        with contextlib.suppress(InputError, OSError):
            with written_whole(str(path), writer="one") as file:
                file.write(b"model")
            written[path.name] += 1
            if path.name == "model":
                remove(str(path))
    assert [path.name for path in outside.rglob("*")] == ["file"]
    assert (outside / "file").read_text() == "forbidden"
    assert min(written.values()) > OPENED / 100, written
    print(f"written: {OPENED // 3}, forbidden: 0")


def write(uri: str) -> None:
    with written_whole(uri) as file:
        file.write(b"x")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "{folder}/pipe"])
@pytest.mark.parametrize("use", [open_for_reading, write])
def test_what_is_no_regular_file_is_neither_read_nor_replaced(tmp_path, path, use):
    os.mkfifo(tmp_path / "pipe")
    uri = path.format(folder=tmp_path)
    before = Path(uri).stat()
    with pytest.raises(InputError, match=f"{uri} is a device, a pipe or a socket; (give|choose)"):
        use(uri)
    assert Path(uri).stat().st_ino == before.st_ino


def test_a_device_is_no_model():
    with pytest.raises(InputError, match="/dev/zero is a device"):
        load_model("/dev/zero")


@pytest.fixture
def unprivileged():
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


@pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="without O_PATH, on macOS, it must be listed, too")
def test_a_folder_that_may_be_entered_but_not_listed_leads_to_its_files(unprivileged):
    folder = Path(tempfile.mkdtemp())
    (folder / "file").write_text("allowed")
    folder.chmod(0o311)
    with open_for_reading(str(folder / "file")) as file:
        assert file.read() == b"allowed"
    folder.chmod(0o700)
    shutil.rmtree(folder)
