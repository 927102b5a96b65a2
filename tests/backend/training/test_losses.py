import numpy as np
import pytest
import torch
import torch.nn.functional as F

from backend.training.losses import (
    MAX_WEIGHT,
    ClassificationLoss,
    class_weights,
    multiclass_loss,
    multilabel_loss,
    positive_weights,
    probabilities,
)

NAN = float("nan")


def test_multilabel_loss_of_a_known_case() -> None:
    logits = torch.tensor([[0.0, 2.0]])
    labels = torch.tensor([[1.0, 0.0]])
    expected = (np.log(2) + np.log1p(np.exp(2))) / 2
    assert multilabel_loss(logits, labels).item() == pytest.approx(expected, rel=1e-6)


def test_unknown_labels_weigh_nothing_and_carry_no_gradient() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    labels = torch.tensor([[1, NAN, 0], [0, 1, NAN], [NAN, NAN, NAN], [0, 0, 1]])
    known = ~labels.isnan()
    expected = F.binary_cross_entropy_with_logits(logits[known], labels[known])
    loss = multilabel_loss(logits, labels)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert (logits.grad[~known] == 0).all()
    assert (logits.grad[known] != 0).all()


def test_nothing_known_is_zero_and_still_differentiable() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    for function in (multilabel_loss, multiclass_loss):
        loss = function(logits, torch.full((2, 3), NAN))
        assert loss.item() == 0
        loss.backward()


def test_focal_loss_is_equation_4_of_lin_et_al() -> None:
    torch.manual_seed(0)
    logits = torch.randn(6, 2, dtype=torch.float64)
    labels = torch.randint(0, 2, (6, 2)).double()
    total = 0.0
    for z, y in zip(logits.flatten(), labels.flatten(), strict=True):
        p = 1 / (1 + np.exp(-z.item()))
        p_t = p if y == 1 else 1 - p
        total += -((1 - p_t) ** 2) * np.log(p_t)
    assert multilabel_loss(logits, labels, gamma=2.0).item() == pytest.approx(total / 12, rel=1e-9)


def test_multiclass_loss_agrees_with_torch() -> None:
    torch.manual_seed(0)
    logits = torch.randn(8, 4)
    target = torch.randint(0, 4, (8,))
    labels = F.one_hot(target, 4).float()
    weight = torch.tensor([0.5, 1.0, 2.0, 4.0])
    torch.testing.assert_close(
        multiclass_loss(logits, labels, weight), F.cross_entropy(logits, target, weight)
    )
    labels[3] = NAN
    keep = torch.arange(8) != 3
    torch.testing.assert_close(multiclass_loss(logits, labels), F.cross_entropy(logits[keep], target[keep]))


def test_weights_follow_from_the_counts() -> None:
    labels = np.array([[1, 0], [0, 0], [0, 0], [0, np.nan]], np.float32)
    np.testing.assert_allclose(positive_weights(labels), [3, 3])
    rare = np.zeros((1000, 1), np.float32)
    rare[0] = 1
    assert positive_weights(rare).item() == MAX_WEIGHT
    classes = np.eye(2, dtype=np.float32)[[0, 0, 0, 1]]
    np.testing.assert_allclose(class_weights(classes), [4 / 6, 2], rtol=1e-6)


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
@pytest.mark.parametrize("imbalance", ["none", "weighted", "focal", "sampler"])
def test_better_answers_lose_less(task: str, imbalance: str) -> None:
    labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 0]]
    loss = ClassificationLoss(task, imbalance, labels)
    truth = torch.from_numpy(labels)
    right, vague, wrong = truth * 8 - 4, torch.zeros(6, 3), 4 - truth * 8
    values = [loss(logits, truth).item() for logits in (right, vague, wrong)]
    assert values == sorted(values)
    assert values[0] < 0.05


def test_probabilities() -> None:
    logits = torch.tensor([[0.0, 1.0]])
    torch.testing.assert_close(probabilities(logits, "multilabel"), torch.sigmoid(logits))
    assert probabilities(logits, "multiclass").sum().item() == pytest.approx(1)
