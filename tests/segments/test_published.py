"""Versions of published segments: read, written, claimed, by one task or by two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jsonschema
import msgspec
import pytest
from airflow_segmentation.errors import InputError
from airflow_segmentation.segments.published import (
    CLAIM_LASTS,
    Claimant,
    Published,
    claim,
    publish,
    read_published,
    read_version,
    uri_of,
)
from made.published import FIRST, ONE, publish_next

OTHER = Claimant("dag", "another run", "publish", 3)


def test_nothing_is_published_in_a_folder_that_is_not_there(tmp_path):
    assert read_published(str(tmp_path / "none")) is None


def test_what_was_published_is_read_as_it_was(tmp_path):
    path = str(tmp_path / "segments")
    assert publish_next(path) == read_published(path) == read_published(path + "/") == read_version(path, 1)
    assert (tmp_path / "segments/versions/0001/card.md").read_text() == "# Savers"


def test_older_versions_stay_beside_the_current_one(tmp_path):
    path = str(tmp_path)
    first, second = publish_next(path), publish_next(path, k=2, next_number=9)
    assert (second.version, second.previous) == (2, 1)
    assert read_published(path) == second
    assert read_version(path, 1) == first
    with pytest.raises(
        InputError, match=r"has no version 3 of published segments; look into its folder vers"
    ):
        read_version(path, 3)


def test_the_task_that_claimed_a_version_has_it_again_when_it_is_tried_again(tmp_path):
    path = str(tmp_path)
    assert claim(path, None, ONE) == claim(path, None, ONE) == 1


def test_another_task_fails_with_the_cure_while_one_publishes(tmp_path):
    path = str(tmp_path)
    claim(path, None, OTHER)
    told = (
        r"^Version 1 of .* is being published by the task publish\[3\] of run another run of Dag dag; clear "
        r"this task when that one has ended\. .* others may after 60 minutes$"
    )
    with pytest.raises(InputError, match=told):
        claim(path, None, ONE)


def test_of_many_at_once_one_has_the_version(tmp_path):
    def try_to_claim(number):
        try:
            return claim(str(tmp_path), None, Claimant("dag", f"run {number}", "publish"))
        except InputError:
            return None

    with ThreadPoolExecutor(8) as pool:
        assert sorted(filter(None, pool.map(try_to_claim, range(40)))) == [1]


def let_time_pass(path, version):
    """Have a version claimed long ago."""
    long_ago = time.time() - CLAIM_LASTS.total_seconds() - 60
    os.utime(uri_of(path, version, "claim.json"), (long_ago, long_ago))


def test_the_claim_of_a_task_that_is_taken_for_dead_is_passed_over(tmp_path):
    path = str(tmp_path)
    claim(path, None, OTHER)
    let_time_pass(path, 1)
    assert publish_next(path).version == 2
    assert read_published(path).previous is None


def test_a_task_that_was_killed_as_it_claimed_is_in_nobodys_way(tmp_path):
    claim(str(tmp_path), None, OTHER)
    (tmp_path / "versions/0001/claim.json").write_bytes(b"")
    assert claim(str(tmp_path), None, ONE) == 2


def test_a_task_that_comes_back_from_the_dead_fails_and_the_current_version_stays(tmp_path):
    path = str(tmp_path)
    late = claim(path, None, OTHER)
    let_time_pass(path, late)
    second = publish_next(path)
    with pytest.raises(
        InputError, match=r"^Version 2 of .* was published since this task began, .* version 1 "
    ):
        publish(FIRST, path, {}, "late")
    assert read_published(path) == second


KILLED = """
import os, sys
from airflow_segmentation.segments import published
from made.published import publish_next

whole = published.written_whole
def written_whole(uri, *args):
    if uri.endswith(sys.argv[2]):
        os.kill(os.getpid(), 9)
    return whole(uri, *args)

