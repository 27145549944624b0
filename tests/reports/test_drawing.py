"""The charts as SVG: what is drawn is what the figures say."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree

import pytest
from airflow_segmentation.reports import drawing, figures
from made.reports import HOSTILE, continuum, evidenced, hostile, make_report

REPORT = evidenced(make_report())
FIGURES = {
    "elbow": figures.elbow(REPORT, 4),
    "elbow with a score": figures.elbow(REPORT, 4, axis="silhouette"),
    "elbow, log": figures.elbow(make_report(k=20), 4, log=True),
    "gap": figures.gap(REPORT, 8),
    "gap of a continuum": figures.gap(continuum(make_report()), 8),
    "sizes": figures.sizes(REPORT, 8),
    "many sizes": figures.sizes(REPORT, 30),
    "centres": figures.centres(REPORT, 8),
    "one segment": figures.centres(REPORT, 1),
    "sample": figures.sample(REPORT, 30, 0, 1),
    "hostile": figures.centres(hostile(HOSTILE), 8),
    "hostile sample": figures.sample(hostile(HOSTILE), 8, 0, 1),
}


def drawn(name: str) -> ElementTree.Element:
    """Return a figure as it is drawn, which must be well-formed."""
    figure = FIGURES[name]
    assert figure
    return ElementTree.fromstring(drawing.svg(figure, "chart", 'a "chart" of <b>'))


def inside(root: ElementTree.Element) -> None:
    """Fail where something is drawn beyond the drawing."""
    height = float(root.attrib["viewBox"].split()[3])
    for element in root.iter():
        for name, limit in (("x", drawing.WIDTH), ("cx", drawing.WIDTH), ("y", height), ("cy", height)):
            if name in element.attrib:
                assert -1 <= float(element.attrib[name]) <= limit + 1, element.attrib


@pytest.mark.parametrize("name", FIGURES)
def test_every_chart_is_drawn_within_its_frame(name: str) -> None:
    root = drawn(name)

    inside(root)
    assert root.attrib["aria-label"] == 'a "chart" of <b>'
    assert len(list(root)) > 8
    assert not {element.tag for element in root.iter()} & {"script", "style", "a", "foreignObject", "image"}
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))


def test_the_curve_goes_through_every_k_and_falls() -> None:
    root = drawn("elbow")
    [path] = [path.attrib["d"] for path in root.iter("path") if path.attrib.get("stroke") == figures.CURVE]
    places = [tuple(map(float, place.split())) for place in re.split("[ML]", path)[1:]]

    assert len(places) == len(REPORT.curve)
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    heights = [place[1] for place in places]
    by_sse = sorted(range(len(heights)), key=lambda number: -REPORT.curve[number].sse)
    assert [heights[number] for number in by_sse] == sorted(heights)
    assert [text.text for text in root.iter("text")].count("k = 8") == 1


def test_each_bar_is_as_high_as_its_segment_has_rows() -> None:
    bars = [float(bar.attrib["height"]) for bar in drawn("sizes").iter("rect")]
    sizes = REPORT.curve[7].sizes or ()

    assert [bar / bars[0] for bar in bars] == pytest.approx([size / sizes[0] for size in sizes], abs=0.001)
    assert [text.text for text in drawn("sizes").iter("text") if "%" in (text.text or "")][-1] == "<1%"


def test_a_heat_map_has_a_cell_for_each_feature_and_segment() -> None:
    root = drawn("centres")
    cells = sum(path.attrib["d"].count("M") for path in root.iter("path"))

    assert cells == 3 * 8
    assert {"BALANCE", "PURCHASES", "CREDIT_LIMIT"} <= {
        (text.text or "").strip("\u2068\u2069") for text in root.iter("text")
    }


def test_numbers_at_their_worst_are_drawn_all_the_same() -> None:
    for sse in (0.0, 1e-308, 1e150):
        curve = tuple(dataclasses.replace(point, sse=sse) for point in REPORT.curve)
        for log in (False, True):
            figure = figures.elbow(dataclasses.replace(REPORT, curve=curve), 8, log=log)
            inside(ElementTree.fromstring(drawing.svg(figure, "chart", "worst")))
