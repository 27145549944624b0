"""What tests send to executors, which cannot import it: it goes over as it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

TAXES = 0.1


def context(try_number: int = 1, task_id: str = "sweep") -> Any:
    """The context of a try of a task."""
    run = "manual__2026-11-26T00:00:00+00:00"
    return {
        "ti": SimpleNamespace(
            dag_id="customers", run_id=run, task_id=task_id, map_index=-1, try_number=try_number
        )
    }


def sums(place: int, batches: Iterator[pa.RecordBatch]) -> list[np.ndarray]:
    """Return what changes its last bits with the order of rows, and with where batches begin."""
    total, rows, first = 0.0, 0, None
    for batch in batches:
        values = np.asarray(batch.column("spent"))
        total += float(np.sin(values).sum()) * TAXES
        rows += len(values)
        first = values[0] if first is None else first
    return [np.array(place), np.array(rows), np.array(total), np.array(first)]


def total(place: int, batches: Iterator[pa.RecordBatch]) -> list[np.ndarray]:
    """Return the sum and the number of rows."""
    _, rows, value, _ = sums(place, batches)
    return [value, rows]


def both(before: list[np.ndarray], after: list[np.ndarray]) -> list[np.ndarray]:
    """Return what :func:`total` returns of two parts."""
    return [one + other for one, other in zip(before, after, strict=True)]


def doubled(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Double what was spent, of rows with an even number."""
    for batch in batches:
        number, spent = (np.asarray(batch.column(name)) for name in ("a.number", "spent"))
        even = number % 2 == 0
        yield pa.record_batch({"a.number": number[even], "spent": 2.0 * spent[even]})


class Gated:
    """Does what it is told to with the second batch of a part once there is a file called `gate`."""

    def __init__(self, inner: Any, gate: Path) -> None:
        self.inner = inner
        self.gate = str(gate)

    def __call__(self, *arguments: Any) -> Any:
        """Visit a part, or change it."""
        return self.inner(*arguments[:-1], self._held_up(arguments[-1]))

    def _held_up(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for number, batch in enumerate(batches):
            Path(f"{self.gate}.reached").touch()
            while number == 1 and not Path(self.gate).exists():
                time.sleep(0.05)
            yield batch


def refused(place: int, batches: Iterator[pa.RecordBatch]) -> list[np.ndarray]:
    """Refuse the data."""
    raise ValueError("Column 'spent' has missing values")


def broken(place: int, batches: Iterator[pa.RecordBatch]) -> list[np.ndarray]:
    """Fail as a program does that has a mistake in it."""
    raise KeyError("centers")
