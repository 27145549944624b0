"""What the pages say about runs of every kind, through Airflow's own app."""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
import json
import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from airflow_segmentation.reports.report import Report
from airflow_segmentation.www.view import HEADERS
from made.reports import HOSTILE, evidenced, make_report


class Page(HTMLParser):
    """The parts of a page that the tests look at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.figures: dict[str, Any] = {}
        self._chart: str | None = None
        self._json = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag == "figure":
            self._chart = attributes["id"]
        self._json = tag == "script" and attributes.get("type") == "application/json"

    def handle_data(self, data: str) -> None:
        if self._json and self._chart:
            self.figures[self._chart] = json.loads(data)
            self._json = False

    def attributes(self, element_id: str) -> dict[str, str | None]:
        """Return the attributes of the element of an id."""
        return next(attributes for _, attributes in self.elements if attributes.get("id") == element_id)

    @property
    def state(self) -> str:
        """What main says that this page is."""
        return next(attributes["data-state"] or "" for tag, attributes in self.elements if tag == "main")


def run(run_id: str, **more: str) -> str:
    """Return the address of a run of the Dag "open"."""
    return f"/run?dag_id=open&run_id={run_id}" + "".join(f"&{name}={value}" for name, value in more.items())


def test_a_run_with_a_report_shows_the_chosen_k_on_the_curve(server: Any) -> None:
    response = server.get(run("manual__0"))
    page, report = Page(response.text), make_report(seed=0, k=8)

    assert page.attributes("elbow")["data-chosen-k"] == "8"
    curve, *_, chosen, looked_at = page.figures["elbow"]["data"][:-1]
    assert curve["y"] == [point.sse for point in report.curve]
    assert (chosen["x"], chosen["y"], chosen["text"]) == ([8], [report.chosen.sse], ["<b>k = 8</b>"])
    assert looked_at["x"] == [8]
    assert page.figures.keys() == {
        *("elbow", "sizes", "centres", "sample", "map", "importance", "silhouettes", "beside", "distribution")
    }
    for words in (
        "314 dropped",
        "CREDIT_LIMIT",
        report.warnings[0],
        "model.sav",
        "k = 7 in 12 of 20 resamples",
    ):
        assert words in html.unescape(response.text)


def test_another_k_shows_its_own_segments_and_configuration(server: Any) -> None:
    page, report = Page(server.get(run("manual__0", k="5")).text), make_report(seed=0, k=8)

    assert page.attributes("elbow")["data-chosen-k"] == "8"
    assert page.attributes("elbow")["data-k"] == "5"
    assert page.figures["sizes"]["data"][0]["y"] == list(report.curve[4].sizes or ())
    assert len(page.figures["centres"]["data"][0]["x"]) == 5
    assert json.loads(page.attributes("copy-trigger")["data-copy"] or "") == {"k": 5, "k_max": 12}


@pytest.mark.parametrize("k", ["0", "999", "eight", "", "8.5", "-1"])
def test_a_k_that_was_not_swept_counts_as_none_given(server: Any, k: str) -> None:
    assert Page(server.get(run("manual__0", k=k)).text).attributes("elbow")["data-k"] == "8"


@pytest.mark.parametrize(
    "more",
    [
        {"axis": "no"},
        {"x": "99", "y": "-1"},
        {"order": "--9"},
        {"map_index": "x"},
        {"task_id": "choose", "map_index": "9" * 20},
    ],
)
def test_parameters_that_make_no_sense_do_no_harm(server: Any, more: dict[str, str]) -> None:
    assert server.get(run("manual__0", **more)).status_code == 200


def test_second_axis_and_log_scale_stand_in_the_address(server: Any) -> None:
    figure = Page(server.get(run("manual__0", axis="silhouette", log="1")).text).figures["elbow"]

    assert figure["layout"]["yaxis"]["type"] == "log"
    assert figure["layout"]["yaxis2"]["title"]["text"] == "Silhouette"


def test_segments_are_sorted_by_the_column_asked_for(server: Any) -> None:
    page = server.get(run("manual__0", order="3")).text
    body = page[page.index('id="segments"') :]
    rows = re.findall(r"</svg>(\d+)</th>", body)

    centres = make_report(seed=0, k=8).chosen.centers or ()
    assert [int(row) for row in rows] == sorted(range(8), key=lambda segment: centres[segment][0])


def test_an_older_report_shows_what_it_has(server: Any) -> None:
    page = Page(server.get(run("older")).text)

    assert page.figures.keys() == {"elbow", "sizes", "centres"}


def test_the_gap_is_charted_on_the_page_and_in_the_file_to_take_away(server: Any) -> None:
    gaps = [point.gap for point in evidenced(make_report()).curve]
    page = Page(server.get(run("evidenced")).text)
    assert page.figures["gap"]["data"][0]["y"] == gaps

    text = server.get(run("evidenced").replace("/run", "/run/charts.html", 1)).text
    [drawn] = re.findall(r'<svg class="drawn"[^>]*aria-label="Gap to rows without groups">.*?</svg>', text)
    curve = re.findall(r'<path d="(M[^"]*)" stroke="#3B82F6" stroke-width="2.5"', drawn)
    assert [path.count("L") + 1 for path in curve] == [len(gaps)]


RUN_ROUTES = ["/run", "/run/sweep.csv", "/run/report.json", "/run/charts.html"]


@pytest.mark.parametrize("route", RUN_ROUTES)
def test_an_older_report_is_shown_and_taken_away(server: Any, route: str) -> None:
    response = server.get(run("older").replace("/run", route, 1))

    assert response.status_code == 200
    assert len(response.text) > 500


def test_a_broken_report_is_left_out_of_its_dags_page(server: Any) -> None:
    page = server.get("/dag?dag_id=open&task_id=choose").text

    assert "manual__0" in page
    assert not re.search(r'value="(broken|list|text|off-the-curve|ragged)"', page)


@pytest.mark.parametrize("route", RUN_ROUTES)
def test_a_run_that_is_not_there_is_not_found(server: Any, route: str) -> None:
    response = server.get(f"{route}?dag_id=open&run_id=nope")

    assert response.status_code == 404
    assert "There is no run nope of the Dag open" in response.text


@pytest.mark.parametrize("run_id", ["broken", "list", "text", "off-the-curve", "ragged"])
@pytest.mark.parametrize("route", RUN_ROUTES)
def test_a_broken_report_is_said_to_be_broken(server: Any, run_id: str, route: str) -> None:
    response = server.get(run(run_id).replace("/run", route, 1))

    assert response.status_code == 422
    assert "This report cannot be read" in response.text


def test_a_report_of_a_newer_version_says_what_to_update(server: Any) -> None:
    response = server.get(run("newer"))

    assert response.status_code == 422
    assert "update airflow-segmentation" in response.text


def test_a_run_still_going_shows_the_curve_so_far_and_asks_again(server: Any) -> None:
    response = server.get(run("running"))
    page = Page(response.text)

    assert page.state == "progress going 1"
    assert "data-poll" in next(attributes for tag, attributes in page.elements if tag == "main")
    assert page.attributes("growing-1")["data-done"] == "12"
    assert page.figures["growing-1"]["data"][0]["x"] == list(range(1, 13))
    assert "2 of 5 tasks have finished" in response.text


def test_a_sweep_that_is_spread_over_mapped_tasks_shows_as_one_curve(server: Any) -> None:
    page, report = Page(server.get(run("spread")).text), make_report()

    assert page.state == "progress going 1"
    assert page.attributes("progress-1")["aria-label"] == "Progress of sweep"
    assert page.attributes("growing-1")["data-done"] == "18"
    assert page.attributes("growing-1")["data-total"] == "30"
    (trace,) = page.figures["growing-1"]["data"]
    # The parts have come to k = 13 and 22: from 14 to 19 there is nothing, and no line.
    expected = {**{k: report.curve[k - 1].sse for k in [*range(1, 14), 20, 21, 22]}, 14: None}
    assert dict(zip(trace["x"], trace["y"], strict=True)) == expected
    assert trace["x"] == sorted(trace["x"])


def test_mapped_sweeps_of_different_rows_show_as_a_curve_each(server: Any) -> None:
    page = Page(server.get(run("apart")).text)

    assert page.state == "progress going 3"
    assert page.attributes("progress-2")["aria-label"] == "Progress of sweep [1]"


def test_a_failed_run_leads_to_the_log_of_the_failed_task(server: Any) -> None:
    response = server.get(run("failed"))
    links = [
        attributes["href"]
        for tag, attributes in Page(response.text).elements
        if attributes.get("class") == "failed-task"
    ]

    assert "This run failed" in response.text
    assert links == ["/dags/open/runs/failed/tasks/choose"]
    assert "data-poll" not in response.text


def test_a_run_without_a_report_says_how_to_get_one(server: Any) -> None:
    response = server.get(run("without"))

    assert response.status_code == 200
    assert "ElbowOperator" in response.text


@pytest.mark.parametrize(
    "path",
    [
        "/run?dag_id=open&run_id=nope",
        "/run?dag_id=open",
        "/run",
        "/dag",
        "/run/sweep.csv?dag_id=open&run_id=without",
        "/run?dag_id=open&run_id=manual__0%00",
        "/?q=%00",
    ],
)
def test_what_does_not_exist_is_not_found(server: Any, path: str) -> None:
    response = server.get(path)

    assert response.status_code == 404
    assert "Nothing here" in response.text


def test_a_dag_without_reports_says_so(server: Any) -> None:
    assert "No report yet" in server.get("/dag?dag_id=empty").text


def test_mapped_tasks_are_offered_and_the_address_names_which(server: Any) -> None:
    first, second = (Page(server.get(run("mapped", task_id="choose", map_index=i)).text) for i in "01")

    assert first.attributes("elbow")["data-chosen-k"] == "8"
    assert second.attributes("elbow")["data-chosen-k"] == "4"
    options = [attributes["value"] or "" for tag, attributes in first.elements if tag == "option"]
    named = {parse_qs(urlsplit(option).query)["map_index"][0] for option in options if "map_index" in option}
    assert named == {"0", "1"}


def test_a_task_that_reported_nothing_has_no_report(server: Any) -> None:
    page = Page(server.get(run("manual__0", task_id="load")).text)

    assert page.state.startswith("progress")
    links = [attributes["href"] or "" for tag, attributes in page.elements if tag == "a"]
    assert any("task_id=choose" in link for link in links), "the task that did report is a link away"


def test_the_sweep_is_taken_away_as_csv(server: Any) -> None:
    response = server.get("/run/sweep.csv?dag_id=open&run_id=manual__0")
    rows = list(csv.DictReader(io.StringIO(response.text)))

    assert response.headers["Content-Disposition"] == 'attachment; filename="open_manual__0_sweep.csv"'
    assert [float(row["sse"]) for row in rows] == [point.sse for point in make_report(seed=0, k=8).curve]


def test_the_report_is_taken_away_as_json(server: Any) -> None:
    response = server.get("/run/report.json?dag_id=open&run_id=manual__0")

    assert Report.from_json(response.json()) == make_report(seed=0, k=8)


def test_the_report_is_taken_away_as_one_file(server: Any) -> None:
    text = server.get("/run/charts.html?dag_id=open&run_id=manual__0&k=5").text
    page = Page(text)

    assert page.attributes("elbow")["data-k"] == "5"
    assert not [
        attributes for _, attributes in page.elements if attributes.get("src") or "href" in attributes
    ]
    assert len(text) < 2_000_000
    for element_id in (
        "elbow",
        "sizes",
        "centres",
        "sample",
        "key-figures",
        "warnings",
        "methods",
        "profiles",
    ):
        assert page.attributes(element_id)
    report = make_report(seed=0, k=8)
    for said in (
        report.created_at,
        report.warnings[0],
        report.data_uri,
        "BALANCE",
        "1 to 30",
        "600",
        "Kneedle",
    ):
        assert said is not None
        assert said in text


def test_in_the_report_taken_away_no_script_runs_and_this_very_style_applies(server: Any) -> None:
    text = server.get("/run/charts.html?dag_id=open&run_id=manual__0").text
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    [policy] = [attributes["content"] for _, attributes in Page(text).elements if "http-equiv" in attributes]

    assert "<script" not in text
    assert policy is not None
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert "script-src" not in directives
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert directives["style-src"] == f"'sha256-{digest}'"


@pytest.mark.parametrize(
    ("query", "run_ids"),
    [
        ("?q=manual__3", ["manual__3"]),
        ("?q=MANUAL__3", ["manual__3"]),
        ("?dag_id=secret", ["manual__0"]),
        (
            "?dag_id=open&sort=time",
            ["manual__0", "manual__1", "manual__2", "manual__3", "mapped", "mapped", "broken"],
        ),
        (
            "?dag_id=open&sort=-k&q=ma",
            ["mapped", "manual__2", "manual__0", "manual__3", "manual__1", "mapped"],
        ),
        ("?q=%25", [HOSTILE]),
        ("?since=2099-01-01", []),
        ("?until=2026-03-13", []),
        ("?dag_id=open&q=manual&since=2026-03-14&sort=time", [f"manual__{number}" for number in range(4)]),
        ("?dag_id=open&q=manual&since=2026-03-15", []),
        ("?dag_id=open&q=manual&until=2026-03-14&sort=time", [f"manual__{number}" for number in range(4)]),
        (
            "?dag_id=open&q=manual&since=2026-03-14&until=2026-03-14&sort=k",
            ["manual__3", "manual__1", "manual__2", "manual__0"],
        ),
    ],
)
def test_the_list_is_searched_filtered_and_sorted(server: Any, query: str, run_ids: list[str]) -> None:
    page = Page(server.get(f"/{query}").text)

    links = [attributes["href"] or "" for tag, attributes in page.elements if tag == "a"]
    listed = [parse_qs(urlsplit(link).query)["run_id"][0] for link in links if "task_id=" in link]
    assert listed == run_ids


@pytest.mark.parametrize(
    "query", ["?page=0", "?page=-3", "?page=99", "?page=x", "?sort=nonsense", "?since=x", "?until=9999-12-31"]
)
def test_a_list_asked_for_what_is_not_there_shows_what_is(server: Any, query: str) -> None:
    response = server.get(f"/{query}&dag_id=open&q=manual")

    assert response.status_code == 200
    assert "manual__0" in response.text


@pytest.mark.parametrize("sort", ["time", "dag", "k", "sse", "explained", "silhouette", "rows"])
def test_a_broken_summary_does_not_break_the_list(server: Any, sort: str) -> None:
    for order in (sort, f"-{sort}"):
        response = server.get(f"/?sort={order}&dag_id=open")
        assert response.status_code == 200
        assert "This report cannot be read" in response.text


def test_the_list_shows_running_sweeps(server: Any) -> None:
    page = server.get("/").text

    assert "12 of 30" in page
    assert page.count("18 of 30") == page.count("run_id=spread") == 1, "a sweep spread over tasks is one"


def test_the_page_of_a_dag_shows_trends_curves_and_drift(server: Any) -> None:
    page = Page(server.get("/dag?dag_id=open&task_id=choose").text)

    assert page.figures["trends"]["data"][0]["y"] == [8, 7, 8, 7]
    assert len(page.figures["curves"]["data"]) == 2 * 3
    assert page.figures["drift"]["data"][0]["type"] == "heatmap"


def test_runs_that_are_not_alike_are_told_apart_on_every_page(server: Any) -> None:
    compared = "&curves=latest&curves=other-range&before=given&after=latest"
    response = server.get(f"/dag?dag_id=unlike&task_id=choose{compared}")
    text, page = html.unescape(response.text), Page(response.text)

    assert len(page.figures["trends"]["data"]) == 3 * 5
    assert "2 of 6 have k = 1..30, 3 features, by Kneedle, as the latest has" in text
    assert "\u2068other-range\u2069 (k = 1..12)" in text
    assert "The two runs are not alike: the second one has by Kneedle." in text
    listed = server.get("/?dag_id=unlike").text
    marked = re.findall(r'<span class="unlike">([^<]+)</span>', listed)
    assert marked == ["by Silhouette", "k set by you", "5 features", "k = 1..12", "marked"]
    assert "Compare figures of runs with" not in server.get("/?dag_id=secret").text


def test_an_older_report_says_what_it_does_not_know(server: Any) -> None:
    text = html.unescape(server.get(run("older")).text)

    assert "Centres, in their features' ranges" in text
    assert "This report does not hold the standard deviation of the rows" in text
    assert "over all rows or a sample, which this report does not tell" in text
    assert "Centres, standardized" in server.get(run("manual__0")).text


def test_a_silhouette_of_a_sample_tells_its_size(server: Any) -> None:
    silhouette = make_report(seed=0, k=8).chosen.scores["silhouette"]
    text = server.get(run("sampled")).text

    assert f'id="chosen-silhouette">{silhouette:.2f}</dd>' in text
    assert "over 5,012 sampled rows" in text
    assert "over a sample of 5,012 rows, by segment and weighted" in text
    assert 'k = 30</a> <span class="unlike">not settled</span>' in text
    assert "sampled rows" not in server.get(run("manual__0")).text


def test_the_runs_to_compare_stand_in_the_address(server: Any) -> None:
    address = "/dag?dag_id=open&task_id=choose&curves=manual__0&before=manual__0&after=manual__2"
    page = Page(server.get(address).text)

    assert [trace["name"] for trace in page.figures["curves"]["data"]] == ["\u2068manual__0\u2069"] * 2
    assert {value for row in page.figures["drift"]["data"][0]["z"] for value in row} == {0.0}


def test_hostile_names_stay_text_everywhere(server: Any) -> None:
    name = quote(HOSTILE, safe="")
    paths = [
        f"/run?dag_id={name}&run_id={name}",
        f"/dag?dag_id={name}",
        f"/?q={name}",
        f"/run?dag_id={name}&run_id=nope-{name}",
        f"/run/charts.html?dag_id={name}&run_id={name}",
    ]
    for path in paths:
        response = server.get(path)
        body = response.text.split("plotly.js v")[0]
        assert response.status_code in (200, 404)
        assert "<script>alert" not in body, path
        assert HOSTILE in html.unescape(body), path


def test_a_download_of_hostile_names_has_a_plain_file_name(server: Any) -> None:
    name = quote(HOSTILE, safe="")
    response = server.get(f"/run/sweep.csv?dag_id={name}&run_id={name}")

    assert re.fullmatch(r'attachment; filename="[A-Za-z0-9_.-]+"', response.headers["Content-Disposition"])


def test_pages_hold_no_inline_script_and_no_inline_style(server: Any) -> None:
    for path in (run("manual__0"), run("running"), "/", "/dag?dag_id=open"):
        for tag, attributes in Page(server.get(path).text).elements:
            assert tag != "style"
            assert "style" not in attributes
            assert not any(name.startswith("on") for name in attributes)
            assert tag != "script" or "src" in attributes or attributes.get("type") == "application/json"


def test_headers_come_once(server: Any) -> None:
    for name in HEADERS:
        assert len(server.get("/").headers.get_list(name)) == 1
