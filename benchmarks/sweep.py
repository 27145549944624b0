"""The sweep beside what one would use instead: time, memory and SSE, each work in a process of its own.

Run as `.venv/bin/python benchmarks/sweep.py`; works that are compared take turns, and medians are shown.
Prints the table, writes it into benchmarks/README.md and all figures to benchmarks/sweep.json. Names of
comparisons, such as `small busy`, run only these; the others keep the figures that they had. `"100M x 3"`
runs when it is named only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import battery
import numpy as np
import tasks
from making import FEATURES, customers, make_large
from peers import PEERS, fitter, installed, one_thread
from processes import ROOT, RUNS, Row, Timed, alternating, measured, median

README = ROOT / "benchmarks" / "README.md"
RESULTS = ROOT / "benchmarks" / "sweep.json"
sys.path[:0] = [str(ROOT / folder) for folder in ("plugins", "tests")]

BATCH = 2**18
"""Rows read at a time."""
K = range(1, 50)
SEEDS = range(10)
TIMED_K = (3, 10, 25, 49)
"""k at which scikit-learn is timed on large data; between them its time is interpolated."""
LARGE = {"1M x 3": (1_000_000, 3, 30), "10M x 3": (10_000_000, 3, 60), "1M x 17": (1_000_000, 17, 20)}
"""Rows, features, and how many times faster the sweep should be."""
BEGIN, END = "<!-- sweep: begin -->", "<!-- sweep: end -->"


# Works: each is called in a process of its own with the folder of the data, and returns figures.


def made_data(folder: Path, name: str) -> dict[str, Any]:
    """Make large data, here too in a process of its own: its memory would count for those that come after."""
    rows, features, _ = LARGE[name]
    with Timed() as timed:
        make_large(folder / f"{name}.parquet", rows, features)
    return timed.figures


def made_csv(folder: Path) -> dict[str, Any]:
    import pyarrow.csv
    import pyarrow.parquet as pq

    with Timed() as timed:
        make_large(folder / "large.parquet", 10_000_000, 3)
        file = pq.ParquetFile(folder / "large.parquet")
        with pyarrow.csv.CSVWriter(folder / "large.csv", file.schema_arrow) as writer:
            for batch in file.iter_batches():
                writer.write_batch(batch)
    return timed.figures


def small_sweep(_: Path, seed: str = "0", jobs: str = "1") -> dict[str, Any]:
    from airflow_segmentation.clustering import sweep_rows

    rows = customers()
    sweep_rows(rows[:200], k_max=2)
    with Timed() as timed:
        found = sweep_rows(rows, random_state=int(seed), n_jobs=int(jobs))
    bits = hashlib.sha256(b"".join(centers.tobytes() for centers in found.cluster_centers)).hexdigest()
    return timed.figures | {"sse": found.inertias.tolist(), "bits": bits}


def small_scores(_: Path) -> dict[str, Any]:
    from airflow_segmentation.clustering import (
        ArrayRows,
        assign,
        calinski_harabasz,
        davies_bouldin,
        silhouette,
        silhouette_sample,
        sweep_rows,
    )
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score

    rows = customers()
    sweep_rows(rows[:200], k_max=2)
    with Timed() as timed:
        found = sweep_rows(rows, random_state=0)
        sample = silhouette_sample(ArrayRows(rows), found)
        scores = [silhouette(found, *sample), calinski_harabasz(found), davies_bouldin(found)]
    some = rows[::3]  # scikit-learn's has no weights
    scores[0] = silhouette(found, some)
    worst = 0.0
    for k in (2, 5, 8, 15, 30, 49):
        centers = found.cluster_centers[k - 1]
        labels = assign(rows, centers)
        peers = [
            silhouette_score(some, assign(some, centers)),
            calinski_harabasz_score(rows, labels),
            davies_bouldin_score(rows, labels),
        ]
        worst = max(worst, *(abs(own[k - 1] / peer - 1) for own, peer in zip(scores, peers, strict=True)))
    return timed.figures | {"worst": worst}


def small_structure(_: Path) -> dict[str, Any]:
    from airflow_segmentation.clustering import measure_structure

    rows = customers()
    measure_structure(rows[:200], k_max=2)
    with Timed() as timed:
        measure_structure(rows)
    return timed.figures


def small_resamples(_: Path) -> dict[str, Any]:
    from airflow_segmentation.clustering import sweep_resamples, sweep_rows

    rows = customers()
    centers = sweep_rows(rows, random_state=0).cluster_centers
    with Timed() as timed:
        sweep_resamples(rows, cluster_centers=centers)
    return timed.figures


def small_peer(_: Path, name: str) -> dict[str, Any]:
    with one_thread(name):
        fit = fitter(name, customers())
        fit(2)
        with Timed() as timed:
            sse = [fit(k)[0] for k in K]
    return timed.figures | {"sse": sse}


def large_sweep(folder: Path, name: str, seed: str) -> dict[str, Any]:
    from airflow_segmentation.clustering import TableRows, sweep_table
    from airflow_segmentation.tables.parquet import Table

    columns = [f"f{i}" for i in range(LARGE[name][1])]
    jobs = os.cpu_count() or 1
    with Timed() as timed, Table(str(folder / f"{name}.parquet")) as table:
        rows = TableRows(table, columns, n_jobs=jobs)
        found = sweep_table(rows, random_state=int(seed), n_jobs=jobs)
    return timed.figures | {"sse": [float(found.inertias[k - 1]) for k in TIMED_K]}


def large_peer(folder: Path, name: str, seed: str) -> dict[str, Any]:
    import pyarrow.parquet as pq
    from sklearn.cluster import KMeans

    columns = pq.read_table(folder / f"{name}.parquet").columns
    rows = np.column_stack([column.to_numpy() for column in columns])
    times, sse = [], []
    for k in TIMED_K:
        with Timed() as timed:
            sse.append(KMeans(k, random_state=int(seed)).fit(rows).inertia_)
        times.append(timed.figures)
    return {
        "wall": float(np.interp(K, TIMED_K, [each["wall"] for each in times]).sum()),
        "cpu": float(np.interp(K, TIMED_K, [each["cpu"] for each in times]).sum()),
        "sse": sse,
    }


def made_customers(folder: Path) -> dict[str, Any]:
    """Write ten million customers with all columns of the shipped ones, each with an id of its own."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.csv

    rng, rows = np.random.default_rng(0), 1_000_000
    shipped = pd.read_csv(ROOT / "data" / "file.csv")
    with Timed() as timed, (folder / "customers.csv").open("wb") as file:
        for part in range(10):
            customers = shipped.iloc[rng.integers(len(shipped), size=rows)]
            customers = customers.assign(CUST_ID=[f"C{part * rows + row:08}" for row in range(rows)])
            options = pyarrow.csv.WriteOptions(include_header=part == 0, quoting_style="none")
            pyarrow.csv.write_csv(pa.Table.from_pandas(customers, preserve_index=False), file, options)
    return timed.figures


