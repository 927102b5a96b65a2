"""Peaks of density, of any shape and in any arrangement."""

import numpy as np
import pytest

from backend.benchmark.modes import count_modes


def blobs(centres, each=1000, spread=(0.3, 0.3), seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(centre, spread, (each, 2)) for centre in centres]).astype(np.float32)


@pytest.mark.parametrize("seed", range(3))
def test_round_and_long_clusters_and_groups_of_them_are_counted(seed):
    assert count_modes(blobs([(0, 0)], seed=seed)) == 1
    assert count_modes(blobs([(0, 0), (2, 0)], spread=(0.25, 2), seed=seed)) == 2
    pairs = [(x + beside, 0) for x in range(0, 40, 8) for beside in (0, 2)]
    assert count_modes(blobs(pairs, seed=seed)) == 10


def test_clusters_that_flow_into_each_other_are_one_and_a_few_points_are_none():
    assert count_modes(blobs([(0, 0), (0.4, 0)])) == 1
    few = np.concatenate([blobs([(0, 0)], each=1000), blobs([(50, 50)], each=15)])
    assert count_modes(few) == 1


def test_points_that_coincide():
    assert count_modes(np.zeros((50, 2), np.float32)) == 1
