"""Run benchmarks: open the data and the store, compute what is missing, read the tables back."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backend.benchmark.bench import Bench
from backend.benchmark.options import Options
from backend.benchmark.registry import Benchmark
from backend.benchmark.sources import open_source
from backend.benchmark.table import Table
from backend.errors import AvocadoError
from backend.store.rows import COMPLETE, INTERRUPTED
from backend.store.writer import RunStore


@dataclass(frozen=True)
class Outcome:
    """What one benchmark left.

    Attributes:
        benchmark: its name.
        dataset: what it ran on.
        study_id: where its runs are in the store.
        quick: whether it was a smoke test.
        tables: from the stored results.
        failures: what could not be measured, one line each.
    """

    benchmark: str
    dataset: str
    study_id: str
    quick: bool
    tables: list[Table]
    failures: list[str]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "benchmark": self.benchmark,
            "dataset": self.dataset,
            "study_id": self.study_id,
            "quick": self.quick,
            "tables": [table.as_json() for table in self.tables],
            "failures": self.failures,
        }


def run_one(benchmark: Benchmark, options: Options) -> Outcome:
    """Run one benchmark, or go on with it.

    Raises:
        AvocadoError: data, store or device that cannot be used. A cell that fails alone is in the outcome.
    """
    from backend.training.optim import prepare_worker, resolve_device

    device = resolve_device(options.device)
    prepare_worker(options.threads)
    dataset = open_source(benchmark, options)
    module = benchmark.load()
    with RunStore(options.store, purpose=f"benchmark {benchmark.name}") as store:
        bench = Bench(benchmark, options, store, dataset, device)
        study_id, status = bench.facts.study_id, INTERRUPTED
        try:
            module.run(bench)
            status = COMPLETE
        finally:
            if status != COMPLETE:
                store.recover()
            store.finish_study(study_id, status, store.summarise_study(study_id))
        tables = module.tables(bench.facts, bench.results())
        bench.keep_tables(tables)
    return Outcome(benchmark.name, dataset.name, study_id, options.quick, tables, bench.failures)


def run_all(benchmarks: Sequence[Benchmark], options: Options) -> list[Outcome]:
    """Run several, past those that cannot start; ``--root`` holds a folder for each kind of data set."""
    outcomes = []
    for benchmark in benchmarks:
        root = options.root / benchmark.data if options.root and benchmark.data else None
        chosen = dataclasses.replace(options, root=root, data="")
        print(f"== {benchmark.name}: {benchmark.protocol}", file=sys.stderr)
        try:
            outcomes.append(run_one(benchmark, chosen))
        except AvocadoError as error:
            print(f"{benchmark.name}: {error}", file=sys.stderr)
            outcomes.append(
                Outcome(benchmark.name, "", "", options.quick, [], [f"{benchmark.name}: {error}"])
            )
    return outcomes
