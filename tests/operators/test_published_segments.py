"""Segments that were published are found again in later customers, with their numbers and names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from airflow_segmentation.clustering.shifts import spread
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators import ElbowOperator, KMeansSweepOperator, MinMaxPreprocessOperator
from airflow_segmentation.reports.identity import identified
from airflow_segmentation.reports.report import REPORT_KEY, Report
from airflow_segmentation.segments.model import load_model
from airflow_segmentation.segments.published import Bins, PublishedSegment
from airflow_segmentation.tables.parquet import Table
from made.published import publish_next
from made.tasks import Task

FEATURES = ("AGE", "SPENT")
GROUPS = {(20, 100): 400, (40, 900): 300, (60, 300): 200, (70, 800): 100}


def customers(groups: Mapping[tuple[int, int], int], seed: int = 0) -> pd.DataFrame:
    """Return customers around the centres of groups, in any order."""
    rng = np.random.default_rng(seed)
    rows = [rng.normal(centre, (1.5, 30), (size, 2)) for centre, size in groups.items()]
    return pd.DataFrame(rng.permutation(np.concatenate(rows)), columns=list(FEATURES))


def running(task: Task) -> Any:
    return {"ti": task}


@pytest.fixture
def choose(tmp_path):
    """Return a function from customers to the report of k segments, against what lies in `published`."""

    def run(frame: pd.DataFrame, k: int = 4, features: Sequence[str] = FEATURES, **arguments: Any) -> Report:
        path = tmp_path / "customers.parquet"
        frame.to_parquet(path)
        scale = MinMaxPreprocessOperator(task_id="scale", data=str(path), features=list(features))
        table = scale.execute(running(Task("scale")))
        sweep = KMeansSweepOperator(
            task_id="sweep", data=table, k_max=6, random_state=arguments.pop("seed", 42), reference_sets=0
        ).execute(running(Task("sweep")))
        task = Task("choose")
        arguments = dict[str, Any](published=str(tmp_path / "published"), k=k) | arguments
        ElbowOperator(
            task_id="choose", sweep=sweep, model_path=str(tmp_path / "model.skops"), **arguments
        ).execute(running(task))
        report = Report.from_json(task.pushed[REPORT_KEY])
        assert report.data_uri == table
        return report

    return run


@pytest.fixture
def publish(tmp_path):
    """Return a function that publishes the segments of a report, with names by number."""

    def run(report: Report, names: Mapping[int, str]) -> None:
        low, high = ([getattr(feature, end) for feature in report.features] for end in ("minimum", "maximum"))
        spans = np.subtract(high, low)
        features, point = tuple(feature.name for feature in report.features), report.chosen
        with Table(report.data_uri or "") as table:
            bins = spread(table, features, [1.0] * len(features))
        publish_next(
            str(tmp_path / "published"),
            k=report.k,
            features=features,
            minimum=tuple(low),
            maximum=tuple(high),
            scale=tuple((1 / spans).tolist()),
            segments=tuple(
                PublishedSegment(number, names.get(number, ""), size, size / report.rows, center)
                for number, size, center in zip(
                    point.numbered, point.sizes or (), point.centers or (), strict=True
                )
            ),
            next_number=max(
                *(number + 1 for number in point.numbered),
                report.published.next_number if report.published else 0,
            ),
            bins=tuple(
                Bins(tuple((np.array(edges) * span + start).tolist()), tuple(shares))
                for (edges, shares), start, span in zip(bins, low, spans, strict=True)
            ),
        )

    return run


def test_numbers_are_places_until_something_is_published(choose, tmp_path):
    report = choose(customers(GROUPS))

    assert report.published is None
    assert report.chosen.numbers is None
    assert [segment.state for segment in identified(report, report.chosen).segments] == [None] * 4
    assert load_model(str(tmp_path / "model.skops")).numbers == (0, 1, 2, 3)
    assert choose(customers(GROUPS), published="None").published is None


def test_the_same_customers_have_the_same_segments_in_any_order_and_with_any_seed(choose, publish, tmp_path):
    first = choose(customers(GROUPS))
    publish(first, {2: "Savers", 3: "Travellers"})
    again = customers(GROUPS).sample(frac=1, random_state=1)[["SPENT", "AGE"]]
    report = choose(again, features=["SPENT", "AGE"], seed=7)
    found = identified(report, report.chosen)

    assert report.chosen.numbers == (0, 1, 2, 3)
    assert {segment.state for segment in found.segments} == {"kept"}
    assert [segment.moved for segment in found.segments] == pytest.approx([0] * 4, abs=1e-3)
    assert [segment.label for segment in found.segments[2:]] == ["2: Savers", "3: Travellers"]
    assert report.published is not None
    assert report.published.migration == tuple(
        tuple(size * (place == other) for other in range(4))
        for place, size in enumerate((400, 300, 200, 100))
    )
    assert report.published.psi == pytest.approx([0, 0], abs=1e-6)
    assert report.published.psi_shares == 0
    model = load_model(str(tmp_path / "model.skops"))
    assert model.numbers == (0, 1, 2, 3)
    assert model.names[2:] == ("Savers", "Travellers")
    assert model.names[0].startswith("Segment 0: ")
    assert report.warnings == first.warnings


def test_numbers_stay_with_who_segments_are_and_none_is_given_twice(choose, publish, tmp_path, capsys):
    publish(choose(customers(GROUPS)), {0: "Young", 1: "Rich"})
    # The largest has become small, the third is gone, another has come, and the fourth has moved.
    changed = {(20, 100): 80, (40, 900): 300, (70, 650): 150, (30, 500): 120}
    report = choose(customers(changed, seed=3))
    found = identified(report, report.chosen)

    assert [(each.number, each.name, each.state) for each in found.segments] == [
        (1, "Rich", "kept"),
        (3, "", "moved"),
        (4, "", "new"),
        (0, "Young", "kept"),
    ]
    assert [(each.number, each.share) for each in found.gone] == [(2, 0.2)]
    assert load_model(str(tmp_path / "model.skops")).numbers == (1, 3, 4, 0)
    assert report.published is not None
    far = 150 * report.published.scale[1] / report.published.spacing[3]
    assert found.segments[1].moved == pytest.approx(far, rel=0.1)
    assert sum(map(sum, report.published.migration)) == 650
    assert report.published.migration[1][0] == 300, "both models take them for segment 1"
    assert (report.published.psi_shares or 0) > 0.25
    told = capsys.readouterr().out
    assert "Against version 1 of the published segments" in told
    assert "Segment 1: Rich is kept" in told
    assert "Segment 4 is new" in told
    assert "Segment 2 is gone" in told

    publish(report, {0: "Young", 1: "Rich"})
    back = choose(customers(GROUPS, seed=4))
    assert sorted(back.chosen.numbered) == [0, 1, 3, 5], "who was segment 2 is new now"


def test_each_k_of_the_sweep_has_numbers(choose, publish):
    publish(choose(customers(GROUPS)), {})
    report = choose(customers(GROUPS))
    for point in report.curve:
        assert len(point.numbers or ()) == point.k
    assert sorted(report.curve[4].numbered) == [0, 1, 2, 3, 4]
    gone = identified(report, report.curve[2]).gone
    assert {each.number for each in gone} == {0, 1, 2, 3} - set(report.curve[2].numbered)


def test_other_features_make_all_segments_new_and_say_so(choose, publish):
    publish(choose(customers(GROUPS)), {0: "Young"})
    frame = customers(GROUPS).rename(columns={"SPENT": "EARNED"})
    report = choose(frame, features=["AGE", "EARNED"])

    assert report.chosen.numbers == (4, 5, 6, 7)
    assert {segment.state for segment in identified(report, report.chosen).segments} == {"new"}
    assert len(identified(report, report.chosen).gone) == 4
    assert report.published is not None
    assert (report.published.migration, report.published.psi) == ((), ())
    assert (
        "All segments are new, as version 1 of the published ones has other features: SPENT there, EARNED "
        "here. To go on with its segments, cluster by its features"
    ) in report.warnings


def test_without_the_swept_table_segments_are_found_again_and_rows_are_not_counted(choose, publish, tmp_path):
    first = choose(customers(GROUPS))
    publish(first, {})
    task = Task("choose")
    moved = tmp_path / "gone"
    path = (first.data_uri or "").removeprefix("file://")
    (tmp_path / path).rename(moved)
    ElbowOperator(
        task_id="choose",
        sweep=first.sweep_uri or "",
        model_path=str(tmp_path / "model.skops"),
        published=str(tmp_path / "published"),
        k=4,
    ).execute(running(task))
    report = Report.from_json(task.pushed[REPORT_KEY])
    assert report.chosen.numbers == (0, 1, 2, 3)
    assert report.published is not None
    assert report.published.centers is not None
    assert (report.published.migration, report.published.psi_shares) == ((), None)


def test_what_is_no_published_segments_fails_before_anything_is_written(choose, tmp_path):
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "current.json").write_text("[]")
    with pytest.raises(InputError, match="is not what PublishSegmentsOperator writes"):
        choose(customers(GROUPS))
    assert not (tmp_path / "model.skops").exists()
    with pytest.raises(InputError, match="published=7 should be a path or a URI"):
        choose(customers(GROUPS), published=7)


def test_a_report_of_before_has_no_published_segments(choose):
    value = choose(customers(GROUPS)).to_json()
    value["schema_version"] = 4
    report = Report.from_json(value)
    assert report.published is None
    assert report.chosen.numbered == (0, 1, 2, 3)
    assert dataclasses.replace(report, schema_version=5).to_json()["k"] == 4