def csv_ours(folder: Path, name: str) -> dict[str, Any]:
    os.environ["AIRFLOW_HOME"] = str(folder / "airflow")
    from airflow_segmentation.tables.csv_files import Csv, csv_to_table
    from airflow_segmentation.tables.opening import open_data
    from airflow_segmentation.tables.scaling import scale_table

    csv_to_table(Csv(str(ROOT / "data" / "test.csv")), str(folder / "loaded.parquet"))
    with Timed() as timed:
        csv_to_table(Csv(str(folder / f"{name}.csv")), str(folder / "loaded.parquet"))
    features = ["f0", "f1", "f2"] if name == "large" else FEATURES
    with Timed() as scaled, open_data(str(folder / "loaded.parquet")) as table:
        scale_table(table, str(folder / "scaled.parquet"), features, "drop", (0.0, 1.0))
    return timed.figures | {"scaling": scaled.figures["wall"]}


def csv_pandas(folder: Path, name: str) -> dict[str, Any]:
    import pandas as pd

    pd.read_csv(ROOT / "data" / "test.csv").to_parquet(folder / "pandas.parquet")
    with Timed() as timed:
        pd.read_csv(folder / f"{name}.csv").to_parquet(folder / "pandas.parquet")
    return timed.figures


def csv_polars(folder: Path, name: str) -> dict[str, Any]:
    import polars as pl

    def convert(source: Path) -> None:
        pl.scan_csv(source).sink_parquet(folder / "polars.parquet", compression="snappy")

    convert(ROOT / "data" / "test.csv")
    with Timed() as timed:
        convert(folder / f"{name}.csv")
    return timed.figures


