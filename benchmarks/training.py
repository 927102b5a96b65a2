"""How close a training step comes to its limit: forward, backward and optimiser on one batch held in memory.

    python benchmarks/training.py [--fruit 256] [--rounds 7] [--json]

Both sides run in turn in one process, on the same network, batch size, threads and memory format; the
median over the rounds of each round's ratio is reported. The step is the real one of
``backend.training.supervised``: gather from the cache, convert, augment, forward, loss, backward, step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from backend.config import AugmentConfig, DataConfig, ModelConfig, OptimConfig, RunConfig
from backend.data.cache import open_cache
from backend.data.manifest import read_dataset
from backend.data.splits import outer_folds
from backend.data.synth import make_dataset
from backend.training.optim import prepare_worker
from backend.training.supervised import FoldTraining
from backend.training.task import FoldTask, WorkerContext, fold_parts


def make_fold(folder: Path, fruit: int, resolution: int, batch_size: int, policy: str) -> FoldTraining:
    """A fold of synthetic avocados, ready to train."""
    make_dataset(folder / "data", fruits=fruit, seed=1, unlabelled=0.0, progress=False)
    dataset = read_dataset(folder / "data", cache_dir=folder / "cache")
    cache = open_cache(dataset, resolution, folder / "cache", progress=False)
    folds = outer_folds(dataset.labels, dataset.groups, 2, 0)
    config = RunConfig(
        model=ModelConfig(modalities=dataset.sensors, view_pooling="max"),
        augment=AugmentConfig(policy=policy),
        optim=OptimConfig(batch_size=batch_size),
        data=DataConfig(resolution=resolution, folds=2),
    )
    context = WorkerContext(dataset, cache, folds, "cpu")
    return FoldTraining(
        FoldTask("benchmark", config, 0, 0), context, fold_parts(context, config, 0), batch_size
    )


def seconds_of_real_steps(fold: FoldTraining, steps: int) -> float:
    """Time of ``steps`` real training steps."""
    started = time.perf_counter()
    for index in fold.order.steps(steps):
        fold.step(index, lambda: None)
    return time.perf_counter() - started


def seconds_of_fixed_steps(fold: FoldTraining, steps: int) -> float:
    """Time of as many steps on one batch that is already augmented."""
    batch = fold._augmented(fold.feed.batch(next(fold.order.steps(1))))
    fold.model.train()
    started = time.perf_counter()
    for _ in range(steps):
        with fold.mixed:
            logits = fold.model(batch)
        loss = fold.loss(logits.float(), batch.labels)
        fold.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        fold.optimizer.step()
    return time.perf_counter() - started


def seconds_of_reading(fold: FoldTraining, steps: int) -> float:
    """Time of gathering and converting as many batches."""
    started = time.perf_counter()
    for index in fold.order.steps(steps):
        fold.feed.batch(index)
    return time.perf_counter() - started


def measure(arguments: argparse.Namespace) -> dict[str, float | int | str]:
    """Run all sides in turn."""
    prepare_worker(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        fold = make_fold(
            Path(folder), arguments.fruit, arguments.resolution, arguments.batch, arguments.policy
        )
        seconds_of_real_steps(fold, 2)
        seconds_of_fixed_steps(fold, 2)
        rounds = []
        for _ in range(arguments.rounds):
            fixed = seconds_of_fixed_steps(fold, arguments.steps)
            real = seconds_of_real_steps(fold, arguments.steps)
            reading = seconds_of_reading(fold, arguments.steps)
            rounds.append((fixed, real, reading))
    images = arguments.steps * arguments.batch * sum(fold.feed.spec.views.values())
    return {
        "policy": arguments.policy,
        "threads": torch.get_num_threads(),
        "resolution": arguments.resolution,
        "batch_fruit": arguments.batch,
        "images_per_second": round(images / statistics.median(real for _, real, _ in rounds)),
        "limit_images_per_second": round(images / statistics.median(fixed for fixed, _, _ in rounds)),
        "share_of_limit": round(statistics.median(fixed / real for fixed, real, _ in rounds), 3),
        "reading_share": round(statistics.median(reading / real for _, real, reading in rounds), 4),
    }


def main() -> int:
    """Print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fruit", type=int, default=256)
    parser.add_argument("--resolution", type=int, default=48)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--policy", default="whole_fruit")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        print("\n".join(f"{name:26s} {value}" for name, value in result.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
