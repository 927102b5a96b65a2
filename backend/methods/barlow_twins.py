"""Barlow Twins: each output of two views agrees with itself and with no other.

Zbontar, Jing, Misra, LeCun and Deny 2021, "Barlow Twins: self-supervised learning via redundancy
reduction", arXiv:2103.03230.
"""

from __future__ import annotations

from lightly.loss import BarlowTwinsLoss
from lightly.models.modules.heads import BarlowTwinsProjectionHead
from torch import Tensor

from backend.methods.base import PretrainBatch
from backend.methods.registry import JOINT_EMBEDDING, MethodInfo, Range, register_method
from backend.methods.two_view import TwoViewMethod, View


@register_method(
    MethodInfo(
        name="barlow_twins",
        family=JOINT_EMBEDDING,
        paper="Zbontar et al. 2021, Self-supervised learning via redundancy reduction",
        description="the cross-correlation of both views' outputs shall be the identity",
        defaults={"redundancy_weight": 5e-3, "hidden_dim": 1024, "output_dim": 1024},
        search={
            "redundancy_weight": Range(5e-4, 5e-2, log=True),
            "learning_rate": Range(2e-4, 4e-3, log=True),
        },
        paper_policy="barlow_twins",
    )
)
class BarlowTwins(TwoViewMethod):
    """lightly's loss (equation 1), scaled by the output width so that rates suit every width."""

    projector_class = BarlowTwinsProjectionHead

    def pair_loss(self, first: View, second: View, batch: PretrainBatch) -> Tensor:
        """Equation 1 for each output dimension."""
        return barlow_twins_loss(first.projection, second.projection, self.hyper("redundancy_weight", float))


def barlow_twins_loss(first: Tensor, second: Tensor, redundancy_weight: float) -> Tensor:
    """Equation 1, divided by the number of output dimensions.

    Args:
        first: (B, D) projections.
        second: (B, D) projections of the other view.
        redundancy_weight: lambda.

    Returns:
        Scalar, 0 where the cross-correlation is the identity; about 1 for unrelated views.
    """
    loss: Tensor = BarlowTwinsLoss(lambda_param=redundancy_weight)(first, second)
    return loss / first.shape[1]
