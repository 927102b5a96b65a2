"""Exemplar networks: every image is a class of its own.

Dosovitskiy, Springenberg, Riedmiller and Brox 2014, "Discriminative unsupervised feature learning with
convolutional neural networks", arXiv:1406.6909.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.methods.base import PretrainBatch
from backend.methods.pretext import ANCHOR_ONLY, PretextMethod, accuracy
from backend.methods.registry import PRETEXT, MethodInfo, Range, register_method


@register_method(
    MethodInfo(
        name="exemplar",
        family=PRETEXT,
        paper="Dosovitskiy et al. 2014, Discriminative unsupervised feature learning (Exemplar-CNN)",
        description="which of up to 8,000 seed images was transformed?",
        defaults={"classes": 8000},
        search={"classes": (1000, 2000, 4000, 8000), "learning_rate": Range(3e-4, 6e-3, log=True)},
        positives=ANCHOR_ONLY,
        paper_policy="simclr",
    )
)
class Exemplar(PretextMethod):
    """Surrogate classes are the samples themselves, at most ``classes`` of them (section 2.2)."""

    def build(self) -> None:
        """A head, and no more samples than classes."""
        super().build()
        self.sample_limit = self.hyper("classes", int)

    def make_head(self, name: str) -> nn.Module:
        """A linear classifier of surrogate classes."""
        classes = min(self.hyper("classes", int), self.context.samples)
        return nn.Linear(self.feature_dim(name), max(2, classes))

    def task_loss(
        self, name: str, images: dict[str, Tensor], batch: PretrainBatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy over the surrogate classes, equation 1."""
        logits = self.heads[name](self.encoders[name](images[name])).float()
        return F.cross_entropy(logits, batch.sample), accuracy(logits, batch.sample)
