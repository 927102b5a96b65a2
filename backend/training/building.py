"""The network of a fold before its first step: sized by the data, standardised by the training part."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from backend.config import derive_seed
from backend.data.dataset import MULTICLASS
from backend.models.network import FruitNetwork
from backend.training.checkpoint import load_encoders
from backend.training.feed import FruitFeed
from backend.training.task import FoldTask


def build_network(task: FoldTask, feed: FruitFeed, fit: NDArray[np.int64]) -> FruitNetwork:
    """The network of a fold before its first step; what it knows of the data comes from ``fit``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(task.seed, "weights"))
        model = FruitNetwork(task.config.model, feed.spec)
    statistics = feed.cache.channel_statistics(fit)
    model.set_statistics(
        {name: (torch.from_numpy(mean), torch.from_numpy(std)) for name, (mean, std) in statistics.items()}
    )
    if model.pressure is not None:
        readings = feed.dataset.pressures[fit]
        mean, std = nan_statistics(readings)
        model.pressure.normalise.set_statistics(torch.from_numpy(mean), torch.from_numpy(std))
    if task.weights is not None:
        load_encoders(model, task.weights)
    if feed.dataset.task != MULTICLASS and task.config.optim.imbalance == "none":
        _start_at_prevalence(model, feed.dataset.labels[fit])
    return model


def _start_at_prevalence(model: FruitNetwork, labels: NDArray[np.float32]) -> None:
    """Let the head say at first how common each defect is (Lin et al. 2017, section 3.3)."""
    known = np.maximum((~np.isnan(labels)).sum(axis=0), 1)
    rate = np.clip(np.nansum(labels, axis=0) / known, 0.01, 0.99)
    with torch.no_grad():
        model.head.bias.copy_(torch.from_numpy(np.log(rate / (1 - rate)).astype(np.float32)))


def nan_statistics(readings: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of (n, P) readings, missing ones left out; 0 and 1 where all are."""
    known = ~np.isnan(readings)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, readings, 0)
    mean = filled.sum(axis=0) / count
    std = np.sqrt((np.where(known, readings - mean, 0) ** 2).sum(axis=0) / count)
    return mean.astype(np.float32), np.where(std > 0, std, 1).astype(np.float32)
