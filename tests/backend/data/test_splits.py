"""Splits: nobody straddles, everybody is tested once, and no choice looks at test labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.data.splits import (
    NOT_TESTED,
    inner_split,
    label_fraction,
    outer_folds,
    stratified_order,
    without_groups_of,
)
from backend.errors import ConfigError, DataError

QUICK = settings(max_examples=40, deadline=None)


@st.composite
def fruit(draw, multiclass=None, grouped=None):
    """Labels (n, D) with a few unlabelled rows, and groups."""
    seed = draw(st.integers(0, 2**31 - 1))
    rng = np.random.default_rng(seed)
    n, depth = draw(st.integers(30, 120)), draw(st.integers(1, 5))
    if multiclass if multiclass is not None else draw(st.booleans()):
        labels = np.eye(depth + 1, dtype=np.float32)[rng.integers(0, depth + 1, n)]
    else:
        labels = (rng.random((n, depth)) < rng.uniform(0.05, 0.5, depth)).astype(np.float32)
        labels[rng.random((n, depth)) < 0.05] = np.nan
    labels[rng.random(n) < 0.1] = np.nan
    size = draw(st.integers(1, 4)) if grouped is None else 1 + 3 * grouped
    groups = [f"g{i // size}" for i in range(n)]
    return labels, groups


def folds_of_groups(groups, folds):
    pairs = {(g, f) for g, f in zip(groups, folds, strict=True) if f != NOT_TESTED}
    return [g for g, _ in pairs]


@QUICK
@given(fruit(), st.integers(2, 5), st.integers(0, 99))
def test_outer_folds_test_each_labelled_fruit_once_and_never_split_a_group(data, k, seed):
    labels, groups = data
    folds = outer_folds(labels, groups, k, seed)
    labelled = ~np.isnan(labels).all(axis=1)
    assert (folds[~labelled] == NOT_TESTED).all()
    assert set(folds[labelled]) == set(range(k))
    names = folds_of_groups(groups, folds)
    assert len(names) == len(set(names))
    np.testing.assert_array_equal(folds, outer_folds(labels.copy(), tuple(groups), k, seed))


@QUICK
@given(fruit(multiclass=True, grouped=False), st.integers(2, 5), st.integers(0, 99))
def test_classes_are_spread_to_within_one_fruit(data, k, seed):
    labels, groups = data
    folds = outer_folds(labels, groups, k, seed)
    for column in labels.T:
        counts = np.bincount(folds[column == 1], minlength=k)
        assert counts.max() - counts.min() <= 1


@QUICK
@given(st.integers(0, 2**31 - 1), st.integers(2, 5))
def test_each_defect_is_in_every_fold_where_there_are_enough_groups(seed, k):
    rng = np.random.default_rng(seed)
    labels = (rng.random((240, 8)) < 0.1).astype(np.float32)
    groups = [f"pallet-{i // 6}" for i in range(240)]
    folds = outer_folds(labels, groups, k, seed % 7)
    positives = np.array([np.bincount(folds[column == 1], minlength=k) for column in labels.T])
    assert positives.min() >= 1
    sizes = np.bincount(folds, minlength=k)
    assert sizes.min() > 0.6 * 240 / k


def test_folds_of_pallets_are_evener_than_dealt_ones():
    rng = np.random.default_rng(3)
    labels = (rng.random((600, 10)) < 0.08).astype(np.float32)
    groups = [f"pallet-{i // 12}" for i in range(600)]

    def spread(folds):
        counts = np.array([np.bincount(folds[column == 1], minlength=5) for column in labels.T])
        return counts.std(axis=1).mean()

    dealt = np.array([int(group.split("-")[1]) % 5 for group in groups])
    assert spread(outer_folds(labels, groups, 5, 0)) < 0.7 * spread(dealt)


def test_several_labels_without_groups_are_stratified_iteratively():
    rng = np.random.default_rng(8)
    labels = (rng.random((300, 6)) < 0.1).astype(np.float32)
    folds = outer_folds(labels, [str(i) for i in range(300)], 5, 0)
    counts = np.array([np.bincount(folds[column == 1], minlength=5) for column in labels.T])
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 3


def test_another_seed_gives_other_folds():
    labels = np.eye(3, dtype=np.float32)[np.arange(90) % 3]
    groups = [str(i) for i in range(90)]
    a, b = (outer_folds(labels, groups, 3, seed) for seed in (0, 1))
    assert (a != b).any()


def test_a_fixed_split_is_one_fold_tested_on_test():
    labels = np.array([[1, 0], [0, 1], [1, 0], [np.nan, np.nan], [0, 1]], np.float32)
    split = ["train", "val", "test", "test", "test"]
    folds = outer_folds(labels, list("abcde"), 5, 0, split)
    assert folds.tolist() == [NOT_TESTED, NOT_TESTED, 0, NOT_TESTED, 0]
    fit, validation = inner_split(labels, list("abcde"), [0, 1], 0, fixed_val=[w == "val" for w in split])
    assert fit.tolist() == [0]
    assert validation.tolist() == [1]


@QUICK
@given(fruit(), st.integers(0, 99), st.randoms(use_true_random=False))
def test_the_inner_split_is_grouped_and_blind_to_test_labels(data, seed, random):
    labels, groups = data
    folds = outer_folds(labels, groups, 3, seed)
    train = np.flatnonzero((folds != 0) & (folds != NOT_TESTED))
    fit, validation = inner_split(labels, groups, train, seed)
    assert sorted([*fit, *validation]) == train.tolist()
    assert not {groups[i] for i in fit} & {groups[i] for i in validation}
    assert len(validation) > 0
    changed = labels.copy()
    test = np.flatnonzero(folds == 0)
    changed[test] = changed[random.sample(test.tolist(), len(test))]
    again = inner_split(changed, groups, train, seed)
    np.testing.assert_array_equal(again[0], fit)
    np.testing.assert_array_equal(again[1], validation)
    for fraction in (0.05, 1.0):
        np.testing.assert_array_equal(
            label_fraction(changed, groups, train, fraction, seed),
            label_fraction(labels, groups, train, fraction, seed),
        )


@pytest.mark.parametrize(("share", "validating"), [(0.5, 20), (0.25, 10), (0.1, 4)])
def test_the_share_that_validates_can_be_chosen(share, validating):
    labels = np.eye(2, dtype=np.float32)[np.arange(40) % 2]
    fit, validation = inner_split(labels, [f"g{i}" for i in range(40)], np.arange(40), 0, share=share)
    assert (len(fit), len(validation)) == (40 - validating, validating)


def test_two_groups_are_enough_for_an_inner_split():
    labels = np.ones((4, 1), np.float32)
    fit, validation = inner_split(labels, ["a", "a", "b", "b"], np.arange(4), 0)
    assert sorted([fit.tolist(), validation.tolist()]) == [[0, 1], [2, 3]]


def test_one_large_group_is_split_fruit_by_fruit():
    """Half of a harvest in one pallet: where all the others are tested, it alone is left to train on."""
    labels = np.array([[1], [0]] * 20, dtype=np.float32)
    fit, validation = inner_split(labels, ["p"] * 40, np.arange(40), 0)
    assert len(validation) == 8 and sorted([*fit, *validation]) == list(range(40))
    assert 0 < labels[validation].mean() < 1


def test_the_inner_split_is_about_a_fifth_and_keeps_rare_defects_learnable():
    rng = np.random.default_rng(1)
    labels = (rng.random((400, 4)) < 0.2).astype(np.float32)
    labels[:, 3] = 0
    labels[7, 3] = 1  # the only positive must stay in the fitting part
    groups = [str(i) for i in range(400)]
    for seed in range(5):
        fit, validation = inner_split(labels, groups, np.arange(400), seed)
        assert 70 <= len(validation) <= 90
        assert 7 in fit
        assert (labels[validation][:, :3].sum(axis=0) > 0).all()


@QUICK
@given(fruit(), st.integers(0, 99))
def test_label_fractions_are_nested_and_hold_every_defect(data, seed):
    labels, groups = data
    train = np.arange(0, len(labels) - 5)
    before: set[int] = set()
    for fraction in (0.01, 0.05, 0.1, 0.25, 1.0):
        rows = label_fraction(labels, groups, train, fraction, seed)
        assert before <= set(rows.tolist())
        before = set(rows.tolist())
        present = (labels[train] == 1).any(axis=0)
        assert ((labels[rows] == 1).any(axis=0) == present).all()
    labelled = train[~np.isnan(labels[train]).all(axis=1)]
    assert before == set(labelled.tolist())


@pytest.mark.parametrize("seed", range(6))
def test_the_smallest_label_fraction_can_still_be_split(seed):
    """Two fruit of one group show all there is to learn; a second group is needed to validate."""
    labels = np.array([[1], [0]] * 10, dtype=np.float32)
    groups = [f"p{i // 2}" for i in range(20)]
    rows = label_fraction(labels, groups, np.arange(20), 0.01, seed)
    assert len(rows) <= 3 and len({groups[row] for row in rows}) == 2
    assert all(len(part) for part in inner_split(labels, groups, rows, seed))
    one = label_fraction(labels, ["p"] * 20, np.arange(20), 0.01, seed)
    assert len(one) == 2, "one group is all there is"


def test_label_fractions_have_the_asked_size_and_about_the_prevalence():
    rng = np.random.default_rng(5)
    labels = np.eye(4, dtype=np.float32)[rng.choice(4, 2000, p=[0.7, 0.2, 0.06, 0.04])]
    rows = label_fraction(labels, [str(i) for i in range(2000)], np.arange(2000), 0.1, 0)
    assert len(rows) == 200
    np.testing.assert_allclose(labels[rows].mean(axis=0), labels.mean(axis=0), atol=0.01)
    other = label_fraction(labels, [str(i) for i in range(2000)], np.arange(2000), 0.1, 1)
    assert set(rows) != set(other)


def test_label_fractions_take_whole_groups_one_after_another():
    rng = np.random.default_rng(5)
    labels = (rng.random((480, 2)) < 0.3).astype(np.float32)
    groups = np.array([f"p{i // 12}" for i in range(480)])
    rows = label_fraction(labels, groups, np.arange(480), 0.25, 0)
    _, counts = np.unique(groups[rows], return_counts=True)
    assert len(rows) == 120
    assert (counts == 12).sum() >= 9


def test_stratified_order_keeps_the_shares_in_every_beginning():
    strata = np.repeat([0, 1, 2], [70, 20, 10])
    order = stratified_order(strata, np.random.default_rng(0))
    assert sorted(order) == list(range(100))
    assert np.bincount(strata[order[:50]], minlength=3).tolist() == [35, 10, 5]


def test_unlabelled_fruit_of_a_test_group_are_left_out():
    groups = ["a", "a", "b", "b", "c"]
    assert without_groups_of([1, 3, 4], groups, [0]).tolist() == [3, 4]


def test_many_classes_rarer_than_k_still_split():
    labels = np.eye(8, dtype=np.float32)
    folds = outer_folds(labels, list("abcdefgh"), 3, 0)
    assert sorted(np.bincount(folds)) == [2, 3, 3]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda y, g: outer_folds(y * np.nan, g, 3, 0), DataError, "no labelled fruit"),
        (lambda y, g: outer_folds(y, g, 1, 0), ConfigError, "2 or more"),
        (lambda y, g: outer_folds(y, ["a"] * 3 + ["b"] * 3, 3, 0), DataError, "2 groups with labelled"),
        (lambda y, g: outer_folds(y, g, 3, 0, ["train"] * 6), DataError, "test part"),
        (lambda y, g: inner_split(y, g, [0, 1], 0, share=0.0), ConfigError, "0.5"),
        (lambda y, g: inner_split(y, g, [0], 0), DataError, "1 groups"),
        (lambda y, g: label_fraction(y, g, [0, 1], 0.0, 0), ConfigError, "above 0 to 1"),
        (lambda y, g: label_fraction(y * np.nan, g, [0, 1], 0.5, 0), DataError, "no labelled fruit"),
    ],
)
def test_what_cannot_be_split_says_why(call, error, message):
    labels = np.eye(2, dtype=np.float32)[[0, 1, 0, 1, 0, 1]]
    with pytest.raises(error, match=message):
        call(labels, list("abcdef"))
