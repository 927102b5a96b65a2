"""Jigsaw puzzles: in which order do nine tiles of the image stand?

Noroozi and Favaro 2016, "Unsupervised learning of visual representations by solving jigsaw puzzles",
arXiv:1603.09246.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.errors import ConfigError
from backend.methods.base import PretrainBatch
from backend.methods.pretext import ANCHOR_ONLY, PretextMethod, accuracy, crop_patches
from backend.methods.registry import PRETEXT, MethodInfo, Range, register_method

GRID = 3
TILES = GRID * GRID
MOST_PERMUTATIONS = 72
_TILE_SHARE = 64 / 75
"""Side of a tile against that of its cell (section 3.3): the gap hides edges that continue."""


def permutation_set(count: int) -> Tensor:
    """Permutations of nine tiles, any two of which differ in at least eight places.

    The 72 maps x -> a x + b (a not 0) over the field of nine elements agree in at most one x. More than
    nine permutations of nine cannot differ everywhere, so no set of 64 is farther apart; the greedy search
    of the paper's algorithm 1 ends below this.

    Args:
        count: 2 to 72.

    Returns:
        (count, 9) long.
    """
    elements = [(re, im) for re in range(3) for im in range(3)]  # re + im i with i^2 = -1, modulo 3

    def apply(a: tuple[int, int], b: tuple[int, int], x: tuple[int, int]) -> int:
        re = a[0] * x[0] - a[1] * x[1] + b[0]
        im = a[0] * x[1] + a[1] * x[0] + b[1]
        return re % 3 * 3 + im % 3

    rows = [[apply(a, b, x) for x in elements] for a in elements[1:] for b in elements]
    return torch.tensor(rows[:count])


def normalise_patches(patches: Tensor) -> Tensor:
    """Each channel of each (N, C, s, s) patch to mean 0 and deviation 1: no clue from light (section 3.3)."""
    mean = patches.mean(dim=(2, 3), keepdim=True)
    deviation = patches.std(dim=(2, 3), keepdim=True, correction=0)
    return (patches - mean) / (deviation + 1e-3)


class JigsawHead(nn.Module):
    """(B, 9, F) tile features in a shuffled order to (B, K) logits."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.tile = nn.Sequential(nn.Linear(features, 128), nn.ReLU(inplace=True))
        self.puzzle = nn.Sequential(
            nn.Linear(TILES * 128, 512), nn.ReLU(inplace=True), nn.Linear(512, classes)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Embed each tile, then look at all nine."""
        logits: Tensor = self.puzzle(self.tile(features).flatten(1))
        return logits


@register_method(
    MethodInfo(
        name="jigsaw",
        family=PRETEXT,
        paper="Noroozi and Favaro 2016, Unsupervised learning by solving jigsaw puzzles",
        description="in which of 64 orders do nine tiles of the image stand?",
        defaults={"permutations": 64},
        search={"learning_rate": Range(3e-4, 6e-3, log=True)},
        positives=ANCHOR_ONLY,
        conflicts=("jigsaw",),
    )
)
class Jigsaw(PretextMethod):
    """Tiles from random places in their cells, each normalised, encoded one by one."""

    permutations: Tensor

    def make_head(self, name: str) -> nn.Module:
        """Also fixes the permutations and checks that the backbone can see tiles this small."""
        count = self.hyper("permutations", int)
        if not 2 <= count <= MOST_PERMUTATIONS:
            raise ConfigError(
                repr(count), where="method jigsaw, hyper-parameter permutations", expected="2 to 72"
            )
        self.register_buffer("permutations", permutation_set(count), persistent=False)
        self.cell = self.context.resolution // GRID
        self.side = max(2, round(self.cell * _TILE_SHARE))
        self.map_side(name, self.side)
        return JigsawHead(self.feature_dim(name), count)

    def tiles(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """(B * 9, C, s, s) tiles of (B, C, H, W) images, row by row, from random places in their cells."""
        shape, device = (len(images), TILES), images.device
        room = self.cell - self.side + 1
        corner = torch.arange(TILES, device=device)
        top = corner // GRID * self.cell + torch.randint(room, shape, generator=generator, device=device)
        left = corner % GRID * self.cell + torch.randint(room, shape, generator=generator, device=device)
        return crop_patches(images, top, left, self.side)

    def task_loss(
        self, name: str, images: dict[str, Tensor], batch: PretrainBatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy over the permutations."""
        tiles = normalise_patches(self.tiles(images[name], generator))
        # Tiles are encoded one by one, so shuffling features is shuffling tiles.
        features = self.last_map(name, tiles).mean(dim=(2, 3)).unflatten(0, (-1, TILES))
        target = torch.randint(
            len(self.permutations), (len(batch),), generator=generator, device=batch.fruit.device
        )
        order = self.permutations[target].unsqueeze(-1).expand(-1, -1, features.shape[-1])
        logits = self.heads[name](features.gather(1, order)).float()
        return F.cross_entropy(logits, target), accuracy(logits, target)
