"""Every benchmark by name: its protocol, its goal, and where it lives. Imports nothing heavy.

A protocol's module has two functions. ``run(bench)`` computes what the store does not hold yet;
``tables(facts, results)`` turns stored results into tables and computes nothing, so that what is printed,
what is stored and what docs/results.md shows are one thing.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from backend.errors import unknown_name

if TYPE_CHECKING:
    from backend.benchmark.bench import Bench, Result, StudyFacts
    from backend.benchmark.table import Table


class ProtocolModule(Protocol):
    """What a protocol's module offers."""

    def run(self, bench: Bench) -> None:
        """Compute and store every cell that the store does not hold."""

    def tables(self, facts: StudyFacts, results: Sequence[Result]) -> list[Table]:
        """The tables of stored results, theirs beside ours."""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: as on the command line.
        protocol: one line for people.
        goal: what this project wants to reach.
        module: where it lives, below ``backend.benchmark``.
        data: the kind of data set it runs on unless told otherwise; empty = it needs none.
        kinds: the kinds it can run on; empty = any labelled data set.
        needs: pattern of files that the collection must have beside its pictures; ``{split}`` is the chosen
            split, empty = none.
        seeds: repetitions in full; 0 = it repeats in its own way.
        hours: hours in full on two CPU cores, roughly.
    """

    name: str
    protocol: str
    goal: str
    module: str
    data: str = ""
    kinds: tuple[str, ...] = ()
    needs: str = ""
    seeds: int = 3
    hours: float = 0.5

    def load(self) -> ProtocolModule:
        """Import the protocol."""
        return cast("ProtocolModule", importlib.import_module(f"backend.benchmark.{self.module}"))


BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            "riseholme",
            "one-class anomaly detection on strawberries, beside CH-Rand (Choi et al. 2022)",
            "AUROC and AUPRC above CH-Rand in all 8 cells; CH-Rand reproduced within .03",
            "riseholme",
            data="riseholme",
            kinds=("riseholme",),
            needs="Splits/*/Split{split}-*.txt",
            hours=0.7,
        ),
        Benchmark(
            "scenarios",
            "contrastive loss x augmentation (Hammer et al. 2021), then our best under the same budget",
            "theirs within .05; ours: MNIST .985, CIFAR-10 .60 and kNN above every row",
            "scenarios",
            data="mnist",
            kinds=("mnist", "cifar10", "fashion-mnist"),
            hours=1.5,
        ),
        Benchmark(
            "retrieval",
            "a query finds its like in a gallery of embeddings (product recognition thesis)",
            "SSL above random weights everywhere; mAP and R@k",
            "retrieval",
            data="mnist",
            hours=0.5,
        ),
        Benchmark(
            "protocols",
            "probe of every layer, 1/5/10 % labels, kNN and clustering for every pretext task",
            "the shape of the early tables: the last layer is not the best",
            "protocols",
            data="mnist",
            hours=0.7,
        ),
        Benchmark(
            "drlim",
            "digits 4 and 9, shifted, mapped to the plane (Hadsell et al. 2006)",
            "10 clusters before, 2 after; neighbourhood purity >= .95",
            "drlim",
            data="mnist",
            kinds=("mnist",),
            hours=0.2,
        ),
        Benchmark(
            "coreset",
            "k-centre and SSL-aware coresets at 10, 25 and 50 % against random",
            "accuracy kept per fraction",
            "coreset",
            data="mnist",
            hours=0.3,
        ),
        Benchmark(
            "throughput",
            "a self-supervised step against lightly's recipe and against the limit",
            "95 % of the limit; 1.25 x lightly's recipe at 64 px, 1.4 x at 32 px",
            "speed",
            seeds=0,
        ),
        Benchmark("dashboard", "latency of pages and filters", "see docs/results.md", "speed", seeds=0),
        Benchmark(
            "store",
            "runs a second and query times against MLflow",
            "150 x MLflow's fluent API, 10 x its log_batch",
            "speed",
            seeds=0,
        ),
        Benchmark(
            "explain",
            "Grad-CAM: agreement, speed, localisation",
            "2.5 x the grad-cam package batched, 10 x one by one, 75 % of the forward pass",
            "speed",
            seeds=0,
        ),
    )
}


def find(name: str) -> Benchmark:
    """The benchmark called ``name``.

    Raises:
        ConfigError: unknown name.
    """
    if name not in BENCHMARKS:
        raise unknown_name("benchmark", name, (*BENCHMARKS, "all", "report"), "NAME")
    return BENCHMARKS[name]
