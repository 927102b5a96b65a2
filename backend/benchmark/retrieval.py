"""Retrieval from a gallery of embeddings: which pretraining puts like beside like?

After the thesis "Self-Supervised Product Recognition": query embeddings are matched against a gallery of
labelled ones. There, on products, MoCo with batches of 64 was best (mAP 79.4 %) beside RotNet, Jigsaw,
SimCLR, random weights and ImageNet's.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from backend.benchmark.bench import Bench, Measured, Result, StudyFacts
from backend.benchmark.pretraining import Sizes, encode, part_of, sized, ssl_config
from backend.benchmark.table import Cell, Table, pooled
from backend.config import RunConfig
from backend.evaluation.retrieval import retrieve
from backend.store.bundle import MetricValue

BATCH = 64
METHODS = {
    "random_init": "random weights",
    "rotation": "RotNet",
    "jigsaw": "Jigsaw",
    "simclr": "SimCLR",
    "moco": "MoCo",
    "imagenet": "ImageNet weights (ResNet-18)",
}
METRICS = {"retrieval_map": "mAP", "retrieval_r1": "R@1", "retrieval_r5": "R@5", "retrieval_r10": "R@10"}
SIZES = Sizes(train=10_000, test=2_000, epochs=10)


def run(bench: Bench) -> None:
    """Each method's encoder, gallery = training part, query = test part."""
    sizes = sized(bench, SIZES)
    for seed in bench.seeds:
        for method in METHODS:
            config = ssl_config(bench, method, sizes, batch=BATCH, seed=seed)
            bench.cell(config, {"gallery": sizes.train}, functools.partial(_measure, bench, sizes))


def _measure(bench: Bench, sizes: Sizes, config: RunConfig) -> Measured:
    made = encode(bench, config, sizes)
    gallery, query = (part_of(bench, rows, made.encoder.features(rows)) for rows in (made.train, made.test))
    found = retrieve(gallery, query, task=bench.dataset.task)
    metrics = (*found.metrics(), MetricValue("retrieval_r10", found.recall_at(10)))
    return Measured(metrics, made.curves, notes=made.notes)


def tables(facts: StudyFacts, results: Sequence[Result]) -> list[Table]:
    """One row for each method, best mAP first."""
    rows: list[tuple[float, tuple[Cell, ...]]] = []
    for method, words in METHODS.items():
        cells = [result for result in results if result.method == method]
        scores = [pooled([cell.score(metric) for cell in cells]) for metric in METRICS]
        if cells:
            rows.append((scores[0].value or 0.0, (words, *scores)))
    rows.sort(key=lambda row: -row[0])
    notes = (
        "Mean over seeds and its 95 % t interval; batch 64; the same network, images and epochs for each.",
        "Published, on products that cannot be had: MoCo first with mAP .794, so figures do not compare.",
    )
    columns = ("pretraining", *METRICS.values())
    return [Table(f"{facts.dataset}: retrieval", columns, tuple(row for _, row in rows), notes)]
