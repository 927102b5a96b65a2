"""A benchmark's place in the store: cells that are computed once, kept, and read back.

A cell is one measurement: a method on a case with a seed. It is a run (``purpose = benchmark``) whose id is a
function of everything that determines it, so the same command finds what is finished and goes on.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backend.benchmark.options import Options
from backend.benchmark.registry import Benchmark
from backend.benchmark.sources import FOLDS, Rows
from backend.benchmark.table import Score, Table
from backend.config import MethodConfig, RunConfig
from backend.data.cache import open_cache
from backend.data.dataset import FruitDataset
from backend.data.fingerprint import short_hash
from backend.data.splits import outer_folds
from backend.errors import describe_failure
from backend.store.bundle import ArtifactData, CurvePoint, FoldBundle, MetricValue
from backend.store.environment import environment, git_commit
from backend.store.queries.results import run_metrics
from backend.store.queries.runs import RunFilter, run, run_table
from backend.store.rows import COMPLETE, FAILED, RunRow, StudyRow
from backend.store.writer import RunStore
from backend.training.task import WorkerContext

PREFIX = "benchmark-"
QUICK = " (quick)"
SUMMARY = "table"
"""Method of the run that holds the printed table."""

Fact = float | int | str | bool


@dataclass(frozen=True)
class Measured:
    """What a cell found out."""

    metrics: tuple[MetricValue, ...] = ()
    curves: tuple[CurvePoint, ...] = ()
    artifacts: tuple[ArtifactData, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class StudyFacts:
    """Where results come from.

    Attributes:
        benchmark: its name.
        study_id: in the store.
        dataset: name of the data set.
        classes: names of its classes.
        quick: whether this was a smoke test.
        plan: command, split, seeds.
    """

    benchmark: str
    study_id: str
    dataset: str
    classes: tuple[str, ...]
    quick: bool
    plan: dict[str, Any]


@dataclass(frozen=True)
class Result:
    """A finished cell as the store has it.

    Attributes:
        method: what was measured.
        facts: the case: what sets it apart from other cells of the method.
        seed: of the repetition.
        scores: metric to value and interval.
        seconds: it took.
        machine: device, threads, processors and versions.
        commit: of this program.
        finished: when, as ISO 8601.
    """

    method: str
    facts: dict[str, Any]
    seed: int
    scores: dict[str, Score]
    seconds: float
    machine: dict[str, Any]
    commit: str | None = None
    finished: str = ""

    def score(self, metric: str) -> Score:
        """A metric; undefined where it was not measured."""
        return self.scores.get(metric, Score(None))


@dataclass
class Bench:
    """One benchmark on one data set in an open store.

    Attributes:
        benchmark: which.
        options: how.
        store: open for writing.
        dataset: on what.
        device: resolved.
        failures: cells that could not be measured, one line each.
    """

    benchmark: Benchmark
    options: Options
    store: RunStore
    dataset: FruitDataset
    device: str
    failures: list[str] = field(default_factory=list)
    _contexts: dict[int, WorkerContext] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Open the study, or the one of an earlier start."""
        self.store.add_dataset(self.dataset, [])
        plan = {
            "benchmark": self.benchmark.name,
            "quick": self.quick,
            "threads": self.options.threads,
            **({"split": self.options.split} if self.benchmark.name == "riseholme" else {}),
        }
        name = PREFIX + self.benchmark.name + (QUICK if self.quick else "")
        digest = short_hash([plan, self.dataset.dataset_id])[:8]
        study = StudyRow(f"{PREFIX}{self.benchmark.name}-{digest}", name, plan, self.dataset.dataset_id, "")
        self.store.recover()
        self.store.start_study(study)
        self.facts = StudyFacts(
            self.benchmark.name,
            study.study_id,
            self.dataset.name,
            self.dataset.defect_names,
            self.quick,
            plan,
        )

    @property
    def quick(self) -> bool:
        """Whether this is a smoke test."""
        return self.options.quick

    @property
    def place(self) -> str:
        """Where the user has the collection, for messages."""
        return str(self.options.root_of(self.options.data or self.benchmark.data) or self.dataset.root)

    @property
    def seeds(self) -> range:
        """The seeds of the repetitions."""
        return range(self.options.seeds or (1 if self.quick else max(1, self.benchmark.seeds)))

    @functools.cached_property
    def folds(self) -> Rows:
        """(n,) outer fold of each fruit; fold 0 is the test part."""
        data = self.dataset
        return outer_folds(data.labels, data.groups, FOLDS, 0, fixed_split=data.fixed_split)

    def context(self, resolution: int) -> WorkerContext:
        """Data, folds and pixels at a resolution, decoded on first use."""
        if resolution not in self._contexts:
            cache = open_cache(self.dataset, resolution, self.options.cache, progress=sys.stderr.isatty())
            self._contexts[resolution] = WorkerContext(self.dataset, cache, self.folds, self.device)
        return self._contexts[resolution]

    def parts(self) -> tuple[Rows, Rows]:
        """Rows of the training and of the test part, labelled fruit only."""
        train = np.flatnonzero((self.folds != 0) & self.dataset.labelled)
        return train, np.flatnonzero(self.folds == 0)

    def cell(
        self, config: RunConfig, facts: Mapping[str, Fact], measure: Callable[[RunConfig], Measured]
    ) -> None:
        """Measure a cell unless the store holds it.

        Args:
            config: method, network, optimisation and seed; its purpose is set here.
            facts: what sets the cell apart: part of its id, and shown with it.
            measure: does the work.
        """
        shown = dataclasses.replace(
            config,
            purpose="benchmark",
            threads=self.options.threads,
            method=dataclasses.replace(
                config.method,
                params=config.method.params + tuple((f"case:{name}", value) for name, value in facts.items()),
            ),
            label=" · ".join(str(value) for value in facts.values()),
        )
        row = self._row(shown)
        if self.store.run_status(row.run_id) == COMPLETE:
            return
        self.store.start_run(row)
        what = f"{self.benchmark.name}: {config.method.name} · {shown.label} · seed {config.seed}"
        print(f"{what} ...", end=" ", file=sys.stderr, flush=True)
        started = time.perf_counter()
        try:
            measured = measure(config)
        except Exception as error:  # as in a study, a fault inside a cell costs that cell only
            reason = describe_failure(error)
            self.store.end_run(row.run_id, FAILED, reason)
            self.failures.append(f"{what}: {reason.splitlines()[0]}")
            print(f"failed: {reason.splitlines()[0]}", file=sys.stderr)
            return
        seconds = time.perf_counter() - started
        self._keep(row, measured, seconds)
        print(f"{seconds:.0f} s", file=sys.stderr)

    def _row(self, config: RunConfig) -> RunRow:
        return RunRow.from_config(
            config,
            study_id=self.facts.study_id,
            dataset_id=self.dataset.dataset_id,
            n_folds=1,
            environment=environment(self.device, self.options.threads),
            git_commit=git_commit(),
        )

    def _keep(self, row: RunRow, measured: Measured, seconds: float) -> None:
        bundle = FoldBundle(
            fold=0,
            seconds=seconds,
            metrics=measured.metrics,
            curves=measured.curves,
            artifacts=measured.artifacts,
            notes=measured.notes,
        )
        self.store.write_fold(row.run_id, bundle)
        self.store.finish_run(row.run_id, measured.metrics)

    def keep_tables(self, tables: list[Table]) -> None:
        """Store the printed tables as artifact ``table.json``."""
        text = json.dumps([table.as_json() for table in tables], indent=2, ensure_ascii=False)
        row = self._row(RunConfig(kind="probe", purpose="benchmark", method=MethodConfig(SUMMARY)))
        self.store.start_run(row)
        self._keep(row, Measured(artifacts=(ArtifactData("table.json", "table", text.encode()),)), 0.0)

    def results(self) -> list[Result]:
        """Every finished cell."""
        with self.store.reading() as connection:
            return list(read_results(connection, self.facts.study_id))


