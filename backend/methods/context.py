"""Context prediction: which neighbour of the middle patch is this?

Doersch, Gupta and Efros 2015, "Unsupervised visual representation learning by context prediction",
arXiv:1505.05192.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.methods.base import PretrainBatch
from backend.methods.pretext import ANCHOR_ONLY, PretextMethod, accuracy, crop_patches
from backend.methods.registry import PRETEXT, MethodInfo, Range, register_method

GRID = 3
CENTRE = 4
NEIGHBOURS = 8
_JITTER = 7 / 96
"""Largest shift of a patch, as a share of its side (section 3.1)."""


@register_method(
    MethodInfo(
        name="context",
        family=PRETEXT,
        paper="Doersch et al. 2015, Unsupervised visual representation learning by context prediction",
        description="which of the eight neighbours of the middle patch is this one?",
        defaults={"gap": 0.5},
        search={"gap": Range(0.25, 0.75), "learning_rate": Range(3e-4, 6e-3, log=True)},
        positives=ANCHOR_ONLY,
        conflicts=("jigsaw",),
    )
)
class ContextPrediction(PretextMethod):
    """All eight pairs of each image; a gap of ``gap`` patch sides and jitter hide continuing lines."""

    def make_head(self, name: str) -> nn.Module:
        """Two layers on the features of both patches; also lays out the grid."""
        resolution = self.context.resolution
        self.side = max(2, int(resolution / (GRID + (GRID - 1) * self.hyper("gap", float))))
        self.pitch = (resolution - self.side) // (GRID - 1)
        self.jitter = max(1, round(self.side * _JITTER))
        self.map_side(name, self.side)
        features = self.feature_dim(name)
        return nn.Sequential(nn.Linear(2 * features, 512), nn.ReLU(inplace=True), nn.Linear(512, NEIGHBOURS))

    def patches(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """(B * 9, C, s, s) patches of the grid, row by row, each shifted at random."""
        cell = torch.arange(GRID * GRID, device=images.device)
        corners = []
        for place in (cell // GRID, cell % GRID):
            shift = torch.randint(
                -self.jitter,
                self.jitter + 1,
                (len(images), len(cell)),
                generator=generator,
                device=images.device,
            )
            corners.append((place * self.pitch + shift).clamp(0, self.context.resolution - self.side))
        return crop_patches(images, corners[0], corners[1], self.side)

    def task_loss(
        self, name: str, images: dict[str, Tensor], batch: PretrainBatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy over the eight places."""
        features = self.encoders[name](self.patches(images[name], generator)).unflatten(0, (-1, GRID * GRID))
        centre = features[:, CENTRE : CENTRE + 1].expand(-1, NEIGHBOURS, -1)
        around = torch.cat([features[:, :CENTRE], features[:, CENTRE + 1 :]], dim=1)
        logits = self.heads[name](torch.cat([centre, around], dim=2)).float().flatten(0, 1)
        target = torch.arange(NEIGHBOURS, device=logits.device).repeat(len(batch))
        return F.cross_entropy(logits, target), accuracy(logits, target)
