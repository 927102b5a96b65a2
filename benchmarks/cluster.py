"""What scheduling costs: tasks that do nothing, on Ray nodes made of this machine.

    python benchmarks/cluster.py [--nodes 2] [--tasks 1000] [--json]

Reports tasks a second, how many times as long it takes as the same number of empty tasks given to Ray itself
in the same run, and the share of a fold's time that the driver takes if a fold lasts as long as ``--fold``
seconds. To be run on an idle machine before it is quoted; the ratio holds on a busy one too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from backend.config import RunConfig
from backend.data.cache import open_cache
from backend.data.manifest import read_dataset
from backend.data.splits import outer_folds
from backend.data.synth import make_dataset
from backend.store.bundle import FoldBundle
from backend.training.ray_executor import RayExecutor
from backend.training.task import FoldTask, WorkerContext


def nothing(task: FoldTask, context: WorkerContext) -> FoldBundle:
    """A fold without work."""
    return FoldBundle(fold=task.fold, seconds=0.0)


def make_context(folder: Path) -> WorkerContext:
    """A small data set, so that its transfer is part of the measurement."""
    make_dataset(folder / "fruit", fruits=60, seed=1, progress=False)
    dataset = read_dataset(folder / "fruit", cache_dir=folder / "cache")
    cache = open_cache(dataset, 48, folder / "cache", progress=False)
    return WorkerContext(dataset, cache, outer_folds(dataset.labels, dataset.groups, 3, 0), "cpu")


def plain_seconds(tasks: int) -> float:
    """What Ray alone takes for tasks that do nothing, all handed over at once."""
    import ray

    empty = ray.remote(num_cpus=1)(lambda: None)
    ray.get([empty.remote() for _ in range(8)])  # workers are started
    started = time.perf_counter()
    ray.get([empty.remote() for _ in range(tasks)])
    return time.perf_counter() - started


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--fold", type=float, default=30.0, help="seconds of a real fold")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        executor = RayExecutor(make_context(Path(folder)), f"local:{options.nodes}", function=nothing)
        try:
            config = RunConfig()
            list(executor.run([FoldTask("warm", config, fold, 0) for fold in range(2 * executor.workers)]))
            ready = time.perf_counter()
            tasks = [FoldTask("run", config, fold, 0) for fold in range(options.tasks)]
            done = sum(outcome is not None for outcome in executor.run(tasks))
            seconds = time.perf_counter() - ready
            plain = plain_seconds(options.tasks)
            workers = executor.workers
        finally:
            executor.close()
    result = {
        "nodes": options.nodes,
        "workers": workers,
        "tasks": done,
        "seconds_to_start": round(ready - started, 1),
        "seconds": round(seconds, 2),
        "plain_ray_seconds": round(plain, 2),
        "times_plain_ray": round(seconds / plain, 2),
        "tasks_a_second": round(done / seconds, 1),
        "overhead_percent": round(100 * workers * seconds / done / options.fold, 3),
    }
    print(json.dumps(result, indent=2) if options.json else result)
    return 0 if seconds < 60 else 1


if __name__ == "__main__":
    sys.exit(main())
