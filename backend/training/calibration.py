"""What a fold costs on this machine: a short measurement of its own steps, instead of a guess.

A fold's time is ``fixed + epochs * epoch + steps * step``. The three are measured by the very code that
trains, on the real data and in the real workers, so that threads and cores are shared as they will be.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from backend.config import RunConfig
from backend.store.bundle import FoldBundle
from backend.training.feed import FruitFeed
from backend.training.pretrain_loop import HEALTH_SAMPLES, Pretraining, make_pool
from backend.training.pretraining import pretraining_pool
from backend.training.probing import probe_fold
from backend.training.supervised import FoldTraining
from backend.training.task import FoldTask, WorkerContext, fold_parts

MEASURE_SECONDS = 1.5
"""How long steps are repeated to measure one."""
WARM_UP = 3
"""Steps that are not counted: the first ones allocate memory and choose kernels."""
FORWARD_SHARE = 1 / 3
"""Share of a training step that its forward pass takes (the backward pass costs about two)."""
MAP_FRUIT = 300
"""Fruit on the maps that are drawn to measure what maps cost."""
NOTE = "cost"
"""Name of the note that holds a measurement."""


@dataclass(frozen=True)
class FoldCost:
    """What one fold of a shape costs.

    Attributes:
        fixed: seconds for set-up, thresholds, test and packing.
        epoch: seconds for each epoch beside its steps (validation, health).
        step: seconds for one optimisation step.
        steps: optimisation steps of an epoch.
    """

    fixed: float
    epoch: float = 0.0
    step: float = 0.0
    steps: int = 0

    def seconds(self, config: RunConfig, share: float = 1.0) -> float:
        """Seconds of one fold of ``config``, of whose epochs it takes ``share`` before it stops early."""
        epochs, steps = config.optim.epochs, config.optim.epochs * self.steps
        if config.kind in ("baseline", "finetune"):
            steps = max(steps, config.optim.min_steps)
        return self.fixed + share * (epochs * self.epoch + steps * self.step)


def measure(task: FoldTask, context: WorkerContext) -> FoldBundle:
    """Measure the costs of a task instead of doing it; they come back as the note ``cost``."""
    started = time.perf_counter()
    cost = _MEASURES[task.config.kind](task, context)
    seconds = time.perf_counter() - started
    return FoldBundle(fold=task.fold, seconds=seconds, notes=((NOTE, json.dumps(asdict(cost))),))


def cost_of(bundle: FoldBundle) -> FoldCost:
    """The measurement that a bundle of ``measure`` carries."""
    return FoldCost(**json.loads(dict(bundle.notes)[NOTE]))


@functools.cache
def seconds_of_maps(perplexities: tuple[float, ...], threads: int) -> float:
    """Seconds for every map of ``MAP_FRUIT`` fruit by the driver.

    They are drawn twice: the first time compiles code that this process keeps for the real ones.
    """
    from backend.explain.projection import Projector

    features = np.random.default_rng(0).standard_normal((MAP_FRUIT, 64), dtype=np.float32)
    for _ in range(2):
        started = time.perf_counter()
        projector = Projector(features, perplexities=perplexities, threads=threads)
        for name in projector.names:
            projector.draw(name)
    return time.perf_counter() - started


def _measure_training(task: FoldTask, context: WorkerContext) -> FoldCost:
    started = time.perf_counter()
    parts = fold_parts(context, task.config, task.fold)
    fold = FoldTraining(task, context, parts, task.config.optim.batch_size)
    fixed = time.perf_counter() - started
    steps = fold.order.steps(1_000_000)
    step = _pace(lambda: float(fold.step(next(steps), lambda: None)))
    fold.validate()
    epoch = _timed(fold.validate)
    scored = 1.0  # thresholds are chosen on inner validation once more
    if task.config.purpose != "tune":
        scored += len(parts.test) / max(len(parts.validation), 1)
    return FoldCost(fixed + scored * epoch, epoch, step, fold.order.steps_per_epoch)


def _measure_pretraining(task: FoldTask, context: WorkerContext) -> FoldCost:
    started = time.perf_counter()
    config = task.config
    parts = fold_parts(context, config, task.fold)
    labels = np.full_like(context.dataset.labels, np.nan)
    labels[parts.fit] = context.dataset.labels[parts.fit]
    feed = FruitFeed(context.dataset, context.cache, config.model.image_modalities, context.device)
    pool = make_pool(config, feed, pretraining_pool(parts, context, config.data.pool), labels)
    training = Pretraining(config, feed, pool, task.seed, config.optim.batch_size)
    fixed = time.perf_counter() - started
    generator = torch.Generator(training.device).manual_seed(0)
    batches = (item for number in range(1, 1_000_000) for item in training.order.epoch(number))
    training.method.train()
    training.method.set_progress(0, training.total)
    part = slice(None, None, config.devices)  # what each of several devices has of a step
    step = _pace(
        lambda: float(training.step(training.samples.batch(*next(batches), part), generator)["loss"])
    )
    # A step sees two views of each sample.
    forward = FORWARD_SHARE * step / (2 * training.order.batch_size / config.devices)
    images = (len(parts.fit) + len(parts.validation)) * sum(feed.spec.views.values())
    return FoldCost(fixed + images * forward, 2 * HEALTH_SAMPLES * forward, step, training.order.steps)


def _measure_probe(task: FoldTask, context: WorkerContext) -> FoldCost:
    """Frozen features cost the same whatever the weights: the whole fold, once, with random ones."""
    model = replace(task.config.model, init="random")
    config = replace(task.config, model=model)
    return FoldCost(probe_fold(replace(task, config=config, weights=None), context).seconds)


_MEASURES: dict[str, Callable[[FoldTask, WorkerContext], FoldCost]] = {
    "baseline": _measure_training,
    "pretrain": _measure_pretraining,
    "finetune": _measure_training,
    "probe": _measure_probe,
}


def _timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _pace(step: Callable[[], float]) -> float:
    """Seconds of one step: the mean over steps that fill ``MEASURE_SECONDS``; each waits for its loss."""
    for _ in range(WARM_UP):
        step()
    started, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < MEASURE_SECONDS or not count:
        step()
        count += 1
    return elapsed / count
