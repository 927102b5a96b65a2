"""CH-Rand: are the image's channels in their places?

Choi, Would, Salazar-Gomez and Cielniak 2022, "Self-supervised representation learning for anomalous fruit
detection in a multi-spectral world" (CH-Rand); code and data: Riseholme-2021.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.methods.base import PretrainBatch
from backend.methods.pretext import ANCHOR_ONLY, PretextMethod
from backend.methods.registry import PRETEXT, MethodInfo, Range, register_method


def draw_channels(samples: int, channels: int, generator: torch.Generator) -> Tensor:
    """(B, C) long: which channel stands in each place, drawn with repetition, never all in their own.

    For RGB each of the 3^3 - 1 = 26 outcomes besides RGB itself is equally likely.
    """
    device = generator.device
    own = torch.arange(channels, device=device)
    order = torch.randint(channels, (samples, channels), generator=generator, device=device)
    while bool((untouched := (order == own).all(dim=1)).any()):
        again = torch.randint(channels, (samples, channels), generator=generator, device=device)
        order = torch.where(untouched.unsqueeze(1), again, order)
    return order


def randomise_channels(images: Tensor, order: Tensor) -> Tensor:
    """Channel ``order[b, c]`` of image b in place c: (B, C, H, W) and (B, C) to (B, C, H, W)."""
    sample = torch.arange(len(images), device=images.device).unsqueeze(1)
    return images[sample, order]


@register_method(
    MethodInfo(
        name="channel_randomisation",
        family=PRETEXT,
        paper="Choi et al. 2022, Self-supervised representation learning for anomalous fruit (CH-Rand)",
        description="were the image's channels drawn at random, or left alone?",
        search={"learning_rate": Range(3e-4, 6e-3, log=True)},
        positives=ANCHOR_ONLY,
        conflicts=("channel_randomisation", "grey", "solarise"),
        min_channels=2,
    )
)
class ChannelRandomisation(PretextMethod):
    """Each image as it is and randomised once, told apart by a linear classifier."""

    def make_head(self, name: str) -> nn.Module:
        """One logit: randomised."""
        return nn.Linear(self.feature_dim(name), 1)

    def task_loss(
        self, name: str, images: dict[str, Tensor], batch: PretrainBatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Binary cross-entropy; the score is the accuracy."""
        untouched = images[name]
        order = draw_channels(len(untouched), untouched.shape[1], generator)
        both = torch.cat([untouched, randomise_channels(untouched, order)])
        both = both.contiguous(memory_format=torch.channels_last)
        logits = self.heads[name](self.encoders[name](both)).float().squeeze(1)
        target = torch.cat([logits.new_zeros(len(untouched)), logits.new_ones(len(untouched))])
        score = ((logits.detach() > 0) == (target > 0.5)).float().mean()
        return F.binary_cross_entropy_with_logits(logits, target), score
