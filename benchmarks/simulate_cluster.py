"""A study on a cluster that nobody has at hand: how long, and what gives way first.

    python benchmarks/simulate_cluster.py --dataset DIR --store runs/store.db [--gpus 1000] [--images 1e9]

Measured here: what folds of the plan cost (``calibration.json`` beside the store; what is missing is
measured), the bytes of a fruit's images and of its entry in the manifest, and how fast the driver writes.
Assumed, and set by options: how much faster a GPU is than what was measured, the memory of a machine, and the
network. Tasks are then handed out as the program does it, generations of a search one after the other, and
everything that one machine or one process has to hold or do is compared with what it can.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from backend.config import RunConfig
from backend.data.manifest import read_dataset
from backend.store.bundle import ArtifactData, FoldBundle, Predictions
from backend.store.rows import RunRow
from backend.store.writer import RunStore
from backend.training.costs import Costs, Work, load_costs, save_costs
from backend.training.forecast import Forecast, make_forecast
from backend.training.plan import STAGE_FIELDS, load_plan
from backend.training.prepare import PreparedStudy, StudyOptions, make_executor, prepare_study
from backend.training.study import costs_file

WEIGHT_BYTES = 5_000_000
"""Of one encoder, sent with each fine-tune and returned by each pretraining."""


@dataclass(frozen=True)
class Measured:
    """What was measured on this machine.

    Attributes:
        fruit: of the data set.
        image_bytes: of one fruit's decoded images.
        entry_bytes: of one fruit's entry in the driver's memory.
        write_seconds: of a bundle without predictions.
        row_seconds: of a stored prediction.
    """

    fruit: int
    image_bytes: float
    entry_bytes: float
    write_seconds: float
    row_seconds: float


@dataclass(frozen=True)
class Cluster:
    """What is assumed."""

    gpus: int
    per_machine: int
    speed_up: float
    memory: float
    network: float

    @property
    def machines(self) -> int:
        """Machines that hold the GPUs."""
        return math.ceil(self.gpus / self.per_machine)


def measure(study: PreparedStudy) -> Measured:
    """Measure the driver's own work on this data set."""
    context = study.context
    tracemalloc.start()
    dataset = read_dataset(context.dataset.root)
    entry = tracemalloc.get_traced_memory()[0] / len(dataset)
    tracemalloc.stop()
    rows = np.flatnonzero(context.folds >= 0)
    shape = (len(rows), len(dataset.defects))
    predictions = Predictions(
        tuple(dataset.fruit_ids[row] for row in rows),
        dataset.defect_names,
        dataset.labels[rows],
        np.full(shape, 0.5, np.float32),
        np.zeros(shape, np.uint8),
    )
    with tempfile.TemporaryDirectory() as folder, RunStore(Path(folder) / "store.db") as store:
        store.add_dataset(dataset, [])
        store.start_study(study.row)
        run = RunRow.from_config(
            RunConfig(), study_id=study.row.study_id, dataset_id=dataset.dataset_id, n_folds=1, environment={}
        )
        store.start_run(run)
        empty = _timed(store, run.run_id, [_bundle(fold) for fold in range(20)]) / 20
        whole = _timed(store, run.run_id, [_bundle(fold, predictions) for fold in range(20)]) / 20
    per_row = max(whole - empty, 1e-9) / max(shape[0] * shape[1], 1)
    return Measured(len(dataset), context.cache.nbytes / len(dataset), entry, empty, per_row)


def _bundle(fold: int, predictions: Predictions | None = None) -> FoldBundle:
    """What a fold returns: its weights, and predictions where it makes any."""
    weights = ArtifactData(f"fold{fold}/model.safetensors", "checkpoint", b"0" * WEIGHT_BYTES)
    return FoldBundle(fold, 0.0, predictions, artifacts=(weights,))


def _timed(store: RunStore, run_id: str, bundles: Sequence[FoldBundle]) -> float:
    started = time.perf_counter()
    for bundle in bundles:
        store.write_fold(run_id, bundle)
    return time.perf_counter() - started


def makespan(works: Sequence[tuple[Work, float]], workers: int, write: float) -> tuple[float, float]:
    """Hand out the folds of each work in batches, to whoever is free first; the driver writes one at a time.

    Returns:
        Seconds until the last bundle is written, and the seconds that workers were busy.
    """
    now = busy = 0.0
    for work, seconds in works:
        folds = work.runs * work.folds
        batch = work.batch or folds
        for start in range(0, folds, max(batch, 1)):
            size = min(batch, folds - start)
            free = [now] * min(workers, size)
            ends = []
            for _ in range(size):
                end = heapq.heappop(free) + seconds
                heapq.heappush(free, end)
                ends.append(end)
            written = now
            for end in sorted(ends):
                written = max(written, end) + write
            now, busy = written, busy + size * seconds
    return now, busy