def read_results(connection: Any, study_id: str) -> Iterator[Result]:
    """The finished cells of a study, in the order they were started.

    Args:
        connection: of a store.
        study_id: the study.
    """
    listed = run_table(connection, RunFilter(study_id=study_id, statuses=("complete",)))
    for run_id in reversed(listed["run_id"].tolist()):
        row = run(connection, run_id)
        assert row is not None, run_id
        if row["method"] == SUMMARY:
            continue
        params = dict(row["params"]["method"]["params"])
        facts = {k.removeprefix("case:"): v for k, v in params.items() if k.startswith("case:")}
        metrics = run_metrics(connection, run_id)
        metrics = metrics[metrics["fold"].isna() & metrics["defect"].isna()]
        scores = {
            name: Score(_number(value), _number(low), _number(high))
            for name, value, low, high in metrics[["metric", "value", "ci_low", "ci_high"]].itertuples(
                index=False, name=None
            )
        }
        yield Result(
            row["method"],
            facts,
            int(row["seed"]),
            scores,
            float(row["seconds"] or 0),
            row["environment"],
            row["git_commit"],
            row["finished"] or "",
        )


def _number(value: Any) -> float | None:
    """A float; None for what pandas makes of NULL."""
    return None if value is None or value != value else float(value)  # noqa: PLR0124 - NaN is not itself
