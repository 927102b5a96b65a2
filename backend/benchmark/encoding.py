"""Frozen features for the protocols: what an encoder says of fruit, as it is and stage by stage."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from backend.benchmark.sources import Rows
from backend.config import RunConfig
from backend.models.network import FruitNetwork
from backend.training.building import build_network
from backend.training.feed import FruitFeed
from backend.training.task import FoldTask, WorkerContext

Features = NDArray[np.float32]
_BATCH = 256


class FrozenEncoder:
    """The encoder of the first image sensor, in evaluation mode; it looks at a fruit's first view.

    Args:
        config: names the network and the sensor.
        context: the data.
        fit: training rows, for normalisation where there are no weights.
        weights: of a pretraining; None = as the seed of the configuration initialises it.
    """

    def __init__(self, config: RunConfig, context: WorkerContext, fit: Rows, weights: bytes | None) -> None:
        modality = config.model.image_modalities[0]
        model = dataclasses.replace(config.model, modalities=(modality,))
        task = FoldTask("", dataclasses.replace(config, model=model), 0, config.seed, weights=weights)
        self.feed = FruitFeed(context.dataset, context.cache, (modality,), context.device)
        network: FruitNetwork = build_network(task, self.feed, fit)
        self.modality = modality
        self.encoder = network.encoder(modality).to(context.device).eval()

    @torch.inference_mode()
    def features(self, rows: Rows) -> Features:
        """(n, F) features before any head."""
        return np.concatenate([_numbers(self.encoder(images)) for images in self._batches(rows)])

    @torch.inference_mode()
    def stages(self, rows: Rows, numbers: int = 0) -> list[Features]:
        """The pooled feature map of every stage, the first stage first.

        Args:
            rows: of the fruit.
            numbers: about how many numbers a stage may have: its map is averaged over the finest square grid
                that has no more of them; 0 = averaged as a whole.

        Returns:
            (n, c * cells) each.
        """
        batches = [
            [_numbers(_pooled(found, numbers)) for found in self.encoder.feature_maps(images)]
            for images in self._batches(rows)
        ]
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def _batches(self, rows: Rows) -> Iterator[Tensor]:
        for batch in self.feed.batches(rows, _BATCH):
            yield batch.images[self.modality][:, 0]


def _pooled(maps: Tensor, numbers: int) -> Tensor:
    """(B, C, H, W) maps to (B, C * g * g): the finest grid of at most ``numbers``, of one cell at least."""
    cells = min(*maps.shape[2:], max(1, math.isqrt(numbers // maps.shape[1])))
    return functional.adaptive_avg_pool2d(maps, cells).flatten(1)


def _numbers(values: Tensor) -> Features:
    return values.float().cpu().numpy()


def first_sensor(context: WorkerContext) -> str:
    """The data set's first image sensor."""
    return next(iter(context.dataset.modalities))
