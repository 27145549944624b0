"""The battery: sets on which K-means is easily worse than it could be, by the sweep and by its peers.

SSE is set against a reference that none of them has a part in: the best of a hundred starts of scikit-learn's
K-means, or of one feature the optimum. So a sweep may also be below it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from peers import PEERS, fitter, installed, one_thread
from processes import Row, Timed, measured

SEEDS = range(3)
ENDS = (3, 5, 8, 13)
"""Where ranges end that are shorter than a set's own: a sweep's last k has no larger one to help it."""
LINES = 60
COMPARED = ("defaults", "kmeans10", "faiss", "intelex")
Curves = dict[str, list[float]]
"""SSE from k = 2 on, by set."""


def _sets() -> dict[str, tuple[Callable[[], np.ndarray], int]]:
    """Return the rows, and the largest k, by name. Imported here: it takes memory that is none of ours."""
    from clustering.battery import SETS, line

    lines = {}
    for index in range(LINES):
        rows = line(index)
        lines[_line(index)] = (lambda rows=rows: rows, min(20, len(np.unique(rows)) - 1))
    return SETS | lines


def _line(index: int) -> str:
    return f"line {index}"


# Works: each is called in a process of its own with the folder of the data, and returns figures.


def battery_reference(_: Path) -> dict[str, Any]:
    from clustering.battery import best_known, optimum

    curves: Curves = {}
    with Timed() as timed:
        for name, (make, k_max) in _sets().items():
            rows = make()
            if rows.shape[1] == 1:
                curves[name] = optimum(rows, k_max)[1:].tolist()
            else:
                curves[name] = [best_known(rows, k) for k in range(2, k_max + 1)]
    return timed.figures | {"sse": curves}


def battery_sweep(_: Path, seed: str) -> dict[str, Any]:
    """Sweep each set over its own range, and over shorter ones."""
    from airflow_segmentation.clustering import sweep_rows

    whole: Curves = {}
    shorter: dict[str, Curves] = {}
    with Timed() as timed:
        for name, (make, k_max) in _sets().items():
            rows = make()
            whole[name] = sweep_rows(rows, k_max=k_max, random_state=int(seed)).inertias[1:].tolist()
            shorter[name] = {
                str(end): sweep_rows(rows, k_max=end, random_state=int(seed)).inertias[1:].tolist()
                for end in ENDS
                if end < k_max
            }
    return timed.figures | {"sse": whole, "shorter": shorter}


def battery_peer(_: Path, name: str) -> dict[str, Any]:
    from airflow_segmentation.clustering import assign

    curves: Curves = {}
    with one_thread(name), Timed() as timed:
        for each, (make, k_max) in _sets().items():
            rows = make()
            fit = fitter(name, rows)
            centers = [fit(k)[1].astype(float) for k in range(2, k_max + 1)]
            # Not the SSE that it tells: of four-byte numbers that would be off by more than a hundredth.
            curves[each] = [float(((rows - some[assign(rows, some)]) ** 2).sum()) for some in centers]
    return timed.figures | {"sse": curves}


WORKS: tuple[Callable[..., dict[str, Any]], ...] = (battery_reference, battery_sweep, battery_peer)


# What is compared.


def compare_battery(folder: Path, figures: dict[str, Any]) -> list[Row]:
    reference = measured(folder, "battery_reference")["sse"]
    sweeps = [measured(folder, "battery_sweep", str(seed)) for seed in SEEDS]
    ends: list[Curves] = [
        {name: by_end[str(end)] for name, by_end in sweep["shorter"].items() if str(end) in by_end}
        for sweep in sweeps
        for end in ENDS
    ]
    compared = {
        "sweep": [sweep["sse"] for sweep in sweeps],
        "sweep, ends": ends,
        **{name: [measured(folder, "battery_peer", name)["sse"]] for name in installed(*COMPARED)},
    }
    figures |= {name: _summary(curves, reference) for name, curves in compared.items()}
    ours = [figures[name] for name in ("sweep", "sweep, ends")]
    sets = max(one["sets"]["worst"] for one in ours) - 1
    lines = max(one["lines"]["worst"] for one in ours) - 1
    return [
        ("Battery: SSE above the best of 100 starts, worst", "<= 1 %", f"{sets:.2%}", sets <= 0.01),
        ("Battery, one feature: SSE above the optimum, worst", "<= 1e-9", f"{lines:.1e}", lines <= 1e-9),
    ]


def _summary(all_curves: list[Curves], reference: Curves) -> dict[str, Any]:
    """Return the worst and the mean ratio to the reference, of the sets and of the lines, and where it is."""
    lines = {_line(index) for index in range(LINES)}
    found: dict[str, Any] = {}
    for kind, names in (("sets", reference.keys() - lines), ("lines", lines)):
        ratios = [
            (sse / reference[name][place], name, place + 2)
            for curves in all_curves
            for name in curves.keys() & names
            for place, sse in enumerate(curves[name])
        ]
        worst, name, k = max(ratios)
        mean = float(np.mean([ratio for ratio, _, _ in ratios]))
        found[kind] = {"count": len(names), "worst": worst, "mean": mean, "worst at": [name, k]}
    return found


def table_of_battery(figures: dict[str, Any]) -> str:
    """Return how far each is above the reference."""
    labels = {"sweep": "**the sweep**", "sweep, ends": f"the sweep, k to {', '.join(map(str, ENDS))}"} | PEERS
    sets, lines = (figures["sweep"][kind]["count"] for kind in ("sets", "lines"))
    rows = [f"| SSE over the reference | {sets} sets, worst | mean | {lines} of one feature, worst | mean |"]
    rows.append("|---|---|---|---|---|")
    for name, label in labels.items():
        if name in figures:
            found = [
                figures[name][kind][figure] for kind in ("sets", "lines") for figure in ("worst", "mean")
            ]
            rows.append(f"| {label} | {' | '.join(f'{each:.3f}' for each in found)} |")
    return "\n".join(rows)
