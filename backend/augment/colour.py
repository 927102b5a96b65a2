"""Operations on the colour of RGB images, all of them one matrix for each sample.

Values are clamped to [0, 1] once, after the last of them, where torchvision clamps after each: inside
the range both agree, and nothing that a later operation would bring back is cut off before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from backend.augment.registry import Colour, Magnitude, OperationInfo, register
from backend.augment.sampling import Sampler

RGB_CHANNELS = 3

_LUMA = torch.tensor([0.299, 0.587, 0.114])
"""Weights of R, G and B in the grey value (ITU-R BT.601), as in PIL and torchvision."""

_TO_YIQ = torch.tensor(
    [[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]]
)
_GREY = _LUMA.expand(3, 3)
"""RGB to its grey value in all three channels."""
_CHROMA = torch.eye(3) - _GREY
"""RGB to what remains without the grey."""
_QUARTER_TURN = torch.linalg.inv(_TO_YIQ) @ torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, -1, 0]]) @ _TO_YIQ
"""A quarter turn of the chroma plane, red towards yellow and green, as a growing hue does."""


def compose(second: Tensor, first: Tensor) -> Tensor:
    """(B, 3, 6) map that does ``first``, then ``second``.

    With z = L₂ y + P₂ mean(y) and y = L₁ x + P₁ m: mean(y) = (L₁ + P₁) m, as the mean of x is m.
    """
    linear, of_mean = first[..., :3], first[..., 3:]
    after = torch.bmm(second[..., :3], first)
    after[..., 3:] += torch.bmm(second[..., 3:], linear + of_mean)
    return after


@register(
    OperationInfo(
        name="colour_jitter",
        description="brightness, contrast, saturation and hue, in this order",
        kind="colour",
        source="Chen et al. 2020, SimCLR, appendix A",
        probability=0.8,
        magnitudes=(
            Magnitude("brightness", 0.8, 0.0, 0.0, 2.0, "the factor lies within 1 ± this, at least 0"),
            Magnitude("contrast", 0.8, 0.0, 0.0, 2.0, "likewise; the pivot is the mean grey of the image"),
            Magnitude("saturation", 0.8, 0.0, 0.0, 2.0, "likewise; the pivot is the grey of the pixel"),
            Magnitude("hue", 0.2, 0.0, 0.0, 0.5, "greatest turn of the hue either way, in full turns"),
        ),
    )
)
class ColourJitter(Colour):
    """The jitter of SimCLR in a fixed order, with the hue turned in the YIQ plane.

    With L the matrix to grey, the factors b, c, s and the angle θ, a pixel is multiplied by
    b c (L + s cos θ (I - L) + s sin θ K) and the image's mean by b (1 - c) L: saturation and hue leave
    grey as it is, so the four matrices multiply to this.
    """

    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """See the base class."""
        brightness, contrast, saturation = (
            sampler.uniform(max(0.0, 1 - magnitudes[name]), 1 + magnitudes[name])
            for name in ("brightness", "contrast", "saturation")
        )
        turn = 2 * math.pi * magnitudes["hue"]
        return jitter_maps(brightness, contrast, saturation, sampler.uniform(-turn, turn))


def jitter_maps(brightness: Tensor, contrast: Tensor, saturation: Tensor, angle: Tensor) -> Tensor:
    """(B, 3, 6) colour maps of (B,) factors and (B,) hue angles in radians."""
    grey, chroma, quarter = (matrix.to(angle) for matrix in (_GREY, _CHROMA, _QUARTER_TURN))
    b, c, s, a = (value.view(-1, 1, 1) for value in (brightness, contrast, saturation, angle))
    pixel = b * c * (grey + s * (a.cos() * chroma + a.sin() * quarter))
    return torch.cat([pixel, b * (1 - c) * grey], dim=2)


@register(
    OperationInfo(
        name="grey",
        description="colours fade to grey",
        kind="colour",
        source="Chen et al. 2020, SimCLR, appendix A",
        probability=0.2,
        magnitudes=(Magnitude("amount", 1.0, 0.0, 0.0, 1.0, "0 = as it was, 1 = grey"),),
    )
)
class Grey(Colour):
    """A blend of each pixel with its grey value."""

    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """See the base class; the amount is the same for each sample that gets it."""
        pixel = torch.eye(3) - magnitudes["amount"] * _CHROMA
        maps = torch.cat([pixel, torch.zeros(3, 3)], dim=1)
        return maps.to(sampler.generator.device).expand(sampler.batch, 3, 6)
