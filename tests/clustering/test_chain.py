from __future__ import annotations

import numpy as np
import pytest
from airflow_segmentation.clustering import chain
from airflow_segmentation.clustering.chain import Cells, Starts, cells, starts, walk
from airflow_segmentation.clustering.points import Points


def long_tailed(rows: int, features: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(size=(rows, features))


def weighted_points(rows: int = 500, features: int = 3) -> Points:
    return Points(long_tailed(rows, features), np.random.default_rng(1).uniform(0.5, 2.0, rows))


@pytest.mark.parametrize("limit", [1, 2, 40, 499])
def test_cells_are_as_many_as_asked_for_and_tell_of_their_own_points(limit):
    points = weighted_points()

    means, weights, labels = cells(points, limit)

    assert len(means) == limit
    for cell in range(limit):
        inside = labels == cell
        assert weights[cell] == pytest.approx(points.weights[inside].sum())
        assert means[cell] == pytest.approx(
            np.average(points.centred[inside], axis=0, weights=points.weights[inside])
        )


def test_no_cell_has_much_more_than_its_share_of_the_sse():
    points = weighted_points(5000)
    within = []
    for limit in (50, 51):
        means, _, labels = cells(points, limit)
        squared = ((points.centred - means[labels]) ** 2).sum(axis=1)
        within.append(np.bincount(labels, points.weights * squared))

    # One more cell is the worst one halved, and halves have less together than the whole had.
    assert within[0].max() < 5 * within[0].mean()
    assert within[1].sum() < within[0].sum() < 0.1 * points.total


def test_there_are_no_more_cells_than_points():
    points = Points(np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 1.0], [2.0, 5.0]]), np.ones(4))

    means, weights, labels = cells(points, 9)

    assert len(means) == 3
    assert sorted(weights.tolist()) == [1.0, 1.0, 2.0]
    assert means[labels] == pytest.approx(points.centred)


def rough(chains: int = 3) -> Cells:
    weights = np.random.default_rng(2).integers(1, 6, (chains, 120)).astype(float)
    return Cells(long_tailed(120, 2), weights)


def sse(of: Cells, centers: np.ndarray, chain: int) -> float:
    squared = ((of.means[:, None] - centers[chain]) ** 2).sum(axis=2).min(axis=1)
    return float(of.weights[chain] @ squared)


def test_a_walk_tells_what_its_centres_cost():
    cells_ = rough()

    for k, (centers, costs) in enumerate(walk(cells_, 12, seed=0), start=1):
        assert centers.shape == (3, k, 2)
        assert costs == pytest.approx([sse(cells_, centers, chain) for chain in range(3)])


def test_a_walk_over_weights_is_one_over_cells_that_occur_as_often():
    times = np.random.default_rng(3).integers(1, 6, 120)
    means = long_tailed(120, 2)

    weighted = walk(Cells(means, np.tile(times.astype(float), (2, 1))), 15, seed=0)
    repeated = walk(Cells(np.repeat(means, times, axis=0), np.ones((2, times.sum()))), 15, seed=0)

    for (centers, costs), (others, other_costs) in zip(weighted, repeated, strict=True):
        assert costs == pytest.approx(other_costs)
        assert centers == pytest.approx(others)


def test_going_back_down_makes_no_k_worse_and_many_better():
    cells_ = rough()
    up_and_down = walk(cells_, 20, seed=0)

    gained = [up_and_down[k - 1][1] / walk(cells_, k, seed=0)[-1][1] for k in range(2, 20)]

    assert np.max(gained) <= 1.0
    assert np.mean(np.array(gained) < 1.0) > 0.3


def test_how_many_chains_are_walked_together_changes_no_bit(monkeypatch):
    together = walk(rough(7), 12, seed=0)
    monkeypatch.setattr(chain, "CACHED", 120 * 12 * 2)

    for (centers, costs), (others, other_costs) in zip(together, walk(rough(7), 12, seed=0), strict=True):
        assert costs.tobytes() == other_costs.tobytes()
        assert centers.tobytes() == others.tobytes()


def test_each_seed_and_each_chain_walks_its_own_way():
    # Chains over the same weights differ by what they draw alone.
    cells_ = Cells(long_tailed(120, 2), np.ones((2, 120)))
    one, again, other = (walk(cells_, 12, seed)[-1][1] for seed in (0, 0, 1))

    assert one.tolist() == again.tolist()
    assert one[0] != one[1]
    assert one.tolist() != other.tolist()


def test_a_walk_ends_at_the_number_of_cells():
    found = walk(Cells(np.array([[0.0], [1.0], [5.0]]), np.ones((1, 3))), 9, seed=0)

    assert len(found) == 3
    assert found[-1][1] == pytest.approx([0.0], abs=1e-12)


def test_of_the_starts_for_each_k_the_best_comes_first():
    points = weighted_points(900)
    begin = starts(points, 10, chains=5, seed=0)

    for k in range(1, 11):
        costs = [
            points.weights @ ((points.centred[:, None] - one) ** 2).sum(axis=2).min(axis=1)
            for one in begin.at(k)
        ]
        assert begin.at(k).shape == (5, k, 3)
        assert costs[0] == pytest.approx(min(costs), rel=0.02)
    assert begin.at(99) is begin.at(10)
    assert begin.left == pytest.approx(min(costs) / points.total, rel=0.05)


def test_what_cells_hide_is_told():
    # Twelve hundred cells hide nothing of some hundred points, and much of many points of many features.
    assert starts(weighted_points(300), 5, chains=1, seed=0).hidden < 1e-6
    many = Points(np.random.default_rng(0).normal(size=(9000, 12)), np.ones(9000))
    begin = starts(many, 5, chains=1, seed=0)

    means, _, labels = cells(many, 1200)
    within = ((many.centred - means[labels]) ** 2).sum()
    assert begin.hidden == pytest.approx(within / (begin.left * many.total))
    assert 0.3 < begin.hidden < 1.0


def test_starts_are_moved_as_a_whole():
    moved = Starts([np.zeros((2, 1, 3))], left=0.1, hidden=0.2).moved(np.array([1.0, 2.0, 3.0]))

    assert moved.at(1).tolist() == [[[1.0, 2.0, 3.0]]] * 2
    assert (moved.left, moved.hidden) == (0.1, 0.2)


def test_chains_over_cells_of_their_own_find_what_each_finds_alone():
    rng = np.random.default_rng(0)
    means, weights = rng.lognormal(size=(3, 90, 2)), rng.integers(1, 5, size=(3, 90)).astype(float)

    together = walk(Cells(means, weights), 9, seed=0)

    for chain_, (own, weight) in enumerate(zip(means, weights, strict=True)):
        repeated = walk(
            Cells(own, np.tile(weight, (3, 1))), 9, seed=0
        )  # the same draws fall to the same chain
        for (centers, costs), (others, other_costs) in zip(together, repeated, strict=True):
            assert costs[chain_] == pytest.approx(other_costs[chain_], rel=1e-12)
            assert centers[chain_] == pytest.approx(others[chain_], rel=1e-9)
