from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from airflow_segmentation.clustering import find_rules
from airflow_segmentation.reports.report import Bound, Rule, Rules
from airflow_segmentation.www.rules import by_segment, sentence, sql
from sklearn.cluster import KMeans

RULES = Rules(
    (
        Rule(0, (Bound("SPEND", high=1_500.0),), 0.9, 0.981),
        Rule(1, (Bound("SPEND", low=1_500.0), Bound("AGE", 18.0, 65.5)), 0.08, 1.0),
        Rule(1, (Bound("SPEND", low=1_500.0), Bound("AGE", low=65.5)), 0.02, 0.5),
    ),
    depth=3,
    accuracy=0.97,
    rows=100,
)


def plain(text: str) -> str:
    return text.replace("\u2068", "").replace("\u2069", "")


def test_a_rule_is_a_sentence_with_its_share_and_accuracy():
    assert [plain(sentence(rule)) for rule in RULES.rules] == [
        "SPEND at most 1,500 (90.0% of rows, right for 98%)",
        "SPEND above 1,500 and AGE above 18 and at most 65.5 (8.0% of rows, right for 100%)",
        "SPEND above 1,500 and AGE above 65.5 (2.0% of rows, right for 50%)",
    ]
    assert [(segment, len(sentences)) for segment, sentences in by_segment(RULES)] == [(0, 1), (1, 2)]


def test_a_bound_is_told_with_all_its_digits():
    rule = Rule(0, (Bound("A", low=1000.5, high=1001.25),), 1.0, 1.0)
    assert plain(sentence(rule)).startswith("A above 1,000.5 and at most 1,001.25 ")


@pytest.mark.parametrize("name", ["SPEND", 'a "quoted" name', "two\nlines; DROP TABLE x --", "'"])
def test_the_sql_tells_the_segments_that_the_rules_do(name):
    rows = np.random.default_rng(0).lognormal(size=(300, 2)).round(3)
    segments = KMeans(4, n_init=1, random_state=0).fit_predict(rows)
    found = find_rules(rows, segments, np.ones(300), 4)
    names = (name, "b")
    bounds = [
        tuple(
            Bound(names[place], *(end if np.isfinite(end) else None for end in ends))
            for place, ends in rule.bounds.items()
        )
        for rule in found.rules
    ]
    rules = Rules(
        tuple(
            Rule(rule.segment, own, rule.share, rule.accuracy)
            for rule, own in zip(found.rules, bounds, strict=True)
        ),
        found.depth,
        found.accuracy,
        300,
    )

    database = sqlite3.connect(":memory:")
    column = name.replace("\n", " ").replace('"', '""')
    database.execute(f'CREATE TABLE customers ("{column}" REAL, b REAL)')
    database.executemany("INSERT INTO customers VALUES (?, ?)", rows.tolist())
    told = [segment for (segment,) in database.execute(f"SELECT {sql(rules)} FROM customers")]

    assert np.mean(np.array(told) == segments) == pytest.approx(found.accuracy)
