"""The least SSE for every k where there is one feature, by dynamic programming.

Segments on a line are intervals, so before the last of the best k are the best k - 1 of what lies before it
(Wang and Song, "Ckmeans.1d.dp", 2011). The last interval begins the later, the farther right it ends; so
where it begins is looked for by halving (Grønlund and others, "Fast exact k-means, k-medians and Bregman
divergence clustering in 1D", 2017).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from airflow_segmentation.clustering.points import Floats, Ints


def on_a_line(values: Floats, weights: Floats, k_max: int) -> list[tuple[Floats, Floats]]:
    """Return for each k from 1 to `k_max` the centres of the least SSE, of shape (1, k, 1), and it, (1,).

    Parameters
    ----------
    values : ndarray of shape (n_values,), rising; `k_max` of them at least
    weights : ndarray of shape (n_values,), all positive
    """
    line = _Line(values, weights)
    count = len(values)
    every = np.arange(count)
    least = line.cost(np.zeros(count, np.intp), every)
    begins, costs = [np.zeros(count, np.intp)], [least[-1:]]
    for k in range(2, k_max + 1):
        least, begin = _with_one_more(line, least, k)
        begins.append(begin)
        costs.append(least[-1:])
    centers = []
    for k in range(1, k_max + 1):
        starts, end = np.zeros(k, np.intp), count - 1
        for place in range(k - 1, 0, -1):
            starts[place] = begins[place][end]
            end = starts[place] - 1
        sums = np.add.reduceat(weights * values, starts), np.add.reduceat(weights, starts)
        centers.append((sums[0] / sums[1])[None, :, None])
    return list(zip(centers, [cost.astype(float) for cost in costs], strict=True))


class _Line:
    """What the SSE of any interval of values is."""

    def __init__(self, values: Floats, weights: Floats) -> None:
        # Sums from the median outwards: far values on one side cost no digits of those on the other. More
        # digits than a double has, where the machine has them.
        middle = len(values) // 2
        moved = (values - values[middle]).astype(np.longdouble)
        self._sums = [_from(middle, weights * moved**power) for power in (0, 1, 2)]

    def cost(self, first: Ints, last: Ints) -> NDArray[np.longdouble]:
        """Return the SSE of the values from the first to the last, both included."""
        weight, total, squares = (each[last + 1] - each[first] for each in self._sums)
        return np.maximum(squares - total**2 / weight, 0)


def _from(middle: int, amounts: NDArray[np.longdouble]) -> NDArray[np.longdouble]:
    """Return sums up to each place, of which that up to the middle is 0; one more than there are amounts."""
    sums = np.zeros(len(amounts) + 1, np.longdouble)
    sums[middle + 1 :] = np.cumsum(amounts[middle:])
    sums[:middle] = -np.cumsum(amounts[:middle][::-1])[::-1]
    return sums


def _with_one_more(line: _Line, least: NDArray[np.longdouble], k: int) -> tuple[NDArray[np.longdouble], Ints]:
    """Return the least SSE of k intervals up to each value, and where the last of them begins.

    :param least: the same with one interval fewer.
    """
    count = len(least)
    found = np.full(count, np.inf, np.longdouble)
    begin = np.full(count, k - 1)
    for ends, low, high in _halvings(k - 1, count - 1, begin):
        lengths = high - low + 1
        firsts = np.cumsum(lengths) - lengths
        which = np.repeat(np.arange(len(ends)), lengths)
        begins = np.arange(len(which)) - firsts[which] + low[which]
        costs = least[begins - 1] + line.cost(begins, ends[which])
        found[ends] = np.minimum.reduceat(costs, firsts)
        hits = np.flatnonzero(costs == found[ends][which])
        begin[ends] = begins[hits[np.searchsorted(which[hits], np.arange(len(ends)))]]
    return found, begin


def _halvings(first: int, last: int, begin: Ints) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Yield the places from the first to the last, and between which two each has its beginning.

    Each time those in the middle of the places that are known, so that what is found out bounds the next.
    """
    step = 1 << (last - first + 1).bit_length()
    while step > 1:
        half = step // 2
        ends = np.arange(first + half - 1, last + 1, step)
        if len(ends):
            before, after = ends - half, ends + half
            low = np.where(before >= first, begin[np.maximum(before, first)], first)
            high = np.where(after <= last, begin[np.minimum(after, last)], ends)
            yield ends, low, np.minimum(high, ends)
        step = half
