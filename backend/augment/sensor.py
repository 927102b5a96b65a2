"""Operations for every image sensor that is not an RGB camera."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from backend.augment.registry import Effect, Magnitude, OperationInfo, register
from backend.augment.sampling import Sampler


@register(
    OperationInfo(
        name="nir_gain_offset",
        description="exposure and dark level of each channel drift",
        kind="sensor",
        source="the linear sensor model of EMVA 1288",
        probability=0.8,
        magnitudes=(
            Magnitude("gain", 0.2, 0.0, 0.0, 1.0, "the factor lies within 1 ± this"),
            Magnitude("offset", 0.1, 0.0, 0.0, 1.0, "the summand lies within ± this; white is 1"),
        ),
    )
)
class NirGainOffset(Effect):
    """x becomes gain · x + offset, with a draw for each sample and channel."""

    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """(B, C, 2): gain and offset."""
        gain = sampler.uniform(1 - magnitudes["gain"], 1 + magnitudes["gain"], channels)
        offset = sampler.uniform(-magnitudes["offset"], magnitudes["offset"], channels)
        return torch.stack([gain, offset], dim=2)

    def apply(self, images: Tensor, drawn: Tensor, generator: torch.Generator) -> Tensor:
        """See the base class."""
        gain, offset = drawn[..., None, None].unbind(2)
        return torch.addcmul(offset, images, gain)
