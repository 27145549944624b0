"""A report as files: what is in them, and that a browser runs nothing of them."""

from __future__ import annotations

import csv
import io
import re
from xml.etree import ElementTree

import pytest
from airflow_segmentation.reports import figures
from airflow_segmentation.reports.files import charts_html, sweep_csv
from airflow_segmentation.reports.report import Report
from made.reports import HOSTILE, continuum, evidenced, hostile, make_report


@pytest.mark.parametrize("report", [make_report(), evidenced(make_report())])
def test_the_csv_of_a_sweep_has_every_figure_under_its_name(report: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(sweep_csv(report))))

    assert list(rows[0]) == [
        *("k", "sse", "explained", "silhouette", "calinski_harabasz", "davies_bouldin", "seconds"),
        *("iterations", "gap", "gap_se"),
    ]
    for row, point in zip(rows, report.curve, strict=True):
        for name, text in row.items():
            value = figures.value_of(point, name)
            assert text == ("" if value is None else str(value))


def test_the_charts_of_the_chosen_k_are_one_file() -> None:
    page = charts_html(evidenced(make_report()))
    titles = ["Elbow", "Gap to rows without groups", "Sizes of the segments", "Centres of the segments"]

    assert re.findall("<h2>(.*?)</h2>", page) == titles
    assert re.findall('role="img" aria-label="(.*?)"', page) == titles
    assert re.findall("<h2>(.*?)</h2>", charts_html(make_report())) == [titles[0], *titles[2:]]


@pytest.mark.parametrize("report", [make_report(), continuum(make_report()), hostile(HOSTILE)])
def test_the_charts_hold_nothing_that_runs_or_is_fetched(report: Report) -> None:
    page = charts_html(report)
    body = ElementTree.fromstring(page[page.index("<body>") : page.index("</html>")])

    assert {element.tag for element in body.iter()} <= {
        *("body", "h1", "h2", "p", "bdi", "svg", "path", "text", "circle", "rect", "g", "title"),
        *("polygon", "defs", "pattern"),
    }
    assert not [name for element in body.iter() for name in element.attrib if name.startswith(("on", "href"))]
    assert "default-src 'none'" in page
