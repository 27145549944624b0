from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering import repeat_choice


def test_clear_clusters_are_chosen_in_every_resample(blobs):
    found = repeat_choice(blobs(4, features=2), resamples=8, k_max=12)

    assert found.counts == ((4, 8),)
    assert found.resamples == 8
    assert found.rows == 400


def test_counts_are_of_all_resamples_most_often_first():
    found = repeat_choice(np.random.default_rng(0).lognormal(size=(3000, 3)), resamples=10, k_max=20)

    times = [count for _, count in found.counts]
    assert sum(times) == 10
    assert times == sorted(times, reverse=True)
    assert found.rows == 2000


def test_the_same_seed_gives_the_same_counts_whatever_the_threads():
    rows = np.random.default_rng(0).lognormal(size=(500, 2))

    one, two = (repeat_choice(rows, resamples=6, k_max=15, n_jobs=jobs) for jobs in (1, 2))

    assert one == two


@pytest.mark.filterwarnings("error")
def test_fewer_distinct_rows_than_k_are_no_error():
    found = repeat_choice(np.array([[1.0], [2.0], [2.0]]), resamples=5, k_min=2, k_max=9)

    assert sum(count for _, count in found.counts) == 5
