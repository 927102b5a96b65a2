"""The draws behind every split: which rule deals, how even it is, and which draw is kept."""

import numpy as np
import pytest

from backend.data import stratify
from backend.errors import DataError


class Chosen(Exception):  # noqa: N818 - not an error
    """Raised by a rule in place of dealing."""


@pytest.fixture
def rule(monkeypatch):
    """``rule(labels, names, folds)``: what deals: classes, labels or groups."""

    def choose(word):
        def deal(*args, **kwargs):
            raise Chosen(word)

        return deal

    monkeypatch.setattr(stratify, "_spread_classes", choose("classes"))
    monkeypatch.setattr(stratify, "_deal_groups", choose("groups"))
    monkeypatch.setattr("iterstrat.ml_stratifiers.IterativeStratification", choose("labels"))

    def which(labels, names, folds):
        with pytest.raises(Chosen) as chosen:
            stratify.stratify(labels, names, folds, ("test", 0), "folds")
        return str(chosen.value)

    return which


def names(n, groups=None):
    return np.array([f"g{min(i, (groups or n) - 1):03d}" for i in range(n)])


CLASSES = np.eye(3, dtype=np.float32)[np.arange(9) % 3]


def test_fruit_of_one_class_are_dealt_class_by_class(rule):
    assert rule(CLASSES, names(9), 3) == "classes"
    assert rule(CLASSES, names(9), 4) == "labels", "every class is rarer than the folds"


def test_several_labels_or_an_unknown_one_are_dealt_together(rule):
    several, unknown = CLASSES.copy(), CLASSES.copy()
    several[0, 1] = 1
    unknown[0, 1] = np.nan
    assert rule(several, names(9), 3) == "labels"
    assert rule(unknown, names(9), 3) == "labels"
    assert rule(np.zeros_like(CLASSES), names(9), 3) == "labels"


def test_one_shared_group_is_enough_to_deal_groups(rule):
    assert rule(CLASSES, names(9, groups=8), 3) == "groups"


def test_few_groups_get_several_draws_and_many_get_one(monkeypatch):
    monkeypatch.setattr(stratify, "_MANY_GROUPS", 9)
    seeds = []

    def draw(positive, group, folds, single, seed):
        seeds.append(seed)
        return np.arange(len(positive)) % folds

    monkeypatch.setattr(stratify, "_draw", draw)
    labels = np.eye(3, dtype=np.float32)[np.arange(10) % 3]
    stratify.stratify(labels[:9], names(9), 3, ("test", 0), "folds")
    assert len(set(seeds)) == len(seeds) == stratify._DRAWS
    seeds.clear()
    stratify.stratify(labels, names(10), 3, ("test", 0), "folds")
    assert len(seeds) == 1


def test_the_evenest_draw_is_kept(monkeypatch):
    labels = np.eye(2, dtype=np.float32)[[0, 0, 1, 1]]
    even = np.array([0, 1, 0, 1])
    draws = iter([np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), even, *[np.zeros(4, int)] * 7])
    monkeypatch.setattr(stratify, "_draw", lambda *_: next(draws))
    np.testing.assert_array_equal(stratify.stratify(labels, names(4), 2, ("test", 0), "folds"), even)


@pytest.mark.parametrize(
    ("parts", "empty", "spread"),
    [
        # Sizes 2 and 2; the first defect 2 and 0, the second 0 and 1, the third is nobody's.
        ([0, 0, 1, 1], 2, 2 + 2),
        # Sizes 4 and 0: an empty part counts more than every defect it lacks.
        ([0, 0, 0, 0], 2 + 3 * 2, 2 + 2 + 2),
        # Sizes 2 and 2; the first defect 1 and 1.
        ([0, 1, 0, 1], 1, 2),
    ],
)
def test_unevenness_by_hand(parts, empty, spread):
    positive = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]], bool)
    assert stratify._unevenness(positive, np.array(parts), 2) == (empty, pytest.approx(spread))


@pytest.mark.parametrize("seed", range(20))
def test_the_most_lopsided_group_is_dealt_first(seed):
    """Dealt last, a group as large as all others together would make one part three times the other."""
    group = np.array([0] * 10 + list(range(1, 11)))
    parts = stratify._deal_groups(np.ones((20, 1), bool), group, 2, seed)
    assert set(parts[1:]) == {1 - parts[0]}


def test_a_rare_defect_weighs_as_much_as_a_common_one():
    """Eight groups alike in size; two hold the only two positives of a defect, which part."""
    positive = np.zeros((16, 1), bool)
    positive[[0, 8]] = True
    for seed in range(10):
        parts = stratify._deal_groups(positive, np.arange(16) // 2, 2, seed)
        assert np.bincount(parts).tolist() == [4, 4]
        assert parts[0] != parts[4]


def test_the_part_to_validate_on_leaves_something_to_learn_then_sees_most():
    positive = np.array([[1, 0], [0, 0], [1, 1], [0, 1], [1, 1], [1, 0]], bool)
    parts = np.array([0, 0, 1, 1, 2, 2])
    assert stratify.best_part(positive, parts, 3) == 1, "part 0 shows no second defect; 1 comes before 2"
    only = np.array([[1, 1], [0, 0], [1, 0], [0, 0], [1, 0], [0, 0]], bool)
    assert stratify.best_part(only, parts, 3) == 1, "in part 0 lies the only positive of the second defect"


def test_no_fruit_are_no_groups():
    with pytest.raises(DataError, match=r"^manifest.csv: 0 groups with labelled fruit for folds in 2 parts"):
        stratify.stratify(np.empty((0, 2), np.float32), np.array([], str), 2, ("test", 0), "folds")
