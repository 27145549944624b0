"""Data of any number of rows, made of the customers that are shipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from processes import ROOT

if TYPE_CHECKING:
    import pyarrow as pa

FEATURES = ["BALANCE", "PURCHASES", "CREDIT_LIMIT"]
MILLION = 1_000_000


def customers() -> np.ndarray:
    """Return the three features of the shipped customers, scaled to 0..1."""
    import pandas as pd

    rows = pd.read_csv(ROOT / "data" / "file.csv")[FEATURES].dropna().to_numpy()
    return (rows - rows.min(axis=0)) / (rows.max(axis=0) - rows.min(axis=0))


def made_tables(millions: int, features: int, rows: int = MILLION) -> Iterator[pa.Table]:
    """Yield tables of a million rows, or so many, with long tails: jittered customers, or mixed factors.

    The factors are where there are more than the customers' three features.
    """
    import pyarrow as pa

    rng = np.random.default_rng(0)
    base, mixing = customers(), rng.normal(size=(4, features))
    names = [f"f{i}" for i in range(features)]
    for _ in range(millions):
        if features == 3:
            part = base[rng.integers(len(base), size=rows)] * rng.lognormal(0, 0.15, (rows, 3))
        else:
            factors = rng.normal(size=(rows, 4)) @ mixing
            part = np.exp(0.4 * factors + 0.4 * rng.normal(size=(rows, features))) / 60
        yield pa.table(dict(zip(names, part.T, strict=True)))


def make_large(path: Path, rows: int, features: int) -> None:
    """Write so many rows, a multiple of a million, as one file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(f"f{i}", pa.float64()) for i in range(features)])
    with pq.ParquetWriter(path, schema) as writer:
        for table in made_tables(rows // MILLION, features):
            writer.write_table(table)


def make_parts(folder: Path, parts: int, rows: int, features: int) -> None:
    """Write the same rows as a folder of so many files."""
    import pyarrow.parquet as pq

    folder.mkdir()
    for place, table in enumerate(made_tables(parts, features, rows)):
        pq.write_table(table, folder / f"part-{place:05}.parquet")
