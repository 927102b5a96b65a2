import pytest
import torch

from backend.methods.barlow_twins import barlow_twins_loss


def naive(first, second, weight):
    """Zbontar et al. 2021, equations 1 and 2, number by number; divided by the width."""
    count, width = first.shape

    def standard(z, i):
        column = z[:, i] - z[:, i].mean()
        return column / (column.square().mean() + 1e-5).sqrt()

    total = 0.0
    for i in range(width):
        for j in range(width):
            c = float((standard(first, i) * standard(second, j)).sum()) / count
            total += (1 - c) ** 2 if i == j else weight * c**2
    return total / width


def test_known_value():
    # Two decorrelated outputs that agree between the views: the identity.
    z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert barlow_twins_loss(z, z, 0.005).item() == pytest.approx(0, abs=1e-6)
    # Opposite views: each diagonal element is -1.
    assert barlow_twins_loss(z, -z, 0.005).item() == pytest.approx(4, abs=1e-3)


def test_equals_the_paper(pair):
    assert barlow_twins_loss(*pair, 0.02).item() == pytest.approx(naive(*pair, 0.02))


def test_collapse_scores_badly(pair):
    constant = torch.ones(6, 5, dtype=torch.float64)
    assert barlow_twins_loss(constant, constant, 0.005).item() == pytest.approx(1)
    one_dimension = pair[0][:, :1].expand(-1, 5)
    assert barlow_twins_loss(one_dimension, one_dimension, 0.5).item() > barlow_twins_loss(*pair, 0.5).item()


def test_gradients_flow(pair, gradients_flow):
    gradients_flow(lambda a, b: barlow_twins_loss(a, b, 0.005), *pair)
