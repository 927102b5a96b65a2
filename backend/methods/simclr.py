"""SimCLR: two views of an image attract, all others of the batch repel.

Chen, Kornblith, Norouzi and Hinton 2020, "A simple framework for contrastive learning of visual
representations", arXiv:2002.05709.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lightly.models.modules.heads import SimCLRProjectionHead
from torch import Tensor

from backend.methods.base import PretrainBatch
from backend.methods.registry import JOINT_EMBEDDING, MethodInfo, Range, register_method
from backend.methods.two_view import TwoViewMethod, View


def nt_xent_loss(first: Tensor, second: Tensor, same: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy, equation 1, negatives of the same thing left out.

    lightly's ``NTXentLoss`` with a mask: two images of one fruit in a batch must not repel each other.

    Args:
        first: (B, D) projections.
        second: (B, D) projections of their partners.
        same: (2B, 2B) bool, True where two rows of [first; second] are no negatives; the diagonal is True.
        temperature: above 0.

    Returns:
        Scalar, the mean over all 2B anchors.
    """
    z = F.normalize(torch.cat([first, second]), dim=1)
    count = len(first)
    positive = torch.arange(2 * count, device=z.device).roll(count)
    keep = ~same
    keep[torch.arange(2 * count, device=z.device), positive] = True
    logits = (z @ z.T / temperature).masked_fill(~keep, float("-inf"))
    return F.cross_entropy(logits, positive)


@register_method(
    MethodInfo(
        name="simclr",
        family=JOINT_EMBEDDING,
        paper="Chen et al. 2020, A simple framework for contrastive learning of visual representations",
        description="two views of an image attract, every other image of the batch repels",
        defaults={"temperature": 0.2, "hidden_dim": 0, "output_dim": 128},
        search={"temperature": Range(0.05, 0.7, log=True), "learning_rate": Range(3e-4, 6e-3, log=True)},
        paper_policy="simclr",
    )
)
class SimCLR(TwoViewMethod):
    """NT-Xent between the projections of both views."""

    projector_class = SimCLRProjectionHead

    def pair_loss(self, first: View, second: View, batch: PretrainBatch) -> Tensor:
        """Equation 1."""
        return nt_xent_loss(
            first.projection, second.projection, batch.same_thing(), self.hyper("temperature", float)
        )
