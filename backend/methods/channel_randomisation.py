"""CH-Rand: are the image's channels in their places?

Choi, Would, Salazar-Gomez and Cielniak 2022, "Self-supervised representation learning for anomalous fruit
detection in a multi-spectral world" (CH-Rand); code and data: Riseholme-2021.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.augment import pixel
from backend.augment.sampling import Sampler
from backend.methods.base import PretrainBatch
from backend.methods.pretext import ANCHOR_ONLY, PretextMethod
from backend.methods.registry import PRETEXT, MethodInfo, Range, register_method

_RANDOMISATION = pixel.ChannelRandomisation()


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
        order = _RANDOMISATION.draw(Sampler(generator, len(untouched)), untouched.shape[1], {})
        both = torch.cat([untouched, _RANDOMISATION.apply(untouched, order, generator)])
        both = both.contiguous(memory_format=torch.channels_last)
        logits = self.heads[name](self.encoders[name](both)).float().squeeze(1)
        target = torch.cat([logits.new_zeros(len(untouched)), logits.new_ones(len(untouched))])
        score = ((logits.detach() > 0) == (target > 0.5)).float().mean()
        return F.binary_cross_entropy_with_logits(logits, target), score
