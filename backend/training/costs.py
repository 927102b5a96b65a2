"""What runs cost in seconds: measured shapes of folds, corrected by what folds then took.

A *shape* is everything in a configuration that decides how long a step takes; measurements of shapes are kept
in a JSON file beside the store, so that the next plan on the same data and machine needs no new ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import json
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from backend.config import RunConfig
from backend.data.dataset import MULTICLASS
from backend.evaluation.thresholds import one_hot_best
from backend.store.bundle import Predictions
from backend.training.calibration import FoldCost, cost_of
from backend.training.driver import pooled_metrics
from backend.training.executor import Executor
from backend.training.task import FoldTask, WorkerContext

STOPPING_SHARE = 0.85
"""Share of its epochs that a run with early stopping takes, before any was seen on these data."""
MEMORY = 0.9
"""What an earlier fold counts beside the next one: machines get busy, and idle again."""
COPIES = 4
"""Most copies of a measurement that run side by side: enough to see workers share a machine."""


@dataclass(frozen=True)
class Work:
    """Runs of one kind that a stage makes.

    Attributes:
        what: for people, e.g. ``"trials"``.
        config: one of them; the others cost about the same.
        runs: how many.
        folds: folds of each.
        batch: folds that are handed out together before any result is looked at; 0 = all.
    """

    what: str
    config: RunConfig
    runs: int
    folds: int
    batch: int = 0

    @property
    def is_summed_up(self) -> bool:
        """Whether the driver computes pooled metrics with intervals when a run is complete."""
        return self.config.kind != "pretrain" and self.config.purpose != "tune"


@dataclass
class Costs:
    """Seconds of folds on one machine and one data set.

    Attributes:
        place: what else decides a cost beside the shape: data set, device, workers, machine.
        workers: folds at a time.
        shapes: shape to measured cost.
        taken: kind of run to (expected, taken) seconds of the folds seen so far, the latest counting most.
        stages: seconds that a stage without runs of its own took in an earlier study.
        finish: seconds that the driver needs to complete a run.
    """

    place: str
    workers: int
    shapes: dict[str, FoldCost] = field(default_factory=dict)
    taken: dict[str, tuple[float, float]] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)
    finish: float = 0.0

    def fold_seconds(self, config: RunConfig) -> float:
        """Seconds of one fold of ``config``; 0 where its shape could not be measured."""
        seen, taken = self.taken.get(_kind(config), (1.0, 1.0))
        return self._uncorrected(config) * taken / seen

    def _uncorrected(self, config: RunConfig) -> float:
        cost = self.shapes.get(self.shape(config))
        if cost is None:
            return 0.0
        trains = config.kind in ("baseline", "finetune")
        stops_early = trains and 0 < config.optim.patience < config.optim.epochs
        return cost.seconds(config, STOPPING_SHARE if stops_early else 1.0)

    def seconds(self, *works: Work) -> float:
        """Seconds from the first to the last fold of works that are handed out together."""
        free = [0.0] * self.workers  # when each worker is
        for work in works:
            folds, fold = work.runs * work.folds, self.fold_seconds(work.config)
            for number in range(folds):
                if work.batch and number % work.batch == 0:  # the driver looks at the last batch first
                    free = [max(free)] * self.workers
                heapq.heapreplace(free, free[0] + fold)
        return max(free) + self.finish * sum(work.runs for work in works if work.is_summed_up)

    def observe(self, config: RunConfig, seconds: float) -> None:
        """Learn from a fold that has ended."""
        expected = self._uncorrected(config)
        if expected:
            # The first real fold does not decide alone: an expected one counts as if it had been seen.
            seen, taken = self.taken.get(_kind(config), (expected, expected))
            self.taken[_kind(config)] = (MEMORY * seen + expected, MEMORY * taken + seconds)

    def shape(self, config: RunConfig) -> str:
        """The name of a shape here: what decides the cost of a fold, hashed."""
        model, data, optim = config.model, config.data, config.optim
        kind = "baseline" if config.kind == "finetune" else config.kind
        parts = (
            *(self.place, kind, kind == "baseline" and config.purpose == "tune", config.threads),
            optim.batch_size,
            *(model.backbone, model.modalities, model.fusion, model.view_pooling),
            *(data.resolution, data.folds, data.label_fraction),
            *((config.method, config.augment, data.pool) if kind == "pretrain" else (config.augment.policy,)),
            *((config.devices,) if config.devices > 1 else ()),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def calibrate(self, executor: Executor, works: Iterable[Work], context: WorkerContext) -> None:
        """Measure every shape that is not known yet, as many at a time as there are workers."""
        self.finish = self.finish or _seconds_to_finish(context)
        unknown = {self.shape(work.config): work.config for work in works}
        tasks = [
            FoldTask(shape, config, fold=0, study_seed=0, measure=True)
            for shape, config in unknown.items()
            if shape not in self.shapes
            for _ in range(min(self.workers, COPIES))
        ]
        found: dict[str, list[FoldCost]] = {}
        for outcome in executor.run(tasks):
            if outcome is not None and outcome.bundle is not None:
                found.setdefault(outcome.task.run_id, []).append(cost_of(outcome.bundle))
        self.shapes |= {shape: _mean(costs) for shape, costs in found.items()}


def _mean(costs: list[FoldCost]) -> FoldCost:
    def mean(name: str) -> float:
        return sum(float(getattr(cost, name)) for cost in costs) / len(costs)

    return FoldCost(mean("fixed"), mean("epoch"), mean("step"), costs[0].steps)


def _seconds_to_finish(context: WorkerContext) -> float:
    """Measure how long the driver takes to compute a run's metrics and their intervals."""
    dataset, rows = context.dataset, np.flatnonzero(context.folds >= 0)
    rng = np.random.default_rng(0)
    score = rng.random((len(rows), len(dataset.defects)), dtype=np.float32)
    decided = one_hot_best(score) if dataset.task == MULTICLASS else (score > 0.5).astype(np.uint8)
    ids = tuple(dataset.fruit_ids[row] for row in rows)
    predictions = Predictions(ids, dataset.defect_names, dataset.labels[rows], score, decided)
    started = time.perf_counter()
    pooled_metrics(predictions, context, seed=0)
    return time.perf_counter() - started


