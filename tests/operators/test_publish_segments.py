"""Versions published of a sweep of three clear groups, by tasks that are killed, rejected or overtaken."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from airflow.sdk import DAG, Asset
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators import (
    CsvLoadOperator,
    KMeansPredictOperator,
    KMeansSweepOperator,
    MinMaxPreprocessOperator,
    PublishSegmentsOperator,
)
from airflow_segmentation.reports.report import PUBLICATION_KEY, Publication, Report
from airflow_segmentation.segments.model import load_model
from airflow_segmentation.segments.published import Claimant, claim, read_published, read_version
from made.customers import write_customers
from made.tasks import Task

FEATURES = ["BALANCE", "PURCHASES"]
REVIEW = {
    "k": 3,
    "names": {"0": "Savers", "2": "Spenders"},
    "decision": "Approve",
    "by": "Ada",
    "at": "2026-03-14T09:26:53+00:00",
    "reason": "As last month",
}


@pytest.fixture(scope="module")
def customers(tmp_path_factory):
    """Customers for all tests here, which are swept once."""
    return write_customers(tmp_path_factory.mktemp("customers"))


@pytest.fixture(scope="module")
def sweep(customers):
    """The URI of a sweep of them, k = 1 to 6."""
    load = CsvLoadOperator(task_id="load", path=str(customers), id_column="CUST_ID")
    table = load.execute({"ti": Task("load")})
    scale = MinMaxPreprocessOperator(task_id="scale", data=table, features=FEATURES)
    scaled = scale.execute({"ti": Task("scale")})
    return KMeansSweepOperator(task_id="sweep", data=scaled, k_max=6).execute({"ti": Task("sweep")})


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "published")


def run(path, run_id="run", **arguments):
    """Publish in a task of its own run, and return what the task returned, pushed, and told of its Asset."""
    operator = PublishSegmentsOperator(task_id="publish", name="customers", path=path, **arguments)
    context = {"ti": Task("publish"), "outlet_events": OutletEventAccessors()}
    context["ti"].run_id = run_id
    returned = operator.execute(context)
    return returned, context["ti"].pushed, context["outlet_events"][operator.asset].extra


def test_a_version_is_a_folder_that_tells_all_of_itself(sweep, path):
    returned, pushed, extra = run(path, sweep=sweep, k=3)

    folder = Path(path, "versions/0001")
    assert {file.name for file in folder.iterdir()} == {
        *("claim.json", "model.skops", "segments.json", "report.json", "card.md")
    }
    digest = hashlib.sha256((folder / "model.skops").read_bytes()).hexdigest()
    assert returned == {
        "version": 1,
        "k": 3,
        "model_path": str(folder / "model.skops"),
        "model_digest": digest,
    }
    assert extra == {"version": 1, "k": 3, "model_digest": digest, "verdict": "clear"}

    published = read_published(path)
    assert (published.version, published.k, published.model_digest) == (1, 3, digest)
    assert (published.dag_id, published.run_id, published.task_id) == ("made", "run", "publish")
    assert [(one.number, one.name, one.size) for one in published.segments] == [
        (0, "", 149),
        (1, "", 100),
        (2, "", 50),
    ]
    centers = [one.center for one in published.segments]
    np.testing.assert_allclose(centers, [[100, 10], [900, 50], [500, 90]], rtol=0.05)
    assert (published.next_number, published.previous, published.reviewer) == (3, None, None)

    report = Report.from_json((folder / "report.json").read_text())
    assert (report.k, report.decided_by, report.model_digest) == (3, "given", digest)
    record = Publication.from_json(pushed[PUBLICATION_KEY])
    assert (record.name, record.path, record.version) == ("customers", path, 1)
    assert [one.number for one in record.segments] == [0, 1, 2]


def test_the_bins_are_deciles_in_original_units(sweep, path, customers):
    run(path, sweep=sweep, k=3)
    published, frame = read_published(path), pd.read_csv(customers).dropna(subset=FEATURES)
    for feature, bins in zip(FEATURES, published.bins, strict=True):
        np.testing.assert_allclose(bins.edges, np.quantile(frame[feature], np.arange(1, 10) / 10), rtol=1e-6)
        assert bins.shares == pytest.approx([0.1] * 10, abs=0.01)
    assert published.minimum == tuple(frame[FEATURES].min())
    assert published.maximum == tuple(frame[FEATURES].max())
    assert published.scale == pytest.approx(1 / (frame[FEATURES].max() - frame[FEATURES].min()))


def test_any_k_that_was_swept_is_published_without_a_fit(sweep, path):
    for version, k in enumerate((5, 1, 6), start=1):
        returned, *_ = run(path, run_id=f"run {k}", sweep=sweep, k=k)
        assert (returned["version"], returned["k"]) == (version, k)
        model = load_model(returned["model_path"], digest=returned["model_digest"])
        assert len(model.numbers) == k
    assert read_published(path).previous == 2


def test_what_a_person_approved_goes_wherever_the_version_goes(sweep, path, customers):
    _, pushed, _ = run(path, sweep=sweep, review=REVIEW)

    published = read_published(path)
    assert [one.name for one in published.segments] == ["Savers", "", "Spenders"]
    assert (published.reviewer, published.reason) == ("Ada", "As last month")
    record = Publication.from_json(pushed[PUBLICATION_KEY])
    assert [one.name for one in record.segments] == ["Savers", "", "Spenders"]
    assert (record.reviewer, record.reason) == ("Ada", "As last month")
    card = Path(path, "versions/0001/card.md").read_text()
    assert "Approved by Ada: As last month." in card
    assert "| 0 | Savers | 49.8% |" in card
    assign = KMeansPredictOperator(
        task_id="assign", published=path, data=str(customers), id_column="CUST_ID"
    ).execute({"ti": Task("assign")})
    table = pd.read_parquet(assign)
    assert table.dropna(subset=["segment"]).groupby("segment")["segment_name"].first().tolist() == [
        *("Savers", "Segment 1: BALANCE high", "Spenders")
    ]


HOSTILE = "<script>alert(1)</script>|[x](javascript:a)"


def test_names_and_reasons_stay_text_on_the_card(sweep, path):
    run(
        path,
        sweep=sweep,
        review={**REVIEW, "names": {"1": HOSTILE}, "by": HOSTILE, "reason": f"{HOSTILE}\n# No"},
    )
    card = Path(path, "versions/0001/card.md").read_text()
    assert "<script>" not in card
    assert "](javascript" not in card
    assert r"\<script\>alert(1)\</script\>\|\[x\]\(javascript:a)" in card
    assert "\n# No" not in card
    assert read_published(path).segments[1].name == HOSTILE


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"k": 7}, "k=7 is not in the sweep's range 1..6"),
        ({"k": "three"}, "k='three' should be an integer"),
        ({"k": ""}, "k='' should be an integer of at least 1"),
        ({"review": {**REVIEW, "decision": "Reject"}}, "These segments were not approved ('Reject')"),
        ({"review": {**REVIEW, "k": 9}}, "k=9 is not in the sweep's range"),
        (
            {"review": {**REVIEW, "names": {"3": "Savers"}}},
            "There is no segment '3' to name; there are: 0, 1",
        ),
        ({"review": {**REVIEW, "names": {"0": "n" * 81}}}, "has 81 characters and may have 80"),
        ({"review": {**REVIEW, "names": {"0": "a", "1": "A"}}}, "Segments 0 and 1 are both named 'A'"),
        ({"review": "Approve"}, "review='Approve' should be what ReviewSegmentsOperator returned"),
    ],
)
def test_what_cannot_be_published_is_refused_before_anything_is_written(sweep, path, arguments, told):
    with pytest.raises(InputError) as raised:
        run(path, sweep=sweep, **arguments)
    assert told in str(raised.value)
    assert not Path(path).exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"sweep": "s"}, "Give either review or k"),
        ({"sweep": "s", "k": 3, "review": REVIEW}, "Give either review or k"),
        ({}, "Give either sweep, or the version"),
        ({"sweep": "s", "k": 3, "version": 1}, "Give either sweep, or the version"),
        ({"sweep": "s", "k": 3, "name": "a/b"}, "name='a/b' should be letters"),
        ({"sweep": "s", "k": 3, "name": ""}, "name='' should be letters"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused_in_the_dag(arguments, told):
    with pytest.raises(ValueError, match=told):
        PublishSegmentsOperator(**{"task_id": "publish", "name": "customers", "path": "p", **arguments})


def test_an_older_version_is_published_again_as_a_new_one(sweep, path):
    first, *_ = run(path, sweep=sweep, review=REVIEW)
    run(path, "run 2", sweep=sweep, k=5)
    third, pushed, extra = run(path, "run 3", version="1")

    assert (third["version"], third["k"], third["model_digest"]) == (3, 3, first["model_digest"])
    assert Path(third["model_path"]).read_bytes() == Path(first["model_path"]).read_bytes()
    assert extra["version"] == 3
    old, new = read_version(path, 1), read_published(path)
    assert (new.restores, new.previous, new.run_id) == (1, 2, "run 3")
    assert (new.segments, new.bins, new.reviewer) == (old.segments, old.bins, "Ada")
    assert new.next_number == 5, "numbers that version 2 gave are not given again"
    assert Publication.from_json(pushed[PUBLICATION_KEY]).restores == 1
    assert "They are those of version 1 again." in Path(path, "versions/0003/card.md").read_text()


def test_segments_that_go_on_keep_number_and_name_and_new_ones_have_numbers_of_their_own(sweep, path):
    run(path, "run 1", sweep=sweep, review=REVIEW)
    run(path, "run 2", sweep=sweep, review={**REVIEW, "names": {"1": "Travellers"}})
    names = {one.number: one.name for one in read_published(path).segments}
    assert names == {0: "Savers", 1: "Travellers", 2: "Spenders"}

    returned, *_ = run(path, "run 3", sweep=sweep, k=4)
    found = read_published(path)
    names = {one.number: one.name for one in found.segments}
    assert (names[1], names[2], names[3], found.next_number) == ("Travellers", "Spenders", "", 4)
    numbers = tuple(one.number for one in found.segments)
    assert load_model(returned["model_path"]).numbers == numbers
    run(path, "run 4", sweep=sweep, k=3)
    assert read_published(path).next_number == 4


def test_a_version_that_is_none_or_was_changed_is_not_published_again(sweep, path):
    run(path, sweep=sweep, k=3)
    with pytest.raises(InputError, match="has no version 9 of published segments"):
        run(path, version=9)
    model = Path(path, "versions/0001/model.skops")
    model.write_bytes(pickle.dumps(1))
    with pytest.raises(InputError, match="was replaced since, by another run or by hand"):
        run(path, version=1)
    assert read_published(path).version == 1
    assert not Path(path, "versions/0002").exists()


@pytest.mark.parametrize("arguments", [{"k": 3}, {"version": 1}])
def test_a_task_that_had_published_before_it_was_tried_again_publishes_nothing_new(sweep, path, arguments):
    run(path, "run 1", sweep=sweep, review=REVIEW)
    arguments = arguments if "version" in arguments else {"sweep": sweep, **arguments}
    first, again = (run(path, "run 2", **arguments) for _ in range(2))
    assert again == first
    assert read_published(path).version == 2


def test_a_task_that_is_cleared_for_another_k_publishes_a_new_version(sweep, path):
    run(path, sweep=sweep, k=3)
    run(path, sweep=sweep, k=4)
    assert (read_published(path).version, read_published(path).k) == (2, 4)


def test_a_task_fails_with_the_cure_while_another_publishes(sweep, path):
    run(path, sweep=sweep, k=3)
    claim(path, read_published(path), Claimant("dag", "another", "publish"))
    with pytest.raises(
        InputError, match="is being published by the task publish of run another of Dag dag; clear"
    ):
        run(path, "run 2", sweep=sweep, k=4)
    assert read_published(path).k == 3


KILLED = """
import os, sys
from airflow_segmentation.segments import model
from test_publish_segments import run