def csv_duckdb(folder: Path, name: str) -> dict[str, Any]:
    import duckdb

    def convert(source: Path) -> None:
        duckdb.sql(f"COPY (FROM read_csv('{source}')) TO '{folder}/duckdb.parquet' (FORMAT parquet)")

    convert(ROOT / "data" / "test.csv")
    with Timed() as timed:
        convert(folder / f"{name}.csv")
    return timed.figures


def read_pyarrow(folder: Path) -> dict[str, Any]:
    from airflow_segmentation.clustering import TableRows
    from airflow_segmentation.tables.parquet import Table

    with Timed() as timed, Table(str(folder / "large.parquet")) as table:
        # The pass that draws a sample reads all rows twice; this one reads them once.
        TableRows(table, ["f0", "f1", "f2"]).uniform(1, 0)
    return timed.figures


def read_polars(folder: Path) -> dict[str, Any]:
    import polars as pl

    with Timed() as timed:
        for batch in pl.scan_parquet(folder / "large.parquet").collect_batches(chunk_size=BATCH):
            batch.to_numpy()
    return timed.figures


def read_duckdb(folder: Path) -> dict[str, Any]:
    import duckdb

    with Timed() as timed:
        result: Any = duckdb.sql(f"FROM read_parquet('{folder}/large.parquet')")
        for batch in result.to_arrow_reader(BATCH):
            np.column_stack([column.to_numpy() for column in batch.columns])
    return timed.figures


WORKS: dict[str, Callable[..., dict[str, Any]]] = {
    work.__name__: work
    for work in (
        *(
            made_data,
            made_csv,
            made_customers,
            small_sweep,
            small_scores,
            small_structure,
            small_resamples,
            small_peer,
            large_sweep,
            large_peer,
        ),
        *(csv_ours, csv_pandas, csv_polars, csv_duckdb, read_pyarrow, read_polars, read_duckdb),
        *battery.WORKS,
        *tasks.WORKS,
    )
}


def compare_small(folder: Path, figures: dict[str, Any]) -> list[Row]:
    peers = installed(*PEERS)
    ours = ("sweep", "scores", "structure", "resamples")
    works: dict[str, tuple[str, ...]] = {name: (f"small_{name}",) for name in ours}
    works |= {peer: ("small_peer", peer) for peer in peers}
    results = alternating(folder, works)
    seeds = [measured(folder, "small_sweep", str(seed)) for seed in SEEDS]
    bits = {measured(folder, "small_sweep", "0", jobs, OPENBLAS_NUM_THREADS=jobs)["bits"] for jobs in "12"}
    curves = np.array([run["sse"] for run in seeds])
    tutorial = np.array(results["tutorial"][0]["sse"])
    best = np.min([*curves, *(results[peer][0]["sse"] for peer in peers)], axis=0)
    figures |= {
        name: {figure: median(runs, figure) for figure in ("wall", "cpu", "memory")}
        | ({"sse over best known": (np.array(runs[0]["sse"]) / best).tolist()} if "sse" in runs[0] else {})
        for name, runs in results.items()
    }
    cpu = {name: median(runs, "cpu") for name, runs in results.items()}
    faster = cpu["tutorial"] / cpu["sweep"]
    lower = 1 - (curves.mean(axis=1) / tutorial.mean()).max()
    higher = (curves / tutorial).max() - 1
    near = (curves / best)[:, :15].max() - 1
    return [
        ("8,950 x 3: CPU of the tutorial's loop / ours", ">= 20", f"{faster:.1f}", faster >= 20),
        ("8,950 x 3: mean SSE below the tutorial's", ">= 2 %", f"{lower:.1%}", lower >= 0.02),
        ("8,950 x 3: SSE above the tutorial's at any k", "<= 2 %", f"{higher:.1%}", higher <= 0.02),
        ("8,950 x 3: SSE above the best known, k <= 15", "<= 1 %", f"{near:.2%}", near <= 0.01),
        (
            "8,950 x 3: k at which a curve rises",
            "0",
            str(int((np.diff(curves) > 0).sum())),
            bool((np.diff(curves) <= 0).all()),
        ),
        ("8,950 x 3: results of one seed", "1", str(len(bits)), len(bits) == 1),
        (
            "With all scores: CPU / of the sweep alone",
            "<= 2",
            f"{cpu['scores'] / cpu['sweep']:.2f}",
            cpu["scores"] / cpu["sweep"] <= 2,
        ),
        (
            "20 sets without groups: CPU / of the sweep alone",
            "<= 1",
            f"{cpu['structure'] / cpu['sweep']:.2f}",
            cpu["structure"] <= cpu["sweep"],
        ),
        (
            "20 resamples, and the trust in segments: CPU / of the sweep alone",
            "",
            f"{cpu['resamples'] / cpu['sweep']:.2f}",
            True,
        ),
        (
            "Scores: relative difference from scikit-learn's",
            "<= 1e-6",
            f"{results['scores'][0]['worst']:.1e}",
            results["scores"][0]["worst"] <= 1e-6,
        ),
    ]


