"""How k is chosen from a sweep, and what every other way would choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_segmentation.clustering.methods import METHODS
from airflow_segmentation.errors import InputError
from airflow_segmentation.reports.report import Choice, Method, Stability, Times
from airflow_segmentation.sweeps.table import SweepTable

if TYPE_CHECKING:
    from airflow_segmentation.clustering import Elbow


@dataclass(frozen=True)
class Chooser:
    """How k is chosen from a curve.

    :param method: one of :data:`~airflow_segmentation.clustering.methods.METHODS`.
    :param sensitivity: Kneedle's S.
    :param given: the k to take instead; None to choose.
    """

    method: Method
    sensitivity: float
    given: int | None = None

    def choose(self, sweep: SweepTable) -> Elbow:
        """Return k and what decided it: a method, or "given".

        :raises InputError: if the given k was not swept.
        """
        from airflow_segmentation.clustering import Elbow

        if self.given is not None:
            sweep.index(self.given)
            return Elbow(self.given, "given")
        return self._by(self.method, sweep)

    def choices(self, sweep: SweepTable) -> tuple[Choice, ...]:
        """Return what every method would choose whose score the sweep holds."""
        reads = {"curve": True, "structure": sweep.structure is not None}
        possible = [name for name, one in METHODS.items() if reads.get(one.reads, name in sweep.scores)]
        return tuple(self._choice(method, sweep) for method in possible)

    def of_half_range(self, sweep: SweepTable) -> Choice | None:
        """Return what the method would choose with the largest k cut to half; None of too short a range."""
        half = sweep.up_to(max(sweep.k_values) // 2)
        if half is None:
            return None
        return self._choice(self.method, half)

    def stability(self, sweep: SweepTable) -> Stability | None:
        """Return how often each k would be chosen over the sweep's resamples; None where there are none."""
        if not sweep.resamples:
            return None
        from airflow_segmentation.clustering import count_choices

        method = self.method if METHODS[self.method].reads == "curve" else "kneedle"
        counts = count_choices(sweep.resamples, method=method, sensitivity=self.sensitivity)
        times = tuple(Times(*pair) for pair in counts)
        return Stability(len(sweep.resamples), sweep.resample_rows, times, method)

    def _choice(self, method: Method, sweep: SweepTable) -> Choice:
        found = self._by(method, sweep)
        return Choice(method, found.k if found.decided_by == method else None)

    def _by(self, method: str, sweep: SweepTable) -> Elbow:
        from airflow_segmentation.clustering import choose_k

        try:
            return choose_k(
                *(sweep.k_values, sweep.inertias, method, self.sensitivity, sweep.scores),
                structure=sweep.structure,
                jaccard=sweep.jaccard,
            )
        except ValueError as error:
            raise InputError(f"{error} of KMeansSweepOperator") from None
