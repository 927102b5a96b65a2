"""Fruit to explain: the surest of each outcome, and those on which two models disagree."""

import numpy as np

from backend.explain.choose import changed, found, surest, unique
from backend.store.bundle import Predictions


def predictions(truth, score, names=None, threshold=0.5):
    truth, score = (np.array(x, dtype=np.float32)[:, None] for x in (truth, score))
    names = names or tuple(f"f{i}" for i in range(len(truth)))
    return Predictions(tuple(names), ("rot",), truth, score, (score >= threshold).astype(np.uint8))


NAN = float("nan")
SOME = predictions([1, 1, 1, 0, 0, 0, NAN, 1], [0.7, 0.9, 0.1, 0.6, 0.2, 0.05, 0.99, 0.4])


def test_the_surest_of_each_outcome_come_first():
    chosen = [(c.outcome, c.fruit_id) for c in surest(SOME, 2)]
    assert chosen == [
        ("tp", "f1"),
        ("tp", "f0"),
        ("fp", "f3"),
        ("fn", "f2"),
        ("fn", "f7"),
        ("tn", "f5"),
        ("tn", "f4"),
    ]
    assert [c.fruit_id for c in surest(SOME, 1)] == ["f1", "f3", "f2", "f5"]
    assert surest(SOME, 0) == []


def test_everything_that_is_called_ill_is_found_whatever_its_label():
    assert {(c.fruit_id, c.outcome) for c in found(SOME)} == {
        ("f0", "tp"),
        ("f1", "tp"),
        ("f3", "fp"),
        ("f6", ""),
    }


def test_changes_pair_fruit_by_name_and_the_largest_comes_first():
    before = predictions([1, 1, 0, 0, NAN], [0.4, 0.1, 0.2, 0.9, 0.9])
    after = predictions([NAN, 0, 0, 1, 1], [0.1, 0.7, 0.6, 0.8, 0.9], ("f4", "f3", "f2", "f1", "f0"))
    first, second = changed(before, after, 5)
    assert [(c.fruit_id, c.change, c.outcome) for c in second] == [
        ("f1", "fixed", "tp"),
        ("f0", "fixed", "tp"),
        ("f2", "broken", "fp"),
    ]
    assert [(c.fruit_id, c.outcome, round(c.score, 3)) for c in first] == [
        ("f1", "fn", 0.1),
        ("f0", "fn", 0.4),
        ("f2", "tn", 0.2),
    ]
    assert [c.fruit_id for c in changed(before, after, 1)[1]] == ["f1", "f2"]


def test_a_fruit_is_explained_once_and_a_change_is_kept():
    before = predictions([1, 0], [0.9, 0.2])
    after = predictions([1, 0], [0.1, 0.2])
    _, second = changed(before, after, 3)
    merged = unique(surest(after, 3), second, surest(after, 3))
    assert [(c.fruit_id, c.change) for c in merged] == [("f0", "broken"), ("f1", "")]
