"""What Airflow registers: the page, the tabs that show it, and the files it needs.

Airflow loads plugins in the scheduler, workers and command line too, but only the API server reads the views
and blueprints. They are made when first read, so Flask stays out of every other process.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.plugins_manager import AirflowPlugin

from airflow_segmentation.links import page_path

if TYPE_CHECKING:
    from flask import Blueprint


def _tab(destination: str, url_route: str, href: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "Segmentation",
        "destination": destination,
        "url_route": url_route,
        "href": href,
        # White around the line: Airflow's rail is pale, and behind the entry that is selected dark blue.
        "icon": _icon("#52525B", around="#FFFFFF"),
        "icon_dark_mode": _icon("#D4D4D8"),
        **more,
    }


def _icon(colour: str, around: str | None = None) -> str:
    """Return a curve with an elbow, as a data URL: an icon in a file would need a version in its URL here.

    :param around: the colour of an edge around its lines; None for no edge.
    """
    shape = '<path d="M3 3v18h18M6 5c1 9 4 11 14 12"/><circle cx="9.5" cy="14" r="2" fill="{0}"/>'
    lines = [(around, 5)] if around else []
    drawn = (
        f'<g stroke="{ink}" stroke-width="{width}">{shape.format(ink)}</g>'
        for ink, width in (*lines, (colour, 2))
    )
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke-linecap="round">'
        f"{''.join(drawn)}</svg>"
    )
    return f"data:image/svg+xml,{quote(svg)}"


class SegmentationPlugin(AirflowPlugin):
    """The Segmentation page: a tab on every run and Dag, and an entry on the navigation rail."""

    name = "segmentation"
    # Airflow fills {DAG_ID} and {RUN_ID} in, URL-encoded; urlencode() would encode the braces.
    external_views = [
        _tab("dag_run", "segmentation", page_path("run") + "?dag_id={DAG_ID}&run_id={RUN_ID}"),
        _tab("dag", "segmentation-dag", page_path("dag") + "?dag_id={DAG_ID}"),
        # A shorter name: the rail has room for ten letters.
        _tab("nav", "segmentation-runs", page_path(), name="Segments", nav_top_level=True),
    ]

    @cached_property
    def appbuilder_views(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The page. Without a name, it gets no entry in a menu of legacy views."""
        from airflow_segmentation.www.view import SegmentationView

        return [{"view": SegmentationView()}]

    @cached_property
    def flask_blueprints(self) -> list[Blueprint]:  # type: ignore[override]
        """The page's static files."""
        from airflow_segmentation.www.static_files import blueprint

        return [blueprint]