def simulate(
    forecast: Forecast, costs: Costs, measured: Measured, cluster: Cluster, images: float, labelled: float
) -> dict[str, object]:
    """The study on ``images`` fruit, of which the share ``labelled`` has labels."""
    growth = images / measured.fruit
    plan = forecast.outlook.plan
    works = [work for stage in STAGE_FIELDS for work in forecast.works(plan, stage)]
    timed = []
    for work in works:
        share = growth if work.config.kind == "pretrain" else max(growth * labelled, 1.0)
        timed.append((work, costs.fold_seconds(work.config) * share / cluster.speed_up))
    defects = len(forecast.outlook.dataset.defects)
    predicted = images * labelled * defects / plan.folds
    write = measured.write_seconds + predicted * measured.row_seconds
    seconds, busy = makespan(timed, cluster.gpus, write)
    folds = sum(work.runs * work.folds for work in works)
    size = images * measured.image_bytes
    loads = {
        "images in a machine's memory": size / cluster.memory,
        "the data set's table in the driver's memory": images * measured.entry_bytes / cluster.memory,
        "sending the images once to each machine, an hour of network": size
        * max(1.0, math.log2(max(cluster.machines, 2)))
        / cluster.network
        / 3600,
        "a fold on a single GPU, a day": max(seconds for _, seconds in timed) / 86400,
        "the driver writing, share of the time": folds * write / seconds,
        "too few folds at a time, idle share of the GPUs": 1 - busy / (cluster.gpus * seconds),
    }
    return {
        "images": images,
        "gpus": cluster.gpus,
        "hours": round(seconds / 3600, 2),
        "loads": {name: round(load, 4) for name, load in loads.items()},
        "over": [name for name, load in loads.items() if load > (0.5 if "share" in name else 1.0)],
    }


def prepared(options: argparse.Namespace) -> tuple[PreparedStudy, Forecast, Costs]:
    """The study of the plan, and its costs."""
    study_options = StudyOptions(
        options.dataset, options.store, options.store.parent / "cache", quiet=True, device="auto"
    )
    study = prepare_study(load_plan(options.plan), study_options, 0)
    executor = make_executor(study, study_options)
    costs = load_costs(costs_file(options.store), study.context, executor.workers)
    try:
        forecast = make_forecast(study, executor, costs)
    finally:
        executor.close()
        save_costs(costs_file(options.store), costs)
    return study, forecast, costs


def main() -> int:
    """Run the simulation for growing data sets, up to the one that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    add = parser.add_argument
    add("--dataset", type=Path, required=True)
    add("--store", type=Path, default=Path("runs/store.db"))
    add("--plan", default="overnight")
    add("--gpus", type=int, default=1000)
    add("--per-machine", type=int, default=8)
    add("--images", type=float, default=1e9, help="fruit in the data set")
    add("--labelled", type=float, default=0.001, help="share of the fruit with labels")
    add("--speed-up", type=float, default=100.0, help="a GPU against a worker that was measured")
    add("--memory", type=float, default=1e12, help="bytes of a machine")
    add("--network", type=float, default=3e9, help="bytes a second between two machines")
    add("--json", action="store_true")
    options = parser.parse_args()
    study, forecast, costs = prepared(options)
    measured = measure(study)
    cluster = Cluster(options.gpus, options.per_machine, options.speed_up, options.memory, options.network)
    sizes = [10**power for power in range(4, math.ceil(math.log10(options.images)))] + [options.images]
    rows = [simulate(forecast, costs, measured, cluster, size, options.labelled) for size in sizes]
    if options.json:
        print(json.dumps({"measured": asdict(measured), "cluster": asdict(cluster), "rows": rows}, indent=2))
        return 0
    print(f"measured: {measured}")
    for row in rows:
        over = row["over"] or ["nothing"]
        print(f"{row['images']:.0e} images, {row['gpus']} GPUs: {row['hours']} h; over: {over}")
    first = next((row for row in rows if row["over"]), None)
    if first:
        print(f"the first to give way, at {first['images']:.0e} images: {first['over'][0]}")  # type: ignore[index]
    return 0


if __name__ == "__main__":
    sys.exit(main())
