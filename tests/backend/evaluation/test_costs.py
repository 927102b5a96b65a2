"""Money: counted by hand, never cheaper than the best threshold, exits as a matrix."""

import numpy as np
import pytest

from backend.data.dataset import Defect
from backend.evaluation.costs import cost_curve, cost_metrics, costs
from backend.evaluation.exits import EXITS, exit_matrix, exits
from backend.store.bundle import Predictions

ROT = Defect("rot", "internal", cost_miss=5.0, cost_false_alarm=0.5)
SCAR = Defect("scar", "external", cost_miss=1.0, cost_false_alarm=2.0)


def predictions():
    true = np.array([[1, 0], [1, 1], [0, 1], [0, np.nan]], dtype=np.float32)
    score = np.array([[0.9, 0.6], [0.2, 0.7], [0.8, 0.4], [0.1, 0.9]], dtype=np.float32)
    return Predictions(("a", "b", "c", "d"), ("rot", "scar"), true, score, (score >= 0.5).astype(np.uint8))


def test_costs_counted_by_hand():
    rot, scar = costs(predictions(), (ROT, SCAR), task="multilabel", healthy="a-quality")
    assert (rot.n, rot.misses, rot.false_alarms) == (4, 1, 1)
    assert rot.cost == rot.default_cost == pytest.approx(1000 * (5 + 0.5) / 4)
    assert (scar.n, scar.misses, scar.false_alarms) == (3, 1, 1)
    assert scar.cost == pytest.approx(1000 * (1 + 2) / 3)
    # Cutting below 0.2 misses no rot and calls one sound fruit; cutting above 0.6 misses one scar only.
    assert rot.best_threshold == pytest.approx(0.15)
    assert rot.best_cost == pytest.approx(1000 * 0.5 / 4)
    assert scar.best_threshold == pytest.approx(0.65)
    assert scar.best_cost == pytest.approx(1000 / 3)


def test_metrics_sum_the_defects_and_say_what_is_missing():
    p = predictions()
    values = costs(p, (ROT, SCAR), task="multilabel", healthy="a-quality")
    *each, total = cost_metrics(values)
    assert [v.defect for v in each] == ["rot", "scar"]
    assert total.defect is None
    assert total.value == pytest.approx(sum(v.cost for v in values))
    p.y_true[:, 1] = np.nan
    *each, total = cost_metrics(costs(p, (ROT, SCAR), task="multilabel", healthy="a-quality"))
    assert each[1].value is None
    assert each[1].reason == "no labelled fruit"
    assert total.reason == "no labelled fruit for scar"


def test_the_healthy_class_has_no_cost_of_its_own(multiclass):
    p = multiclass()
    defects = tuple(Defect(name) for name in p.defects)
    assert [c.defect for c in costs(p, defects, task="multiclass", healthy="ripe")] == [
        "unripe",
        "occluded",
        "rotten",
    ]


def test_the_curve_meets_the_table(multilabel):
    p = multilabel()
    for j, name in enumerate(p.defects):
        defect = Defect(name, cost_miss=4.0, cost_false_alarm=1.0)
        value = costs(p, tuple(Defect(d, cost_miss=4.0) for d in p.defects), task="multilabel", healthy="-")[
            j
        ]
        curve = cost_curve(p.y_true[:, j], p.score[:, j], defect)
        assert (np.diff(curve.thresholds) > 0).all()
        assert curve.costs.min() == pytest.approx(value.best_cost)
        assert value.best_cost <= min(value.cost, value.default_cost)
        known = ~np.isnan(p.y_true[:, j])
        true, score = p.y_true[known, j], p.score[known, j]
        for threshold, cost in zip(curve.thresholds[::7], curve.costs[::7], strict=True):
            called = score >= threshold
            money = 4 * ((true == 1) & ~called).sum() + ((true == 0) & called).sum()
            assert cost == pytest.approx(1000 * money / known.sum())
    empty = cost_curve(np.full(3, np.nan), np.zeros(3), ROT)
    assert len(empty.thresholds) == len(empty.costs) == 0


def test_exits_of_partly_labelled_fruit():
    labels = np.array(
        [[0, 0, 0], [0, 0, 1], [1, 0, 1], [0, 1, 0], [1, np.nan, np.nan], [np.nan, 0, 1], [0, 1, np.nan],
         [0, 0, np.nan]],
        dtype=np.float32,
    )  # fmt: skip
    kinds = {"rot": "internal", "scar": "external", "odd": "other"}
    got = exits(labels, ("rot", "scar", "odd"), task="multilabel", healthy="a-quality", kinds=kinds)
    names = [EXITS[int(row.argmax())] if not np.isnan(row).any() else None for row in got]
    assert names == [
        "a-quality",
        "external only",
        "internal",
        "external only",
        "internal",
        None,
        "external only",
        None,
    ]


def test_the_exit_matrix_counts_every_fruit_whose_exit_is_known(multiclass, sorter):
    p = multiclass()
    p.y_true[:10] = np.nan
    sort = sorter("multiclass")
    true, called = (exits(y.astype(np.float32), p.defects, **sort) for y in (p.y_true, p.y_pred))
    matrix = exit_matrix(true, called)
    assert matrix.sum() == 290
    kind_of = {"ripe": 0, "unripe": 1, "occluded": 1, "rotten": 2}
    expected = np.zeros((3, 3), dtype=int)
    for t, c in zip(p.y_true[10:].argmax(axis=1), p.y_pred[10:].argmax(axis=1), strict=True):
        expected[kind_of[p.defects[t]], kind_of[p.defects[c]]] += 1
    assert (matrix == expected).all()
