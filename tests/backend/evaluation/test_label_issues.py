"""Planted label errors and outliers are found, and little else."""

import numpy as np
import pytest

from backend.evaluation.label_issues import label_errors, outlying
from backend.store.bundle import Predictions


def test_flipped_labels_come_first(multilabel):
    p = multilabel(n=400, skill=8.0, unlabelled=0.05)
    known = np.flatnonzero(~np.isnan(p.y_true[:, 1]))[:12]
    p.y_true[known, 1] = 1 - p.y_true[known, 1]
    errors = label_errors(p, "multilabel")
    flipped = {p.fruit_ids[i] for i in known}
    found = [error for error in errors if error.defect == "body rot"]
    # Confident learning estimates how many errors there are, and errs on the low side.
    assert len(flipped & {error.fruit_id for error in found}) >= 7
    assert {error.fruit_id for error in found[:7]} <= flipped
    assert len(errors) <= 30
    for error in found:
        row = p.fruit_ids.index(error.fruit_id)
        assert error.given == p.y_true[row, 1]
        assert error.suggested == ("none" if error.given else "body rot")
    qualities = [error.quality for error in errors]
    assert qualities == sorted(qualities)


def test_swapped_classes_name_the_class_seen_instead(multiclass):
    p = multiclass(n=400, skill=7.0)
    truth = p.y_true.argmax(axis=1)
    spoilt = np.flatnonzero(truth == 0)[:8]
    p.y_true[spoilt] = [0, 0, 0, 1]
    p.y_true[399] = np.nan
    errors = {error.fruit_id: error for error in label_errors(p, "multiclass")}
    found = [errors[p.fruit_ids[row]] for row in spoilt if p.fruit_ids[row] in errors]
    assert len(found) >= 4
    assert {(error.defect, error.given, error.suggested) for error in found} == {("rotten", 1, "ripe")}
    assert {error.defect for error in list(errors.values())[:4]} == {"rotten"}
    assert len(errors) <= 16


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_one_class_has_no_contradictions(task):
    true = np.tile(np.array([1, 0], dtype=np.float32), (20, 1))
    p = Predictions(
        tuple(map(str, range(20))), ("a", "b"), true, np.full((20, 2), 0.5, np.float32), true.astype(np.uint8)
    )
    assert label_errors(p, task) == []


def test_outliers_are_the_far_ones_only():
    distance = np.random.default_rng(0).normal(4.0, 0.4, size=500)
    distance[[7, 70]] += 40, 80
    rows, ratio = outlying(distance)
    assert rows.tolist() == [70, 7]
    assert ratio.shape == (500,)
    assert np.median(ratio) == pytest.approx(1)
    assert ratio[70] > ratio[7] > 10
    assert len(outlying(np.zeros(0))[0]) == len(outlying(np.zeros(20))[0]) == 0
