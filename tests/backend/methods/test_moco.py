import math

import pytest
import torch
import torch.nn.functional as F

from backend.methods.moco import KeyQueue, moco_loss


def naive(query, key, queue, same, temperature):
    """He et al. 2020, equation 1: one positive against the keys of the queue."""
    total = 0.0
    for i in range(len(query)):
        q, k = F.normalize(query[i], dim=0), F.normalize(key[i], dim=0)
        above = math.exp(float(q @ k) / temperature)
        below = above
        for j in range(len(queue)):
            if not same[i][j]:
                below += math.exp(float(q @ queue[j]) / temperature)
        total -= math.log(above / below)
    return total / len(query)


@pytest.fixture
def queue():
    generator = torch.Generator().manual_seed(1)
    return F.normalize(torch.randn(9, 5, generator=generator, dtype=torch.float64), dim=1)


def test_known_value():
    z = torch.eye(2)
    loss = moco_loss(z, z, torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.zeros(2, 2, dtype=torch.bool), 1.0)
    # Cosine 1 with the positive; in the queue one key at 0 and one at 1.
    assert loss.item() == pytest.approx(-math.log(math.e / (2 * math.e + 1)))


@pytest.mark.parametrize("masked", [False, True])
def test_equals_the_paper(pair, queue, masked):
    same = torch.zeros(6, 9, dtype=torch.bool)
    same[:, 2] = masked
    assert moco_loss(*pair, queue, same, 0.2).item() == pytest.approx(naive(*pair, queue, same, 0.2))


def test_collapse_scores_badly(pair, queue):
    same = torch.zeros(6, 9, dtype=torch.bool)
    constant = F.normalize(torch.ones(9, 5, dtype=torch.float64), dim=1)
    collapsed = moco_loss(constant[:6], constant[:6], constant, same, 0.2).item()
    assert collapsed == pytest.approx(math.log(10))
    assert moco_loss(*pair, queue, same, 0.2).item() < collapsed


def test_gradients_flow_into_queries_alone(pair, queue, gradients_flow):
    same = torch.zeros(6, 9, dtype=torch.bool)
    gradients_flow(lambda q: moco_loss(q, pair[1], queue, same, 0.2), pair[0])


def test_queue_replaces_the_oldest():
    queue = KeyQueue(4, 2)
    queue.push(torch.tensor([[3.0, 0.0], [0.0, 3.0], [-3.0, 0.0]]), torch.tensor([7, 8, 9]))
    queue.push(torch.tensor([[0.0, -3.0], [3.0, 0.0]]), torch.tensor([10, 11]))
    assert queue.fruit.tolist() == [11, 8, 9, 10]
    assert queue.keys.norm(dim=1).tolist() == pytest.approx([1.0] * 4)
    assert queue.keys[0].tolist() == [1.0, 0.0]


def test_queue_takes_a_batch_longer_than_itself():
    queue = KeyQueue(2, 2)
    queue.push(torch.eye(2).repeat(2, 1), torch.tensor([1, 2, 3, 4]))
    assert sorted(queue.fruit.tolist()) == [3, 4]
