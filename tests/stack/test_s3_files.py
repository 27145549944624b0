"""Files in a bucket: there whole or not at all, as `tests/test_storage.py` has it for folders."""

from __future__ import annotations

import gc
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pyarrow.parquet as pq
import pytest
from airflow_segmentation.errors import InputError
from airflow_segmentation.storage.files import created, open_for_reading, written_whole
from airflow_segmentation.tables.csv_files import Csv, csv_to_table
from made.s3 import BUCKET, S3Server

BIG = 60 << 20
"""Bytes that s3fs uploads in several parts."""


def contents(s3: Any, key: str) -> bytes | None:
    """Return an object of the bucket, or None if there is none."""
    if "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix=key):
        return None
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


@pytest.mark.parametrize("size", [10, BIG])
def test_a_file_appears_in_one_go_under_its_own_name_alone(s3: Any, connected: None, size: int):
    key = f"one/{size}"
    with written_whole(f"s3://object_storage@{BUCKET}/{key}") as file:
        file.write(bytes(size))
        assert contents(s3, key) is None
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix="one/")
    assert [item["Key"] for item in versions["Versions"] if item["Key"] == key] == [key]
    assert "DeleteMarkers" not in versions, "nothing was written under another name and removed"
    with open_for_reading(f"s3://object_storage@{BUCKET}/{key}") as file:
        assert len(file.read()) == size


def test_a_file_is_created_once(s3: Any, connected: None):
    uri = f"s3://object_storage@{BUCKET}/once/claim"
    assert created(uri, b"one")
    assert not created(uri, b"other")
    assert contents(s3, "once/claim") == b"one"


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("size", [10, BIG])
def test_of_a_file_that_fails_nothing_stays_and_the_old_one_does(s3: Any, connected: None, size: int):
    key = f"failed/{size}"
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"old")

    def fail() -> None:
        with written_whole(f"s3://object_storage@{BUCKET}/{key}") as file:
            file.write(bytes(size))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    gc.collect()
    assert contents(s3, key) == b"old"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)


@pytest.mark.parametrize("path", ["", "/", "/*.csv*", "/part-?.csv*", "/part-[12].csv*"])
def test_csv_files_in_a_bucket_are_one_table(s3: Any, connected: None, tmp_path: Path, path: str):
    texts = {"part-1.csv": b"x,y\n1,2\n", "part-2.csv.gz": gzip.compress(b"y,x\n4,3\n"), "_SUCCESS": b""}
    for key, text in {"": b"", "more/part-3.csv": b"x,y\n5,6\n", **texts}.items():
        s3.put_object(Bucket=BUCKET, Key=f"several/{key}", Body=text)
    csv_to_table(Csv(f"s3://object_storage@{BUCKET}/several{path}"), str(tmp_path / "out.parquet"))
    assert pq.read_table(tmp_path / "out.parquet").to_pydict() == {"x": [1, 3], "y": [2, 4]}
    with pytest.raises(InputError, match=r"No file matches s3://object_storage@.*/several/x\*, where"):
        csv_to_table(Csv(f"s3://object_storage@{BUCKET}/several/x*"), str(tmp_path / "out.parquet"))


def test_a_csv_file_that_arrives_later_is_found(s3: Any, connected: None, tmp_path: Path):
    for count in (1, 2):
        s3.put_object(Bucket=BUCKET, Key=f"later/{count}.csv", Body=b"x\n1\n")
        for path in ("later", "later/*.csv"):
            csv = Csv(f"s3://object_storage@{BUCKET}/{path}")
            assert csv_to_table(csv, str(tmp_path / "out.parquet")).rows == count


def written(uri: str, size: int) -> None:
    with written_whole(uri) as file:
        file.write(bytes(size))


@pytest.mark.parametrize("size", [10, BIG])
def test_a_bucket_that_is_not_there_is_bad_input(connected: None, monkeypatch: pytest.MonkeyPatch, size: int):
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", "s3://object_storage@custmers/segments")
    with pytest.raises(InputError) as caught:
        written("s3://object_storage@custmers/segments/table.parquet", size)
    assert str(caught.value) == ("There is no bucket 'custmers' to write to; make it, or choose another path")
    with pytest.raises(
        InputError, match=r"There is no file at s3://object_storage@custmers/.*; check the path"
    ):
        open_for_reading("s3://object_storage@custmers/segments/table.parquet")


@pytest.fixture
def refusing(s3_server: S3Server, connected: None) -> Iterator[None]:
    """The server knows nobody, and so not the key of the connection either."""

    def let_in(actions: str) -> None:
        text = {"Content-Type": "text/plain"}
        urlopen(Request(f"{s3_server.url}/moto-api/reset-auth", actions.encode(), text)).close()

    let_in("0")
    yield
    let_in("inf")


@pytest.mark.parametrize("size", [10, BIG])
def test_a_key_that_the_store_does_not_know_is_bad_input(
    refusing: None, connection: dict[str, str], size: int
):
    uri = f"s3://object_storage@{BUCKET}/key"
    with pytest.raises(InputError, match=r"may not be written; give .* the connection, the right") as writing:
        written(uri, size)
    with pytest.raises(InputError, match=r"may not be read; give .* the connection, the right") as reading:
        open_for_reading(uri)
    for error in (writing.value, reading.value):
        assert connection["password"] not in str(error)
        assert error.__cause__ is None
