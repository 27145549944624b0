"""K-means for every k over points in memory, such that the SSE never rises.

Each k begins with what chains over cells came to. Of a sample with many features cells hide much of the SSE,
so their best means less, and Lloyd's iterations are long. There, values of k are fitted in runs from the last
down, which takes half the time: the last begins on few points, each other with the centres of the one before
but the one that is missed least, which are near to where it ends. Each run is done twice, from other centres,
and for each k the better fit stays.

Small data costs little, and is where K-means is easily some per cent worse than it could be. So the fewer
points and centres there are, the more chains there are and the more of their centres are fitted; and where
Lloyd's iterations end, single points go on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from airflow_segmentation.clustering.chain import starts
from airflow_segmentation.clustering.exchanging import exchanged
from airflow_segmentation.clustering.parallel import parallel_map
from airflow_segmentation.clustering.points import (
    Floats,
    Points,
    Segments,
    lloyd,
    with_farthest,
    without_least,
)

SAMPLE_TOL = 1e-5
"""Ends Lloyd's iterations over a sample: more of them would fit the sample, not the rows."""
FEW = 2**15
"""Points of a sample on which chains and runs begin."""
FEW_TOL = 1e-4
HIDDEN = 0.3
"""Share of the SSE that cells hide, from which values of k are fitted in runs."""
THOROUGH, MOST_THOROUGH = 2**25, 4
"""Values of points, times all centres of the range, that are swept once; fewer are as many times more
thoroughly, up to a limit."""
EXCHANGED = 2**16
"""Points times centres up to which single points go to other segments."""
BEYOND = 4
"""How many k beyond the last the chains go: what is found there is the way back to the last."""
LEFT = 1e-2
"""Share of the total SSE that segments leave, from which single precision tells their points apart."""


@dataclass(frozen=True)
class Fit:
    """K-means for one k."""

    segments: Segments
    n_iter: int
    seconds: float

    @property
    def k(self) -> int:
        """Number of segments."""
        return len(self.segments.sizes)


def fit_all(
    points: Points,
    k_values: list[int],
    *,
    sampled: bool,
    below: Fit | None,
    n_init: int,
    tol: float,
    max_iter: int,
    random_state: int,
    n_jobs: int | None,
) -> Iterator[Fit]:
    """Yield a fit for each k, in rising order.

    Parameters
    ----------
    k_values : list of int
        Rising; each is at most the number of points.
    sampled : bool
        Whether the points are a sample, which need not be fitted to the last digit.
    below : Fit or None
        The last that is there already, of an interrupted sweep: only those above are fitted. It does not
        change a bit of them.
    """
    way = _Way(points, k_values[-1], sampled, n_init, tol, max_iter, random_state)
    runs = [run for run in way.runs(k_values) if below is None or run[-1] > below.k]
    with parallel_map(n_jobs) as mapped:
        begun = list(mapped(way.beginnings, [run[-1] for run in runs]))
        rivals = [(run, centers) for run, each in zip(runs, begun, strict=True) for centers in each]
        found = mapped(way.fit_run, rivals)
        for each in begun:
            for fits in zip(*islice(found, len(each)), strict=True):
                fit = min(fits, key=lambda fit: fit.segments.inertia)
                if below is not None and fit.k <= below.k:
                    continue
                if below is not None and fit.segments.inertia > below.segments.inertia:
                    # Each run begins on its own, so a curve that rises is a beginning that failed.
                    fit = way.fit(below.segments.centers, fit.k)
                below = replace(fit, seconds=sum(fit.seconds for fit in fits))
                yield below


class _Way:
    """How values of k are fitted: each on its own, or in runs."""

    def __init__(
        self,
        points: Points,
        k_max: int,
        sampled: bool,
        n_init: int,
        tol: float,
        max_iter: int,
        random_state: int,
    ) -> None:
        self._points, self._few, self._max_iter = points, points, max_iter
        self._tol = tol
        if sampled:
            self._few = points.thinned(max(FEW, 16 * k_max))
            self._tol = max(tol, SAMPLE_TOL)
        k_all = k_max * (k_max + 1) // 2
        self._fitted = max(1, min(THOROUGH // (self._few.centred.size * k_all), MOST_THOROUGH))
        beyond = max(BEYOND, _spare(k_max)) if sampled else BEYOND
        self._begin = starts(self._few, k_max + beyond, n_init, random_state, self._fitted)
        self._in_runs = False
        if sampled:
            self._begin = self._begin.moved(self._few.mean)
            self._in_runs = self._begin.hidden > HIDDEN
            if self._begin.left > LEFT:
                points.compare_in_single_precision()
                self._few.compare_in_single_precision()

    def runs(self, k_values: list[int]) -> list[list[int]]:
        """Part the values of k from the last down, so that it does not matter which of them are done."""
        runs: list[list[int]] = []
        while k_values:
            length = max(1, _spare(k_values[-1])) if self._in_runs else 1
            runs.insert(0, k_values[-length:])
            k_values = k_values[:-length]
        return runs

    def beginnings(self, k: int) -> list[Floats]:
        """Return sets of centres from which to do a run that ends at k."""
        found = self._begin.at(k)
        if not self._in_runs:
            return list(found[: self._fitted])
        best = found[0]
        other = self._begin.at(k + _spare(k))[:2][-1]
        return [self._pruned(centers, k) for centers in (best, other)]

    def fit_run(self, job: tuple[list[int], Floats]) -> list[Fit]:
        """Fit each k of a run, from the last down, beginning with these centres."""
        run, centers = job
        fits: list[Fit] = []
        for k in reversed(run):
            fits.append(self.fit(centers, k))
            centers = fits[-1].segments.centers
        return fits[::-1]

    def fit(self, centers: Floats, k: int) -> Fit:
        """Fit k segments, from the centres.

        If there are more, those that are missed least go first; if there are fewer, the farthest points join.
        """
        started = time.perf_counter()
        centers = with_farthest(self._points, without_least(self._points, centers, k), k)
        segments, n_iter = lloyd(self._points, centers, self._tol, self._max_iter)
        if k * len(self._points) <= EXCHANGED and n_iter < self._max_iter:
            centers = exchanged(self._points, segments.centers, self._tol, self._max_iter)
            segments, more = lloyd(self._points, centers, self._tol, self._max_iter)
            n_iter += more
        return Fit(segments, n_iter, time.perf_counter() - started)

    def _pruned(self, centers: Floats, k: int) -> Floats:
        """Fit centres to few points, and drop those that are missed least, one by one, down to k."""
        centers = centers - self._few.mean
        while True:
            centers = lloyd(self._few, centers, FEW_TOL, self._max_iter)[0].centers
            if len(centers) <= k:
                return centers + self._few.mean
            centers = without_least(self._few, centers, len(centers) - 1)


def _spare(k: int) -> int:
    """Return how many centres more than k a run to k begins with, and how many values of k it has."""
    return k // 8
