"""Shapley values against the definition, and joint MCCs against one run at a time."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.evaluation.joint import joint_mcc
from backend.evaluation.metrics import summarise
from backend.evaluation.shapley import shapley_weights, subsets
from backend.store.bundle import Predictions

SENSORS = ("rgb", "nir", "pressure")


def by_definition(names, value):
    """The mean contribution over every order of arrival."""
    found = dict.fromkeys(names, 0.0)
    orders = list(permutations(names))
    for order in orders:
        for position, name in enumerate(order):
            found[name] += (
                value[frozenset(order[: position + 1])] - value[frozenset(order[:position])]
            ) / len(orders)
    return [found[name] for name in names]


@given(st.integers(1, 4), st.integers(0, 10_000))
def test_the_weights_are_the_mean_over_every_order(n, seed):
    names = tuple("abcd"[:n])
    coalitions = subsets(names)
    worth = np.random.default_rng(seed).normal(size=len(coalitions))
    value = {frozenset(): 0.0, **{frozenset(c): w for c, w in zip(coalitions, worth, strict=True)}}
    found = shapley_weights(names, coalitions) @ worth
    np.testing.assert_allclose(found, by_definition(names, value), atol=1e-12)
    assert found.sum() == pytest.approx(value[frozenset(names)])


def test_a_sensor_that_adds_nothing_is_worth_nothing():
    coalitions = subsets(SENSORS)
    worth = np.array([0.6 * ("nir" in coalition) for coalition in coalitions])
    np.testing.assert_allclose(shapley_weights(SENSORS, coalitions) @ worth, [0, 0.6, 0], atol=1e-12)


def test_two_sensors_that_tell_the_same_share_it():
    coalitions = subsets(SENSORS)
    worth = np.array([0.6 * ("nir" in c or "rgb" in c) for c in coalitions])
    np.testing.assert_allclose(shapley_weights(SENSORS, coalitions) @ worth, [0.3, 0.3, 0], atol=1e-12)


def shuffled(p, seed):
    order = np.random.default_rng(seed).permutation(len(p.fruit_ids))
    return Predictions(
        tuple(p.fruit_ids[i] for i in order), p.defects, p.y_true[order], p.score[order], p.y_pred[order]
    )


def worse(p, flips, seed):
    """The same fruit, some decisions turned round."""
    called = p.y_pred.copy()
    turned = np.random.default_rng(seed).random(called.shape) < flips
    called[turned] = 1 - called[turned]
    return Predictions(p.fruit_ids, p.defects, p.y_true, p.score, called)


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_each_set_alone_has_the_mcc_and_interval_of_its_run(task, multilabel, multiclass, sorter):
    p = (multilabel if task == "multilabel" else multiclass)(n=150)
    groups = {fruit: f"g{i // 2}" for i, fruit in enumerate(p.fruit_ids)}
    found = joint_mcc(["x", "y"], [[p], [shuffled(p, 3)]], task=task, groups=groups, resamples=300)
    alone = summarise(p, **sorter(task), groups=np.array(list(groups.values())), resamples=300)
    expected = {v.defect: v for v in alone if v.metric == "mcc"}
    assert [v.metric for v in found] == ["x"] * (len(p.defects) + 1) + ["y"] * (len(p.defects) + 1)
    for value in found:
        same = expected[value.defect]
        assert (value.value, value.ci_low, value.ci_high) == pytest.approx(
            (same.value, same.ci_low, same.ci_high)
        )


def test_a_mixture_sees_the_same_resamples(multilabel):
    """The difference of a set and itself is 0 in every resample, not merely in the mean."""
    p = multilabel(n=150)
    groups = {fruit: fruit for fruit in p.fruit_ids}
    mixture = np.array([[1.0, -1.0], [0.5, 0.5]])
    found = joint_mcc(
        ["difference", "mean"],
        [[p], [shuffled(p, 1)]],
        task="multilabel",
        groups=groups,
        mixture=mixture,
        resamples=200,
    )
    differences = [v for v in found if v.metric == "difference"]
    assert all((v.value, v.ci_low, v.ci_high) == (0, 0, 0) for v in differences)
    assert all(v.ci_low < v.value < v.ci_high for v in found if v.metric == "mean")


def test_several_predictions_of_a_set_are_averaged(multilabel):
    p = multilabel(n=150)
    groups = {fruit: fruit for fruit in p.fruit_ids}
    q = worse(p, 0.2, 5)
    one, other, both = (
        {v.defect: v.value for v in joint_mcc(["x"], [s], task="multilabel", groups=groups, resamples=20)}
        for s in ([p], [q], [p, q])
    )
    for defect, value in both.items():
        assert value == pytest.approx((one[defect] + other[defect]) / 2)
        assert other[defect] < one[defect]


def test_an_undefined_defect_says_why_and_spares_the_others(multilabel):
    p = multilabel(n=80, unlabelled=0.0)
    p.y_true[:, 0] = 0
    found = joint_mcc(["x"], [[p]], task="multilabel", groups={f: f for f in p.fruit_ids}, resamples=50)
    assert found[0].value is None
    assert found[0].reason == "no fruit has it"
    assert found[-1].value == pytest.approx(np.mean([v.value for v in found[1:-1]]))
