"""Speed beside the peers: the scripts in ``benchmarks/``, run one by one, their ratios kept in the store."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from backend.benchmark.bench import Bench, Measured, Result, StudyFacts
from backend.benchmark.table import Cell, Score, Table
from backend.config import MethodConfig, RunConfig
from backend.errors import ConfigError, TrainingError
from backend.store.bundle import MetricValue

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks"

Line = tuple[str, dict[str, float]]
"""What was measured, and column to number."""


def _throughput(found: Any) -> Iterator[Line]:
    for row in found["speed"]:
        columns = {name: row[name] for name in ("ours", "limit", "peer", "of_limit", "over_peer")}
        yield f"{row['method']}, {row['size']} px", columns
    for row in found["overhead"]:
        yield f"{row['method']}, {row['size']} px: a step over SimCLR's", {"ratio": row["over_simclr"]}
    for size, over in found["memory_over_limit"].items():
        yield f"{size} px: peak memory over the limit's", {"ratio": over}


def _dashboard(found: Any) -> Iterator[Line]:
    for row in found["rows"]:
        values = {"median s": row["median_s"], "p95 s": row["p95_s"]}
        if target := row["target_s"]:
            values |= {"target s": target, "of target": row["p95_s"] / target}
        yield f"{row['what']}, {found['runs']:,} runs", values
    for row in found.get("peer", []):
        columns = {"median s": row["ours_s"], "MLflow s": row["peer_s"], "times as fast": row["times"]}
        yield f"{row['what']}, {found['runs']:,} runs, beside MLflow", columns


def _store(found: Any) -> Iterator[Line]:
    for row in found:
        values = {row["unit"]: row["value"]}
        ratio = row.get("this store is")
        yield row["work"], values | ({} if ratio is None else {"this store is (x)": ratio})


def _explain(found: Any) -> Iterator[Line]:
    words = f"Grad-CAM, {found['backbone']}, {found['resolution']} px, batch {found['batch']}"
    names = {
        "ours_per_second": "ours, images/s",
        "batched_per_second": "grad-cam batched",
        "one_by_one_per_second": "grad-cam one by one",
        "forward_only_per_second": "forward only",
        "times_batched": "over batched",
        "times_one_by_one": "over one by one",
        "share_of_forward_only": "of forward only",
        "largest_difference": "largest difference of maps",
    }
    yield words, {column: found[name] for name, column in names.items()}


READERS: dict[str, Callable[[Any], Iterator[Line]]] = {
    "throughput": _throughput,
    "dashboard": _dashboard,
    "store": _store,
    "explain": _explain,
}
FULL: dict[str, tuple[tuple[str, ...], ...]] = {
    "throughput": tuple(
        (*size, *half, "--steps", "4", "--repeats", "5")
        for half in (("--overheads", "none"), ("--methods", "none"))
        for size in (("--sizes", "64"), ("--sizes", "32"))
    ),
    "dashboard": (("--runs", "1000"), ("--runs", "10000")),
    "store": (("--runs", "500", "--stored", "10000"), ("--runs", "100", "--stored", "100000")),
    "explain": (("--images", "256"),),
}
BESIDE_MLFLOW = ("dashboard", "store")
QUICK: dict[str, tuple[str, ...]] = {
    "throughput": ("--quick",),
    "dashboard": ("--runs", "50", "--fruit", "100", "--repeats", "1"),
    "store": ("--runs", "20", "--stored", "100"),
    "explain": ("--images", "16", "--rounds", "1"),
}


def run(bench: Bench) -> None:
    """The script of that name with its settings, each setting a cell."""
    name = bench.benchmark.name
    device = ("--device", "cuda") if name == "throughput" and bench.device == "cuda" else ()
    mlflow = bench.options.mlflow if name in BESIDE_MLFLOW else None
    peer = () if mlflow is None else ("--mlflow",)
    for chosen in (QUICK[name],) if bench.quick else FULL[name]:
        arguments = (*chosen, *device, *peer)
        # Where MLflow lies is nobody's business but this machine's.
        path = () if mlflow is None else (str(mlflow),)
        config = RunConfig(kind="probe", method=MethodConfig(f"speed_{name}"))
        measure = functools.partial(_measure, name, (*arguments, *path))
        bench.cell(config, {"arguments": " ".join(arguments)}, measure)


def _measure(name: str, arguments: tuple[str, ...], config: RunConfig) -> Measured:
    found = run_script(SCRIPTS / f"{name}.py", (*arguments, "--json"))
    metrics = [
        MetricValue(f"{column}|{what}", float(value))
        for what, columns in READERS[name](found)
        for column, value in columns.items()
    ]
    return Measured(tuple(metrics))


def run_script(script: Path, arguments: tuple[str, ...]) -> Any:
    """The JSON that a script prints.

    Raises:
        ConfigError: no such script, as where only the package is installed.
        TrainingError: it failed; with its last line.
    """
    if not script.is_file():
        raise ConfigError(
            "not found", where=str(script), expected="a checkout of the project", action="run it from there"
        )
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise TrainingError(lines[-1].removeprefix("error: "), where=f"benchmarks/{script.name}")
    return json.loads(done.stdout)


def tables(facts: StudyFacts, results: Sequence[Result]) -> list[Table]:
    """One table; a row for each thing measured."""
    measured: dict[str, dict[str, Score]] = {}
    for result in results:
        for metric, score in result.scores.items():
            column, _, what = metric.partition("|")
            measured.setdefault(what, {})[column] = score
    columns = sorted({column for row in measured.values() for column in row}, key=_order)
    rows: list[tuple[Cell, ...]] = [
        (what, *(row.get(column) for column in columns)) for what, row in sorted(measured.items())
    ]
    notes = ("Medians of interleaved repeats on one machine. Ratios travel to other machines, times do not.",)
    return [Table(f"Speed: {facts.benchmark}", ("what", *columns), tuple(rows), notes)]


def _order(column: str) -> tuple[bool, str]:
    """Ours first."""
    return not column.startswith(("ours", "median", "runs/s")), column
