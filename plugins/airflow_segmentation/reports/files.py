"""A report as files that open anywhere: its charts as HTML, its sweep as CSV."""

from __future__ import annotations

import csv
import html
import io
from base64 import b64encode
from hashlib import sha256

from airflow_segmentation.reports import figures
from airflow_segmentation.reports.drawing import svg
from airflow_segmentation.reports.report import Report

_STYLE = (
    "body{max-width:900px;margin:24px auto;padding:0 16px;font-family:sans-serif;color:#18181b}"
    ".drawn{display:block;width:100%;height:auto;fill:#18181b;font-size:12px}"
    ".drawn .tick{fill:#52525b}.drawn .grid{stroke:#e4e4e7}"
)


def charts_html(report: Report) -> str:
    """Return the charts of the chosen k as one HTML file, which needs no other, no server and no script."""
    drawn = {
        "Elbow": figures.elbow(report, report.k),
        "Gap to rows without groups": figures.gap(report, report.k),
        "Sizes of the segments": figures.sizes(report, report.k),
        "Centres of the segments": figures.centres(report, report.k),
    }
    charts = "\n".join(
        f"<h2>{title}</h2>\n{svg(figure, f'chart-{number}', title)}"
        for number, (title, figure) in enumerate(drawn.items())
        if figure is not None
    )
    features = html.escape(", ".join(feature.name for feature in report.features))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy_of(_STYLE)}">
<title>k = {report.k}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>k = {report.k} of {report.k_min} to {report.k_max}</h1>
<p>{report.rows:,} rows, clustered on <bdi>{features}</bdi>.</p>
{charts}
</body>
</html>
"""


def policy_of(style: str) -> str:
    """Return the content security policy of a file with this style, no script and nothing to load."""
    style_hash = b64encode(sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'"


def sweep_csv(report: Report) -> str:
    """Return the sweep as CSV, a line for each k, in full precision."""
    columns = ("k", "sse", "explained", *figures.AXES, "iterations", "gap", "gap_se")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([figures.value_of(point, column) for column in columns] for point in report.curve)
    return text.getvalue()
