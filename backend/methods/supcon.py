"""SupCon. Khosla et al. 2020, "Supervised contrastive learning", arXiv:2004.11362."""

from __future__ import annotations

import functools

import torch
from lightly.models.modules.heads import SimCLRProjectionHead
from pytorch_metric_learning.losses import SupConLoss
from torch import Tensor, nn

from backend.methods.base import UNLABELLED, PretrainBatch
from backend.methods.registry import METRIC, MethodInfo, Range, register_method
from backend.methods.two_view import TwoViewMethod, View


@functools.cache
def _supcon(temperature: float) -> nn.Module:
    loss: nn.Module = SupConLoss(temperature=temperature)
    return loss


def supcon_loss(first: Tensor, second: Tensor, classes: Tensor, temperature: float) -> Tensor:
    """L_out of equation 2, by pytorch-metric-learning.

    Args:
        first: (B, D) projections.
        second: (B, D) projections of their partners.
        classes: (2B,) long, what each row of [first; second] shows; equal classes attract.
        temperature: above 0.

    Returns:
        Scalar, the mean over rows with a positive; 0 where all rows are of one class.
    """
    loss: Tensor = _supcon(temperature)(torch.cat([first, second]), classes)
    return loss


def contrast_classes(batch: PretrainBatch) -> Tensor:
    """(2B,) long: the label where known, else a class of the fruit's own."""
    fruit = torch.cat([batch.fruit, batch.partner_fruit])
    assert batch.labels is not None, "supcon is registered as needing labels"
    label = batch.labels.repeat(2)
    return torch.where(label == UNLABELLED, int(label.max()) + 1 + fruit, label)


@register_method(
    MethodInfo(
        name="supcon",
        family=METRIC,
        paper="Khosla et al. 2020, Supervised contrastive learning",
        description="SimCLR where all images of a class are positives",
        defaults={"temperature": 0.1, "hidden_dim": 0, "output_dim": 128},
        search={"temperature": Range(0.05, 0.5, log=True), "learning_rate": Range(3e-4, 6e-3, log=True)},
        positives=("class", "augment", "views", "modalities", "fruit"),
        labels="required",
    )
)
class SupCon(TwoViewMethod):
    """Equation 2 over both views; a fruit without a label is a class of its own."""

    projector_class = SimCLRProjectionHead

    def pair_loss(self, first: View, second: View, batch: PretrainBatch) -> Tensor:
        """Equation 2."""
        return supcon_loss(
            first.projection, second.projection, contrast_classes(batch), self.hyper("temperature", float)
        )
