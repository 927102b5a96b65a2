"""The loop of a pretraining: epochs over a pool of samples, the health of what is learned, where to go on.

Pixels are gathered as uint8, become floats and are augmented on the device. The order of samples and
every draw of an epoch derive from (seed, epoch). After each epoch the health of the embeddings is measured
on a fixed part of the pool; a training that has collapsed or diverged stops with the reason.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn

from backend.augment.pipeline import Augmenter
from backend.config import RunConfig, config_hash, derive_seed
from backend.errors import ConfigError, TrainingError
from backend.evaluation.features import class_index
from backend.evaluation.health import collapse_reason, health
from backend.methods.base import UNLABELLED, Method, MethodContext, PretrainBatch
from backend.methods.registry import check_method, compatible_augment, create_method, method_info
from backend.models.network import FruitNetwork
from backend.store.bundle import CurvePoint
from backend.training.checkpoint import ENCODERS, pack_weights
from backend.training.feed import FruitFeed
from backend.training.optim import (
    cosine_schedule,
    make_fabric,
    make_optimizer,
    mixed_precision,
    require_finite,
    training_precision,
)
from backend.training.pretrain_state import Progress, load_state, save_state
from backend.training.samples import EpochOrder, IntArray, SampleFeed, SamplePool
from backend.training.task import TrainingStoppedError

if TYPE_CHECKING:
    from lightning.fabric import Fabric

HEALTH_SAMPLES = 256
"""Size of the part of the pool on which health is measured."""


@dataclass(frozen=True)
class EpochReport:
    """What a callback is told after each epoch.

    Attributes:
        epoch: epochs done, from 1.
        loss: mean over the epoch's steps.
        health: measures of ``backend.evaluation.health``, averaged over the encoders.
        encoders: in evaluation mode, for a probe or kNN; not to be changed.
        scores: what was answered after the epochs before this one, in earlier sessions too.
    """

    epoch: int
    loss: float
    health: dict[str, float]
    encoders: nn.ModuleDict
    scores: tuple[float, ...] = ()


OnEpoch = Callable[[EpochReport], float | None]
"""Called after each epoch; what it answers is kept as the curve (validation, mcc)."""


@dataclass(frozen=True)
class PretrainResult:
    """What a pretraining leaves.

    Attributes:
        weights: safetensors bytes; names start with ``encoders.``, as a ``FruitNetwork`` has them.
        curves: loss, task scores and health by epoch.
        notes: (key, value) facts worth keeping.
        seconds_before: that earlier sessions spent on it.
    """

    weights: bytes
    curves: tuple[CurvePoint, ...]
    notes: tuple[tuple[str, str], ...]
    seconds_before: float = 0.0


def make_pool(
    config: RunConfig, feed: FruitFeed, fruit: IntArray, labels: NDArray[np.float32] | None
) -> SamplePool:
    """The samples of the configured modalities; raises where method, positives and data do not fit."""
    modalities = config.model.image_modalities
    if not modalities:
        raise ConfigError(
            "no image sensor",
            where="ModelConfig.modalities",
            expected="at least one besides pressure",
            action="pretraining learns from images: add one",
        )
    classes = None
    if labels is not None and method_info(config.method.name).labels != "never":
        classes = class_index(labels).astype(np.int64)
    check_method(config.method, labels=classes is not None and bool((classes[fruit] != UNLABELLED).any()))
    views = {name: feed.dataset.modalities[name] for name in modalities}
    across = config.method.positives == "modalities" or method_info(config.method.name).across_sensors
    return SamplePool(feed.cache.present, views, fruit, config.method.positives, classes, registered=across)


class Pretraining:
    """One pretraining: method, optimiser and the loop over the pool.

    Args:
        config: method, model, augmentation and optimisation.
        feed: pixels.
        pool: samples and their partners.
        seed: of everything random.
        batch_size: samples a step, over all devices; clamped to the pool.
        fabric: of the device; None = alone on that of the feed.
    """

    def __init__(
        self,
        config: RunConfig,
        feed: FruitFeed,
        pool: SamplePool,
        seed: int,
        batch_size: int,
        fabric: Fabric | None = None,
    ) -> None:
        self.config, self.seed, self.device = config, seed, feed.device
        self.fabric = fabric or make_fabric(feed.device.type)
        self.mixed = mixed_precision(feed.device.type, config.model.backbone)
        self.augment = compatible_augment(config.method.name, config.augment)
        self.method = self._make_method(feed, pool, batch_size)
        self.method.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        limit = self.method.sample_limit or len(pool)
        rank, ranks = self.fabric.global_rank, self.fabric.world_size
        samples = pool.limited(limit, seed)
        blocks = pool.blocks(samples, feed.dataset.groups, config.method.group_block)
        self.order = EpochOrder(samples, batch_size, seed, parts=ranks, blocks=blocks)
        self.part = slice(rank, None, ranks)
        self.draws = (rank,) if rank else ()
        self.samples = SampleFeed(feed, pool, self.order.samples)
        self.total = self.order.steps * config.optim.epochs
        self.optimizer = make_optimizer(
            self.method.named_parameters(),
            learning_rate=config.optim.learning_rate,
            weight_decay=config.optim.weight_decay,
            backbone_rate=config.optim.backbone_rate,
        )
        self.schedule = cosine_schedule(self.optimizer, self.total, config.optim.warmup)
        self.curves: list[CurvePoint] = []
        digest = hashlib.sha256(pool.fruit.tobytes()).hexdigest()[:16]
        parts = (config_hash(config), seed, feed.dataset.dataset_id, digest, self.order.batch_size)
        self.identity = " ".join(str(part) for part in parts)
        # The strategy's own set-up: Fabric's wrapper around it would take the batch apart, and cannot.
        self.network = self.fabric.strategy.setup_module(self.method)

    def _make_method(self, feed: FruitFeed, pool: SamplePool, batch_size: int) -> Method:
        """The method around fresh encoders; weights derive from the seed."""
        config = self.config
        context = MethodContext(feed.spec.channels, config.data.resolution, len(pool), batch_size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, "weights"))
            encoders = _build_encoders(config, feed, pool)
            augmenter = Augmenter(self.augment, config.data.resolution)
            method = create_method(config.method, encoders, augmenter, context)
        if self.fabric.world_size > 1 and self.device.type == "cuda":  # torch has no such layer for CPUs
            method = nn.SyncBatchNorm.convert_sync_batchnorm(method)
        return method

    def run(self, checkpoint: Path | None, on_epoch: OnEpoch | None) -> PretrainResult:
        """Train the epochs that are left."""
        parts = (self.method, self.optimizer, self.schedule)
        started = time.perf_counter()
        before = Progress() if checkpoint is None else load_state(checkpoint, self.identity, parts)
        self.curves = list(before.curves)
        for epoch in range(before.epoch + 1, self.config.optim.epochs + 1):
            try:
                loss = self._epoch(epoch)
                if not self.fabric.is_global_zero:
                    continue  # one judges and saves; the others wait for it in their next step
                health = self._require_health(epoch)
            except TrainingError as error:
                raise TrainingStoppedError(error, tuple(self.curves)) from error
            if on_epoch is not None:
                self._ask(on_epoch, epoch, loss, health)
            if checkpoint is not None:
                seconds = before.seconds + time.perf_counter() - started
                # A disk that is full costs the way back to this epoch, not the training.
                with suppress(OSError, SafetensorError):
                    save_state(checkpoint, self.identity, Progress(epoch, seconds, tuple(self.curves)), parts)
        encoders = {ENCODERS + name: value for name, value in self.method.encoders.state_dict().items()}
        return PretrainResult(
            pack_weights(encoders), tuple(self.curves), self._notes(), seconds_before=before.seconds
        )

    def _ask(self, on_epoch: OnEpoch, epoch: int, loss: float, health: dict[str, float]) -> None:
        """Let the caller judge an epoch; the score is saved with it, so that no session forgets it."""
        judged = [point.value for point in self.curves if point.split == "validation"]
        score = on_epoch(EpochReport(epoch, loss, health, self.method.encoders, tuple(judged)))
        if score is not None:
            self._record(epoch, "validation", {"mcc": score})

    def _epoch(self, epoch: int) -> float:
        """Train one epoch; returns the mean loss. Nothing waits for the device before its end."""
        self.method.train()
        seed = derive_seed(self.seed, "augment", epoch, *self.draws)
        generator = torch.Generator(self.device).manual_seed(seed)
        sums: dict[str, Tensor] = {}
        for number, (chosen, rng) in enumerate(self.order.epoch(epoch)):
            self.method.set_progress((epoch - 1) * self.order.steps + number, self.total)
            for name, value in self.step(self.samples.batch(chosen, rng, self.part), generator).items():
                sums[name] = sums[name] + value if name in sums else value
        means = {name: float(self._mean(value)) / self.order.steps for name, value in sums.items()}
        require_finite(means["loss"], epoch)
        self._record(epoch, "train", means)
        return means["loss"]

    def step(self, batch: PretrainBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """One optimisation step; returns detached scalars, the loss among them."""
        with self.mixed:
            loss, metrics = self.network(batch, generator)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.method.after_step()
        return {"loss": loss.detach(), **metrics}

    def _mean(self, value: Tensor) -> Tensor:
        """Of the devices' values; of one device's, the value."""
        mean = self.fabric.all_reduce(value, reduce_op="mean")
        assert isinstance(mean, Tensor)
        return mean

    def _record(self, epoch: int, split: str, values: dict[str, float]) -> None:
        self.curves += [CurvePoint(epoch, split, name, float(value)) for name, value in values.items()]

    @torch.no_grad()
    def _require_health(self, epoch: int) -> dict[str, float]:
        """Measure each encoder on two augmented views of the same samples, the same in every epoch.

        Returns:
            The means over the encoders.

        Raises:
            TrainingError: an encoder has collapsed.
        """
        self.method.eval()
        generator = torch.Generator(self.device).manual_seed(derive_seed(self.seed, "health"))
        images = self.samples.spread(HEALTH_SAMPLES)
        first, second = (
            self.method.features(self.method.augmenter(images, generator, second_view=number == 1))
            for number in range(2)
        )
        measured = {name: health(first[name], second[name]) for name in first}
        names = next(iter(measured.values()))
        means = {name: float(np.mean([values[name] for values in measured.values()])) for name in names}
        self._record(epoch, "health", means)
        for name, values in measured.items():
            if reason := collapse_reason(values):
                raise TrainingError(
                    f"collapsed in epoch {epoch}: {reason}",
                    where=f"encoder {name}",
                    action="lower the learning rate, enlarge the batch, or choose another method",
                )
        return means

    def _notes(self) -> tuple[tuple[str, str], ...]:
        notes = [
            ("samples", str(len(self.order.samples))),
            ("steps", str(self.total)),
            ("batch_size", str(self.order.batch_size)),
            ("precision", training_precision(self.device.type, self.config.model.backbone)),
            ("augmentation_without", ", ".join(self.augment.without)),
        ]
        return tuple(notes + [("method", note) for note in self.method.notes])


def _build_encoders(config: RunConfig, feed: FruitFeed, pool: SamplePool) -> nn.ModuleDict:
    """The encoders of the configured network, normalised by the statistics of the pretraining pool."""
    modalities = config.model.image_modalities
    model = dataclasses.replace(config.model, modalities=modalities)
    network = FruitNetwork(model, feed.spec)
    statistics = feed.cache.channel_statistics(np.unique(pool.fruit))
    network.set_statistics(
        {name: (torch.from_numpy(mean), torch.from_numpy(std)) for name, (mean, std) in statistics.items()}
    )
    return network.encoders
