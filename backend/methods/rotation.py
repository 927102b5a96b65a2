"""RotNet: by how many quarter turns was the image turned?

Gidaris, Singh and Komodakis 2018, "Unsupervised representation learning by predicting image rotations",
arXiv:1803.07728.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.methods.base import PretrainBatch
from backend.methods.pretext import ANCHOR_ONLY, PretextMethod, accuracy
from backend.methods.registry import PRETEXT, MethodInfo, Range, register_method

ANGLES = 4


def rotate(images: Tensor, quarter_turns: Tensor) -> Tensor:
    """Turn each of (N, C, S, S) images by its own (N,) number of counter-clockwise quarter turns."""
    turned = torch.empty_like(images)  # keeps channels_last
    for turns in range(ANGLES):
        chosen = (quarter_turns == turns).nonzero().squeeze(1)
        turned[chosen] = torch.rot90(images[chosen], turns, (2, 3))
    return turned


@register_method(
    MethodInfo(
        name="rotation",
        family=PRETEXT,
        paper="Gidaris et al. 2018, Unsupervised representation learning by predicting image rotations",
        description="by which of 0, 90, 180 and 270 degrees was the image turned?",
        defaults={"copies": 2},
        search={"learning_rate": Range(3e-4, 6e-3, log=True)},
        positives=ANCHOR_ONLY,
        conflicts=("rotation", "vertical_flip", "jigsaw"),
    )
)
class Rotation(PretextMethod):
    """``copies`` different turns of each image; the paper's 4 cost twice the time of two views."""

    def make_head(self, name: str) -> nn.Module:
        """A linear classifier of angles."""
        return nn.Linear(self.feature_dim(name), ANGLES)

    def task_loss(
        self, name: str, images: dict[str, Tensor], batch: PretrainBatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Equation 3: cross-entropy over the angles."""
        copies = max(1, min(ANGLES, self.hyper("copies", int)))
        order = torch.rand(len(batch), ANGLES, generator=generator, device=batch.fruit.device).argsort(dim=1)
        turns = order[:, :copies].T.flatten()
        turned = rotate(torch.cat([images[name]] * copies), turns)
        logits = self.heads[name](self.encoders[name](turned))
        return F.cross_entropy(logits.float(), turns), accuracy(logits, turns)
