"""Frozen features of fruit: what probes, neighbours and projections work on.

A fruit's embedding is the mean of its l2-normalised view embeddings, sensors concatenated, pressure left
out (evaluation design). Features come before any projection head, from a network in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from backend.models.batch import FruitBatch
from backend.models.network import FruitNetwork
from backend.training.building import build_network
from backend.training.feed import FruitFeed
from backend.training.task import FoldTask, WorkerContext

Embed = Callable[[NDArray[np.int64]], NDArray[np.float32]]
EmbedStages = Callable[[NDArray[np.int64]], list[NDArray[np.float32]]]
_BATCH_IMAGES = 512


def embed_fruit(
    task: FoldTask, context: WorkerContext, fit: NDArray[np.int64], weights: bytes | None, layer: int = -1
) -> Embed:
    """A function from rows (n,) of the data set to frozen features (n, F); see ``embed_stages``."""
    embed = embed_stages(task, context, fit, weights, (layer,))
    return lambda rows: embed(rows)[0]


def embed_stages(
    task: FoldTask,
    context: WorkerContext,
    fit: NDArray[np.int64],
    weights: bytes | None,
    layers: Sequence[int],
) -> EmbedStages:
    """A function from rows of the data set to frozen features of several stages, in one pass.

    Args:
        task: whose network.
        context: the data.
        fit: training rows, for normalisation where there are no pretrained weights.
        weights: of a pretraining; None = the network as it is initialised.
        layers: stages of the backbone to average, counted as in a list.

    Returns:
        Rows (n,) to (n, F) float32 for each layer.

    Raises:
        ConfigError: the backbone has no such stage (when rows are given).
    """
    pictures = task.config.model.image_modalities
    feed = FruitFeed(context.dataset, context.cache, pictures, context.device)
    config = replace(task.config, model=replace(task.config.model, modalities=pictures))
    task = FoldTask(task.run_id, config, task.fold, task.study_seed, weights=weights)
    model = build_network(task, feed, fit)
    model = model.to(device=context.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @torch.inference_mode()
    def embed(rows: NDArray[np.int64]) -> list[NDArray[np.float32]]:
        views = sum(feed.spec.views.values())
        batches = feed.batches(rows, max(1, _BATCH_IMAGES // views))
        stages = zip(*(_embed_batch(model, batch, layers) for batch in batches), strict=True)
        return [np.concatenate(parts) for parts in stages]

    return embed


def _embed_batch(model: FruitNetwork, batch: FruitBatch, layers: Sequence[int]) -> list[NDArray[np.float32]]:
    stages = []
    for views in model.stage_view_features(batch, layers):
        parts = []
        for features, present in views.values():
            mask = present.unsqueeze(-1)
            normalised = F.normalize(features, dim=-1) * mask
            parts.append(normalised.sum(dim=1) / mask.sum(dim=1).clamp_min(1))
        stages.append(torch.cat(parts, dim=1).float().cpu().numpy())
    return stages
