"""SIGKILL while segments are published, and while customers are scored by them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow_segmentation.reports.report import FAILURE_KEY
from airflow_segmentation.segments.published import Published, load_published, read_published
from airflow_segmentation.storage.local_files import LocalFiles


class Released:
    """Runs of the Dag that publishes and scores, by the sweep of a run of the example Dag."""

    def __init__(self, runs: Any) -> None:
        self.runs = runs.of("publish_and_score")
        self.folder: Path = runs.project / "published"
        self.sweep = runs.xcom("undisturbed", "sweep")

    @property
    def current(self) -> Published:
        """The version that is current, whose model is what it says."""
        published = read_published(str(self.folder))
        assert published is not None
        load_published(str(self.folder), published)
        return published

    def start(self, run_id: str, k: int) -> str:
        """Create a run that publishes the segments of k."""
        started: str = self.runs.start(run_id, sweep=self.sweep, k=k)
        return started

    def half_written(self) -> list[Path]:
        """Return the files that are not whole yet."""
        return [path for folder in (self.folder, self.runs.storage) for path in folder.rglob("*.partial")]


@pytest.fixture(scope="module")
def released(runs: Any, undisturbed: dict[str, Any]) -> Released:
    """Runs of the Dag, of which the first has published three segments and scored all customers by them."""
    released = Released(runs)
    released.runs.finish(released.start("first", k=3), ("publish", "score"))
    return released


@contextlib.contextmanager
def killed_at(name: str) -> Iterator[None]:
    """Have the task that is tried be killed as it gives a file this name, all of which is written then."""
    move = LocalFiles.mv

    def kill(files: LocalFiles, path: str, other: str) -> None:
        if other.endswith(f"/{name}"):
            os.kill(os.getpid(), signal.SIGKILL)
        move(files, path, other)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalFiles, "mv", kill)  # each try is a fork of this process
        yield


@pytest.mark.parametrize("name", ["model.skops", "segments.json", "current.json"])
def test_a_kill_in_the_middle_of_publishing_ends_in_one_version(released: Released, name: str) -> None:
    runs, before = released.runs, released.current
    run = released.start(f"killed-at-{name}", k=4)
    with killed_at(name):
        assert runs.try_task(run, "publish") == "up_for_retry"
    assert len(released.half_written()) == 1
    assert released.current == before

    other = released.start(f"beside-{name}", k=5)
    assert runs.try_task(other, "publish") == "failed"
    told = runs.xcom(other, "publish", FAILURE_KEY)["message"]
    assert f"is being published by the task publish of run {run} of Dag publish_and_score" in told
    assert released.current == before

    runs.finish(run, ("publish",))
    after = released.current
    assert (after.version, after.previous) == (before.version + 1, before.version)
    assert (after.run_id, after.k) == (run, 4)
    versions = sorted(path.name for path in (released.folder / "versions").iterdir())
    assert versions == [f"{number:04d}" for number in range(1, after.version + 1)]
    assert released.half_written() == []


def test_a_kill_in_the_middle_of_scoring_leaves_the_table_before_until_the_retry_is_done(
    released: Released,
) -> None:
    runs = released.runs
    table = Path(runs.xcom("first", "score"))
    before = table.read_bytes()
    runs.finish(released.start("another-k", k=6), ("publish",))
    runs.clear("first", "score")
    with killed_at(table.name):
        assert runs.try_task("first", "score") == "up_for_retry"
    assert len(released.half_written()) == 1
    assert table.read_bytes() == before

    runs.finish("first", ("score",))
    scored = pq.read_table(table)
    assert scored.num_rows == 8950
    assert scored["segment"].unique().drop_null().sort().to_pylist() == list(range(6))
    assert released.half_written() == []