model.written_whole = lambda *_: os.kill(os.getpid(), 9)
run(sys.argv[1], "run 2", sweep=sys.argv[2], k=4)
"""


def test_a_kill_leaves_the_version_before_and_the_next_try_publishes(sweep, path):
    """As it saves the model; of the files that come after, tests/segments/test_published.py has the same."""
    run(path, sweep=sweep, k=3)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    killed = subprocess.run([sys.executable, "-c", KILLED, path, sweep], env=env, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (read_published(path).version, read_published(path).k) == (1, 3)

    run(path, "run 2", sweep=sweep, k=4)
    assert (read_published(path).version, read_published(path).k) == (2, 4)
    assert list(Path(path).rglob("*.partial")) == []


def test_without_the_swept_table_a_version_tells_less_and_says_so(sweep, path):
    table = Path(sweep).parents[1] / "scale" / "scaled.parquet"
    away = table.rename(table.with_name("away"))
    try:
        run(path, sweep=sweep, k=3)
    finally:
        away.rename(table)
    assert read_published(path).bins == ()
    assert (
        r"The report has no profiles and no standard deviations"
        in Path(path, "versions/0001/card.md").read_text()
    )


def test_the_asset_tells_dags_that_wait_for_it_what_was_published(run_dag, sweep, path):
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session

    with DAG("publishing", schedule=None, default_args={"retries": 1, "retry_delay": timedelta(0)}) as dag:
        PublishSegmentsOperator(task_id="publish", name="customers", path=path, sweep=sweep, k=3)
    done = run_dag(dag)
    assert done.states == {"publish": "success"}
    assert done.xcom("publish", "version") == 1
    with create_session() as session:
        (event,) = (
            session.query(AssetEvent)
            .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            .filter(AssetModel.name == "segmentation://customers", AssetEvent.source_dag_id == "publishing")
        )
        assert event.extra["version"] == 1
        assert event.extra["model_digest"] == read_published(path).model_digest
    assert dag.get_task("publish").outlets == [Asset("segmentation://customers")]
    assert json.loads(Path(path, "current.json").read_text())["version"] == 1
