"""From the cache to the device: batches of fruit, gathered from memory maps, converted on the device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.config import PRESSURE
from backend.data.cache import ImageCache
from backend.data.dataset import FruitDataset
from backend.models.batch import FruitBatch
from backend.models.network import NetworkSpec

RESIDENT_SHARE = 0.25
"""A data set is copied to the GPU once where it takes less than this share of the free memory."""


class FruitFeed:
    """Batches of one data set for one device.

    Args:
        dataset: labels and readings.
        cache: pixels.
        modalities: sensors to deliver, ``pressure`` among them or not.
        device: where batches go. On CUDA the pixels are copied there once where they fit.
    """

    def __init__(
        self, dataset: FruitDataset, cache: ImageCache, modalities: tuple[str, ...], device: str
    ) -> None:
        self.dataset = dataset
        self.cache = cache
        self.device = torch.device(device)
        self.images = tuple(name for name in modalities if name != PRESSURE)
        readings = dataset.pressures if PRESSURE in modalities else dataset.pressures[:, :0]
        self._pressure_present = torch.from_numpy(~np.isnan(readings))
        self._pressure = torch.from_numpy(np.nan_to_num(readings).astype(np.float32))
        self._labels = torch.from_numpy(dataset.labels)
        self._resident = self._copy_to_device() if self.device.type == "cuda" else {}

    @property
    def spec(self) -> NetworkSpec:
        """What the data determine about a network."""
        return NetworkSpec(
            channels={name: self.cache.channels[name] for name in self.images},
            views={name: len(self.dataset.modalities[name]) for name in self.images},
            readings=int(self._pressure.shape[1]),
            outputs=len(self.dataset.defects),
        )

    def _copy_to_device(self) -> dict[str, Tensor]:
        everything = np.arange(len(self.dataset))
        free, _ = torch.cuda.mem_get_info(self.device)
        if self.cache.nbytes > RESIDENT_SHARE * free:
            return {}
        return {
            name: torch.from_numpy(self.cache.batch(everything, name)).to(self.device) for name in self.images
        }

    def pixels(
        self, index: NDArray[np.int64], modality: str, views: NDArray[np.int64] | None = None
    ) -> Tensor:
        """(B, V, H, W, C) uint8 pixels on the device; (B, H, W, C) of one view each with (B,) ``views``."""
        if modality not in self._resident:
            pixels = torch.from_numpy(self.cache.batch(index, modality, views))
            return pixels.to(self.device, non_blocking=True)
        chosen = [torch.from_numpy(part).to(self.device) for part in (index, views) if part is not None]
        return self._resident[modality][tuple(chosen)]

    def batch(self, index: NDArray[np.int64]) -> FruitBatch:
        """The fruit at rows ``index`` of the data set."""
        rows = torch.from_numpy(index)
        images, present = {}, {}
        for name in self.images:
            # (B, V, H, W, C) seen as (B, V, C, H, W): the memory stays channels_last.
            images[name] = self.pixels(index, name).permute(0, 1, 4, 2, 3).to(torch.float32).mul_(1 / 255)
            present[name] = torch.from_numpy(self.cache.present[name][index]).to(self.device)
        return FruitBatch(
            images=images,
            present=present,
            pressure=self._pressure[rows].to(self.device),
            pressure_present=self._pressure_present[rows].to(self.device),
            labels=self._labels[rows].to(self.device),
            index=rows.to(self.device),
        )

    def batches(self, index: NDArray[np.int64], batch_size: int) -> Iterator[FruitBatch]:
        """Batches over ``index`` in the given order, the last one as long as it comes."""
        for start in range(0, len(index), batch_size):
            yield self.batch(index[start : start + batch_size])


class StepOrder:
    """Which fruit go into which training step: shuffled passes, or draws that balance the defects.

    Args:
        index: rows of the training part.
        batch_size: fruit a step.
        seed: of the order.
        weights: draw with replacement in proportion to these; None = every fruit once a pass.
    """

    def __init__(
        self,
        index: NDArray[np.int64],
        batch_size: int,
        seed: int,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        self.index = index
        # BatchNorm cannot train on a single fruit: a part smaller than the batch is taken whole.
        self.batch_size = max(2, min(batch_size, len(index)))
        self._rng = np.random.default_rng(seed)
        self._weights = None if weights is None else weights / weights.sum()

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass; an incomplete last batch is left out."""
        return max(1, len(self.index) // self.batch_size)

    def steps(self, count: int) -> Iterator[NDArray[np.int64]]:
        """``count`` batches of rows, over as many passes as it takes."""
        produced = 0
        while produced < count:
            order = self._rng.choice(
                self.index,
                size=len(self.index),
                replace=self._weights is not None,
                p=self._weights,
            )
            for step in range(min(self.steps_per_epoch, count - produced)):
                yield order[step * self.batch_size : (step + 1) * self.batch_size]
                produced += 1


def sampling_weights(labels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Weights under which rare labels are drawn as often as common ones.

    Args:
        labels: (n, D) of the training part, NaN = unlabelled.

    Returns:
        (n,): the largest inverse frequency among a fruit's positive labels; a fruit without any counts as
        one more class.
    """
    positive = np.nan_to_num(labels) > 0
    healthy = ~positive.any(axis=1)
    table = np.column_stack([positive, healthy])
    frequency = np.maximum(table.sum(axis=0), 1)
    weights: NDArray[np.float64] = (table / frequency).max(axis=1)
    return weights
