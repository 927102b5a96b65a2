"""lightly's documented recipe for five methods: image files, its transforms, DataLoader, Lightning Trainer.

After the examples of lightly 1.6's documentation, with the projection heads of this project, so that both
sides do the same work. MoCo is symmetric, as in lightly's own benchmark on CIFAR-10.
"""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import torch
from lightly.data import LightlyDataset
from lightly.loss import BarlowTwinsLoss, NegativeCosineSimilarity, NTXentLoss
from lightly.models.modules import heads
from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly.transforms import BYOLTransform, MoCoV2Transform, SimCLRTransform, SimSiamTransform
from lightly.transforms.byol_transform import BYOLView1Transform, BYOLView2Transform
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.models import resnet18

FEATURES = 512
PEERS = ("simclr", "moco", "byol", "simsiam", "barlow_twins")


class Recipe(LightningModule):
    """One of ``PEERS`` on ResNet-18."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method
        self.backbone = nn.Sequential(*list(resnet18().children())[:-1])
        self.criterion: nn.Module = NegativeCosineSimilarity()
        if method == "simclr":
            self.head: nn.Module = heads.SimCLRProjectionHead(FEATURES, FEATURES, 128)
            self.criterion = NTXentLoss()
        elif method == "moco":
            self.head = heads.MoCoProjectionHead(FEATURES, FEATURES, 128)
            self.criterion = NTXentLoss(memory_bank_size=(1024, 128))
        elif method == "byol":
            self.head = heads.BYOLProjectionHead(FEATURES, 1024, 256)
            self.predictor = heads.BYOLPredictionHead(256, 1024, 256)
        elif method == "simsiam":
            self.head = heads.SimSiamProjectionHead(FEATURES, 512, 512)
            self.predictor = heads.SimSiamPredictionHead(512, 128, 512)
        else:
            self.head = heads.BarlowTwinsProjectionHead(FEATURES, 1024, 1024)
            self.criterion = BarlowTwinsLoss()
        if method in ("moco", "byol"):
            self.backbone_momentum = copy.deepcopy(self.backbone)
            self.head_momentum = copy.deepcopy(self.head)
            deactivate_requires_grad(self.backbone_momentum)
            deactivate_requires_grad(self.head_momentum)

    def forward(self, x: Tensor) -> Tensor:
        """The projection of a batch of images."""
        return self.head(self.backbone(x).flatten(start_dim=1))

    @torch.no_grad()
    def forward_momentum(self, x: Tensor) -> Tensor:
        """The projection by the momentum branch."""
        return self.head_momentum(self.backbone_momentum(x).flatten(start_dim=1)).detach()

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        """The loss of two views."""
        x0, x1 = batch[0][0], batch[0][1]
        if self.method in ("moco", "byol"):
            update_momentum(self.backbone, self.backbone_momentum, m=0.99)
            update_momentum(self.head, self.head_momentum, m=0.99)
        z0, z1 = self(x0), self(x1)
        if self.method == "moco":
            k0, k1 = self.forward_momentum(x0), self.forward_momentum(x1)
            return 0.5 * (self.criterion(z0, k1) + self.criterion(z1, k0))
        if self.method == "byol":
            k0, k1 = self.forward_momentum(x0), self.forward_momentum(x1)
            return 0.5 * (self.criterion(self.predictor(z0), k1) + self.criterion(self.predictor(z1), k0))
        if self.method == "simsiam":
            forth = self.criterion(self.predictor(z0), z1.detach())
            return 0.5 * (forth + self.criterion(self.predictor(z1), z0.detach()))
        return self.criterion(z0, z1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD, as documented."""
        return torch.optim.SGD(self.parameters(), lr=0.06)


def transform(method: str, size: int) -> nn.Module | Any:
    """The transform that lightly documents for a method."""
    if method == "simclr":
        return SimCLRTransform(input_size=size)
    if method == "moco":
        return MoCoV2Transform(input_size=size)
    if method == "simsiam":
        return SimSiamTransform(input_size=size)
    return BYOLTransform(BYOLView1Transform(input_size=size), BYOLView2Transform(input_size=size))


class _Clock(Callback):
    """The time of each step's end."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the time."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def seconds_per_step(
    method: str, folder: Path, *, size: int, batch_size: int, steps: int, workers: int, device: str
) -> float:
    """Run the recipe on the image files in ``folder``: seconds of a step once the loader sets the pace.

    The start of workers, two steps and the batches that were loaded ahead meanwhile do not count.
    """
    ahead = 2  # DataLoader's default, written out
    skipped = 2 + workers * ahead
    dataset = LightlyDataset(str(folder), transform=transform(method, size))
    loader = DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=ahead if workers > 0 else None,
    )
    clock = _Clock()
    trainer = Trainer(
        max_steps=steps + skipped,
        max_epochs=-1,
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if device == "cuda" else "32-true",
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Recipe(method), loader)
    return (clock.ends[-1] - clock.ends[skipped - 1]) / steps
