from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import resource
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import IO
from urllib.parse import quote, unquote

import fsspec
import pytest
from airflow.sdk.io import attach
from airflow_segmentation.errors import InputError
from airflow_segmentation.storage.files import (
    created,
    files_at,
    fingerprint,
    is_folder,
    open_for_reading,
    project_root,
    remove,
    written_whole,
)
from airflow_segmentation.storage.local_files import NotRegularError
from airflow_segmentation.storage.outputs import output_uri
from airflow_segmentation.storage.scratch import scratch_folder
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st


def context(**changes):
    names = {"dag_id": "dag", "run_id": "run", "task_id": "task", "map_index": -1} | changes
    return {"ti": SimpleNamespace(**names)}


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


def test_a_file_is_created_once(tmp_path):
    uri = str(tmp_path / "folder" / "claim")
    assert created(uri, b"one")
    assert not created(uri, b"other")
    assert Path(uri).read_bytes() == b"one"


def test_a_store_that_does_not_tell_who_was_first_is_refused():
    attach("memory", fs=fsspec.filesystem("memory"))
    with pytest.raises(InputError, match=r"^memory://shared/claim is in a store that does not tell"):
        created("memory://shared/claim", b"one")


def test_a_disk_on_which_files_have_one_name_only_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(
        InputError, match=r"does not tell which of two tasks wrote a file first; .* hard links"
    ):
        created(str(tmp_path / "claim"), b"one")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_there_is_no_room_for_is_not_created_and_nothing_is_left(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(OSError, match="was not written"):
            created(str(tmp_path / "claim"), b"more than ten bytes")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def leave_partial(path, writer=""):
    """Write half of a file as a process does that is killed: nothing is cleaned up."""
    code = (
        "import os, sys; from airflow_segmentation.storage.files import written_whole\n"
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


@pytest.mark.parametrize(
    ("storage", "root"),
    [("/opt/airflow/segmentation", "/checkout"), ("s3://aws@bucket/segments/", "s3://aws@bucket/segments")],
)
def test_the_project_lies_in_its_checkout_or_in_the_object_store_that_workers_share(
    monkeypatch, storage, root
):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", storage)
    assert project_root(Path("/checkout")) == root


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match="is a folder; give the path of one file"):
        open_for_reading(str(tmp_path))


def test_a_folder_is_not_written_over_nor_into(tmp_path):
    with pytest.raises(InputError, match="is a folder; give the path of a file to write"):
        written(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_file_cannot_hold_another(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(InputError, match="lies below a file, not a folder; choose another path"):
        written(str(tmp_path / "file" / "model.sav"))
    with pytest.raises(InputError, match="There is no file at"):
        open_for_reading(str(tmp_path / "file" / "model.sav"))
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_full_disk_is_told_and_tried_again(tmp_path):
    def fill() -> None:
        with written_whole(str(tmp_path / "file")) as file:
            file.write(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"No space is left to write .*file; free some") as caught:
        fill()
    assert not isinstance(caught.value, InputError), "a retry may find space"
    assert list(tmp_path.iterdir()) == []


class Failing(MemoryFileSystem):
    """A store that opens nothing."""

    cachable = False
    error: OSError

    def open(self, *_: object, **__: object) -> IO[bytes]:
        raise self.error


failing = Failing()  # Airflow keeps the first that it is given of a name
FAILING = "memory://failing@shop/file"
NOT_THERE = (
    "There is no file at {}; check the path, the connection, and that this worker sees the same storage. If "
    "it arrives later, wait for it with a sensor"
)
LONG, LOOP = (OSError(number, os.strerror(number)) for number in (errno.ENAMETOOLONG, errno.ELOOP))
ENDLESS = "{} is a device, a pipe or a socket; "
NO_FILE = "{} cannot be a file (%s); choose another path"
DENIED = "give this worker's user, or the connection, the right to "


@pytest.mark.parametrize(
    ("error", "reading", "writing"),
    [
        (FileNotFoundError(2, "gone"), NOT_THERE, "[Errno 2] {} was not written: gone"),
        (
            *(IsADirectoryError(21, "folder"), "{} is a folder; give the path of one file"),
            "[Errno 21] {} was not written: folder",
        ),
        (
            *(NotADirectoryError(20, "file"), NOT_THERE),
            "{} lies below a file, not a folder; choose another path",
        ),
        (NotRegularError(22, "pipe"), f"{ENDLESS}give the path of a file", f"{ENDLESS}choose another path"),
        (
            *(PermissionError(13, "no"), f"{{}} may not be read; {DENIED}read it"),
            f"{{}} may not be written; {DENIED}write there, or choose another path",
        ),
        (LONG, NO_FILE % LONG.strerror, NO_FILE % LONG.strerror),
        (LOOP, NO_FILE % LOOP.strerror, NO_FILE % LOOP.strerror),
        (
            *(OSError(errno.ENOSPC, "full"), "[Errno 28] {} could not be opened: full"),
            "[Errno 28] No space is left to write {}; free some, or choose a path with more",
        ),
        (
            *(OSError(errno.EBUSY, "busy"), "[Errno 16] {} could not be opened: busy"),
            "[Errno 16] {} was not written: busy",
        ),
        (OSError("what"), "[Errno 5] {} could not be opened: what", "what"),
    ],
)
def test_each_failure_of_a_storage_is_told_in_words(error, reading, writing):
    failing.error = error
    attach("memory", "failing", fs=failing)
    for use, told in ((open_for_reading, reading), (written, writing)):
        with pytest.raises((InputError, OSError)) as caught:
            use(FAILING)
        assert str(caught.value) == told.format(FAILING)
        # What tells its number is the storage's own fault, and tried again.
        assert isinstance(caught.value, InputError) is not told.startswith(("[Errno", "what"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError("not yours"), r"^The files in memory://failing@folder may not be listed; give this"),
        (
            OSError(errno.EBUSY, "busy"),
            r"\[Errno 16\] memory://failing@folder/\*\.csv could not be opened: busy",
        ),
    ],
)
def test_a_storage_that_does_not_list_files_is_told_in_words(monkeypatch, error, told):
    def fail(*_: object, **__: object) -> None:
        raise error

    attach("memory", "failing", fs=failing)
    for method in ("ls", "exists", "isdir"):
        monkeypatch.setattr(failing, method, fail)
    with pytest.raises((InputError, OSError), match=told) as caught:
        files_at("memory://failing@folder/*.csv")
    assert isinstance(caught.value, InputError) is isinstance(error, PermissionError)
    assert caught.value.__cause__ is None


def test_a_file_may_be_read_though_nothing_may_be_listed(monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise PermissionError("not yours")

    attach("memory", "failing", fs=failing)
    monkeypatch.setattr(failing, "isdir", fail)
    assert is_folder("memory://failing@folder/file") is False
    assert files_at("memory://failing@folder/file") is None


def test_a_pattern_is_told_by_the_files_that_match_it(tmp_path):
    for name in ("a.csv", "b.csv", "c.txt"):
        (tmp_path / name).write_text("x")
    before = fingerprint(f"{tmp_path}/*.csv")
    (tmp_path / "c.txt").write_text("changed")
    assert fingerprint(f"{tmp_path}/*.csv") == before
    (tmp_path / "b.csv").write_text("changed")
    changed = fingerprint(f"{tmp_path}/*.csv")
    (tmp_path / "d.csv").write_text("new")
    assert len({before, changed, fingerprint(f"{tmp_path}/*.csv")}) == 3


class Upload:
    """A file of an object store: it appears when it is closed."""

    def __init__(self, store: Store, path: str) -> None:
        self.store, self.path, self.content, self.closed = store, path, b"", False

    def write(self, content: bytes) -> None:
        self.content += content

    def close(self) -> None:
        if self.path.partition("/")[0] not in self.store.buckets:
            raise FileNotFoundError(2, "no such bucket")
        self.store.files[self.path] = self.content
        self.closed = True

    def discard(self) -> None:
        self.store.discarded.append(self.path)


class Store(MemoryFileSystem):
    """An object store of one bucket."""

    cachable = False
    protocol = ("s3", "s3a")

    def __init__(self) -> None:
        super().__init__()
        self.buckets = {"bucket"}
        self.files: dict[str, bytes] = {}
        self.discarded: list[str] = []

    def isdir(self, path: str) -> bool:
        return False

    def exists(self, path: str, **_: object) -> bool:
        return path in self.buckets

    def open(self, path: str, mode: str = "rb", **_: object) -> Upload:
        assert mode == "wb"
        return Upload(self, path)


object_store = Store()


@pytest.fixture
def store() -> Store:
    attach("s3", "store", fs=object_store)
    object_store.files.clear()
    object_store.discarded.clear()
    return object_store


def test_a_file_appears_in_an_object_store_once_it_is_complete(store):
    with written_whole("s3://store@bucket/folder/file") as file:
        file.write(b"one")
        file.write(b"two")
        assert store.files == {}
    assert store.files == {"bucket/folder/file": b"onetwo"}
    assert store.discarded == []


def test_of_a_file_that_is_not_completed_an_object_store_keeps_nothing(store):
    uploads = []
    with contextlib.suppress(ZeroDivisionError), written_whole("s3://store@bucket/file") as file:
        uploads.append(file)
        file.write(b"half")
        raise ZeroDivisionError
    assert (store.files, store.discarded) == ({}, ["bucket/file"])
    assert uploads[0].closed is True, "or the garbage collector would close it, and so put it after all"


def test_a_bucket_that_is_not_there_is_bad_input(store):
    with pytest.raises(InputError) as caught:
        written("s3://store@none/file")
    assert str(caught.value) == "There is no bucket 'none' to write to; make it, or choose another path"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("/" + "x" * 4095, "There is no file at /xxx|cannot be a file"),
        ("/" + "x" * 4096, r"^/x{99}… has 4097 characters; a path or URI has at most 4096$"),
        ("s3://" + "x" * 4092, r"^s3://… has 4097 characters; a path or URI has at most 4096$"),
        (
            "/a\nb",
            "has a line break or another control character in it; look at the template or the task that it",
        ),
    ],
    ids=["long", "too long", "a URI too long", "two lines"],
)
def test_what_is_no_path_is_refused(uri, message):
    with pytest.raises(InputError, match=message):
        open_for_reading(uri)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("ftp://me:se/cr@et@host/key", "ftp://me@host/key"),
        ("https://host/key?v=1&sig=secret", "https://host/key"),
        ("s3://bucket/key?X-Amz-Credential=me&X-Amz-Signature=secret", "s3://bucket/key"),
        ("https://host/key?v=1&X%2DAmz%2DSignature%3Dsecret", "https://host/key"),
        ("https://host/key#access_token=secret", "https://host/key"),
        ("https://host/key;token=secret", "https://host/key"),
        ("https://host/key%3Fsig=secret", "https://host/key"),
        ("https://secret@host/key", "https://host/key"),
        ("HTTPS://secret@host/key", "HTTPS://host/key"),
        ("ftp://me%3Asecret@host/key", "ftp://me@host/key"),
        ("ftp://me%253Asecret@host/key", "ftp://me@host/key"),
        ("ftp://me:secret%40host/key", "ftp://me@"),
        ("s3://me:/secret@bucket/key", "s3://me@bucket/key"),
        ("s3://me:12/secret@bucket/key", "s3://me@bucket/key"),
        ("s3://me:se@cr/et@bucket/key", "s3://me@bucket/key"),
        ("s3://me:se?cr#et@bucket/key", "s3://me@bucket/key"),
        ("s3://me:se::cret@bucket/key", "s3://me@bucket/key"),
        ("simplecache::https://secret@host/key", "simplecache::https://host/key"),
        ("/data/file.csv?sig=secret", "/data/file.csv"),
        ("/data/file.csv%3Fsig=secret", "/data/file.csv"),
        ("file:/data/file.csv?sig=secret", "file:/data/file.csv"),
    ],
)
def test_a_password_or_token_in_a_path_is_refused_and_not_told(uri, shown):
    with pytest.raises(InputError) as caught:
        open_for_reading(uri)
    assert str(caught.value) == (
        f"{shown} was given with a password or a token, which would end up in logs and on pages; keep it in "
        "an Airflow connection, and name that: scheme://connection@bucket/key"
    )
    assert caught.value.__cause__ is caught.value.__context__ is None, "nor in a traceback"


