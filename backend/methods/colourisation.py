"""Colourisation: guess the colour from the light, or one sensor from the other.

One sensor: Zhang, Isola and Efros 2016, "Colorful image colorization", arXiv:1603.08511: L* to bins of
(a*, b*), rare colours given weight. Several sensors: each encoder predicts the others' images from its own,
as the split-brain autoencoder does with channels (Zhang, Isola and Efros 2017, arXiv:1611.09842, equation 1).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.methods.base import PretrainBatch
from backend.methods.lab import colour_bins, rgb_to_lab, soft_bins
from backend.methods.pretext import ANCHOR_ONLY, PixelDecoder, PretextMethod
from backend.methods.registry import PRETEXT, MethodInfo, Range, register_method

RGB_CHANNELS = 3
_COARSE = 4
"""Pixels of the image along a side for each pixel of the prediction."""
_MEMORY = 0.99
"""How slowly the frequency of colours follows the batches."""


def rebalancing(frequency: Tensor, uniform_share: float = 0.5) -> Tensor:
    """Weights of colour bins, equation 4: rare ones count more; their mean over pixels is 1.

    Args:
        frequency: (Q,) how often each bin occurs, adding up to 1.
        uniform_share: lambda, 1 = no rebalancing.
    """
    weight = 1 / ((1 - uniform_share) * frequency + uniform_share / len(frequency))
    return weight / (frequency * weight).sum()


def colour_loss(logits: Tensor, index: Tensor, share: Tensor, weight: Tensor) -> Tensor:
    """Weighted multinomial cross-entropy, equation 2, averaged over pixels.

    Args:
        logits: (N, Q).
        index: (N, K) the bins that a pixel's colour is spread over, the nearest first.
        share: (N, K) their shares.
        weight: (Q,) of the nearest bin.

    Returns:
        Scalar.
    """
    log_probability = F.log_softmax(logits, dim=1).gather(1, index)
    return -(weight[index[:, 0]] * (share * log_probability).sum(dim=1)).mean()


@register_method(
    MethodInfo(
        name="colourisation",
        family=PRETEXT,
        paper="Zhang et al. 2016, Colorful image colorization; 2017, Split-brain autoencoders",
        description="guess the colour from the light; with several sensors, one from the other",
        defaults={"uniform_share": 0.5},
        search={"uniform_share": Range(0.2, 1.0), "learning_rate": Range(3e-4, 6e-3, log=True)},
        positives=ANCHOR_ONLY,
        conflicts=("channel_randomisation", "grey", "solarise"),
        min_channels=RGB_CHANNELS,
        across_sensors=True,
    )
)
class Colourisation(PretextMethod):
    """Classification of colours for RGB alone, regression of the other sensors where there are several."""

    bins: Tensor
    frequency: Tensor
    batches: Tensor

    def build(self) -> None:
        """A decoder behind each encoder, and how often each colour was seen."""
        self.across = len(self.encoders) > 1
        super().build()
        self.register_buffer("bins", colour_bins(), persistent=False)
        self.register_buffer("frequency", torch.zeros(len(self.bins)))
        self.register_buffer("batches", torch.zeros(()))

    def can_use(self, name: str, channels: int) -> bool:
        """Any sensor where there are several, else one that holds an RGB image."""
        return self.across or RGB_CHANNELS in self.context.channels.values()

    def make_head(self, name: str) -> nn.Module:
        """A light decoder to a quarter of the resolution."""
        side = self.context.resolution
        factor = max(1, round(side / _COARSE / self.map_side(name, side)))
        outputs = len(colour_bins())
        if self.across:
            outputs = sum(self.channels(other) for other in self.encoders if other != name)
        return PixelDecoder(self.feature_dim(name), outputs, factor)

    def task_loss(
        self, name: str, images: dict[str, Tensor], batch: PretrainBatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The loss of the colours or of the other sensors."""
        return self._other_sensors(name, images) if self.across else self._colours(name, images[name])

    def _colours(self, name: str, images: Tensor) -> tuple[Tensor, Tensor]:
        """Equation 2; the score is the accuracy of the nearest bin."""
        place = self._rgb_place(name)
        lab = rgb_to_lab(images[:, place])
        grey = images.clone()
        grey[:, place] = lab[:, :1] / 100
        normalised = self.encoder(name).normalise(grey)
        logits = self.heads[name](self.last_map(name, normalised)).float()
        colours = F.adaptive_avg_pool2d(lab[:, 1:], logits.shape[-2:])
        index, share = soft_bins(colours.permute(0, 2, 3, 1).flatten(0, 2), self.bins)
        self._count(index[:, 0])
        weight = rebalancing(self.frequency, self.hyper("uniform_share", float))
        flat = logits.permute(0, 2, 3, 1).flatten(0, 2)
        right = (flat.detach().argmax(dim=1) == index[:, 0]).float().mean()
        return colour_loss(flat, index, share, weight), right

    def _rgb_place(self, name: str) -> slice:
        """Where the RGB image stands among the channels that encoder ``name`` sees."""
        if not self.fused:
            return slice(0, RGB_CHANNELS)
        before = 0
        for count in self.context.channels.values():
            if count == RGB_CHANNELS:
                break
            before += count
        return slice(before, before + RGB_CHANNELS)

    @torch.no_grad()
    def _count(self, nearest: Tensor) -> None:
        """Let the frequency of colours follow the batches: their mean at first, later a moving one."""
        found = torch.zeros_like(self.frequency).index_add_(
            0, nearest, torch.ones_like(nearest, dtype=torch.float)
        )
        self.batches += 1
        memory = torch.clamp(1 - 1 / self.batches, max=_MEMORY)
        self.frequency.mul_(memory).add_((1 - memory) * found / len(nearest))

    def _other_sensors(self, name: str, images: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Squared error in units of the others' deviation; the score is the variance explained."""
        prediction = self.heads[name](self.last_map(name, self.encoder(name).normalise(images[name]))).float()
        others = [self.encoder(other).normalise(images[other]) for other in self.encoders if other != name]
        target = F.adaptive_avg_pool2d(torch.cat(others, dim=1), prediction.shape[-2:])
        loss = F.mse_loss(prediction, target)
        return loss, 1 - loss.detach() / target.square().mean().clamp_min(1e-6)
