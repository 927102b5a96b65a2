import numpy as np
import pytest

from backend.training.inner_score import inner_mcc, inner_mcc_error


def test_noise_scores_nothing_on_inner_validation():
    """The score that choices are made by must not reward a lucky threshold."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(60):
        labels = np.zeros((48, 6), np.float32)
        labels[rng.permuted(np.tile(np.arange(48), (6, 1)), axis=1)[:, :4].T, np.arange(6)] = 1
        values.append(inner_mcc(labels, rng.random((48, 6), dtype=np.float32), "multilabel"))
    assert abs(np.mean(values)) < 0.05
    labels[:, 0] = np.arange(48) % 4 == 0
    assert inner_mcc(labels[:, :1], labels[:, :1] * 0.8 + 0.1, "multilabel") == 1


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_the_error_of_the_inner_score_is_its_spread_over_fresh_fruit(task: str) -> None:
    rng = np.random.default_rng(0)

    def draw(fruit: int = 400):
        labels = np.eye(3, dtype=np.float32)[rng.integers(3, size=fruit)]
        return labels, (labels + rng.normal(0, 0.7, labels.shape)).astype(np.float32)

    draws = [draw() for _ in range(100)]
    spread = np.std([inner_mcc(*drawn, task) for drawn in draws], ddof=1)
    errors = [inner_mcc_error(*drawn, task) for drawn in draws[:20]]
    assert np.mean(errors) == pytest.approx(spread, rel=0.3)
