"""Segments that a cluster publishes, finds again in later customers, and scores by, as one machine does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow_segmentation.engines import spark
from airflow_segmentation.engines.spark import SparkEngine
from airflow_segmentation.engines.spark.data import SparkData
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators import (
    ElbowOperator,
    KMeansPredictOperator,
    KMeansSweepOperator,
    MinMaxPreprocessOperator,
    PublishSegmentsOperator,
)
from airflow_segmentation.reports.identity import identified
from airflow_segmentation.reports.report import ASSIGNMENT_KEY, REPORT_KEY, Assignment, Report
from airflow_segmentation.segments.published import Published, load_published, read_published
from airflow_segmentation.tables.opening import open_data
from made.tasks import Task

FEATURES = ["AGE", "SPENT", "SAME"]
GROUPS = {(20, 100): 430, (40, 900): 280, (60, 300): 195, (70, 800): 95}
"""No decile lies between two groups, where it would be anywhere."""
LATER = {(20, 100): 80, (40, 900): 300, (70, 650): 150, (30, 500): 120}
"""The largest group has become small, the third is gone, another has come, and the fourth has moved."""
NAMES = {0: "Young", 1: "Rich", 2: "Savers"}


def customers(
    folder: Path, groups: dict[tuple[int, int], int], seed: int = 0, spent: float | None = None
) -> str:
    """Write ten times so many customers around the centres of groups, in parts of two months.

    One in 50 has no age. Those of another seed have their columns in another order.

    :param spent: what the last one spent.
    """
    rng = np.random.default_rng(seed)
    rows = [rng.normal(centre, (1.5, 30), (10 * size, 2)) for centre, size in groups.items()]
    frame = pd.DataFrame(rng.permutation(np.concatenate(rows)), columns=["AGE", "SPENT"])
    frame.insert(0, "ID", [f"{number:06d}" for number in range(len(frame))])
    frame["SAME"] = 7
    frame.loc[::50, "AGE"] = np.nan
    if spent is not None:
        frame.loc[len(frame) - 1, "SPENT"] = spent
    if seed:
        frame = frame[["SPENT", "SAME", "ID", "AGE"]]
    for month, part in enumerate(np.array_split(np.arange(len(frame)), 2)):
        path = folder / f"month={month}"
        path.mkdir(parents=True)
        frame.iloc[part].to_parquet(path / "part.parquet")
    return str(folder)


@dataclasses.dataclass(frozen=True)
class Engine:
    """Where operators run, and what they wrote there."""

    name: str
    spark_conn_id: str | None

    def ran(self, operator: type, task: str, **arguments: Any) -> tuple[Any, Task]:
        """Run an operator in a task; return what it returned, and the task."""
        ti = Task(f"{self.name}-{task}")
        done = operator(task_id=ti.task_id, spark_conn_id=self.spark_conn_id, **arguments).execute(
            {"ti": ti, "outlet_events": OutletEventAccessors()}
        )
        return done, ti

    def swept(self, name: str, data: str) -> str:
        """Scale and sweep customers."""
        scaled, _ = self.ran(
            *(MinMaxPreprocessOperator, f"scale-{name}"), data=data, features=FEATURES, missing="median"
        )
        sweep, _ = self.ran(
            KMeansSweepOperator, f"sweep-{name}", data=scaled, k_max=5, scores=(), reference_sets=0
        )
        return sweep

    def published(self, sweep: str, path: Path) -> Published:
        """Publish four segments of a sweep, three of them with names."""
        review = {"k": 4, "decision": "Approve", "names": NAMES}
        self.ran(PublishSegmentsOperator, "publish", name="made", path=str(path), sweep=sweep, review=review)
        found = read_published(str(path))
        assert found is not None
        return found

    def chosen(self, sweep: str, path: Path, model: Path) -> Report:
        """Choose four segments beside those that are published."""
        _, task = self.ran(
            ElbowOperator, "choose", sweep=sweep, k=4, published=str(path), model_path=str(model)
        )
        return Report.from_json(task.pushed[REPORT_KEY])

    def scored(self, data: str, path: Path, **arguments: Any) -> tuple[pd.DataFrame, Assignment]:
        """Assign customers to what is published; return the table, and what the page is told of it."""
        uri, task = self.ran(KMeansPredictOperator, "score", data=data, published=str(path), **arguments)
        with open_data(uri) as table:
            rows = [batch.to_pandas() for batch in table.batches()]
        return pd.concat(rows, ignore_index=True), Assignment.from_json(task.pushed[ASSIGNMENT_KEY])


HERE = Engine("here", None)


@pytest.fixture(scope="module")
def there(connected: SparkEngine) -> Iterator[Engine]:
    """The cluster, in one session for all tasks: executors start Python anew for each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spark, "SparkEngine", lambda *_: nullcontext(connected))
        yield Engine("there", "module")


@dataclasses.dataclass(frozen=True)
class Month:
    """Customers whom segments were published of, on the cluster, and those of the next month."""

    path: Path
    first: str
    sweep: str
    later: str
    later_sweep: str


