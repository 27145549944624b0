from __future__ import annotations

import math

import numpy as np
import pytest
from airflow_segmentation.clustering import find_rules
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris


def told(rules, rows):
    """Return how many rules each row meets, and the segment of one of them."""
    met = np.array([rule.met(rows) for rule in rules.rules])
    return met.sum(axis=0), np.array([rule.segment for rule in rules.rules])[met.argmax(axis=0)]


def test_two_bands_are_told_by_one_round_bound():
    spend = np.concatenate([np.linspace(0, 40, 50), np.linspace(60.123, 100, 50)])
    rows = np.column_stack([spend, np.zeros(100)])
    rules = find_rules(rows, np.repeat([0, 1], 50), np.ones(100), 2)

    assert [(rule.segment, rule.bounds) for rule in rules.rules] == [
        (0, {0: (-math.inf, 50.0)}),
        (1, {0: (50.0, math.inf)}),
    ]
    assert (rules.accuracy, rules.depth) == (1.0, 1)
    assert [(rule.share, rule.accuracy) for rule in rules.rules] == [(0.5, 1.0), (0.5, 1.0)]


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), k=st.integers(2, 12), weighted=st.booleans())
def test_every_row_meets_one_rule_and_accuracies_are_those_of_the_rules_as_they_stand(seed, k, weighted):
    rng = np.random.default_rng(seed)
    rows = rng.lognormal(size=(400, 3)) * [1, 1000, 1e-3]
    segments = KMeans(k, n_init=1, random_state=seed).fit_predict(rows / rows.std(axis=0))
    weights = rng.integers(1, 5, 400).astype(float) if weighted else np.ones(400)
    rules = find_rules(rows, segments, weights, k)

    count, own = told(rules, rows)
    assert (count == 1).all()
    assert rules.accuracy == pytest.approx(weights[own == segments].sum() / weights.sum())
    assert sum(rule.share for rule in rules.rules) == pytest.approx(1)
    assert len(rules.rules) <= 3 * k
    assert rules.depth <= math.ceil(math.log2(k)) + 2
    assert [rule.segment for rule in rules.rules] == sorted(rule.segment for rule in rules.rules)


def test_irises_are_told_by_few_rules():
    rows = load_iris().data
    segments = KMeans(3, n_init=10, random_state=0).fit_predict(rows)
    rules = find_rules(rows, segments, np.ones(150), 3)

    assert rules.accuracy > 0.95
    assert len(rules.rules) <= 5


@pytest.mark.parametrize("k", [1, 51])
def test_one_segment_and_more_than_anyone_reads_have_none(k):
    rows = np.random.default_rng(0).normal(size=(200, 2))
    assert find_rules(rows, np.arange(200) % k, np.ones(200), k) is None
