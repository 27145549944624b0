from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering import count_choices, sweep_resamples


def test_clear_clusters_are_chosen_in_every_resample(blobs):
    curves = sweep_resamples(blobs(4, features=2), resamples=8, k_max=12)

    assert count_choices(curves) == [(4, 8)]


def test_counts_are_of_all_resamples_most_often_first():
    curves = sweep_resamples(np.random.default_rng(0).lognormal(size=(3000, 3)), resamples=10, k_max=20)

    times = [count for _, count in count_choices(curves)]
    assert sum(times) == 10
    assert times == sorted(times, reverse=True)


def test_the_method_decides():
    curve = (list(range(1, 11)), [100.0, 50, 25, 12, 10, 9, 8, 7, 6, 5])

    assert count_choices([curve] * 3, "chord") == [(4, 3)]


def test_the_same_seed_gives_the_same_curves_whatever_the_threads():
    rows = np.random.default_rng(0).lognormal(size=(500, 2))

    one, two = (sweep_resamples(rows, resamples=6, k_max=15, n_jobs=jobs) for jobs in (1, 2))

    assert one == two


@pytest.mark.filterwarnings("error")
def test_fewer_distinct_rows_than_k_are_no_error():
    curves = sweep_resamples(np.array([[1.0], [2.0], [2.0]]), resamples=5, k_min=2, k_max=9)

    assert sum(count for _, count in count_choices(curves)) == 5
