"""What OpenLineage is told, by Airflow's real provider, of tasks that ran; and that none of it is needed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pandas as pd
import pyarrow.parquet as pq
import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators import (
    CleanUpOperator,
    CsvLoadOperator,
    ElbowOperator,
    KMeansPredictOperator,
    KMeansSweepOperator,
    MinMaxPreprocessOperator,
    PublishSegmentsOperator,
    ReviewSegmentsOperator,
    Unchanged,
)
from airflow_segmentation.operators.openlineage import named
from airflow_segmentation.reports import records
from made.lineage import SCHEMA, columns_of, dataset_at, require_facet
from made.reports import make_report
from made.reviews import settled
from made.tasks import Task
from openlineage.client.serde import Serde

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
PRODUCTION = PLUGINS.parent / "docs" / "production.md"
FEATURES = ["BALANCE", "PURCHASES"]
Told = dict[str, Any]


def ran(operator: Any) -> tuple[Any, Told]:
    """Run an operator, and return what it returned and what it tells once it is done."""
    task = Task(operator.task_id)
    returned = operator.execute({"ti": task, "outlet_events": OutletEventAccessors()})
    return returned, told(DefaultExtractor(operator).extract_on_complete(task))


def told(lineage: Any) -> Told:
    """Return lineage as it stands in an event."""
    return json.loads(Serde.to_json(lineage))


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__STORAGE_PATH", str(tmp_path / "storage"))
    return tmp_path / "storage"


@pytest.fixture
def loaded(customers: Path) -> tuple[str, Told]:
    return ran(CsvLoadOperator(task_id="load", path=str(customers), id_column="CUST_ID"))


@pytest.fixture
def scaled(loaded: tuple[str, Told]) -> tuple[str, Told]:
    return ran(MinMaxPreprocessOperator(task_id="scale", data=loaded[0], features=FEATURES))


@pytest.fixture
def swept(scaled: tuple[str, Told]) -> tuple[str, Told]:
    return ran(KMeansSweepOperator(task_id="sweep", data=scaled[0], k_max=6, reference_sets=3))


@pytest.fixture
def chosen(swept: tuple[str, Told], tmp_path: Path) -> tuple[dict[str, Any], Told]:
    model_path = str(tmp_path / "model.skops")
    return ran(ElbowOperator(task_id="choose", sweep=swept[0], model_path=model_path, k=3))


def test_loading_tells_columns_rows_and_what_is_missing(customers, loaded):
    uri, lineage = loaded
    read, written = dataset_at(customers, lineage["inputs"]), dataset_at(uri, lineage["outputs"])

    assert columns_of(read) == columns_of(written)
    assert columns_of(written) == {
        **{"CUST_ID": "string", "BALANCE": "double", "PURCHASES": "double", "AGE": "double"},
        "CITY": "string",
    }
    quality = read["inputFacets"]["dataQualityMetrics"]
    missing = {name: found["nullCount"] for name, found in quality["columnMetrics"].items()}
    assert (quality["rowCount"], missing) == (
        300,
        {"CUST_ID": 0, "BALANCE": 1, "PURCHASES": 0, "AGE": 2, "CITY": 0},
    )
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 300
    assert origins(written)["BALANCE"] == [(str(customers), "BALANCE", "IDENTITY")]


def test_scaling_tells_which_columns_it_changed_and_which_rows_it_dropped(loaded, scaled):
    uri, lineage = scaled
    read, written = dataset_at(loaded[0], lineage["inputs"]), dataset_at(uri, lineage["outputs"])

    assert columns_of(written) == types_at(uri)
    assert read["inputFacets"]["dataQualityMetrics"]["rowCount"] == 300
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 299
    bounds = read["inputFacets"]["dataQualityMetrics"]["columnMetrics"]
    balance = pd.read_parquet(loaded[0])["BALANCE"]
    assert (bounds["BALANCE"]["min"], bounds["BALANCE"]["max"]) == (balance.min(), balance.max())
    assert origins(written) == {
        "CUST_ID": [(loaded[0], "CUST_ID", "IDENTITY")],
        "BALANCE": [(loaded[0], "BALANCE", "TRANSFORMATION")],
        "PURCHASES": [(loaded[0], "PURCHASES", "TRANSFORMATION")],
        "AGE": [(loaded[0], "AGE", "IDENTITY")],
    }
    assert found(lineage) == {
        "features": FEATURES,
        "rows": 299,
        "dropped": [{"reason": "BALANCE is missing", "rows": 1}],
    }


def test_a_sweep_tells_its_range_and_that_its_figures_are_of_all_features(scaled, swept):
    uri, lineage = swept
    written = dataset_at(uri, lineage["outputs"])

    assert dataset_at(scaled[0], lineage["inputs"])["inputFacets"]["dataQualityMetrics"]["rowCount"] == 299
    assert columns_of(written) == types_at(uri)
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 6
    assert set(origins(written)) == set(columns_of(written)) - {"k"}
    assert origins(written)["sse"] == [(scaled[0], feature, "AGGREGATION") for feature in FEATURES]
    facet = found(lineage)
    assert facet.pop("verdict") in ("none", "unclear", "clear")
    assert facet == {"features": FEATURES, "rows": 299, "kMin": 1, "kMax": 6}


def test_the_choice_tells_k_sse_verdict_and_the_digest_of_the_model(scaled, swept, chosen):
    returned, lineage = chosen
    model = dataset_at(returned["model_path"], lineage["outputs"])

    assert {each["name"] for each in lineage["inputs"]} == {swept[0], scaled[0]}
    assert model["facets"]["version"]["datasetVersion"] == returned["model_digest"]
    facet = found(lineage)
    assert (facet["k"], facet["modelDigest"]) == (3, returned["model_digest"])
    assert (facet["kMin"], facet["kMax"], facet["rows"], facet["features"]) == (1, 6, 299, FEATURES)
    assert facet["sse"] == pytest.approx(pd.read_parquet(swept[0]).set_index("k")["sse"][3], rel=1e-5)
    assert (facet["decidedBy"], facet["verdict"]) == ("given", found(swept[1])["verdict"])


def test_the_example_in_the_documents_has_the_facet_that_the_choice_tells(chosen):
    (example,) = re.findall(r"^```json\n(.+?)^```$", PRODUCTION.read_text(), re.DOTALL | re.MULTILINE)
    facet = json.loads(example)["run"]["facets"]["segmentation"]

    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA.read_text()))
    assert set(facet) == set(found(chosen[1]))


def test_sweeps_that_are_joined_are_told_as_one_table_of_them(scaled, tmp_path):
    parts = []
    for task_id, k_min, k_max in (("low", 1, 4), ("high", 3, 7)):
        sweep = KMeansSweepOperator(task_id=task_id, data=scaled[0], k_min=k_min, k_max=k_max)
        parts.append(ran(sweep)[0])

    _, lineage = ran(ElbowOperator(task_id="choose", sweep=parts, model_path=str(tmp_path / "m.skops")))

    assert {each["name"] for each in lineage["inputs"]} == {*parts, scaled[0]}
    joined = next(each for each in lineage["outputs"] if each["name"].endswith("sweep.parquet"))
    assert joined["outputFacets"]["outputStatistics"]["rowCount"] == 7
    assert origins(joined)["sse"] == [(part, "sse", "IDENTITY") for part in parts]


def test_segments_are_told_to_be_of_all_features_and_of_one_model(customers, chosen):
    choice, _ = chosen
    model = {name: choice[name] for name in ("model_path", "model_digest")}
    assign = KMeansPredictOperator(task_id="assign", data=str(customers), id_column="CUST_ID", **model)

    uri, lineage = ran(assign)

    of_model = dataset_at(choice["model_path"], lineage["inputs"])
    assert of_model["facets"]["version"]["datasetVersion"] == choice["model_digest"]
    assert dataset_at(customers, lineage["inputs"])["inputFacets"]["dataQualityMetrics"]["rowCount"] == 300
    written = dataset_at(uri, lineage["outputs"])
    assert columns_of(written) == types_at(uri)
    of_features = [(str(customers), feature, "TRANSFORMATION") for feature in FEATURES]
    assert origins(written)["segment"] == origins(written)["segment_name"] == of_features
    assert origins(written)["CITY"] == [(str(customers), "CITY", "IDENTITY")]
    assert found(lineage) == {
        **{"features": FEATURES, "rows": 300, "unassigned": 1},
        **{"k": choice["k"], "modelDigest": choice["model_digest"]},
    }


def test_a_version_is_told_as_it_is_published_and_scored_by_and_published_again(
    customers, scaled, swept, tmp_path
):
    name, path = "customers", str(tmp_path / "published")
    publish = PublishSegmentsOperator(task_id="publish", name=name, path=path, sweep=swept[0], k=3)
    assign = KMeansPredictOperator(task_id="assign", data=str(customers), published=path)
    again = PublishSegmentsOperator(task_id="again", name=name, path=path, version=1)

    first, published = ran(publish)
    _, assigned = ran(assign)
    _, restored = ran(again)

    model = dataset_at(first["model_path"], published["outputs"])
    assert model["facets"]["version"]["datasetVersion"] == first["model_digest"]
    assert {each["name"] for each in published["inputs"]} == {swept[0], scaled[0]}
    facet = found(published)
    assert (facet["k"], facet["version"], facet["modelDigest"]) == (3, 1, first["model_digest"])
    assert dataset_at(first["model_path"], assigned["inputs"])["facets"] == model["facets"]
    assert (found(assigned)["version"], found(restored)["version"]) == (1, 2)
    assert dataset_at(first["model_path"], restored["inputs"])["facets"] == model["facets"]


def test_how_far_customers_have_drifted_is_told_even_where_the_task_fails_for_it(customers, swept, tmp_path):
    path, older = str(tmp_path / "published"), tmp_path / "older.parquet"
    ran(PublishSegmentsOperator(task_id="publish", name="customers", path=path, sweep=swept[0], k=3))
    frame = pd.read_csv(customers)
    frame["PURCHASES"] += 1000
    frame.to_parquet(older)
    same = KMeansPredictOperator(task_id="same", data=str(customers), published=path)
    changed = KMeansPredictOperator(task_id="older", data=str(older), published=path, fail_on_drift=True)

    _, lineage = ran(same)
    with pytest.raises(InputError, match="have drifted"):
        changed.execute({"ti": Task("older")})
    failed = told(DefaultExtractor(changed).extract_on_failure(Task("older")))

    drift = found(lineage)["drift"]
    assert {shift["feature"]: shift["psi"] for shift in drift["features"]} == pytest.approx(
        dict.fromkeys(FEATURES, 0), abs=0.01
    )
    assert (drift["shares"], drift["outside"], drift["found"]) == (0, 0, [])
    facet = found(failed)
    assert list(facet) == ["drift"]
    first = facet["drift"]["features"][0]
    assert (first["feature"], first["psi"] > 1) == ("PURCHASES", True)
    assert facet["drift"]["outside"] > 0.5
    assert f"PURCHASES has shifted: its PSI is {first['psi']:.2g}" in facet["drift"]["found"][0]


def test_the_choice_beside_published_segments_tells_their_model(swept, tmp_path):
    name, path, model_path = "customers", str(tmp_path / "published"), str(tmp_path / "model.skops")
    first, _ = ran(PublishSegmentsOperator(task_id="p", name=name, path=path, sweep=swept[0], k=3))

    _, lineage = ran(ElbowOperator(task_id="choose", sweep=swept[0], model_path=model_path, published=path))

    published = dataset_at(first["model_path"], lineage["inputs"])
    assert published["facets"]["version"]["datasetVersion"] == first["model_digest"]


def test_a_review_tells_what_was_decided(monkeypatch):
    report = settled(make_report(k=5))
    monkeypatch.setattr(records, "pull_record", lambda *_: report.to_json())
    review = ReviewSegmentsOperator(task_id="review", choose="choose", skip_when=Unchanged())

    _, lineage = ran(review)

    assert found(lineage) == {"k": 5, "decision": "Approve"}


def test_tables_that_are_removed_are_told_to_be_gone(scaled, storage):
    part = storage / "made" / "run" / "other" / "table.parquet" / "try-0" / "part-0.parquet"
    part.parent.mkdir(parents=True)
    part.touch()

    _, lineage = ran(CleanUpOperator(task_id="clean_up"))

    changes = {each["name"]: each["facets"]["lifecycleStateChange"] for each in lineage["outputs"]}
    assert set(changes) == {
        *(str(storage / "made" / "run" / task / "table.parquet") for task in ("load", "other")),
        scaled[0],
    }
    assert {each["lifecycleStateChange"] for each in changes.values()} == {"DROP"}


def test_what_will_be_read_is_told_as_a_task_starts(customers):
    load = CsvLoadOperator(task_id="load", path=str(customers))
    assign = KMeansPredictOperator(task_id="assign", data=str(customers), model_path="s3://aws@b/m.skops")

    assert told(DefaultExtractor(load).extract())["inputs"] == [
        {"namespace": "file", "name": str(customers), "facets": {}, "inputFacets": {}}
    ]
    inputs = told(DefaultExtractor(assign).extract())["inputs"]
    assert [(each["namespace"], each["name"]) for each in inputs] == [
        ("s3://b", "m.skops"),
        ("file", str(customers)),
    ]


def test_a_task_that_fails_tells_what_it_knew(loaded):
    sweep = KMeansSweepOperator(task_id="sweep", data=loaded[0], features=FEATURES)
    with pytest.raises(InputError, match="misses values"):
        sweep.execute({"ti": Task("sweep")})

    lineage = told(DefaultExtractor(sweep).extract_on_failure(Task("sweep")))

    assert [each["name"] for each in lineage["inputs"]] == [loaded[0]]
    assert lineage["outputs"] == []


@pytest.mark.parametrize("path", [None, "", ["a.csv", None], 3])
def test_an_argument_that_is_wrong_costs_no_event(path):
    assert told(DefaultExtractor(CsvLoadOperator(task_id="load", path=path)).extract())["inputs"] == []


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/data/customers.csv", ("file", "/data/customers.csv")),
        ("file:///data/parts/", ("file", "/data/parts")),
        ("/data/../day-*.csv", ("file", "/day-*.csv")),
        ("customers.csv", ("file", str(Path("customers.csv").absolute()))),
        ("s3://aws@bucket/a/b.parquet", ("s3://bucket", "a/b.parquet")),
        ("S3A://bucket/folder/", ("s3://bucket", "folder")),
        ("gs://bucket", ("gs://bucket", "/")),
        ("abfss://azure@container/b.csv", ("abfss://container", "b.csv")),
        ("https://host/customers.csv?sig=hunter2", ("https://host", "customers.csv")),
        ("ftp://me:hunter2@host/customers.csv", ("ftp://host", "customers.csv")),
        ("/data/customers.csv?token=hunter2", ("file", "/data/customers.csv")),
    ],
)
def test_a_file_is_named_as_openlineage_names_it_and_without_secrets(uri: str, name: tuple[str, str]):
    assert named(uri) == name


RUN = f"""
import sys
sys.path[:0] = [{str(PLUGINS)!r}, {str(PLUGINS.parent / "tests")!r}]

