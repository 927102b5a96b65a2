"""Triplet loss with random, semi-hard and hard negatives.

Schroff, Kalenichenko and Philbin 2015, "FaceNet", arXiv:1503.03832; the hardest negative as in Hermans, Beyer
and Leibe 2017, "In defense of the triplet loss", arXiv:1703.07737.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.config import POSITIVES
from backend.methods.base import PretrainBatch
from backend.methods.metric import MetricMethod, negatives
from backend.methods.registry import METRIC, MethodInfo, Range, register_method
from backend.methods.two_view import View

MINING = ("random", "semi-hard", "hard")


def mine_negatives(
    first: Tensor,
    second: Tensor,
    negative: Tensor,
    mining: str,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Choose a negative among ``second`` for each anchor.

    ``hard`` takes the nearest. ``semi-hard`` takes the nearest of those farther than the positive (FaceNet,
    equation 4), and where there is none the farthest, as FaceNet's authors do. ``random`` draws one.

    Args:
        first: (B, D) unit vectors, the anchors.
        second: (B, D) unit vectors; row i is anchor i's positive.
        negative: (B, B) bool, True where ``second[j]`` is a negative of ``first[i]``.
        mining: one of ``MINING``.
        generator: of random draws.

    Returns:
        (n,) anchors that have a negative, and (n,) their negatives, as rows.
    """
    anchors = negative.any(dim=1).nonzero().squeeze(1)
    allowed = negative[anchors]
    if mining == "random":
        noise = torch.rand(allowed.shape, generator=generator, device=first.device)
        return anchors, noise.masked_fill(~allowed, -1.0).argmax(dim=1)
    distance = torch.cdist(first[anchors].detach(), second.detach())
    nearest = distance.masked_fill(~allowed, float("inf"))
    if mining == "hard":
        return anchors, nearest.argmin(dim=1)
    positive = (first[anchors] - second[anchors]).detach().norm(dim=1, keepdim=True)
    beyond = nearest.masked_fill(distance <= positive, float("inf"))
    farthest = distance.masked_fill(~allowed, float("-inf")).argmax(dim=1)
    return anchors, torch.where(beyond.isinf().all(dim=1), farthest, beyond.argmin(dim=1))


def triplet_loss(
    first: Tensor,
    second: Tensor,
    negative: Tensor,
    *,
    margin: float,
    mining: str,
    generator: torch.Generator | None = None,
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) over anchors with a mined negative, on unit vectors.

    Args:
        first: (B, D) embeddings.
        second: (B, D) embeddings of their positives.
        negative: (B, B) bool, True where ``second[j]`` is a negative of ``first[i]``.
        margin: in units of the Euclidean distance, which is at most 2.
        mining: one of ``MINING``.
        generator: of random mining.

    Returns:
        Scalar, 0 or more; 0 where no anchor has a negative.
    """
    first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
    anchors, others = mine_negatives(first, second, negative, mining, generator)
    if len(anchors) == 0:
        return first.sum() * 0.0
    return F.triplet_margin_loss(first[anchors], second[anchors], second[others], margin=margin)


@register_method(
    MethodInfo(
        name="triplet",
        family=METRIC,
        paper="Schroff et al. 2015, FaceNet; Hermans et al. 2017, In defense of the triplet loss",
        description="nearer to the positive than to a mined negative, by a margin",
        defaults={"margin": 0.5, "mining": "semi-hard", "output_dim": 64},
        search={
            "margin": Range(0.1, 1.0),
            "mining": MINING,
            "learning_rate": Range(3e-4, 6e-3, log=True),
        },
        positives=POSITIVES,
        paper_policy="simclr",
        labels="optional",
    )
)
class Triplet(MetricMethod):
    """One triplet an anchor and direction."""

    def loss(self, batch: PretrainBatch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Keep the generator for random mining."""
        self._generator = generator
        return super().loss(batch, generator)

    def pair_loss(self, first: View, second: View, batch: PretrainBatch) -> Tensor:
        """Anchors against partners, and partners against anchors."""
        a, b, negative = first.projection, second.projection, negatives(batch)
        loss = functools.partial(
            triplet_loss,
            margin=self.hyper("margin", float),
            mining=self.hyper("mining", str),
            generator=self._generator,
        )
        return (loss(a, b, negative) + loss(b, a, negative.T)) / 2
