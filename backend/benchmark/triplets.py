"""Training of the scenarios: triplets of an anchor, the anchor augmented, and an image of another class.

Hammer, Pavlinec, Zarbock and Zeilmann 2021: batch 1024, plain SGD, the loss on the network's own 32 sigmoid
outputs. Margins are torch's defaults (0 for the cosine loss, 1 for triplets), which the sheet does not give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from backend.augment.pipeline import Augmenter, to_float
from backend.benchmark import networks
from backend.config import AugmentConfig, derive_seed
from backend.models.backbones import Backbone, create_backbone
from backend.store.bundle import CurvePoint
from backend.training.optim import require_finite

BATCH = 1024
PAIRWISE, TRIPLET = "cosine_pairs", "triplet"


@dataclass(frozen=True)
class Recipe:
    """Epochs and learning rate of a loss, as published."""

    epochs: int
    learning_rate: float


RECIPES = {PAIRWISE: Recipe(5, 0.05), TRIPLET: Recipe(10, 0.15)}


def scenario_loss(name: str, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """The loss of (B, D) embeddings of anchors, positives and negatives.

    ``cosine_pairs`` takes the positive and the negative pair of each anchor, ``triplet`` all three.
    """
    if name == TRIPLET:
        return F.triplet_margin_loss(anchor, positive, negative)
    pairs = torch.cat([positive, negative])
    alike = torch.ones(len(pairs), device=pairs.device)
    alike[len(positive) :] = -1
    return F.cosine_embedding_loss(torch.cat([anchor, anchor]), pairs, alike)


class OtherClass:
    """Draws an image of another class for each anchor, all such images equally likely.

    Args:
        classes: (n,) class of each image.
    """

    def __init__(self, classes: NDArray[np.int64]) -> None:
        self.order = np.argsort(classes, kind="stable")
        count = np.bincount(classes)
        self.starts, self.sizes = np.concatenate([[0], np.cumsum(count)[:-1]]), count

    def draw(self, classes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """(B,) images of other classes than (B,) ``classes``."""
        start, size = self.starts[classes], self.sizes[classes]
        place = (rng.random(len(classes)) * (len(self.order) - size)).astype(np.int64)
        return self.order[place + np.where(place >= start, size, 0)]


class Trainer:
    """The published training on images in memory.

    Args:
        pixels: (n, H, W, C) uint8 anchors.
        classes: (n,) of the anchors.
        policy: named augmentation of the positive.
        device: where to train.
        seed: of everything random.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        classes: NDArray[np.int64],
        policy: str,
        device: str,
        seed: int,
    ) -> None:
        self.pixels = torch.from_numpy(pixels).to(device)
        self.classes, self.seed = classes, seed
        self.negatives = OtherClass(classes)
        self.augmenter = Augmenter(AugmentConfig(policy), pixels.shape[1])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "weights"))
            self.network = create_backbone(networks.HAMMER, pixels.shape[3]).to(device)
        self.curves: list[CurvePoint] = []

    def run(self, loss: str, epochs: int | None = None) -> Backbone:
        """Train with a loss; ``epochs`` None = as published.

        Raises:
            TrainingError: the loss diverged.
        """
        recipe = RECIPES[loss]
        optimizer = torch.optim.SGD(self.network.parameters(), lr=recipe.learning_rate)
        generator = torch.Generator(self.pixels.device).manual_seed(derive_seed(self.seed, "augment"))
        rng = np.random.default_rng(derive_seed(self.seed, "order"))
        for epoch in range(1, (epochs or recipe.epochs) + 1):
            order = rng.permutation(len(self.classes))
            batches = np.array_split(order, max(1, round(len(order) / BATCH)))
            total = 0.0
            for chosen in batches:
                value = self._step(loss, chosen, rng, generator)
                optimizer.zero_grad(set_to_none=True)
                value.backward()
                optimizer.step()
                total += float(value.detach())
            require_finite(total, epoch)
            self.curves.append(CurvePoint(epoch, "train", "loss", total / len(batches)))
        return self.network.eval()

    def _step(
        self, loss: str, chosen: NDArray[np.int64], rng: np.random.Generator, generator: torch.Generator
    ) -> Tensor:
        anchor = self._images(chosen)
        positive = augmented(self.augmenter, anchor, generator)
        negative = self._images(self.negatives.draw(self.classes[chosen], rng))
        return scenario_loss(loss, *self.network(torch.cat([anchor, positive, negative])).chunk(3))

    def _images(self, rows: NDArray[np.int64]) -> Tensor:
        return to_float(self.pixels[torch.from_numpy(rows).to(self.pixels.device)])


def augmented(augmenter: Augmenter, images: Tensor, generator: torch.Generator) -> Tensor:
    """A random view of (B, C, H, W) images; grey ones are treated as colour, as torchvision does with PIL."""
    channels = images.shape[1]
    colour = images.expand(-1, 3, -1, -1).contiguous() if channels == 1 else images
    view = augmenter({"rgb": colour}, generator)["rgb"]
    return view[:, :1] if channels == 1 else view


@torch.inference_mode()
def embed(network: nn.Module, pixels: NDArray[np.uint8], device: str) -> NDArray[np.float32]:
    """(n, D) outputs of a network for (n, H, W, C) pixels."""
    parts = [network(to_float(part.to(device))) for part in torch.from_numpy(pixels).split(BATCH)]
    return torch.cat(parts).float().cpu().numpy()
