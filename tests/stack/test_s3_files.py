"""Files in a bucket: there whole or not at all, as `tests/test_storage.py` has it for folders."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from airflow_segmentation.storage import open_for_reading, written_whole

BUCKET = "customers"
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
