import math

import pytest
import torch
from lightly.loss import VICRegLoss

from backend.methods.vicreg import vicreg_loss


def naive(first, second, weights):
    """Bardes et al. 2022, equations 1 to 6, with the means the authors' code takes."""
    count, width = first.shape

    def variance(z):
        return sum(max(0.0, 1 - math.sqrt(float(z[:, j].var()) + 1e-4)) for j in range(width)) / width

    def covariance(z):
        z = z - z.mean(dim=0)
        c = z.T @ z / (count - 1)
        return sum(float(c[i, j]) ** 2 for i in range(width) for j in range(width) if i != j) / width

    invariance = sum(float((a - b).square().sum()) for a, b in zip(first, second, strict=True)) / (
        count * width
    )
    return (
        weights[0] * invariance
        + weights[1] * (variance(first) + variance(second)) / 2
        + weights[2] * (covariance(first) + covariance(second))
    )


def test_known_value():
    # Collapsed: no variance, so the hinge gives 1 - sqrt(1e-4) = 0.99.
    z = torch.zeros(4, 3)
    assert vicreg_loss(z, z, 25, 25, 1).item() == pytest.approx(25 * 0.99)


def test_equals_the_paper(pair):
    weights = (20.0, 15.0, 2.0)
    assert vicreg_loss(*pair, *weights).item() == pytest.approx(naive(*pair, weights))


def test_equals_lightly(pair):
    expected = VICRegLoss(lambda_param=20.0, mu_param=15.0, nu_param=2.0)(*pair)
    assert vicreg_loss(*pair, 20.0, 15.0, 2.0).item() == pytest.approx(expected.item())


def test_collapse_scores_badly(pair):
    constant = torch.ones(6, 5, dtype=torch.float64)
    assert vicreg_loss(constant, constant, 25, 25, 1) > 2 * vicreg_loss(*pair, 25, 25, 1)


def test_gradients_flow(pair, gradients_flow):
    gradients_flow(lambda a, b: vicreg_loss(a, b, 25, 25, 1), *pair)
