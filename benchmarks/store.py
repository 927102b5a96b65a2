"""How fast runs get into a store and answers out of it, beside MLflow.

    python benchmarks/store.py [--runs 100] [--stored 10000] [--mlflow PYTHON_WITH_MLFLOW] [--json]

A run has 30 parameters, 20 metrics, a curve of 200 steps and 1,000 predictions; it is written as a study
writes it, in three durable transactions (start, fold, finish). MLflow, in any environment, gets the same
without the predictions, which it cannot query, into its SQLite backend: by its fluent API and by
``log_batch`` (``mlflow_writer.py``). Rounds are interleaved and medians shown, so that a busy
machine is unfair to all alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
from peers import require_mlflow

from backend.cli import print_json, run_command
from backend.config import DataConfig, RunConfig
from backend.data.dataset import Defect, FruitDataset
from backend.fields import to_dict
from backend.store.bundle import CurvePoint, FoldBundle, MetricValue, Predictions
from backend.store.connection import open_readonly
from backend.store.queries import results, runs
from backend.store.rows import RunRow, StudyRow
from backend.store.writer import RunStore

METRICS, STEPS, FRUIT = 20, 200, 1_000
ROUNDS = 5
FRUIT_IDS = tuple(f"fruit-{k:05d}" for k in range(FRUIT))


def dataset() -> FruitDataset:
    """A thousand fruit and one defect."""
    return FruitDataset(
        root=Path("none"),
        name="benchmark",
        task="multilabel",
        healthy="a-quality",
        synthetic=True,
        description="",
        licence="",
        source="",
        defects=(Defect("bruising"),),
        fruit_ids=FRUIT_IDS,
        groups=FRUIT_IDS,
        fixed_split=None,
        labels=(np.arange(FRUIT)[:, None] % 3 == 0).astype(np.float32),
        pressure_names=(),
        pressures=np.zeros((FRUIT, 0), np.float32),
        modalities={},
        paths={},
        dataset_id="benchmark",
        label_version="1",
    )


class Ours:
    """A store as a study fills it."""

    def __init__(self, path: Path, *, predictions: bool = True) -> None:
        """Open the store and start the study."""
        self.store = RunStore(path, "benchmark")
        self.predictions = predictions
        data = dataset()
        self.labels = data.labels
        self.store.add_dataset(data, [])
        self.store.start_study(StudyRow("benchmark", "benchmark", {}, data.dataset_id, "mcc"))
        self.seed = 0

    def write(self, count: int) -> float:
        """Write so many runs and return the seconds that took."""
        start = time.perf_counter()
        for _ in range(count):
            self()
        return time.perf_counter() - start

    def __call__(self) -> None:
        """Write one run."""
        self.seed += 1
        rng = np.random.default_rng(self.seed)
        run = RunRow.from_config(
            RunConfig(seed=self.seed, data=DataConfig(folds=2)),
            study_id="benchmark",
            dataset_id="benchmark",
            n_folds=1,
            environment={"host": "here"},
        )
        score = rng.random((FRUIT, 1), dtype=np.float32)
        held_out = Predictions(FRUIT_IDS, ("bruising",), self.labels, score, (score > 0.5).astype(np.uint8))
        values = rng.random(METRICS + STEPS).tolist()
        bundle = FoldBundle(
            fold=0,
            seconds=1.0,
            predictions=held_out if self.predictions else None,
            curves=tuple(CurvePoint(k + 1, "train", "loss", values[METRICS + k]) for k in range(STEPS)),
        )
        self.store.start_run(run)
        self.store.write_fold(run.run_id, bundle)
        names = ("mcc", *(f"metric {k}" for k in range(1, METRICS)))
        self.store.finish_run(
            run.run_id, [MetricValue(name, value) for name, value in zip(names, values, strict=False)]
        )


def mlflow_writer(python: Path, folder: Path, way: str) -> Callable[[int], float]:
    """What writes so many runs with MLflow and returns the seconds that took."""
    flat = {f"{k}.{i}": str(v) for k, part in to_dict(RunConfig()).items() for i, v in enumerate([part] * 3)}
    parameters = json.dumps(dict(list(flat.items())[:30]))
    script = Path(__file__).with_name("mlflow_writer.py")

    def write(count: int) -> float:
        command = [str(python), str(script), str(folder), way, *map(str, (count, METRICS, STEPS))]
        done = subprocess.run(command, input=parameters, capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])

    return write


def measure_writing(folder: Path, n: int, mlflow: Path | None) -> list[dict[str, object]]:
    """Runs a second of every writer, medians of interleaved rounds."""
    ours = Ours(folder / "store.db")
    writers: dict[str, Callable[[int], float]] = {"this store, with predictions": ours.write}
    if mlflow is not None:
        for way, called in (("batch", "log_batch"), ("fluent", "fluent")):
            writers[f"MLflow {called}, no predictions"] = mlflow_writer(mlflow, folder, way)
    rates: dict[str, list[float]] = {name: [] for name in writers}
    for _ in range(ROUNDS):
        for name, write in writers.items():
            count = max(1, n // ROUNDS // (50 if "fluent" in name else 5 if "batch" in name else 1))
            rates[name].append(count / write(count))
    ours.store.close()
    base = statistics.median(rates["this store, with predictions"])
    return [
        {
            "work": f"write: {name}",
            "value": statistics.median(values),
            "unit": "runs/s",
            "this store is": base / statistics.median(values),
        }
        for name, values in rates.items()
    ]


def measure_reading(folder: Path, stored: int) -> list[dict[str, object]]:
    """Milliseconds a query on a store of ``stored`` runs."""
    path = folder / "many.db"
    many = Ours(path, predictions=False)
    for k in range(stored):
        many.predictions = k >= stored - 20
        many()
    many.store.close()
    with closing(open_readonly(path)) as connection:
        latest = runs.run_table(connection, runs.RunFilter(), limit=100)
        run_ids = latest["run_id"].tolist()
        names = ["mcc", *(f"metric {k}" for k in range(1, METRICS))]
        queries: dict[str, Callable[[], object]] = {
            "latest 100 runs": lambda: runs.run_table(connection, runs.RunFilter(), limit=100),
            "20 metrics of 100 runs": lambda: results.pooled_metrics(connection, run_ids, names),
            "confusion matrices summed over folds": lambda: results.defect_confusion(connection, run_ids[0]),
            "curves of one run": lambda: runs.curves(connection, run_ids[0]),
        }
        return [
            {
                "work": f"read at {stored:,} runs: {name}",
                "value": 1000 * statistics.median(_time(query) for _ in range(50)),
                "unit": "ms",
            }
            for name, query in queries.items()
        ]


def _time(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500, help="runs to write (default: %(default)s)")
    parser.add_argument(
        "--stored", type=int, default=10_000, help="runs in the store that is read (default: %(default)s)"
    )
    parser.add_argument("--mlflow", type=Path, help="an interpreter that has MLflow: measure it too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    if options.mlflow is not None:
        require_mlflow(options.mlflow)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = measure_writing(folder, options.runs, options.mlflow) + measure_reading(folder, options.stored)
    if options.json:
        print_json(rows)
        return 0
    for row in rows:
        ratio = row.get("this store is", 1)
        times = f"  this store is {ratio:.1f} x" if ratio != 1 else ""
        print(f"{row['work']:62s}{row['value']:>9.2f} {row['unit']}{times}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