def written(uri: str) -> None:
    with written_whole(uri) as file:
        file.write(b"content")


@pytest.mark.parametrize(
    ("uri", "conn_id", "content"),
    [
        ("memory://shop/file", "one", b"of one"),
        ("memory://two@shop/file", None, b"of two"),
        ("memory://two@shop/file", "one", b"of two"),
    ],
)
def test_a_file_opens_with_the_connection_it_names_or_else_the_one_given(tmp_path, uri, conn_id, content):
    for connection in ("one", "two"):
        folder = tmp_path / connection
        (folder / "shop").mkdir(parents=True)
        (folder / "shop" / "file").write_text(f"of {connection}")
        attach("memory", connection, fs=DirFileSystem(str(folder)))
    with open_for_reading(uri, conn_id) as file:
        assert file.read() == content


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """The only allowed folder, with a file in it, another beside it, and links between them."""
    folder = tmp_path_factory.mktemp("paths")
    root = folder / "allowed"
    for name in ("allowed/sub", "allowed-too", "outside"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_bytes(name.encode())
    (root / "file").write_bytes(b"allowed")
    (root / "out").symlink_to(folder / "outside")
    (root / "link").symlink_to(folder / "outside" / "file")
    (root / "in").symlink_to(root / "sub")
    (folder / "way-in").symlink_to(root)
    return root


@pytest.fixture
def only_root(root, monkeypatch):
    allowed = f"{root}, s3://aws@bucket/data, memory://shared"
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__ALLOWED_PATHS", allowed)
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", str(root.parent / "store"))
    attach("memory", fs=fsspec.filesystem("memory"))
    attach("memory", "aws", fs=fsspec.filesystem("memory"))
    return root


@pytest.mark.parametrize(
    "path",
    [
        "{root}/file",
        "{root}/sub/../file",
        "{root}//file",
        "{root}/./file",
        "file://{root}/file",
        "local://{root}/file",
        "{root}/in/file",
        "{root}/../way-in/file",
    ],
)
def test_what_lies_under_an_allowed_path_is_opened(only_root, path):
    with open_for_reading(path.format(root=only_root)) as file:
        assert file.read().startswith(b"allowed")


@pytest.mark.parametrize("scheme", ["FILE:", "File://", "LOCAL://"])
def test_a_scheme_in_capitals_is_the_same(only_root, scheme):
    with open_for_reading(f"{scheme}{only_root}/file") as file:
        assert file.read() == b"allowed"


@pytest.mark.parametrize(
    "path",
    [
        "{root}/../outside/file",
        "{root}-too/file",
        "{root}/out/file",
        "{root}/link",
        "{root}/in/../../outside/file",
        "file://{root}/../outside/file",
        "file:{root}/../outside/file",
        "file://conn@{root}/../outside/file",
        "local://{root}/../outside/file",
        "//{root}/../outside/file",
        " {root}/../outside/file",
        "/etc/passwd",
        "/proc/self/root/etc/passwd",
        "file:///etc/passwd",
        "~/.ssh/id_rsa",
        "etc/passwd",
        "memory://shared-too/file",
        "memory://shared/../secret/file",
        "memory://shared/%2e%2e/secret/file",
        "memory://shared/%252e%252e%252fsecret",
        "memory://shared/..\\secret/file",
        "memory://aws@shared/file",
        "memory://secret/file",
    ],
)
def test_nothing_else_is_opened_or_written(only_root, path):
    uri = path.format(root=only_root)
    for use in (open_for_reading, written):
        with pytest.raises(InputError) as caught:
            use(uri)
        assert str(caught.value) == (
            f"{uri} is not under [segmentation] allowed_paths, which are {only_root}, s3://aws@bucket/data, "
            "memory://shared; choose a path under one of them, or ask the administrator of this Airflow to "
            "allow another"
        )
    assert not (only_root.parent / "outside" / "model.sav").exists()


def test_tasks_own_files_and_copies_are_allowed(only_root):
    written(output_uri(context(), "t.parquet"))
    with scratch_folder() as folder:
        written(f"{folder}/copy")
    with pytest.raises(InputError, match="is not under"):
        written(f"{folder}/copy")


def test_a_setting_that_cannot_be_understood_allows_nothing(root, monkeypatch):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__ALLOWED_PATHS", f"{root}, nowhere://bucket")
    said = "Unsupported filesystem: 'nowhere'|Protocol not known: nowhere"  # the latter on Airflow 3.1
    with pytest.raises(InputError, match=rf"holds what is no path \(({said})\), so"):
        open_for_reading(f"{root}/file")


def test_an_administrator_may_allow_all(root, monkeypatch):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__ALLOWED_PATHS", " * ")
    with open_for_reading(f"{root}-too/file") as file:
        assert file.read() == b"allowed-too"


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project with Dags, data and a model, which Airflow sees by a link, and nothing that allows more."""
    for folder in ("dags/data", "data", "model", "scripts"):
        (tmp_path / "project" / folder).mkdir(parents=True)
        (tmp_path / "project" / folder / "file").write_text("content")
    (tmp_path / "dags").symlink_to(tmp_path / "project" / "dags")
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", str(tmp_path / "storage"))
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__ALLOWED_PATHS", "")
    return tmp_path / "project"


@pytest.mark.parametrize("path", ["data/file", "model/file", "dags/data/file", "../dags/data/file"])
def test_the_projects_data_and_models_are_allowed_by_default(project, path):
    with open_for_reading(f"{project}/{path}") as file:
        assert file.read() == b"content"
    written(f"{project}/{path}")
    written(output_uri(context(), "t.parquet"))


@pytest.mark.parametrize(
    "uri", ["{project}/scripts/file", "{project}/dags/a.py", "/data/a.csv", "s3://aws@b/k"]
)
def test_whoever_needs_more_is_told_the_setting(project, uri):
    uri = uri.format(project=project)
    for use in (open_for_reading, written):
        with pytest.raises(InputError) as caught:
            use(uri)
        assert str(caught.value) == (
            f"{uri} is not under [segmentation] allowed_paths, which are {project.parent}/storage, "
            f"{project}/data, {project}/model, {project}/dags/data; choose a path under one of them, or ask "
            "the administrator of this Airflow to allow another"
        )


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("/data/\0file", "/data/\ufffdfile has a line break or another control character in it; look at the"),
        (
            "s3://b/a\nINFO: b",
            "s3://b/a\ufffdINFO: b has a line break or another control character in it; look",
        ),
        ("/data/\udcff", "/data/\ufffd has a line break or another control character in it; look at the"),
        (
            "simplecache::s3://b/k",
            "simplecache::s3://b/k chains filesystems, which is not supported; give the",
        ),
        (
            "zip://a.csv::/tmp/a.zip",
            "zip://a.csv::/tmp/a.zip chains filesystems, which is not supported; give",
        ),
        ("/" + "a" * 4096, "/" + "a" * 99 + "… has 4097 characters; a path or URI has at most 4096"),
        ("ftp://me:" + "s" * 4096 + "@h/k", "ftp://… has 4109 characters; a path or URI has at most 4096"),
        ("s3://b/" + "://?" * 5000, "s3://… has 20007 characters; a path or URI has at most 4096"),
        ("/" + "a" * 300, "/" + "a" * 300 + " cannot be a file (File name too long); choose another path"),
    ],
)
def test_what_no_file_can_have_for_a_path_is_bad_input(monkeypatch, uri, message):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__ALLOWED_PATHS", "*")
    for use in (open_for_reading, written):
        with pytest.raises(InputError) as caught:
            use(uri)
        assert str(caught.value).startswith(message)


@pytest.mark.filterwarnings("ignore:.*'generic'")
def test_a_filesystem_that_is_for_others_to_use_opens_nothing(monkeypatch):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__ALLOWED_PATHS", "*")
    said = "names no storage that holds files|cannot be opened: No filesystem registered"  # the latter on 3.1
    with pytest.raises(InputError, match=f"generic://x/y ({said})"):
        open_for_reading("generic://x/y")


SEGMENTS = ["..", ".", "", "sub", "in", "out", "outside", "allowed", "allowed-too", "way-in", "~", "%2e%2e"]
SEGMENTS += ["%252e%252e", "..%2f..", "%2e.", "..\\..", "…", "file", "link"]
# Of the fixture, each example finds the paths that the one before found.
hostile = settings(
    max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
hostile_tails = st.lists(st.sampled_from(SEGMENTS), max_size=8).map("/".join)


@hostile
@given(
    prefix=st.sampled_from(["", "file:", "file://", "local://", "FILE://", "file://conn@", "/", "//"]),
    tail=hostile_tails,
)
def test_no_local_path_leads_out_and_none_that_stays_in_is_refused(only_root, prefix, tail):
    plain = Path(f"{only_root}/{tail}")
    try:
        with open_for_reading(f"{prefix}{only_root}/{tail}") as file:
            assert file.read() in (b"allowed", b"allowed/sub")
    except InputError:
        stays_in = plain.is_file() and only_root in plain.resolve().parents
        event("stays in" if stays_in else "leads out")
        assert not stays_in


@hostile
@given(tail=hostile_tails, encoded=st.integers(0, 3))
def test_no_path_of_a_store_leads_out_however_the_store_reads_it(only_root, tail, encoded):
    for _ in range(encoded):
        tail = quote(tail, safe="")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    with contextlib.suppress(InputError):
        written(f"memory://shared/{tail}")
    for path in memory.store:
        for _ in range(8):
            path = unquote(path)
        assert posixpath.normpath(path.replace("\\", "/")).startswith("/shared")
