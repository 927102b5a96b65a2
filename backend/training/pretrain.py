"""Pretrain encoders with any registered method: uint8 pixels in, safetensors weights and curves out.

On one device or shared by several, in smaller steps where a device has too little memory. The loop is in
``backend.training.pretrain_loop``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from backend.config import RunConfig
from backend.data.cache import ImageCache
from backend.data.dataset import FruitDataset
from backend.training.feed import FruitFeed
from backend.training.optim import make_fabric
from backend.training.pretrain_loop import OnEpoch, Pretraining, PretrainResult, make_pool
from backend.training.ranks import run_on_devices
from backend.training.samples import IntArray

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def pretrain(
    config: RunConfig,
    dataset: FruitDataset,
    cache: ImageCache,
    fruit: NDArray[np.int64],
    *,
    seed: int,
    device: str = "cpu",
    labels: NDArray[np.float32] | None = None,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> PretrainResult:
    """Pretrain the encoders of a configuration.

    Args:
        config: method, model, augmentation and optimisation.
        dataset: the fruit.
        cache: their pixels at the configuration's resolution.
        fruit: rows of the data set that may be seen. Never test fruit.
        seed: of everything random.
        device: ``cpu``, ``cuda`` or ``mps``.
        labels: (n, D) for metric learning, NaN wherever a label may not be used. Methods that are
            registered with ``labels="never"`` do not see them.
        checkpoint: a file to write after each epoch and to go on from; removed by the caller.
        on_epoch: called after each epoch, before it counts as done; an exception it raises ends the training.

    Raises:
        ConfigError: a method, its positives or hyper-parameters that cannot work on these data.
        TrainingStoppedError: the loss diverged or the embeddings collapsed; holds the curves.
    """
    job = _Job(config, dataset, cache, fruit, seed, labels, checkpoint)
    batch_size = config.optim.batch_size
    while True:
        try:
            if config.devices == 1:
                return _train(make_fabric(device), job, batch_size, on_epoch)
            assert on_epoch is None, "a callback cannot be called from another process"
            return run_on_devices(_train, config.devices, device, config.threads, job, batch_size)
        except torch.OutOfMemoryError:
            if batch_size <= 2 * config.devices:
                raise
            batch_size //= 2
            torch.cuda.empty_cache()


@dataclass(frozen=True)
class _Job:
    """The arguments of ``pretrain`` on their way to one device or many."""

    config: RunConfig
    dataset: FruitDataset
    cache: ImageCache
    fruit: IntArray
    seed: int
    labels: NDArray[np.float32] | None
    checkpoint: Path | None


def _train(fabric: Fabric, job: _Job, batch_size: int, on_epoch: OnEpoch | None = None) -> PretrainResult:
    """Pretrain on the device of ``fabric``, alone or as one of several."""
    feed = FruitFeed(job.dataset, job.cache, job.config.model.image_modalities, str(fabric.device))
    pool = make_pool(job.config, feed, job.fruit, job.labels)
    training = Pretraining(job.config, feed, pool, job.seed, batch_size, fabric)
    return training.run(job.checkpoint, on_epoch)
