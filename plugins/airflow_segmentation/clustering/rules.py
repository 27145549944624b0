"""Segments as a few rules that a person can read: a shallow decision tree that tells them (Breiman, 1984)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from airflow_segmentation.clustering.points import Floats, Ints

ENOUGH = 0.95
"""Accuracy at which a tree is deep enough."""
FEWEST = 5
"""Rows that a rule rests on, at least."""
LEAVES = 3
"""Rules for each segment, at most, on average."""
DIGITS = 3
"""Digits of a bound, of its feature's range."""
MOST_SEGMENTS = 50
"""Segments beyond which nobody reads the rules."""


@dataclass(frozen=True)
class Rule:
    """Says which segment a row is of whose features lie within bounds."""

    segment: int
    bounds: dict[int, tuple[float, float]]
    """By the place of a feature: above the first and at most the second, either of which may be infinite."""
    share: float
    """Share of all rows that meet it."""
    accuracy: float
    """Share of these that are of the segment."""

    def met(self, rows: Floats) -> Any:
        """Return which rows meet the rule, shape (n_rows,)."""
        within = np.ones(len(rows), bool)
        for feature, (low, high) in self.bounds.items():
            within &= (rows[:, feature] > low) & (rows[:, feature] <= high)
        return within


@dataclass(frozen=True)
class Rules:
    """Rules of which each row meets exactly one."""

    rules: tuple[Rule, ...]
    """By segment, those that most rows meet first."""
    depth: int
    """Comparisons that a rule makes, at most."""
    accuracy: float
    """Share of the rows whose segment they tell."""


def find_rules(rows: Floats, segments: Ints, weights: Floats, k: int) -> Rules | None:
    """Return rules that tell the segments of rows: those of the least deep tree that is right on enough.

    Bounds are rounded; shares and accuracies are those of the rounded rules, over the rows given. None of one
    segment, and of more than :data:`MOST_SEGMENTS`.

    :param rows: in the units that rules are to be in, shape (n_rows, n_features).
    :param segments: of shape (n_rows,).
    :param weights: of shape (n_rows,).
    """
    if not 2 <= k <= MOST_SEGMENTS:
        return None
    from sklearn.tree import DecisionTreeClassifier

    steps = [
        10 ** (math.floor(math.log10(span)) - DIGITS + 1) if span > 0 else 1.0
        for span in np.ptp(rows, axis=0)
    ]
    least = math.ceil(math.log2(k))
    for depth in range(least, least + 3):
        tree = DecisionTreeClassifier(
            max_depth=depth, max_leaf_nodes=LEAVES * k, min_samples_leaf=FEWEST, random_state=0
        ).fit(rows, segments, sample_weight=weights)
        found = _measured(_leaves(tree, 0, {}, steps), rows, segments, weights)
        if found.accuracy >= ENOUGH:
            break
    return found


def _leaves(
    tree: Any, node: int, bounds: dict[int, tuple[float, float]], steps: Sequence[float]
) -> list[tuple[int, dict[int, tuple[float, float]]]]:
    """Return segment and bounds of each leaf below a node, itself one if all are of one segment."""
    inner = tree.tree_
    left, right = int(inner.children_left[node]), int(inner.children_right[node])
    if left < 0:
        return [(int(tree.classes_[inner.value[node][0].argmax()]), bounds)]
    feature = int(inner.feature[node])
    bound = _rounded(float(inner.threshold[node]), steps[feature])
    low, high = bounds.get(feature, (-math.inf, math.inf))
    leaves = [
        *_leaves(tree, left, {**bounds, feature: (low, min(high, bound))}, steps),
        *_leaves(tree, right, {**bounds, feature: (max(low, bound), high)}, steps),
    ]
    told = {segment for segment, _ in leaves}
    return [(told.pop(), bounds)] if len(told) == 1 else leaves


def _rounded(bound: float, step: float) -> float:
    return float(f"{round(bound / step) * step:.12g}")


def _measured(
    leaves: list[tuple[int, dict[int, tuple[float, float]]]], rows: Floats, segments: Ints, weights: Floats
) -> Rules:
    total, rules = float(weights.sum()), []
    for segment, bounds in leaves:
        rule = Rule(segment, bounds, 0.0, 0.0)
        met = rule.met(rows)
        weight, right = float(weights[met].sum()), float(weights[met & (segments == segment)].sum())
        if weight > 0:  # rounding may leave none between two bounds
            rules.append(Rule(segment, bounds, weight / total, right / weight))
    rules.sort(key=lambda rule: (rule.segment, -rule.share))
    depth = max(sum(math.isfinite(end) for ends in rule.bounds.values() for end in ends) for rule in rules)
    return Rules(tuple(rules), depth, sum(rule.share * rule.accuracy for rule in rules))
