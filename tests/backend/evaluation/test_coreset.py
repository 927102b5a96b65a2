"""Subsets of embeddings: what each choice promises, against random draws."""

import numpy as np
import pytest

from backend.errors import ConfigError
from backend.evaluation.coreset import CHOOSERS, choose
from backend.evaluation.features import l2_normalise


@pytest.fixture
def fruit():
    """Nine crowded kinds and one rare one, on a sphere."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(10, 16))
    kind = np.concatenate([np.repeat(np.arange(9), 40), np.full(6, 9)])
    return (centres[kind] + 0.15 * rng.normal(size=(366, 16))).astype(np.float32), kind


@pytest.mark.parametrize("name", CHOOSERS)
@pytest.mark.parametrize("budget", [1, 10, 77, 366])
def test_distinct_rows_and_the_same_ones_again(fruit, name, budget):
    rows = choose(name, fruit[0], budget, seed=3)
    assert len(rows) == len(set(rows.tolist())) == budget
    assert rows.min() >= 0
    assert rows.max() < 366
    assert (rows == choose(name, fruit[0], budget, seed=3)).all()


def reach(features, rows):
    unit = l2_normalise(features)
    return float((1 - (unit @ unit[rows].T).max(axis=1)).max())


def test_k_centre_covers_better_than_random_and_finds_the_rare_kind(fruit):
    features, kind = fruit
    rows = choose("k_centre", features, 10, seed=0)
    assert set(kind[rows]) == set(range(10))
    drawn = [reach(features, choose("random", features, 10, seed=s)) for s in range(20)]
    assert reach(features, rows) < min(drawn)


def test_k_centre_is_the_naive_greedy_choice(fruit):
    features = fruit[0][:60]
    unit = l2_normalise(features)
    chosen = [int(np.argmax(unit @ unit.mean(axis=0)))]
    while len(chosen) < 8:
        distance = np.linalg.norm(unit[:, None] - unit[chosen], axis=2).min(axis=1)
        chosen.append(int(np.argmax(distance)))
    assert choose("k_centre", features, 8, seed=0).tolist() == chosen


def test_smaller_budgets_are_prefixes(fruit):
    for name in ("random", "k_centre"):
        assert (choose(name, fruit[0], 40, seed=1)[:15] == choose(name, fruit[0], 15, seed=1)).all()


def test_typiclust_takes_a_typical_fruit_of_each_cluster(fruit):
    features, kind = fruit
    rows = choose("typiclust", features, 10, seed=0)
    assert set(kind[rows]) == set(range(10))
    unit = l2_normalise(features)
    for row in rows:
        mates = unit[kind == kind[row]]
        to_mates = np.linalg.norm(mates[:, None] - mates, axis=2).mean(axis=1)
        own = np.linalg.norm(unit[row] - mates, axis=1).mean()
        assert own <= np.quantile(to_mates, 0.25)


def test_bad_requests_say_what_is_right(fruit):
    with pytest.raises(
        ConfigError, match="unknown coreset 'best'; expected one of k_centre, random, typiclust"
    ):
        choose("best", fruit[0], 5, seed=0)
    with pytest.raises(ConfigError, match="a coreset of 400 fruit; expected 1 to 366"):
        choose("random", fruit[0], 400, seed=0)