def table_of_peers(figures: dict[str, Any]) -> str:
    """Return what each work on the small data took, beside the sweep's."""
    labels = {"sweep": "**the sweep**", "scores": "the sweep with all scores"} | PEERS
    lines = ["| 8,950 x 3, k = 1..49 | CPU | wall | peak memory | SSE over the best known, mean | worst |"]
    lines.append("|---|---|---|---|---|---|")
    ours = figures["sweep"]
    for name, label in labels.items():
        if name not in figures:
            continue
        own = figures[name]
        quality = own.get("sse over best known")
        shown = f"{np.mean(quality):.3f} | {max(quality):.3f}" if quality else " | "
        lines.append(
            f"| {label} | {own['cpu'] / ours['cpu']:.1f} | {own['wall'] / ours['wall']:.1f} | "
            f"{own['memory']:.0f} MB | {shown} |"
        )
    return "\n".join([*lines, "", "CPU and wall are in times of the sweep's."])


def compare_busy(folder: Path, figures: dict[str, Any]) -> list[Row]:
    jobs = str(os.cpu_count() or 1)
    alone, busy = [], []
    for _ in range(RUNS):
        alone.append(measured(folder, "small_sweep", "0", jobs))
        other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            busy.append(measured(folder, "small_sweep", "0", jobs))
        finally:
            other.kill()
            other.wait()
    slower = median(busy, "wall") / median(alone, "wall")
    figures |= {"alone": median(alone, "wall"), "busy": median(busy, "wall")}
    return [("Beside a busy process: wall / alone", "<= 2", f"{slower:.2f}", slower <= 2)]


def compare_large(name: str, folder: Path, figures: dict[str, Any]) -> list[Row]:
    _, features, needed = LARGE[name]
    measured(folder, "made_data", name)
    ours, peers = [], []
    for seed in map(str, range(RUNS)):
        ours.append(measured(folder, "large_sweep", name, seed))
        peers.append(measured(folder, "large_peer", name, seed))
    (folder / f"{name}.parquet").unlink()
    figures |= {"ours": ours, "peer": peers}
    faster = median(peers, "wall") / median(ours, "wall")
    ratios = np.array([run["sse"] for run in ours]) / np.mean([run["sse"] for run in peers], axis=0)
    where, limit, above = "any k", 0.01, float(ratios.max() - 1)
    if features > 3:
        where, limit, above = "the mean", 0.0, float(ratios.mean() - 1)
    memory = max(run["memory"] for run in ours)
    return [
        (f"{name}: wall of scikit-learn / ours", f">= {needed}", f"{faster:.0f}", faster >= needed),
        (f"{name}: SSE above its mean, at {where}", f"<= {limit:.0%}", f"{above:.2%}", above <= limit),
        (f"{name}: peak memory", "< 1 GB", f"{memory:.0f} MB", memory < 1000),
    ]


CSVS = {"large": ("CSV of 10M x 3", 1.4), "customers": ("CSV of 10M x 18", 1.6)}
"""Numbers of all digits; and an id, amounts, frequencies and counts. How many times faster to be."""
FILE_RUNS = 7
"""As each takes seconds, of which the machine's other work may take a third."""


