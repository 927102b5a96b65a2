"""The tables of early self-supervision: every layer probed, few labels, neighbours, clusters.

For every pretext task of the registry, beside random weights. After Zhang et al. 2016 (colourisation),
Noroozi and Favaro 2016 (jigsaw) and Gidaris et al. 2018 (rotation), whose tables show that the last layer
serves the pretext task and the one before it is the better feature. As in theirs, the map of each layer is
averaged down to about as many numbers as those of the others: they took 9,000, from a million photographs.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.benchmark.bench import Bench, Measured, Result, StudyFacts
from backend.benchmark.encoding import first_sensor
from backend.benchmark.pretraining import Encoded, Sizes, encode, part_of, side_of, sized, ssl_config
from backend.benchmark.sources import Rows
from backend.benchmark.table import Cell, Table, pooled
from backend.config import RunConfig, derive_seed
from backend.data.splits import inner_split, label_fraction
from backend.evaluation.clustering import clustering
from backend.evaluation.features import Part
from backend.evaluation.knn import knn_scores
from backend.evaluation.probe import linear_probe
from backend.methods.registry import PRETEXT, list_methods
from backend.store.bundle import MetricValue

BATCH = 128
FRACTIONS = (0.01, 0.05, 0.10)
SIZES = Sizes(train=10_000, test=2_000, epochs=10)
NUMBERS = 1024
"""Most numbers of a layer that a probe sees."""
_REFERENCE = "random_init"


def run(bench: Bench) -> None:
    """Every pretext task that can be set on these images: tasks about colour need colour."""
    sizes = sized(bench, SIZES)
    context = bench.context(side_of(bench))
    channels = context.cache.channels[first_sensor(context)]
    names = [_REFERENCE, *(info.name for info in list_methods(PRETEXT) if info.min_channels <= channels)]
    for seed in bench.seeds:
        for name in names:
            config = ssl_config(bench, name, sizes, batch=BATCH, seed=seed)
            facts = {"images": sizes.train, "numbers": NUMBERS}
            bench.cell(config, facts, functools.partial(_measure, bench, sizes))


def _measure(bench: Bench, sizes: Sizes, config: RunConfig) -> Measured:
    made = encode(bench, config, sizes)
    layers = [made.encoder.stages(rows, NUMBERS) for rows in (made.train, made.test)]
    metrics = [
        MetricValue(f"probe_accuracy:layer{number}", probed(bench, made, train, test, 1.0, config.seed))
        for number, (train, test) in enumerate(zip(*layers, strict=True), start=1)
    ]
    train, test = (made.encoder.stages(rows)[-1] for rows in (made.train, made.test))
    for fraction in FRACTIONS:
        accuracy = probed(bench, made, train, test, fraction, config.seed)
        metrics.append(MetricValue(f"probe_accuracy:{fraction:.0%}", accuracy))
    query = part_of(bench, made.test, test)
    votes = knn_scores(part_of(bench, made.train, train), test)
    metrics.append(MetricValue("knn_accuracy", accuracy_of(votes, query.labels)))
    metrics += clustering(test, query.labels, seed=config.seed)
    return Measured(tuple(metrics), made.curves, notes=made.notes)


def probed(
    bench: Bench,
    made: Encoded,
    train: NDArray[np.float32],
    test: NDArray[np.float32],
    fraction: float,
    seed: int,
) -> float:
    """Test accuracy of a linear probe that may use a share of the training labels.

    A fifth of these labels chooses the penalty. Draws of a seed are nested: 1 % is part of 5 %.
    """
    data = bench.dataset
    rows = np.arange(len(made.train))
    labels, groups = data.labels[made.train], [data.groups[row] for row in made.train]
    used = label_fraction(labels, groups, rows, fraction, derive_seed(seed, "labels"))
    fit, validation = inner_split(labels, groups, used, derive_seed(seed, "inner"))
    parts = [Part(train[chosen], labels[chosen]) for chosen in (fit, validation)]
    outcome = linear_probe(parts[0], parts[1], test, task=data.task)
    return accuracy_of(outcome.score, data.labels[made.test])


def accuracy_of(score: NDArray[np.float32], labels: NDArray[np.float32]) -> float:
    """Share of (n, D) scores that are highest at the class."""
    return float((score.argmax(axis=1) == labels.argmax(axis=1)).mean())


def rows_of_layers(results: Sequence[Result]) -> Rows:
    """Numbers of the layers that were probed, ascending."""
    names = {name for result in results for name in result.scores if name.startswith("probe_accuracy:layer")}
    return np.array(sorted(int(name.removeprefix("probe_accuracy:layer")) for name in names), np.int64)


def tables(facts: StudyFacts, results: Sequence[Result]) -> list[Table]:
    """Layers in one table, labels, neighbours and clusters in another."""
    # A store may hold cells of an earlier measure: layers as means over the whole map.
    results = [result for result in results if result.facts.get("numbers") == NUMBERS]
    layers = {f"probe_accuracy:layer{n}": f"layer {n}" for n in rows_of_layers(results)}
    others = {f"probe_accuracy:{f:.0%}": f"{f:.0%} labels" for f in FRACTIONS}
    others |= {"knn_accuracy": "kNN", "clustering_nmi": "NMI", "clustering_purity": "cluster purity"}
    notes = (
        "Mean over seeds and its 95 % t interval; the same network, images and epochs for each.",
        "Tasks about colour are left out where pictures are grey.",
    )
    of_layers = (
        *notes,
        f"The map of each layer is averaged over a grid that leaves at most {NUMBERS:,} numbers.",
    )
    return [
        _table(f"{facts.dataset}: accuracy of a linear probe on each layer", layers, results, of_layers),
        _table(
            f"{facts.dataset}: few labels, neighbours, clusters, on the last layer", others, results, notes
        ),
    ]


def _table(title: str, metrics: dict[str, str], results: Sequence[Result], notes: tuple[str, ...]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for method in dict.fromkeys(result.method for result in results):
        cells = [result for result in results if result.method == method]
        rows.append((method, *(pooled([cell.score(metric) for cell in cells]) for metric in metrics)))
    return Table(title, ("pretraining", *metrics.values()), tuple(rows), notes)
