"""What the pages show of runs whose XComs an administrator's XCom backend takes elsewhere."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from airflow.providers.common.io.xcom import backend as common_io
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases.xcom import BaseXCom
from airflow_segmentation.operators import ElbowOperator, KMeansSweepOperator
from airflow_segmentation.reports.records import are_records_past, pull_record, push_record
from airflow_segmentation.reports.report import REPORT_KEY
from running import api_server as api_server
from running import callbacks_as_on_a_worker as callbacks_as_on_a_worker
from running import run_dag as run_dag

CUSTOMERS = "AGE,SPEND\n" + "".join(f"{20 + n % 3 * 20 + n % 7},{n % 3 * 300 + n % 11}\n" for n in range(90))


class Sealing(BaseXCom):
    """A backend as a company may have: what it stores, only it can read."""

    @staticmethod
    def serialize_value(value: Any, **_: Any) -> Any:
        return BaseXCom.serialize_value("sealed:" + base64.b64encode(json.dumps(value).encode()).decode())

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        return json.loads(base64.b64decode(BaseXCom.deserialize_value(result).removeprefix("sealed:")))


class Offloading(common_io.XComObjectStorageBackend):
    """Airflow's own, which this one only tells of."""

    @classmethod
    def orm_deserialize_value(cls) -> str:
        return "a value elsewhere"


class SealingStore(common_io.XComObjectStorageBackend):
    """Airflow's own, with what is stored encrypted."""

    serialize_value = Sealing.serialize_value  # type: ignore[assignment]
    deserialize_value = Sealing.deserialize_value