published.written_whole = written_whole
publish_next(sys.argv[1])
"""


@pytest.mark.parametrize("file", ["card.md", "segments.json", "current.json"])
def test_a_kill_leaves_the_old_version_current_and_the_next_try_publishes(tmp_path, file):
    path = str(tmp_path)
    first = publish_next(path)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", KILLED, path, file], env=env, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert read_published(path) == first

    assert publish_next(path) == read_published(path)
    assert read_published(path).version == 2
    assert list(tmp_path.rglob("*.partial")) == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no JSON", "is not what PublishSegmentsOperator writes: JSON is malformed"),
        (b"\xff\xfe", "is not what PublishSegmentsOperator writes: "),
        (b"[" * 100_000, "is not what PublishSegmentsOperator writes: "),
        (b"[]", "is not what PublishSegmentsOperator writes: Expected `object`, got `array`"),
        (b"{}", "is not what PublishSegmentsOperator writes: Object missing required field"),
        (
            b'{"schema_version": 2}',
            "has schema version 2, and this worker reads up to 1; update airflow-segm",
        ),
    ],
)
@pytest.mark.parametrize("file", ["current.json", "versions/0001/segments.json"])
def test_a_file_that_is_no_such_record_is_refused_in_words(tmp_path, file, content, told):
    publish_next(str(tmp_path))
    (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_published(str(tmp_path))
    assert str(raised.value).startswith(f"{tmp_path / file} {told}")


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"k": 3},
        {"next_number": 1},
        {"minimum": [0.0]},
        {"scale": [1.0, 0.0]},
        {"scale": [1.0, -1.0]},
        {"features": ["A"]},
        {"bins": [{"edges": [], "shares": [1.0]}]},
        {"bins": [{"edges": [], "shares": [1.0]}, {"edges": [1.0], "shares": [1.0]}]},
        {"segments": [{"number": 0, "name": "", "size": 1, "share": 0.5, "center": [1.0, 2.0]}] * 2},
        {"segments": [{"number": n, "name": "", "size": 1, "share": 0.5, "center": [1.0]} for n in (0, 1)]},
    ],
)
def test_a_record_whose_parts_do_not_fit_is_refused(tmp_path, changes):
    publish_next(str(tmp_path))
    file = tmp_path / "versions/0001/segments.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(InputError, match="its parts do not fit"):
        read_published(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"features": ["A", "B\n"]}, r"the text 'B\\n' should be on one line\. Give the folder"),
        ({"reviewer": "Ada\x1b[2J"}, r"the text 'Ada\\x1b\[2J' should be on one line"),
        ({"reason": "So\u2028it is"}, r"the text 'So\\u2028it is' should be on one line"),
        ({"sweep_uri": "s3://a\r\nb"}, r"the text 's3://a\\r\\nb' should be on one line"),
        ({"name": "Savers\nof all"}, r"The name 'Savers\\nof all' of a segment should be text on one line"),
        ({"name": "n" * 81}, r"Expected `str` of length <= 80 - at `\$\.segments\[1\]\.name`"),
    ],
)
def test_a_text_that_was_changed_by_hand_into_none_of_ours_is_refused(tmp_path, changes, told):
    publish_next(str(tmp_path))
    file = tmp_path / "versions/0001/segments.json"
    record = json.loads(file.read_text())
    if name := changes.pop("name", None):
        record["segments"][1]["name"] = name
    file.write_text(json.dumps(record | changes))
    with pytest.raises(InputError, match=f"^{file} is not what PublishSegmentsOperator writes: {told}"):
        read_published(str(tmp_path))


def test_a_field_of_a_later_version_is_passed_over(tmp_path):
    first = publish_next(str(tmp_path))
    file = tmp_path / "versions/0001/segments.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"colour": "green"}))
    assert read_published(str(tmp_path)) == first


SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "segments.schema.json"


def test_the_documented_schema_is_that_of_the_record(tmp_path):
    """To write it anew: json.dumps(msgspec.json.schema(Published), indent=1)."""
    schema = json.loads(SCHEMA.read_text())
    assert schema == msgspec.json.schema(Published)
    publish_next(str(tmp_path))
    written = json.loads((tmp_path / "versions/0001/segments.json").read_text())
    jsonschema.validate(written, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**written, "k": "three"}, schema)
