"""Published segments in a bucket, where nothing is renamed: one task publishes, whole or not at all."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from airflow_segmentation.errors import InputError
from airflow_segmentation.segments.published import Claimant, claim, publish, read_published
from made.published import FIRST, publish_next
from made.s3 import BUCKET


def test_versions_follow_one_another(s3: Any, connected: None):
    path = f"s3://object_storage@{BUCKET}/published"
    assert read_published(path) is None
    first, second = publish_next(path), publish_next(path, next_number=9)
    assert (first.version, second.version, second.previous) == (1, 2, 1)
    assert read_published(path) == second


def test_of_many_at_once_one_publishes_and_the_others_fail_with_the_cure(s3: Any, connected: None):
    path = f"s3://object_storage@{BUCKET}/at-once"

    def try_to_publish(number: int) -> str:
        claimant = Claimant("dag", f"run {number}", "publish")
        try:
            version = claim(path, None, claimant)
        except InputError as error:
            return str(error)
        publish(dataclasses.replace(FIRST, version=version, run_id=claimant.run_id), path, {}, "writer")
        return claimant.run_id

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(try_to_publish, range(16)))
    (winner,) = [one for one in told if one.startswith("run ")]
    assert sum("clear this task when that one has ended" in one for one in told) == 15
    published = read_published(path)
    assert published is not None
    assert (published.version, published.run_id) == (1, winner)


def test_a_late_task_does_not_take_the_place_of_what_was_published_since(s3: Any, connected: None):
    path = f"s3://object_storage@{BUCKET}/late"
    first = publish_next(path)
    with pytest.raises(InputError, match="was published since this task began"):
        publish(dataclasses.replace(FIRST, version=2), path, {}, "late")
    assert read_published(path) == first
