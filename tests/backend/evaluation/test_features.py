"""Neighbours and classes, against brute force."""

import numpy as np
import pytest

from backend.evaluation import features as module
from backend.evaluation.features import (
    class_index,
    known_labels,
    l2_normalise,
    memberships,
    nearest,
    row_blocks,
)


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 6)).astype(np.float32), rng.normal(size=(90, 6)).astype(np.float32)


@pytest.mark.parametrize("block", [1, 200, 1 << 22])
def test_nearest_is_the_sorted_distance_matrix(points, block, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", block)
    query, gallery = points
    distance, index = nearest(query, gallery, 7)
    full = np.linalg.norm(query[:, None] - gallery, axis=2)
    np.testing.assert_array_equal(index, np.argsort(full, axis=1)[:, :7])
    np.testing.assert_allclose(distance, np.sort(full, axis=1)[:, :7], rtol=1e-6)


def test_near_duplicates_keep_their_tiny_distance():
    rng = np.random.default_rng(0)
    gallery = 1000 + rng.normal(size=(50, 8)).astype(np.float32)
    query = gallery[:5].copy()
    query[:, 0] += np.float32(0.01)
    distance, index = nearest(query, gallery, 1)
    assert index[:, 0].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(distance[:, 0], query[:, 0] - gallery[:5, 0])


def test_a_row_is_no_neighbour_of_its_own(points):
    gallery = points[1]
    distance, index = nearest(gallery, gallery, 3, skip_self=True)
    assert not (index == np.arange(len(gallery))[:, None]).any()
    assert (distance > 0).all()


def test_blocks_cover_every_row_once():
    rows = [i for block in row_blocks(1001, 1 << 15) for i in range(block.start, block.stop)]
    assert rows == list(range(1001))
    assert list(row_blocks(0, 10)) == []


def test_normalised_rows_have_length_one_and_zero_stays_zero():
    unit = l2_normalise(np.array([[3, 4], [0, 0]], dtype=np.float32))
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0]])


def test_classes_of_partly_labelled_fruit():
    labels = np.array([[1, 0], [1, np.nan], [0, 0], [0, np.nan], [1, 1]], dtype=np.float32)
    assert known_labels(labels).tolist() == [True, True, True, False, True]
    assert memberships(labels, "multilabel").tolist() == [
        [0, 1, 0],
        [0, 1, 0],
        [1, 0, 0],
        [0, 0, 0],
        [0, 1, 1],
    ]
    index = class_index(labels)
    assert index[3] == -1
    assert index[0] == index[1]
    assert len(set(index.tolist())) == 4
    one_hot = np.eye(3, dtype=np.float32)
    assert memberships(one_hot, "multiclass").tolist() == one_hot.tolist()
