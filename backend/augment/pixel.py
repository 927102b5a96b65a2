"""Operations on the values of any image: blur, noise, solarise, channel randomisation."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from backend.augment.registry import Effect, Magnitude, OperationInfo, register
from backend.augment.sampling import Sampler

_NEGLIGIBLE = 1e-7
"""Weights below this are zero: they cannot be seen, and denormal numbers make products 3 x slower."""

_CANDIDATES = 16
"""Draws of which the first that changes something is taken; all fail with 4 ** -16 for two channels."""


@register(
    OperationInfo(
        name="gaussian_blur",
        description="out of focus by a random number of pixels",
        kind="pixel",
        source="Chen et al. 2020, SimCLR, appendix A",
        probability=0.5,
        magnitudes=(
            Magnitude("sigma_min", 0.1, 0.0, 0.0, 10.0, "least standard deviation in pixels of the output"),
            Magnitude("sigma_max", 2.0, 0.0, 0.0, 10.0, "greatest standard deviation in pixels"),
        ),
    )
)
class GaussianBlur(Effect):
    """A separable blur with a width for each sample; at the border the kernel is cut and renormalised."""

    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """(B,): the standard deviation in pixels."""
        return sampler.uniform(magnitudes["sigma_min"], magnitudes["sigma_max"])

    def apply(self, images: Tensor, drawn: Tensor, generator: torch.Generator) -> Tensor:
        """Blur along rows, then along columns, each as one matrix for each sample."""
        n, channels, height, width = images.shape
        across = _kernel(width, drawn)
        down = across if height == width else _kernel(height, drawn)
        rows = torch.bmm(images.reshape(n, channels * height, width), across.mT)
        return torch.matmul(down.unsqueeze(1), rows.view(n, channels, height, width))


def _kernel(size: int, sigma: Tensor) -> Tensor:
    """(n, size, size) blur matrices: row i holds the weights of pixel i, which add up to 1."""
    sharpness = -0.5 / sigma.clamp(min=1e-3).square().view(-1, 1, 1)
    weights = torch.softmax(_squared_distances(size, sigma.device) * sharpness, dim=-1)
    return F.threshold(weights, _NEGLIGIBLE, 0.0, inplace=True)


@functools.lru_cache(maxsize=8)
def _squared_distances(size: int, device: torch.device) -> Tensor:
    position = torch.arange(size, device=device, dtype=torch.float32)
    return (position.view(size, 1) - position).square()


@register(
    OperationInfo(
        name="gaussian_noise",
        description="independent noise at each pixel",
        kind="pixel",
        source="Bishop 1995, Training with noise is equivalent to Tikhonov regularization",
        probability=0.5,
        magnitudes=(Magnitude("std", 0.05, 0.0, 0.0, 1.0, "greatest standard deviation; white is 1"),),
    )
)
class GaussianNoise(Effect):
    """Noise whose strength is uniform between none and the greatest."""

    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """(B,): the standard deviation."""
        return sampler.uniform(0.0, magnitudes["std"])

    def apply(self, images: Tensor, drawn: Tensor, generator: torch.Generator) -> Tensor:
        """See the base class."""
        noise = torch.empty_like(images).normal_(generator=generator)
        return torch.addcmul(images, noise, drawn.view(-1, 1, 1, 1))


@register(
    OperationInfo(
        name="solarise",
        description="values above a threshold are inverted",
        kind="pixel",
        source="Grill et al. 2020, BYOL, appendix B",
        probability=0.2,
        magnitudes=(Magnitude("threshold", 0.5, 1.0, 0.0, 1.0, "values above are inverted; white is 1"),),
    )
)
class Solarise(Effect):
    """x becomes 1 - x where x is above the threshold; 0.5 is PIL's 128 of 255."""

    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """(B,): the threshold, the same for each sample that gets it."""
        return sampler.uniform(magnitudes["threshold"], magnitudes["threshold"])

    def apply(self, images: Tensor, drawn: Tensor, generator: torch.Generator) -> Tensor:
        """See the base class."""
        return torch.where(images > drawn.view(-1, 1, 1, 1), 1 - images, images)


@register(
    OperationInfo(
        name="channel_randomisation",
        description="channels are replaced by a draw with repetition (CH-Rand), never by themselves",
        kind="pixel",
        source="Choi et al. 2022, CH-Rand, arXiv 2109.10135",
        probability=0.5,
    )
)
class ChannelRandomisation(Effect):
    """Each of the C^C - 1 outcomes that change something is as likely; with one channel there is none."""

    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """(B, C): the channel that each channel is replaced by."""
        order = torch.arange(channels, device=sampler.generator.device)
        candidates = sampler.integers(channels, _CANDIDATES, channels)
        candidates[:, -1] = order.roll(1)
        first = (candidates != order).any(dim=2).to(torch.uint8).argmax(dim=1)
        return candidates[torch.arange(len(candidates), device=order.device), first]

    def apply(self, images: Tensor, drawn: Tensor, generator: torch.Generator) -> Tensor:
        """See the base class."""
        return images.gather(1, drawn[:, :, None, None].expand_as(images))
