"""DrLIM. Hadsell, Chopra and LeCun 2006, "Dimensionality reduction by learning an invariant mapping"."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.config import POSITIVES
from backend.methods.base import PretrainBatch
from backend.methods.metric import MetricMethod, negatives
from backend.methods.registry import METRIC, MethodInfo, Range, register_method
from backend.methods.two_view import View


def drlim_loss(first: Tensor, second: Tensor, negative: Tensor, margin: float) -> Tensor:
    """The contrastive loss of equation 4: D^2 / 2 for similar pairs, max(0, m - D)^2 / 2 for others.

    Written here because pytorch-metric-learning's ``ContrastiveLoss`` is not squared. Similar and other
    pairs weigh the same, however many there are of each.

    Args:
        first: (B, D) embeddings.
        second: (B, D) embeddings of similar things.
        negative: (B, B) bool, True where ``first[i]`` and ``second[j]`` are dissimilar.
        margin: m, in units of the embedding.

    Returns:
        Scalar, 0 or more.
    """
    similar = (first - second).square().sum(dim=1).mean() / 2
    return similar + dissimilar_loss(first, second, negative, margin)


def dissimilar_loss(first: Tensor, second: Tensor, negative: Tensor, margin: float) -> Tensor:
    """The second half of ``drlim_loss``; 0 where no pair is dissimilar."""
    if not bool(negative.any()):
        return first.new_zeros(())
    squared = (first.unsqueeze(1) - second.unsqueeze(0)).square().sum(dim=2)[negative]
    # The root's slope is infinite at 0, where coinciding dissimilar pairs start.
    distance = torch.sqrt(squared + 1e-12)
    return (margin - distance).clamp_min(0).square().mean() / 2


@register_method(
    MethodInfo(
        name="drlim",
        family=METRIC,
        paper="Hadsell et al. 2006, Dimensionality reduction by learning an invariant mapping",
        description="similar pairs together, all others at least a margin apart (squared hinge)",
        defaults={"margin": 1.0, "output_dim": 64},
        search={"margin": Range(0.5, 4.0, log=True), "learning_rate": Range(3e-4, 6e-3, log=True)},
        positives=POSITIVES,
        paper_policy="simclr",
        labels="optional",
    )
)
class DrLIM(MetricMethod):
    """Euclidean distances with a margin."""

    def pair_loss(self, first: View, second: View, batch: PretrainBatch) -> Tensor:
        """Equation 4 over each anchor and every partner."""
        return drlim_loss(first.projection, second.projection, negatives(batch), self.hyper("margin", float))