def _kind(config: RunConfig) -> str:
    return f"{config.kind} {config.purpose}" if config.kind == "baseline" else config.kind


def place_of(context: WorkerContext, workers: int) -> str:
    """Where costs hold: this data set, device and number of workers, on this machine."""
    machine = f"{platform.node()} {platform.machine()} {os.cpu_count()}"
    return f"{context.dataset.dataset_id} {context.device} {workers} workers, {machine}"


def load_costs(path: Path, context: WorkerContext, workers: int) -> Costs:
    """Costs measured earlier; none where the file is missing, damaged or from elsewhere."""
    place = place_of(context, workers)
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        kept = json.loads(path.read_text(encoding="utf-8"))[place]
        return Costs(
            place,
            workers,
            shapes={shape: FoldCost(**cost) for shape, cost in kept["shapes"].items()},
            taken={kind: (float(seen), float(took)) for kind, (seen, took) in kept["taken"].items()},
            stages={stage: float(seconds) for stage, seconds in kept["stages"].items()},
            finish=float(kept["finish"]),
        )
    return Costs(place, workers)


def save_costs(path: Path, costs: Costs) -> None:
    """Keep what was measured, beside what was measured elsewhere; without a disk, go on without."""
    with contextlib.suppress(OSError):
        try:
            everything = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            everything = {}
        values = asdict(costs)
        everything = (everything if isinstance(everything, dict) else {}) | {values.pop("place"): values}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(everything, indent=1), encoding="utf-8")
        partial.replace(path)
