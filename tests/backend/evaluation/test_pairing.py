"""Two sides of runs: aligned, counted and spoken for by the first run of each."""

import numpy as np
import pytest

from backend.evaluation.metrics import Key
from backend.evaluation.pairing import Pair, RunMeta, RunPredictions


@pytest.fixture
def sides(new_bench):
    """``sides(n_folds)``: two runs a side, all different, some labels unknown; and how to pair them."""

    def make(n_folds=4):
        bench = new_bench(0, n=60, n_folds=n_folds)
        a, b = ([bench.run(f"{side}{i}") for i in range(2)] for side in "ab")
        bench.true[:7, 0] = np.nan  # the labels of every run
        bench.true[:3] = np.nan
        return a, b, Pair(a, b, **bench.task, groups=bench.groups, metrics=("mcc",))

    return make


@pytest.mark.parametrize(("n_folds", "ratio"), [(1, None), (2, 1.0), (5, 0.25)])
def test_the_test_part_is_one_against_the_other_folds(sides, n_folds, ratio):
    _, _, pair = sides(n_folds)
    assert pair.test_ratio == ratio
    assert pair.fold_weights.shape == (n_folds, 60)
    np.testing.assert_array_equal(pair.fold_weights.sum(axis=0), np.ones(60))


def test_the_first_run_of_a_side_gives_its_name_and_its_decisions(sides):
    a, b, pair = sides()
    assert (pair.run_id_a, pair.run_id_b) == ("a0", "b0")
    for j, defect in enumerate(a[0].predictions.defects):
        for right, side in zip(pair.rights(defect), (a, b), strict=True):
            p = side[0].predictions
            known = ~np.isnan(p.y_true[:, j])
            np.testing.assert_array_equal(right, (p.y_true == p.y_pred)[known, j])


def test_labelled_fruit_are_counted_for_each_defect_and_for_any(sides):
    _, _, pair = sides()
    first, second, _ = pair.a[0].defects
    assert pair.n_labelled(Key("mcc", first)) == 53
    assert pair.n_labelled(Key("mcc", second)) == pair.n_labelled(Key("mcc", None)) == 57


def test_a_fruit_of_one_class_is_right_or_wrong_as_a_whole(multiclass, sorter):
    runs = []
    for name, seed in (("a0", 1), ("a1", 2), ("b0", 3), ("b1", 4)):
        p = multiclass(n=60, seed=seed)
        p.y_true[:] = multiclass(n=60, seed=0).y_true
        p.y_true[:5] = np.nan
        meta = RunMeta(name, "data", "labels", "folds", False, frozenset(p.fruit_ids))
        runs.append(RunPredictions(meta, p, np.arange(60) % 3))
    groups = {fruit: fruit for fruit in runs[0].predictions.fruit_ids}
    pair = Pair(runs[:2], runs[2:], **sorter("multiclass"), groups=groups, metrics=("mcc",))
    assert pair.n_labelled(Key("mcc", None)) == 55
    for right, run in zip(pair.rights(None), (runs[0], runs[2]), strict=True):
        p = run.predictions
        np.testing.assert_array_equal(right, p.y_true[5:].argmax(1) == p.y_pred[5:].argmax(1))
