"""A pallet that shows is told, one that does not is not."""

import numpy as np
import pytest

from backend.explain import groups
from backend.explain.groups import group_probe


def fruit(
    shift: float, sizes: tuple[int, ...] = (30, 20, 10), seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    names = np.repeat([f"pallet{i}" for i in range(len(sizes))], sizes)
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(len(names), 8)).astype(np.float32)
    for i in range(len(sizes)):
        features[names == f"pallet{i}", i % 8] += np.float32(shift)
    return features, names


def test_a_group_that_shows_is_told():
    found = group_probe(*fruit(5))
    assert found.accuracy > 0.95
    assert found.ci_low < found.accuracy <= found.ci_high
    assert found.chance == 0.5
    assert (found.groups, found.fruit) == (3, 60)


def test_a_group_that_does_not_show_is_not_told():
    found = [group_probe(*fruit(0, (40, 40, 40), seed=seed)) for seed in range(4)]
    assert all(probe.ci_low < probe.chance for probe in found)
    assert np.mean([probe.accuracy for probe in found]) == pytest.approx(1 / 3, abs=0.08)


def test_groups_too_small_for_the_parts_are_left_out():
    features, names = fruit(5, (20, 20, 2, 1))
    found = group_probe(features, names)
    assert (found.groups, found.fruit) == (2, 40)
    pairs = group_probe(*fruit(5, (2,) * 6))  # with pairs there can be two parts only
    assert (pairs.groups, pairs.fruit) == (6, 12)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (30,), (30, 1)])
def test_groups_that_do_not_repeat_cannot_be_told(sizes):
    assert group_probe(*fruit(5, sizes)) is None


def test_many_fruit_and_groups_are_sampled(monkeypatch):
    monkeypatch.setattr(groups, "MOST_GROUPS", 4)
    monkeypatch.setattr(groups, "MOST_FRUIT", 50)
    features, names = fruit(5, (20,) * 8)
    found = group_probe(features, names)
    assert (found.groups, found.fruit) == (4, 50)
    assert group_probe(features, names) == found