class Absent:
    def find_spec(self, name, path=None, target=None):
        # What the provider says of itself, Airflow asks all that are installed.
        if name.startswith(("openlineage", "airflow.providers.openlineage.")) and "provider_info" not in name:
            raise ModuleNotFoundError(name)

if sys.argv[2] == "absent":
    sys.meta_path.insert(0, Absent())
from airflow_segmentation.operators import CsvLoadOperator
from made.tasks import Task
uri = CsvLoadOperator(task_id="load", path=sys.argv[1]).execute({{"ti": Task("load")}})
ours = "airflow_segmentation.operators.openlineage"
print(uri, [name for name in ("openlineage", ours) if name in sys.modules])
"""


@pytest.mark.parametrize("provider", ["absent", "installed"])
def test_a_task_needs_nothing_of_openlineage_and_imports_nothing(customers, storage, provider):
    command = [sys.executable, "-c", RUN, str(customers), provider]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    table = storage / "made" / "run" / "load" / "table.parquet"
    assert done.stdout.strip().splitlines()[-1] == f"{table} []"


def origins(dataset: Told) -> dict[str, list[tuple[str, str, str]]]:
    """Return of each column the file, the column and the way that it was made of."""
    fields = dataset["facets"]["columnLineage"]["fields"]
    return {
        column: [
            (each["name"], each["field"], each["transformations"][0]["subtype"])
            for each in origin["inputFields"]
        ]
        for column, origin in fields.items()
    }


def found(lineage: Told) -> Told:
    """Return our own facet, held to its schema, without what every facet has."""
    facet = lineage["run_facets"]["segmentation"]
    require_facet(facet)
    return {name: value for name, value in facet.items() if not name.startswith("_")}


def types_at(uri: str) -> dict[str, str]:
    """Return columns and types of a Parquet file, in which the items of a list have another name."""
    return {each.name: str(each.type).replace("element: ", "item: ") for each in pq.read_schema(uri)}
