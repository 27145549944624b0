"""Customers to segment, the same each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def write_customers(folder: Path) -> Path:
    """Write a CSV of 300 customers in three clear groups, with an id, two features, a category, and gaps."""
    rng = np.random.default_rng(0)
    centers = np.array([[100.0, 10.0], [900.0, 50.0], [500.0, 90.0]])
    group = np.repeat([0, 1, 2], [150, 100, 50])
    amounts = centers[group] + rng.normal(scale=[10, 1], size=(300, 2))
    frame = pd.DataFrame(amounts, columns=["BALANCE", "PURCHASES"]).round(3)
    frame.insert(0, "CUST_ID", [f"{number:05d}" for number in range(300)])
    frame["AGE"] = rng.integers(18, 80, size=300).astype(float)
    frame["CITY"] = rng.choice(["Basel", "Bern"], size=300)
    frame.loc[3, "BALANCE"] = None
    frame.loc[[5, 6], "AGE"] = None
    path = folder / "customers.csv"
    frame.to_csv(path, index=False)
    return path
