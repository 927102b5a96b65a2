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
        defaults={"gap": 0.5, "pairs": 4},
        search={"gap": Range(0.25, 0.75), "learning_rate": Range(3e-4, 6e-3, log=True)},
        positives=ANCHOR_ONLY,
        conflicts=("jigsaw",),
    )
)
class ContextPrediction(PretextMethod):
    """``pairs`` of the eight pairs of each image; a gap of ``gap`` sides and jitter hide continuing lines."""

    def make_head(self, name: str) -> nn.Module:
        """Two layers on the features of both patches; also lays out the grid."""
        resolution = self.context.resolution
        self.side = max(2, int(resolution / (GRID + (GRID - 1) * self.hyper("gap", float))))
        self.pitch = (resolution - self.side) // (GRID - 1)
        self.jitter = max(1, round(self.side * _JITTER))
        self.map_side(name, self.side)
        features = self.feature_dim(name)
        return nn.Sequential(nn.Linear(2 * features, 512), nn.ReLU(inplace=True), nn.Linear(512, NEIGHBOURS))

    def patches(self, images: Tensor, cells: Tensor, generator: torch.Generator) -> Tensor:
        """Patches of the grid's cells (B, P), 0 to 8 row by row, each shifted at random: (B * P, C, s, s)."""
        corners = []
        for place in (cells // GRID, cells % GRID):
            shift = torch.randint(
                -self.jitter, self.jitter + 1, cells.shape, generator=generator, device=cells.device
            )
            corners.append((place * self.pitch + shift).clamp(0, self.context.resolution - self.side))
        return crop_patches(images, corners[0], corners[1], self.side)

    def task_loss(
        self, name: str, images: dict[str, Tensor], batch: PretrainBatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy over the eight places."""
        pairs = max(1, min(NEIGHBOURS, self.hyper("pairs", int)))
        noise = torch.rand(len(batch), NEIGHBOURS, generator=generator, device=batch.fruit.device)
        place = noise.argsort(dim=1)[:, :pairs]
        around = place + (place >= CENTRE)  # the middle cell is nobody's neighbour
        cells = torch.cat([torch.full_like(place[:, :1], CENTRE), around], dim=1)
        patches = self.patches(images[name], cells, generator)
        features = self.encoders[name](patches).unflatten(0, cells.shape)
        centre = features[:, :1].expand(-1, pairs, -1)
        logits = self.heads[name](torch.cat([centre, features[:, 1:]], dim=2)).float().flatten(0, 1)
        target = place.flatten()
        return F.cross_entropy(logits, target), accuracy(logits, target)