def compare_files(folder: Path, figures: dict[str, Any]) -> list[Row]:
    measured(folder, "made_csv")
    rows: list[Row] = []
    for name, (label, needed) in CSVS.items():
        if name == "customers":
            measured(folder, "made_customers")
        works = ("csv_ours", "csv_pandas", "csv_polars", "csv_duckdb")
        results = alternating(folder, {work: (work, name) for work in works}, FILE_RUNS)
        (folder / f"{name}.csv").unlink()
        figures[label] = results
        wall = {work: median(runs, "wall") for work, runs in results.items()}
        memory = {work: max(run["memory"] for run in runs) for work, runs in results.items()}
        faster = wall["csv_pandas"] / wall["csv_ours"]
        rows += [
            (
                f"{label} to Parquet: wall of pandas / ours",
                f">= {needed}",
                f"{faster:.2f}",
                faster >= needed,
            ),
            (
                "The same, then scaled: peak memory",
                "< 1 GB",
                f"{memory['csv_ours']:.0f} MB, pandas {memory['csv_pandas']:.0f} MB",
                memory["csv_ours"] < 1000,
            ),
            *(
                (
                    f"{label} to Parquet: wall of {peer} / ours",
                    "",
                    f"{wall[f'csv_{peer}'] / wall['csv_ours']:.1f}, {memory[f'csv_{peer}']:.0f} MB",
                    True,
                )
                for peer in ("polars", "duckdb")
            ),
        ]
    reads = alternating(folder, {work: (work,) for work in ("read_pyarrow", "read_polars", "read_duckdb")})
    figures["files"] = reads
    return [
        *rows,
        *(
            (
                f"10M rows of Parquet to numpy: wall of {peer} / pyarrow",
                "",
                f"{median(reads[f'read_{peer}'], 'wall') / median(reads['read_pyarrow'], 'wall'):.1f}",
                True,
            )
            for peer in ("polars", "duckdb")
        ),
    ]


COMPARISONS: dict[str, Callable[[Path, dict[str, Any]], list[Row]]] = {
    "small": compare_small,
    "battery": battery.compare_battery,
    "busy": compare_busy,
    **{name: partial(compare_large, name) for name in LARGE},
    "choose": tasks.compare_choose,
    tasks.ENORMOUS: tasks.compare_enormous,
    "files": compare_files,
}
TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "small": table_of_peers,
    "battery": battery.table_of_battery,
    tasks.ENORMOUS: tasks.table_of_tasks,
}
"""What stands below the rows of all comparisons."""


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| work | should be | is | |", "|---|---|---|---|"]
    for work, target, value, met in rows:
        lines.append(f"| {work} | {target} | {value} | {'' if met else 'missed'} |")
    return "\n".join(lines)


def main() -> int:
    """Do the comparisons; return 1 where one misses."""
    parser = argparse.ArgumentParser(description=__doc__)
    told = f"all but {tasks.ENORMOUS} by default"
    parser.add_argument("names", nargs="*", help=f"of {', '.join(COMPARISONS)}; {told}")
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        found = WORKS[arguments.work](arguments.folder, *arguments.names)
        # Linux counts in kilobytes, macOS in bytes.
        unit = 2**20 if sys.platform == "darwin" else 2**10
        found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        print(json.dumps(found))
        return 0
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with tempfile.TemporaryDirectory(prefix="segmentation-bench-") as folder:
        for name in arguments.names or [each for each in COMPARISONS if each != tasks.ENORMOUS]:
            figures: dict[str, Any] = {}
            compared = COMPARISONS[name](Path(folder), figures)
            known[name] = {"rows": [(*row, bool(met)) for *row, met in compared], "figures": figures}
            RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    rows = [row for name in COMPARISONS for row in known.get(name, {"rows": []})["rows"]]
    tables = [of_one(known[name]["figures"]) for name, of_one in TABLES.items() if name in known]
    text = "\n\n".join([table(rows), *tables])
    print(text)
    before, _, rest = README.read_text().partition(BEGIN)
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
    return 0 if all(met for *_, met in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
