"""Inpainting: reconstruct what was masked.

Pathak, Krähenbühl, Donahue, Darrell and Efros 2016, "Context encoders", arXiv:1604.07379, with random blocks
and without the adversarial term (as they learn features themselves); the light decoder follows Xie et al.
2022, "SimMIM", arXiv:2111.09886.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.methods.base import PretrainBatch
from backend.methods.pretext import ANCHOR_ONLY, PixelDecoder, PretextMethod
from backend.methods.registry import PRETEXT, MethodInfo, Range, register_method

_BLOCKS = 8
"""Blocks along each side of the image."""


def masked_loss(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error over the masked pixels, equation 1.

    Args:
        prediction: (B, C, H, W).
        target: (B, C, H, W).
        mask: (B, 1, H, W) bool, True where the encoder saw nothing; at least one pixel.

    Returns:
        Scalar, 0 or more.
    """
    error = (prediction - target).square() * mask
    return error.sum() / (mask.sum() * target.shape[1])


def block_mask(samples: int, side: int, share: float, generator: torch.Generator) -> Tensor:
    """(B, 1, S, S) bool: in each image the same number of an 8 x 8 grid of blocks, other ones each time."""
    count = max(1, min(_BLOCKS**2 - 1, round(_BLOCKS**2 * share)))
    noise = torch.rand(samples, _BLOCKS**2, generator=generator, device=generator.device)
    chosen = torch.zeros_like(noise, dtype=torch.bool).scatter_(
        1, noise.topk(count, dim=1).indices, value=True
    )
    block = torch.arange(side, device=generator.device) * _BLOCKS // side
    return chosen.view(samples, 1, _BLOCKS, _BLOCKS)[:, :, block][:, :, :, block]


@register_method(
    MethodInfo(
        name="inpainting",
        family=PRETEXT,
        paper="Pathak et al. 2016, Context encoders; Xie et al. 2022, SimMIM",
        description="reconstruct the masked blocks of the image",
        defaults={"mask_share": 0.5},
        search={"mask_share": Range(0.25, 0.75), "learning_rate": Range(3e-4, 6e-3, log=True)},
        positives=ANCHOR_ONLY,
        conflicts=("cutout",),
    )
)
class Inpainting(PretextMethod):
    """Masked blocks show the data set's mean; the error is in units of its standard deviation."""

    def make_head(self, name: str) -> nn.Module:
        """A light decoder back to the pixels."""
        side = self.context.resolution
        factor = -(-side // self.map_side(name, side))
        return PixelDecoder(self.feature_dim(name), self.channels(name), factor)

    def task_loss(
        self, name: str, images: dict[str, Tensor], batch: PretrainBatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Equation 1; the score is the share of the variance that was explained."""
        target = self.encoder(name).normalise(images[name])
        mask = block_mask(len(batch), target.shape[-1], self.hyper("mask_share", float), generator)
        features = self.last_map(name, target.masked_fill(mask, 0.0))
        prediction = self.heads[name](features).float()
        if prediction.shape[-2:] != target.shape[-2:]:
            prediction = F.interpolate(prediction, size=target.shape[-2:], mode="bilinear")
        loss = masked_loss(prediction, target.float(), mask)
        return loss, 1 - loss.detach() / masked_loss(torch.zeros_like(target), target, mask).clamp_min(1e-6)
