"""Pairwise cosine loss.

Hammer, Pavlinec, Zarbock and Zeilmann 2021 (contrastive losses and augmentations on MNIST and CIFAR-10):
torch's ``CosineEmbeddingLoss``.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.config import POSITIVES
from backend.methods.base import PretrainBatch
from backend.methods.metric import MetricMethod, negatives
from backend.methods.registry import METRIC, MethodInfo, Range, register_method
from backend.methods.two_view import View


def cosine_pair_loss(first: Tensor, second: Tensor, negative: Tensor, margin: float) -> Tensor:
    """1 - cos for similar pairs, max(0, cos - margin) for dissimilar ones, each kind with half the weight.

    The expectation of ``torch.nn.CosineEmbeddingLoss`` over one random negative an anchor, without its
    noise.

    Args:
        first: (B, D) embeddings.
        second: (B, D) embeddings of similar things.
        negative: (B, B) bool, True where ``first[i]`` and ``second[j]`` are dissimilar.
        margin: -1 to 1; dissimilar pairs below it cost nothing.

    Returns:
        Scalar, 0 or more.
    """
    similar = (1 - F.cosine_similarity(first, second)).mean()
    if not bool(negative.any()):
        return similar / 2
    cosine = (F.normalize(first, dim=1) @ F.normalize(second, dim=1).T)[negative]
    return (similar + torch.relu(cosine - margin).mean()) / 2


@register_method(
    MethodInfo(
        name="cosine_pairs",
        family=METRIC,
        paper="Hammer et al. 2021, pairwise cosine loss (torch.nn.CosineEmbeddingLoss)",
        description="similar pairs point the same way, dissimilar ones do not",
        defaults={"margin": 0.0, "output_dim": 64},
        search={"margin": Range(-0.5, 0.5), "learning_rate": Range(3e-4, 6e-3, log=True)},
        positives=POSITIVES,
        paper_policy="simclr",
        labels="optional",
    )
)
class CosinePairs(MetricMethod):
    """Cosines of similar and dissimilar pairs."""

    def pair_loss(self, first: View, second: View, batch: PretrainBatch) -> Tensor:
        """The loss over each anchor and every partner."""
        return cosine_pair_loss(
            first.projection, second.projection, negatives(batch), self.hyper("margin", float)
        )