@pytest.fixture(scope="module")
def month(there: Engine, tmp_path_factory: pytest.TempPathFactory) -> Month:
    folder = tmp_path_factory.mktemp("months")
    first = customers(folder / "first", GROUPS)
    later = customers(folder / "later", LATER, seed=3)
    sweep = there.swept("first", first)
    there.published(sweep, folder / "published")
    return Month(folder / "published", first, sweep, later, there.swept("later", later))


def test_a_cluster_publishes_what_one_machine_publishes(there, month, tmp_path):
    found = read_published(str(month.path))
    expected = HERE.published(month.sweep, tmp_path / "published")

    assert found.features == expected.features
    assert [each.name for each in found.segments] == [*NAMES.values(), ""]
    for one, two in zip(found.bins, expected.bins, strict=True):
        assert one.edges == pytest.approx(two.edges, rel=1e-12)
        assert one.shares == two.shares
    ours, theirs = (
        load_published(str(month.path), found),
        load_published(str(tmp_path / "published"), expected),
    )
    assert ours.distances == pytest.approx(theirs.distances, rel=1e-9)
    assert ours.assigner.medians == pytest.approx(theirs.assigner.medians)
    ignored = dict.fromkeys(("bins", "model_digest", "published_at", "task_id"))
    assert dataclasses.replace(found, **ignored) == dataclasses.replace(expected, **ignored)


def test_the_whole_loop_finds_on_one_machine_what_it_finds_on_a_cluster(there, month, tmp_path):
    HERE.published(HERE.swept("first", month.first), tmp_path / "published")
    here = HERE.chosen(HERE.swept("later", month.later), tmp_path / "published", tmp_path / "here.skops")
    report = there.chosen(month.later_sweep, month.path, tmp_path / "there.skops")

    assert report.chosen.numbers == here.chosen.numbers
    assert report.published.migration == here.published.migration
    assert report.published.psi == pytest.approx(here.published.psi, rel=1e-3, abs=1e-9)


def test_segments_keep_their_numbers_and_rows_are_counted_as_on_one_machine(there, month, tmp_path, capsys):
    report = there.chosen(month.later_sweep, month.path, tmp_path / "there.skops")
    told = capsys.readouterr().out
    here = HERE.chosen(month.later_sweep, month.path, tmp_path / "here.skops")

    segments = identified(report, report.chosen)
    assert [(each.number, each.name, each.state) for each in segments.segments] == [
        (1, "Rich", "kept"),
        (3, "", "moved"),
        (4, "", "new"),
        (0, "Young", "kept"),
    ]
    assert [(each.number, each.name) for each in segments.gone] == [(2, "Savers")]
    assert report.published == here.published
    assert sum(map(sum, report.published.migration)) == 6_500
    assert min(report.published.psi[:2]) > 0.25
    assert "Segment 2: Savers is gone" in told
    assert capsys.readouterr().out.count("rows stay in their segment") == 1


def test_customers_are_scored_row_by_row_as_on_one_machine(there, month, tmp_path):
    data = customers(tmp_path / "customers", LATER, seed=3, spent=np.inf)
    found, assignment = there.scored(data, month.path, max_psi=100, max_outside=1)
    expected, here = HERE.scored(data, month.path, max_psi=100, max_outside=1)

    assert list(found) == list(expected)
    names = dict(zip(found["segment"].dropna(), found["segment_name"].dropna(), strict=True))
    assert {number: names[number] for number in NAMES} == NAMES
    assert names[3].startswith("Segment 3: ")
    assert (assignment.without, found["segment"].isna().sum()) == (1, 1), (
        "an age that is missing is the median"
    )
    # Spark has narrower numbers for the values of folders.
    pd.testing.assert_frame_equal(found.astype({"month": "int64"}), expected, rtol=1e-12)
    assert dataclasses.replace(assignment, uri="") == dataclasses.replace(here, uri="")
    assert assignment.drift.found == ()


def test_a_drift_is_told_and_can_fail_the_task_before_a_table_is_written(there, month, capsys, airflow_home):
    there.scored(month.first, month.path, max_outside=0.1)
    assert "drifted" not in capsys.readouterr().out
    _, assignment = there.scored(month.later, month.path)
    told = capsys.readouterr().out
    assert "The customers have drifted: " in told
    assert "segments have other shares of the customers" in told
    assert assignment.drift.features[0].psi > 0.25
    with pytest.raises(InputError, match="have drifted, and no table of segments was written: "):
        there.ran(
            *(KMeansPredictOperator, "never"), data=month.later, published=str(month.path), fail_on_drift=True
        )
    assert not list(airflow_home.glob("segmentation/**/there-never/**/*.parquet"))


def test_bins_that_are_found_in_passes_tell_the_same_drift(there, month, tmp_path, monkeypatch):
    here = HERE.scored(month.later, month.path)[1].drift
    monkeypatch.setattr(SparkData, "gathered", 1_000)
    there.published(month.sweep, tmp_path / "published")
    drift = there.scored(month.later, tmp_path / "published")[1].drift

    assert {each.feature: each.psi for each in drift.features} == pytest.approx(
        {each.feature: each.psi for each in here.features}, rel=0.05
    )
    assert (drift.shares, drift.outside) == (here.shares, here.outside)
