"""MoCo v2: contrast with a queue of keys from a slow encoder.

He, Fan, Wu, Xie and Girshick 2020, "Momentum contrast for unsupervised visual representation learning",
arXiv:1911.05722; Chen, Fan, Girshick and He 2020, "Improved baselines with momentum contrastive learning",
arXiv:2003.04297.

The loss is symmetric, as in the comparison of Chen and He 2021 (SimSiam, table 4). Shuffled BatchNorm is left
out: it hides keys from queries across GPUs and does nothing on one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lightly.models.modules.heads import MoCoProjectionHead
from torch import Tensor, nn

from backend.methods.base import PretrainBatch
from backend.methods.momentum import MomentumMethod
from backend.methods.registry import JOINT_EMBEDDING, MethodInfo, Range, register_method
from backend.methods.two_view import View

_NOBODY = -1
"""The fruit of a queue's first, random entries."""


def moco_loss(query: Tensor, key: Tensor, queue: Tensor, same: Tensor, temperature: float) -> Tensor:
    """InfoNCE against a queue of old keys, MoCo equation 1.

    Args:
        query: (B, D) projections.
        key: (B, D) momentum projections of the positives.
        queue: (K, D) unit vectors, the negatives.
        same: (B, K) bool, True where an entry shows the query's own fruit and is left out.
        temperature: above 0.

    Returns:
        Scalar.
    """
    query, key = F.normalize(query, dim=1), F.normalize(key, dim=1)
    positive = (query * key).sum(dim=1, keepdim=True)
    negative = (query @ queue.T).masked_fill(same, float("-inf"))
    logits = torch.cat([positive, negative], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(query), dtype=torch.long, device=query.device))


class KeyQueue(nn.Module):
    """The last K keys and whose they are; starts with random unit vectors that belong to nobody.

    lightly's memory bank does not remember the fruit and leaves the state dictionary out, so masks and
    exact resumption need this one.
    """

    keys: Tensor
    fruit: Tensor
    position: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(size, width), dim=1))
        self.register_buffer("fruit", torch.full((size,), _NOBODY))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, keys: Tensor, fruit: Tensor) -> None:
        """Replace the oldest entries by (N, D) keys of N fruit."""
        size = len(self.keys)
        keys, fruit = F.normalize(keys[-size:], dim=1), fruit[-size:]
        slots = (self.position + torch.arange(len(keys), device=keys.device)) % size
        self.keys[slots] = keys
        self.fruit[slots] = fruit
        self.position.copy_((self.position + len(keys)) % size)


@register_method(
    MethodInfo(
        name="moco",
        family=JOINT_EMBEDDING,
        paper="He et al. 2020, Momentum contrast; Chen et al. 2020, Improved baselines (MoCo v2)",
        description="SimCLR with a slow second encoder and a queue of old keys as negatives",
        defaults={
            "temperature": 0.2,
            "momentum": 0.99,
            "bank_size": 4096,
            "hidden_dim": 0,
            "output_dim": 128,
        },
        search={
            "temperature": Range(0.05, 0.5, log=True),
            "momentum": (0.98, 0.99, 0.996),
            "learning_rate": Range(3e-4, 6e-3, log=True),
        },
        paper_policy="simclr",
    )
)
class MoCo(MomentumMethod):
    """Queries of the student against keys of the teacher, both ways."""

    projector_class = MoCoProjectionHead

    def build(self) -> None:
        """A queue of keys for each encoder."""
        super().build()
        # A queue longer than the data set would hold several stale keys of each image.
        size = max(1, min(self.hyper("bank_size", int), self.context.samples))
        width = self.hyper("output_dim", int)
        self.queues = self.for_each(lambda name: KeyQueue(size, width))
        self._fresh: list[tuple[str, Tensor, Tensor]] = []

    def pair_loss(self, first: View, second: View, batch: PretrainBatch) -> Tensor:
        """Equation 1 both ways; the keys wait for ``after_step``."""
        forth = self._one_way(first, second, batch.fruit)
        back = self._one_way(second, first, batch.partner_fruit)
        self._fresh += [
            (second.encoder, second.target, batch.partner_fruit),
            (first.encoder, first.target, batch.fruit),
        ]
        return (forth + back) / 2

    def _one_way(self, query: View, key: View, fruit: Tensor) -> Tensor:
        queue = self.queues[key.encoder]
        assert isinstance(queue, KeyQueue)
        same = fruit.unsqueeze(1) == queue.fruit.unsqueeze(0)
        # A copy, because the queue changes before this graph is gone.
        return moco_loss(
            query.projection, key.target, queue.keys.clone(), same, self.hyper("temperature", float)
        )

    def after_step(self) -> None:
        """Move the teachers, then queue the step's keys."""
        super().after_step()
        for name, keys, fruit in self._fresh:
            queue = self.queues[name]
            assert isinstance(queue, KeyQueue)
            queue.push(keys, fruit)
        self._fresh.clear()
