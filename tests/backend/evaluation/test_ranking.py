"""Areas under the curves of weighted fruit, held against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from backend.evaluation.ranking import Ranking, auroc_and_average_precision


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_weights_are_scikit_learns(levels):
    rng = np.random.default_rng(levels)
    true, score = rng.integers(0, 2, 80), rng.integers(0, levels, 80) / levels
    weights = rng.integers(0, 3, (6, 80)).astype(float)
    weights[0] = 1
    for row, (auroc, precision) in zip(weights, Ranking(true, score)(weights), strict=True):
        assert auroc == pytest.approx(roc_auc_score(true, score, sample_weight=row))
        assert precision == pytest.approx(average_precision_score(true, score, sample_weight=row))
    plain = auroc_and_average_precision(true, score)
    assert plain == pytest.approx((roc_auc_score(true, score), average_precision_score(true, score)))


def test_the_best_scores_without_weight_move_nothing():
    ranking = Ranking(np.array([0, 1, 0, 1]), np.array([0.9, 0.8, 0.7, 0.6]))
    weights = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0]])
    assert ranking(weights).tolist() == [[0.0, 0.5], [1.0, 1.0]]


@pytest.mark.parametrize("true", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_has_no_ranking(true):
    true = np.array(true, float)
    assert np.isnan(auroc_and_average_precision(true, np.linspace(1, 0, len(true)))).all()
    ranking = Ranking(np.array([1, 0]), np.array([0.2, 0.1]))
    assert np.isnan(ranking(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))).all()
    assert ranking(np.array([[0.5, 0.25]])).tolist() == [[1.0, 1.0]]


def test_fruit_of_one_group_share_a_weight():
    true, score, group = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.4, 0.4]), np.array([0, 1, 1, 0])
    weights = np.array([[2.0, 1.0]])
    expected = Ranking(true, score)(weights[:, group])
    assert np.array_equal(Ranking(true, score, group)(weights), expected)