@dataclass
class Shown:
    """What the pages say of one run."""

    dag_id: str
    run_id: str
    server: Any
    returned: Any
    """What the database holds of the return value of `choose`."""

    def get(self, route: str = "", status: int = 200) -> str:
        """Return a page of the run."""
        address = f"?dag_id={quote(self.dag_id)}&run_id={quote(self.run_id)}"
        path = f"/run{route}{address}" if route.startswith("/") else f"/run{address}{route}"
        response = self.server.get(path)
        assert response.status_code == status, response.text
        return html.unescape(response.text)

    def figures(self, route: str = "") -> list[Any]:
        """Return the charts of a page of the run."""
        scripts = self.get(route).split('<script type="application/json">')[1:]
        return [json.loads(script.partition("</script>")[0]) for script in scripts]

    def listed(self) -> str:
        """Return its row in the list of runs."""
        page = html.unescape(self.server.get(f"/?dag_id={quote(self.dag_id)}").text)
        return page.partition("<tbody>")[2].partition("</tbody>")[0]

    def dag(self, status: int = 200) -> str:
        """Return the page of its Dag."""
        response = self.server.get(f"/dag?dag_id={quote(self.dag_id)}")
        assert response.status_code == status
        return html.unescape(response.text)


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A function that configures an XCom backend, as if Airflow had been started with it."""
    memories = (common_io._get_base_path, common_io._get_compression, common_io._get_threshold)

    def forget() -> None:
        for memory in memories:
            memory.cache_clear()

    def configure(backend: type[BaseXCom], threshold: int = -1) -> None:
        forget()
        monkeypatch.setenv("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH", f"file://{tmp_path}/xcoms")
        monkeypatch.setenv("AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD", str(threshold))
        for module in ("xcom", "task_runner"):
            monkeypatch.setattr(f"airflow.sdk.execution_time.{module}.XCom", backend)

    yield configure
    forget()


@pytest.fixture(scope="module")
def segmented(
    server: Any, run_dag: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Shown]:
    """A function that runs a Dag of sweep and elbow."""
    folder = tmp_path_factory.mktemp("segmented")
    data = folder / "customers.csv"
    data.write_text(CUSTOMERS)

    def run(dag_id: str) -> Shown:
        with DAG(dag_id, schedule=None) as dag:
            sweep = KMeansSweepOperator(task_id="sweep", data=str(data), k_max=8)
            ElbowOperator(task_id="choose", sweep=sweep.output, model_path=str(folder / "model.skops"))
        run = run_dag(dag)
        assert run.states == {"sweep": "success", "choose": "success"}
        return Shown(dag_id, run.dag_run.run_id, server, run.xcom("choose"))

    return run


@pytest.fixture(scope="module")
def without(segmented: Callable[[str], Shown]) -> Shown:
    """A run whose XComs lie where Airflow puts them by default."""
    return segmented("plain")


only_simple = pytest.mark.parametrize("server", ["simple"], indirect=True)


@only_simple
@pytest.mark.parametrize(
    ("kind", "threshold", "in_database"),
    [
        (common_io.XComObjectStorageBackend, 0, False),
        (common_io.XComObjectStorageBackend, 1_000, False),
        (Offloading, 0, False),
        (Sealing, -1, True),
        (SealingStore, 0, True),
    ],
)
def test_pages_show_what_they_show_without_the_backend(
    segmented: Any,
    without: Shown,
    backend: Any,
    monkeypatch: Any,
    kind: Any,
    threshold: int,
    in_database: bool,
) -> None:
    backend(kind, threshold)
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__REPORTS_IN_DATABASE", str(in_database))
    shown = segmented(f"stored_{kind.__name__}_{threshold}")

    assert without.returned["k"] == 3
    assert isinstance(shown.returned, str) is (
        kind is not common_io.XComObjectStorageBackend or not threshold
    )
    assert shown.figures() == without.figures() != []
    assert shown.figures("&task_id=sweep") == without.figures("&task_id=sweep") != []
    assert shown.get("/sweep.csv").count("\n") == 1 + 8
    assert json.loads(shown.get("/report.json"))["curve"][2]["sizes"] == [30, 30, 30]
    assert shown.listed().count("cannot be read") == 0 < shown.listed().count("<strong>3</strong>")
    assert "1 report of the task choose" in shown.dag()


class Pushing(BaseOperator):
    """Pushes a record, as ElbowOperator does."""

    def execute(self, context: Any) -> None:
        push_record(context, REPORT_KEY, {"k": 3})


class Pulling(BaseOperator):
    """Succeeds where it finds that record."""

    def execute(self, context: Any) -> None:
        assert pull_record(context, REPORT_KEY, "push") == {"k": 3}


@pytest.mark.parametrize(
    ("kind", "threshold", "in_database"),
    [
        (BaseXCom, -1, False),
        (common_io.XComObjectStorageBackend, 0, False),
        (Sealing, -1, False),
        (Sealing, -1, True),
        (SealingStore, 0, True),
    ],
)
def test_a_task_reads_the_record_of_another_whatever_the_backend(
    run_dag: Any, backend: Any, monkeypatch: Any, kind: Any, threshold: int, in_database: bool
) -> None:
    backend(kind, threshold)
    monkeypatch.setenv("AIRFLOW__SEGMENTATION__REPORTS_IN_DATABASE", str(in_database))
    with DAG(f"pulled_{kind.__name__}_{in_database}", schedule=None) as dag:
        Pushing(task_id="push") >> Pulling(task_id="pull")

    run = run_dag(dag)

    assert run.states == {"push": "success", "pull": "success"}


@only_simple
@pytest.mark.parametrize(("kind", "threshold"), [(Sealing, -1), (SealingStore, 0)])
def test_pages_name_the_backend_that_is_someones_own_and_a_cure(
    segmented: Any, backend: Any, kind: Any, threshold: int
) -> None:
    backend(kind, threshold)
    shown = segmented(f"sealed_{kind.__name__}")
    name = f"{kind.__module__}.{kind.__name__}"
    told = (
        f"The XCom backend {name} stores values its own way, and this page reads the metadata database only; "
        "what the backend left there stands among the task's XComs. "
        "To have new ones written there whatever the backend, set [segmentation] reports_in_database = True "
        "for the workers and this server, and clear the task."
    )

    for route in ("", "/sweep.csv", "/report.json", "/charts.html"):
        page = shown.get(route, 422)
        assert "This report is kept elsewhere" in page
        assert told in page
        assert "sealed:" not in page
    assert told in shown.get("&task_id=sweep")
    assert f"This report cannot be read. The XCom backend {name} keeps it elsewhere." in shown.listed()
    assert told in shown.dag(422)


@only_simple
def test_a_report_that_was_stored_elsewhere_before_is_told(
    segmented: Any, backend: Any, monkeypatch: Any
) -> None:
    backend(common_io.XComObjectStorageBackend, 0)
    with monkeypatch.context() as before:
        for module in ("elbow", "kmeans_sweep"):
            push = lambda context, key, record: context["ti"].xcom_push(key, record)  # noqa: E731
            before.setattr(f"airflow_segmentation.operators.{module}.push_record", push)
        old = segmented("upgraded")
    page = old.get("", 422)

    assert "New ones are written there whatever the backend: clear the task for one." in page
    assert "keeps it elsewhere" in old.listed()
    new = segmented("upgraded")
    assert "1 report is left out, which cannot be read" in new.dag()
    assert f"run_id={quote(old.run_id, safe='')}" in new.dag()
    assert new.figures()


@only_simple
def test_a_damaged_report_is_no_matter_of_the_backend(server: Any, backend: Any) -> None:
    backend(Sealing)

    assert "update airflow-segmentation" in server.get("/run?dag_id=open&run_id=newer").text


@pytest.mark.parametrize(
    ("kind", "past"),
    [
        (BaseXCom, True),
        (common_io.XComObjectStorageBackend, True),
        (Offloading, True),
        (Sealing, False),
        (SealingStore, False),
        (type("Setting", (BaseXCom,), {"set": classmethod(lambda cls, *_, **__: None)}), False),
        (type("Storing", (BaseXCom,), {"store_value": classmethod(lambda cls, *_: "")}), False),
    ],
)
def test_records_go_past_a_backend_that_stores_as_airflows_own_do(kind: Any, past: bool) -> None:
    assert are_records_past(kind) is past
