"""Debiased contrastive learning. Chuang, Robinson, Lin, Torralba and Jegelka 2020, arXiv:2007.00224.

Not lightly's ``DCLLoss``, which is *decoupled* contrastive learning (Yeh et al. 2022).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from lightly.models.modules.heads import SimCLRProjectionHead
from torch import Tensor

from backend.methods.base import PretrainBatch
from backend.methods.registry import LABEL_FREE_POSITIVES, METRIC, MethodInfo, Range, register_method
from backend.methods.two_view import TwoViewMethod, View


def debiased_loss(first: Tensor, second: Tensor, same: Tensor, temperature: float, tau_plus: float) -> Tensor:
    """Equation 8 with M = 1: NT-Xent whose negative term is corrected for false negatives.

    Args:
        first: (B, D) projections.
        second: (B, D) projections of their partners.
        same: (2B, 2B) bool, True where two rows of [first; second] are no negatives; the diagonal is True.
        temperature: above 0.
        tau_plus: probability that a random image is of the anchor's class, 0 to below 1.

    Returns:
        Scalar, the mean over all 2B anchors; with ``tau_plus`` 0 it equals NT-Xent.
    """
    z = F.normalize(torch.cat([first, second]), dim=1)
    similarity = torch.exp(z @ z.T / temperature)
    positive = torch.exp((F.normalize(first, dim=1) * F.normalize(second, dim=1)).sum(dim=1) / temperature)
    positive = positive.repeat(2)
    count = (~same).sum(dim=1)
    negative = similarity.masked_fill(same, 0.0).sum(dim=1)
    # Equation 7, times N: the estimate can fall below what any set of negatives could give.
    corrected = (negative - tau_plus * count * positive) / (1 - tau_plus)
    corrected = torch.maximum(corrected, count * math.exp(-1 / temperature))
    return -torch.log(positive / (positive + corrected)).mean()


@register_method(
    MethodInfo(
        name="debiased",
        family=METRIC,
        paper="Chuang et al. 2020, Debiased contrastive learning",
        description="SimCLR corrected for negatives that are of the anchor's own class",
        defaults={"temperature": 0.5, "tau_plus": 0.1, "hidden_dim": 0, "output_dim": 128},
        search={
            "temperature": Range(0.1, 0.7, log=True),
            "tau_plus": Range(0.01, 0.3, log=True),
            "learning_rate": Range(3e-4, 6e-3, log=True),
        },
        positives=LABEL_FREE_POSITIVES,
        paper_policy="simclr",
    )
)
class Debiased(TwoViewMethod):
    """Equation 8 over both views."""

    projector_class = SimCLRProjectionHead

    def pair_loss(self, first: View, second: View, batch: PretrainBatch) -> Tensor:
        """Equation 8."""
        return debiased_loss(
            first.projection,
            second.projection,
            batch.same_thing(),
            self.hyper("temperature", float),
            self.hyper("tau_plus", float),
        )
