import math

import pytest
import torch
import torch.nn.functional as F
from lightly.loss import DINOLoss


@pytest.fixture
def dino():
    def build(width=5, centre=None):
        loss = DINOLoss(width, student_temp=0.1).double()
        if centre is not None:
            loss.center.data.copy_(centre)
        return lambda t, s: loss(list(t), list(s), teacher_temp=0.05)

    return build


def naive(teacher, student, centre):
    """Caron et al. 2021, equation 3 with two global views; algorithm 1 for centring and sharpening."""
    total = 0.0
    for view in range(2):
        for t, s in zip(teacher[view], student[1 - view], strict=True):
            target = F.softmax((t - centre) / 0.05, dim=0)
            log_guess = torch.log(F.softmax(s / 0.1, dim=0))
            total -= float((target * log_guess).sum())
    return total / (2 * len(teacher[0]))


def test_known_value(dino):
    # Uniform student: the cross-entropy is log K whatever the teacher says.
    zero = torch.zeros(6, 5, dtype=torch.float64)
    assert dino()((zero, zero), (zero, zero)).item() == pytest.approx(math.log(5))


def test_equals_the_paper(dino, pair):
    student = tuple(0.2 * x.roll(1, 0) for x in pair)
    teacher = tuple(0.2 * x for x in pair)
    centre = torch.linspace(-0.1, 0.1, 5, dtype=torch.float64)
    assert dino(centre=centre)(teacher, student).item() == pytest.approx(naive(teacher, student, centre))


def test_collapse_scores_badly(dino, pair):
    teacher = tuple(0.2 * x for x in pair)
    constant = torch.ones(6, 5, dtype=torch.float64)
    uniform = dino()(teacher, (constant, constant)).item()
    assert dino()(teacher, teacher).item() < uniform
    # The centre takes away what all images have in common: a teacher stuck on one answer ends uniform.
    stuck = torch.eye(5, dtype=torch.float64)[:1].expand(6, -1)
    assert dino(centre=stuck[0])((stuck, stuck), (stuck, stuck)).item() > math.log(5)


def test_gradients_flow(dino, pair, gradients_flow):
    teacher = tuple(0.2 * x for x in pair)
    gradients_flow(lambda a, b: dino()(teacher, (a, b)), *pair)
