"""Frozen features of fruit: what probes, neighbours and projections work on.

A fruit's embedding is the mean of its l2-normalised view embeddings, sensors concatenated, pressure left
out (evaluation design). Features come before any projection head, from a network in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable
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
_BATCH_IMAGES = 512


def embed_fruit(
    task: FoldTask,
    context: WorkerContext,
    fit: NDArray[np.int64],
    weights: bytes | None,
    layer: int | None = None,
) -> Embed:
    """A function from rows of the data set to frozen features.

    Args:
        task: whose network.
        context: the data.
        fit: training rows, for normalisation where there are no pretrained weights.
        weights: of a pretraining; None = the network as it is initialised.
        layer: stage of the backbone to average, see ``FruitNetwork.view_features``; None = the last.

    Returns:
        Rows (n,) to (n, F) float32.
    """
    pictures = task.config.model.image_modalities
    feed = FruitFeed(context.dataset, context.cache, pictures, context.device)
    config = replace(task.config, model=replace(task.config.model, modalities=pictures))
    task = FoldTask(task.run_id, config, task.fold, task.study_seed, weights=weights)
    model = build_network(task, feed, fit)
    model = model.to(device=context.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    @torch.inference_mode()
    def embed(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        views = sum(feed.spec.views.values())
        batches = feed.batches(rows, max(1, _BATCH_IMAGES // views))
        return np.concatenate([_embed_batch(model, batch, layer) for batch in batches])

    return embed


def _embed_batch(model: FruitNetwork, batch: FruitBatch, layer: int | None) -> NDArray[np.float32]:
    parts = []
    for features, present in model.view_features(batch, layer).values():
        mask = present.unsqueeze(-1)
        normalised = F.normalize(features, dim=-1) * mask
        parts.append(normalised.sum(dim=1) / mask.sum(dim=1).clamp_min(1))
    return torch.cat(parts, dim=1).float().cpu().numpy()
