"""The loss of BYOL and SimSiam."""

import pytest
import torch
import torch.nn.functional as F

from backend.methods.byol import symmetric_cosine_loss


def naive(p1, p2, t1, t2):
    """Grill et al. 2020, equation 2: squared distance of unit vectors, halved and shifted to -cosine."""

    def one_way(p, t):
        return sum(
            float((F.normalize(a, dim=0) - F.normalize(b, dim=0)).square().sum())
            for a, b in zip(p, t, strict=True)
        )

    return (one_way(p1, t2) / len(p1) + one_way(p2, t1) / len(p1)) / 4 - 1


def test_known_value():
    z = torch.eye(3)
    assert symmetric_cosine_loss(z, z, z, z).item() == pytest.approx(-1)
    assert symmetric_cosine_loss(z, z, -z, z).item() == pytest.approx(0)


def test_equals_the_paper(pair):
    first, second = pair
    targets = second.roll(1, 0), first.roll(2, 0)
    assert symmetric_cosine_loss(*pair, *targets).item() == pytest.approx(naive(*pair, *targets))


def test_a_constant_prediction_scores_badly(pair):
    constant = torch.ones(6, 5, dtype=torch.float64)
    centred = [x - x.mean(dim=0) for x in pair]
    guess = symmetric_cosine_loss(constant, constant, *centred).item()
    assert symmetric_cosine_loss(*pair, *pair).item() < guess - 0.5


def test_gradients_flow(pair, gradients_flow):
    first, second = pair
    gradients_flow(lambda a, b: symmetric_cosine_loss(a, b, first.roll(1, 0), second.roll(1, 0)), *pair)
