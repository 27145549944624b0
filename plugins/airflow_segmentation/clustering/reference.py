"""Rows without groups that are otherwise like those at hand: what a clustering is to be held against.

Of each feature the rows keep the distribution, but for its valleys: of several peaks it becomes one, by the
closest quantile function whose density rises to a mode and falls from there (Grenander, 1956). Skewed
features stay skewed, and discrete ones keep their grid. Together features are an elliptical cloud with the
rows' own correlation and their own distances from its middle, in normal scores: a copula. So neither
skewness nor correlation looks like groups, as they do against rows drawn evenly from a box.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from airflow_segmentation.clustering.points import Floats, Ints

IN_WORDS = (
    "rows with the same features and correlation but no groups: the closest distribution of each feature "
    "that has one peak, joined by an elliptical copula"
)
KNOTS, TAIL = 128, 32
"""Quantiles that a feature's distribution is known at: between its ends, and one by one at each of them."""
POOL = 2**17
"""Draws that tell how normal scores of the cloud are distributed."""
FINE = 1e6
"""Steps in a feature's range from which it is as good as continuous."""


class Reference:
    """A distribution without groups, fitted to rows.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features), finite; at least two
    """

    def __init__(self, rows: Floats) -> None:
        self._count, self._least, self._most = len(rows), rows.min(axis=0), rows.max(axis=0)
        self._steps = np.array([_step(column) for column in rows.T])
        self.spread: Floats = rows + (np.random.default_rng(0).random(rows.shape) - 0.5) * self._steps
        """The rows, those of a feature on a grid spread evenly over its steps."""
        knots = _knots(len(rows))
        self._shares = knots / (len(rows) - 1)
        widths = np.diff(knots).astype(float)
        self._features = [_one_peak(np.sort(column)[knots], widths) for column in self.spread.T]
        self._axes, self._radii = _cloud(_normal_scores(self.spread))
        scores = self._scores(np.random.default_rng(0), max(1, POOL // rows.shape[1]))
        self._ranked = np.sort(scores, axis=None)

    def draw(self, rng: np.random.Generator) -> Floats:
        """Return as many rows as it was fitted to."""
        scores = self._scores(rng, self._count)
        shares = np.searchsorted(self._ranked, scores) / len(self._ranked)
        rows = np.empty_like(shares)
        for index, (values, step) in enumerate(zip(self._features, self._steps, strict=True)):
            column = np.interp(shares[:, index], self._shares, values)
            if step:
                column = self._least[index] + np.round((column - self._least[index]) / step) * step
            rows[:, index] = column
        return rows.clip(self._least, self._most)

    def _scores(self, rng: np.random.Generator, count: int) -> Floats:
        """Return rows of the cloud: directions by chance, and distances that rows have."""
        directions = rng.standard_normal((count, self._axes.shape[1]))
        lengths = np.sqrt(np.einsum("ij,ij->i", directions, directions))
        return (directions * (rng.choice(self._radii, count) / lengths)[:, None]) @ self._axes.T


def _knots(count: int) -> Ints:
    """Return which of so many sorted values are known: evenly spread ones, and all near the ends."""
    ends = np.arange(min(TAIL, count))
    body = np.linspace(0, count - 1, KNOTS + 1).round().astype(np.intp)
    return np.unique(np.concatenate([ends, body, count - 1 - ends]))


def _one_peak(values: Floats, widths: Floats) -> Floats:
    """Return the closest quantile function of a density with one peak.

    That is the one whose slopes fall up to a place, and rise from there (least squares; the place by the
    prefixes of the regression, as Stout, "Unimodal regression via prefix isotonic regression", 2008).

    Parameters
    ----------
    values : ndarray of shape (n_knots,), rising
    widths : ndarray of shape (n_knots - 1,)
        Rows from each to the next.
    """
    slopes = np.diff(values) / widths
    falling, rising = _Falling(slopes, widths), _Falling(slopes[::-1], widths[::-1])
    cut = int((falling.errors + rising.errors[::-1]).argmin())
    found = np.concatenate([falling.fitted(cut), rising.fitted(len(slopes) - cut)[::-1]])
    return values[0] + np.concatenate([[0.0], np.cumsum(found * widths)])


class _Falling:
    """Regression by the closest sequence that never rises, of each prefix of the values."""

    def __init__(self, values: Floats, weights: Floats) -> None:
        self._values, self._weights = values.tolist(), weights.tolist()
        self.errors: Floats = np.array([0.0, *self._pooled(len(values))[1]])
        """Sum of squared errors of each prefix, the empty one first."""

    def fitted(self, length: int) -> Floats:
        """Return what the regression of the first `length` values gives for each."""
        pools, _ = self._pooled(length)
        return np.repeat([mean for mean, _, _, _ in pools], [count for _, _, _, count in pools])

    def _pooled(self, length: int) -> tuple[list[tuple[float, float, float, int]], list[float]]:
        pools: list[tuple[float, float, float, int]] = []
        errors, error = [], 0.0
        for value, weight in zip(self._values[:length], self._weights, strict=False):
            mean, total, squares, count = value, weight, weight * value * value, 1
            while pools and pools[-1][0] < mean:
                before, other, more, members = pools.pop()
                error -= more - other * before * before
                mean = (mean * total + before * other) / (total + other)
                total, squares, count = total + other, squares + more, count + members
            pools.append((mean, total, squares, count))
            error += squares - total * mean * mean
            errors.append(error)
        return pools, errors


def _step(column: Floats) -> float:
    """Return the grid that a feature of few different values lies on, 0 where there is none."""
    values = np.unique(column)
    if len(values) < 2 or 2 * len(values) > len(column):
        return 0.0
    gaps, span = np.diff(values), float(values[-1] - values[0])
    step = float(gaps[gaps > span / FINE / 2].min())
    return step if span / step < FINE else 0.0


def _normal_scores(rows: Floats) -> Floats:
    """Return the normal quantiles of each feature's ranks, by chance where values are equal."""
    rng, normal = np.random.default_rng(0), NormalDist()
    quantiles = np.array([normal.inv_cdf((rank + 1) / (len(rows) + 1)) for rank in range(len(rows))])
    quantiles /= quantiles.std()
    scores = np.empty_like(rows)
    for own, column in zip(scores.T, rows.T, strict=True):
        own[np.lexsort((rng.random(len(column)), column))] = quantiles
    return scores


def _cloud(scores: Floats) -> tuple[Floats, Floats]:
    """Return the axes of the rows' ellipsoid, shape (n_features, n_axes), and each row's distance in it."""
    standard, lengths, axes = np.linalg.svd(scores / np.sqrt(len(scores)), full_matrices=False)
    told = lengths > 1e-6 * lengths[0]
    standard = standard[:, told] * np.sqrt(len(scores))
    return axes[told].T * lengths[told], np.sqrt(np.einsum("ij,ij->i", standard, standard))
