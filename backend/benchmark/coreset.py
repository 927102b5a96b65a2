"""Which fruit to label: coresets chosen on self-supervised embeddings, against a random draw.

k-centre (Sener and Savarese 2018) and TypiClust (Hacohen, Dekel and Weinshall 2022), which is made for
self-supervised embeddings. The choice sees no label; a linear probe then learns from the chosen ones.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from backend.benchmark.bench import Bench, Measured, Result, StudyFacts
from backend.benchmark.pretraining import Sizes, encode, part_of, sized, ssl_config
from backend.benchmark.protocols import accuracy_of
from backend.benchmark.table import Cell, Score, Table, pooled
from backend.config import RunConfig, derive_seed
from backend.data.splits import inner_split
from backend.evaluation.coreset import choose
from backend.evaluation.features import Part
from backend.evaluation.probe import linear_probe
from backend.store.bundle import MetricValue

FRACTIONS = (0.10, 0.25, 0.50)
CHOICES = {"random": "random", "k_centre": "k-centre", "typiclust": "TypiClust (SSL-aware)"}
SIZES = Sizes(train=5_000, test=2_000, epochs=10)


def run(bench: Bench) -> None:
    """One SimCLR encoder a seed serves every choice and fraction."""
    sizes = sized(bench, SIZES)
    for seed in bench.seeds:
        config = ssl_config(bench, "simclr", sizes, batch=128, seed=seed)
        bench.cell(config, {"images": sizes.train}, functools.partial(_measure, bench, sizes))


def _measure(bench: Bench, sizes: Sizes, config: RunConfig) -> Measured:
    made = encode(bench, config, sizes)
    train = part_of(bench, made.train, made.encoder.features(made.train))
    query = part_of(bench, made.test, made.encoder.features(made.test))
    whole = _accuracy(bench, train, query, config.seed)
    metrics = [MetricValue("accuracy:all", whole)]
    for choice in CHOICES:
        for fraction in FRACTIONS:
            rows = choose(choice, train.features, round(fraction * len(train.labels)), seed=config.seed)
            chosen = Part(train.features[rows], train.labels[rows])
            accuracy = _accuracy(bench, chosen, query, config.seed)
            metrics.append(MetricValue(f"accuracy:{choice}-{fraction:.0%}", accuracy))
            metrics.append(MetricValue(f"kept:{choice}-{fraction:.0%}", accuracy / whole))
    return Measured(tuple(metrics), made.curves, notes=made.notes)


def _accuracy(bench: Bench, chosen: Part, query: Part, seed: int) -> float:
    """Test accuracy of a probe on the chosen fruit, a fifth of which chooses the penalty."""
    groups = [str(number) for number in range(len(chosen.labels))]
    everyone = np.arange(len(chosen.labels))
    fit, validation = inner_split(chosen.labels, groups, everyone, derive_seed(seed, "inner"))
    parts = [Part(chosen.features[rows], chosen.labels[rows]) for rows in (fit, validation)]
    outcome = linear_probe(parts[0], parts[1], query.features, task=bench.dataset.task)
    return accuracy_of(outcome.score, query.labels)


def tables(facts: StudyFacts, results: Sequence[Result]) -> list[Table]:
    """Accuracy, and the share of the full accuracy that is kept."""
    rows: list[tuple[Cell, ...]] = []
    for choice, words in CHOICES.items():
        cells: list[Score] = []
        for fraction in FRACTIONS:
            for kind in ("accuracy", "kept"):
                name = f"{kind}:{choice}-{fraction:.0%}"
                cells.append(pooled([result.score(name) for result in results]))
        rows.append((words, *cells))
    whole = pooled([result.score("accuracy:all") for result in results])
    columns = tuple(f"{fraction:.0%}, {what}" for fraction in FRACTIONS for what in ("accuracy", "kept"))
    notes = (f"With every label: {whole}. Mean over seeds and its 95 % t interval.",)
    return [Table(f"{facts.dataset}: coresets", ("choice", *columns), tuple(rows), notes)]
