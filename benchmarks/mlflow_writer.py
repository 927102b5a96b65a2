"""MLflow's side of ``store.py``: the same runs, written by an interpreter that has MLflow.

    PYTHON benchmarks/mlflow_writer.py FOLDER fluent|batch COUNT METRICS STEPS < parameters.json

It imports nothing of the project, so that MLflow can live in an environment of its own. Prints the seconds
that COUNT runs took; starting and opening the database do not count.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

logging.disable(logging.INFO)
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow  # noqa: E402 - it asks the environment when it is imported
from mlflow.entities import Metric, Param  # noqa: E402

EXPERIMENT = "benchmark"


def experiment_in(folder: Path) -> str:
    """The experiment of a database in ``folder``, made on first use."""
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    known = mlflow.get_experiment_by_name(EXPERIMENT)
    if known is not None:
        return str(known.experiment_id)
    return str(mlflow.create_experiment(EXPERIMENT, artifact_location=str(folder / "artifacts")))


def fluent(experiment: str, parameters: dict[str, str], metrics: int, steps: int) -> None:
    """A run by the calls of MLflow's tutorials."""
    with mlflow.start_run(experiment_id=experiment):
        mlflow.log_params(parameters)
        for k in range(metrics):
            mlflow.log_metric(f"metric {k}", math.sin(k))
        for step in range(steps):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)


def batch(experiment: str, parameters: dict[str, str], metrics: int, steps: int) -> None:
    """A run by MLflow's fastest way in."""
    client = mlflow.MlflowClient()
    run = client.create_run(experiment)
    stamp = int(time.time() * 1000)
    values = [Metric(f"metric {k}", math.sin(k), stamp, 0) for k in range(metrics)]
    values += [Metric("loss", 1 / (step + 1), stamp, step) for step in range(steps)]
    client.log_batch(run.info.run_id, values, [Param(*item) for item in parameters.items()])
    client.set_terminated(run.info.run_id)


WAYS: dict[str, Callable[[str, dict[str, str], int, int], None]] = {"fluent": fluent, "batch": batch}


def main() -> None:
    """Write and print the seconds."""
    folder, way, *numbers = sys.argv[1:]
    count, metrics, steps = map(int, numbers)
    parameters = json.load(sys.stdin)
    experiment = experiment_in(Path(folder))
    start = time.perf_counter()
    for _ in range(count):
        WAYS[way](experiment, parameters, metrics, steps)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
