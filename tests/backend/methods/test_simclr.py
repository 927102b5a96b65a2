import math

import pytest
import torch
import torch.nn.functional as F
from lightly.loss import NTXentLoss

from backend.methods.simclr import nt_xent_loss


def naive(first, second, fruit, temperature):
    """Chen et al. 2020, equation 1, one term after the other; negatives of the same fruit left out."""
    z = [F.normalize(row, dim=0) for row in torch.cat([first, second])]
    count, twice = len(first), list(fruit) * 2
    total = 0.0
    for i in range(2 * count):
        j = (i + count) % (2 * count)
        below = math.exp(float(z[i] @ z[j]) / temperature)
        for k in range(2 * count):
            if twice[k] != twice[i]:
                below += math.exp(float(z[i] @ z[k]) / temperature)
        total -= math.log(math.exp(float(z[i] @ z[j]) / temperature) / below)
    return total / (2 * count)


def test_known_value(itself):
    # Orthogonal pairs: each anchor has cosine 1 with its positive and 0 with both negatives.
    z = torch.eye(2)
    assert nt_xent_loss(z, z, itself(2), 1.0).item() == pytest.approx(-math.log(math.e / (math.e + 2)))


@pytest.mark.parametrize("fruit", [range(6), (0, 0, 1, 2, 2, 2)])
def test_equals_the_paper(pair, itself, fruit):
    fruit = list(fruit)
    expected = naive(*pair, fruit, 0.2)
    assert nt_xent_loss(*pair, itself(6, fruit), 0.2).item() == pytest.approx(expected)


def test_equals_lightly_without_a_mask(pair, itself):
    expected = NTXentLoss(temperature=0.5)(*pair)
    assert nt_xent_loss(*pair, itself(6), 0.5).item() == pytest.approx(expected.item())


def test_collapse_scores_badly(pair, itself):
    constant = torch.ones(6, 5, dtype=torch.float64)
    collapsed = nt_xent_loss(constant, constant, itself(6), 0.2).item()
    assert collapsed == pytest.approx(math.log(11))
    assert nt_xent_loss(*pair, itself(6), 0.2).item() < collapsed


def test_gradients_flow(pair, itself, gradients_flow):
    gradients_flow(lambda a, b: nt_xent_loss(a, b, itself(6), 0.2), *pair)


def test_images_of_one_fruit_do_not_repel(itself):
    z = torch.eye(3, dtype=torch.float64)[[0, 0, 1]]
    loss = nt_xent_loss(z, z, itself(3, (0, 0, 1)), 0.1)
    assert loss.item() == pytest.approx(
        math.log(1 + 2 * math.exp(-10)) * 4 / 6 + math.log(1 + 4 * math.exp(-10)) / 3
    )
