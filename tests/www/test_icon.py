"""The icon on Airflow's navigation rail, which Airflow draws as a picture whatever is behind it."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from airflow_segmentation.plugin import SegmentationPlugin

# Airflow's palette "brand", from 3.1 to 3.4: the rail is brand.muted, an entry under the mouse
# brand.emphasized, the selected one brand.solid.
BEHIND = {"icon": ("#dce7f5", "#c1d5ec", "#3c5b89"), "icon_dark_mode": ("#1d3358", "#294874", "#3c5b89")}
VISIBLE = 3.0
"""Contrast from which a graphical object is seen (WCAG 2.2, 1.4.11)."""


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG defines it."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("view", SegmentationPlugin.external_views, ids=lambda view: view["url_route"])
@pytest.mark.parametrize("mode", BEHIND)
def test_the_icon_is_seen_on_the_rail_also_when_it_is_selected(view: dict[str, str], mode: str) -> None:
    svg = unquote(view[mode].removeprefix("data:image/svg+xml,"))
    inks = re.findall(r'stroke="(#[0-9A-Fa-f]{6})"', svg)

    for behind in BEHIND[mode]:
        assert max(contrast(ink, behind) for ink in inks) >= VISIBLE, behind
