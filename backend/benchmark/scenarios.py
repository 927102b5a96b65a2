"""Contrastive loss x augmentation on MNIST and CIFAR-10, and what this project makes of the same budget.

Hammer, Pavlinec, Zarbock and Zeilmann 2021 (their results sheet): two losses, three augmentations, two data
sets; 5,000 anchors a class; evaluated on the features of the 10,000 test images, split 80/20 at random:
logistic regression and nearest neighbours fitted on the 8,000, scored on the 2,000.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from backend.benchmark import networks
from backend.benchmark.bench import Bench, Measured, Result, StudyFacts
from backend.benchmark.encoding import FrozenEncoder, first_sensor
from backend.benchmark.pretraining import augment_of, backbone_of
from backend.benchmark.sources import Rows, classes_of
from backend.benchmark.table import Cell, Table, pooled
from backend.benchmark.triplets import BATCH, PAIRWISE, RECIPES, TRIPLET, Trainer, embed
from backend.config import AugmentConfig, DataConfig, MethodConfig, ModelConfig, OptimConfig, RunConfig
from backend.errors import DataError
from backend.methods.registry import default_method_config, default_optim
from backend.store.bundle import MetricValue
from backend.training.pretrain import pretrain

ANCHORS = 5_000
"""A class."""

LOOKS = 3 * RECIPES[TRIPLET].epochs
"""How often a triplet scenario sees an image, on average: epochs x (anchor, positive, negative)."""

AUGMENTATIONS = {"none": "none", "pad_rotate_scale": "pad-rotate-scale", "simclr": "SimCLR"}
PUBLISHED = {
    "MNIST": {
        ("none", PAIRWISE): (0.659, 0.882, 0.685),
        ("none", TRIPLET): (0.814, 0.955, 0.853),
        ("pad_rotate_scale", PAIRWISE): (0.783, 0.944, 0.811),
        ("pad_rotate_scale", TRIPLET): (0.920, 0.985, 0.920),
        ("simclr", PAIRWISE): (0.558, 0.819, 0.460),
        ("simclr", TRIPLET): (0.928, 0.991, 0.932),
    },
    "CIFAR-10": {
        ("none", PAIRWISE): (0.265, 0.582, 0.243),
        ("none", TRIPLET): (0.331, 0.663, 0.326),
        ("pad_rotate_scale", PAIRWISE): (0.293, 0.585, 0.274),
        ("pad_rotate_scale", TRIPLET): (0.334, 0.640, 0.337),
        ("simclr", PAIRWISE): (0.289, 0.631, 0.271),
        ("simclr", TRIPLET): (0.364, 0.691, 0.357),
    },
}
"""(augmentation, loss) to accuracy, top-3 accuracy and kNN accuracy."""

METRICS = ("probe_accuracy", "top3_accuracy", "knn_accuracy")
OURS = {"simclr": "ours: SimCLR, no labels", "supcon": "ours: SupCon, labels as theirs use them"}
_TRAIN_SHARE = 0.8
_NEIGHBOURS = 5


def run(bench: Bench) -> None:
    """The six scenarios of the data set, then ours."""
    side = _side(bench)
    train = anchors(bench)
    _require_classes(bench, train)
    for seed in bench.seeds:
        for augmentation in AUGMENTATIONS:
            for loss in (PAIRWISE, TRIPLET):
                config = theirs_config(augmentation, loss, side, seed, first_sensor(bench.context(side)))
                facts = {"augmentation": augmentation}
                bench.cell(config, facts, functools.partial(_theirs, bench, train))
        for name in OURS:
            config = our_config(bench, name, seed)
            bench.cell(config, {"budget": LOOKS * len(train)}, functools.partial(_ours, bench, train))


def _side(bench: Bench) -> int:
    """Digits and clothes have 28 px, CIFAR-10 has 32."""
    return 32 if bench.dataset.name.startswith("CIFAR") else 28


def anchors(bench: Bench) -> Rows:
    """The first 5,000 training images of each class (200 in a smoke test), ascending."""
    train, _ = bench.parts()
    classes = classes_of(bench.dataset, train)
    count = 200 if bench.quick else ANCHORS
    return np.sort(np.concatenate([train[classes == label][:count] for label in np.unique(classes)]))


def _require_classes(bench: Bench, train: Rows) -> None:
    """Nothing is trained where nothing could be scored.

    Raises:
        DataError: anchors of one class; too few test pictures for a classifier and something to score it on.
    """
    if len(np.unique(classes_of(bench.dataset, train))) < 2:
        raise DataError(
            "one class to train on", where=bench.place, expected="2 or more", action="add pictures of others"
        )
    classes = classes_of(bench.dataset, bench.parts()[1])
    for seed in bench.seeds:
        fit, score = (classes[rows] for rows in split(len(classes), seed))
        if len(np.unique(fit)) < 2 or not np.isin(score, fit).any():
            raise DataError(
                f"{len(classes)} test pictures of {len(np.unique(classes))} classes",
                where=bench.place,
                expected="several a class, so that a random 80 % to fit on and the others to score share one",
                action="add test pictures",
            )


def theirs_config(augmentation: str, loss: str, side: int, seed: int, sensor: str) -> RunConfig:
    """A scenario as published; its optimiser is plain SGD (``backend.benchmark.triplets``)."""
    recipe = RECIPES[loss]
    return RunConfig(
        kind="pretrain",
        method=MethodConfig(loss, "class", (("optimiser", "sgd"), ("output_dim", 32))),
        model=ModelConfig(backbone=networks.HAMMER, modalities=(sensor,)),
        augment=AugmentConfig(augmentation),
        optim=OptimConfig(
            epochs=recipe.epochs, batch_size=BATCH, learning_rate=recipe.learning_rate, weight_decay=0.0
        ),
        data=DataConfig(resolution=side),
        seed=seed,
    )


def our_config(bench: Bench, name: str, seed: int) -> RunConfig:
    """Our method on the same number of images, two views of each sample."""
    side = _side(bench)
    epochs = 1 if bench.quick else LOOKS // 2
    return RunConfig(
        kind="pretrain",
        method=dataclasses.replace(default_method_config(name), positives="augment"),
        model=ModelConfig(backbone=backbone_of(bench), modalities=(first_sensor(bench.context(side)),)),
        augment=augment_of(bench, name),
        optim=default_optim(name, epochs=epochs, batch_size=256),
        data=DataConfig(resolution=side),
        seed=seed,
    )


def _theirs(bench: Bench, train: Rows, config: RunConfig) -> Measured:
    context = bench.context(config.data.resolution)
    sensor = config.model.modalities[0]
    pixels = context.cache.batch(train, sensor)[:, 0]
    classes = classes_of(bench.dataset, train)
    trainer = Trainer(pixels, classes, config.augment.policy, bench.device, config.seed)
    network = trainer.run(config.method.name, 1 if bench.quick else None)
    _, test = bench.parts()
    features = embed(network, context.cache.batch(test, sensor)[:, 0], bench.device)
    return Measured(evaluate(features, classes_of(bench.dataset, test), config.seed), tuple(trainer.curves))


def _ours(bench: Bench, train: Rows, config: RunConfig) -> Measured:
    context = bench.context(config.data.resolution)
    labels = np.full_like(bench.dataset.labels, np.nan)
    labels[train] = bench.dataset.labels[train]
    result = pretrain(
        config, bench.dataset, context.cache, train, seed=config.seed, device=bench.device, labels=labels
    )
    _, test = bench.parts()
    features = FrozenEncoder(config, context, train, result.weights).features(test)
    metrics = evaluate(features, classes_of(bench.dataset, test), config.seed)
    return Measured(metrics, result.curves, notes=result.notes)


def split(count: int, seed: int) -> tuple[Rows, Rows]:
    """80 % of ``count`` rows to fit on and the others to score, at random."""
    fit, score = np.split(np.random.default_rng(seed).permutation(count), [round(_TRAIN_SHARE * count)])
    return fit, score


def top_k_accuracy(scores: NDArray[np.float64], known: Rows, classes: Rows, k: int) -> float:
    """Share of pictures whose class is among the k with the highest scores.

    Equal to scikit-learn's ``top_k_accuracy_score``, of equal scores the later class first, and defined as
    well for two classes, for k of them or fewer, and for pictures of a class without a score, which count
    as missed.

    Args:
        scores: (n, C).
        known: (C,) the class of each column.
        classes: (n,) true ones.
        k: 1 or more.
    """
    best = known[np.argsort(scores, axis=1, kind="stable")[:, ::-1][:, :k]]
    return float((best == classes[:, None]).any(axis=1).mean())


def evaluate(features: NDArray[np.float32], classes: NDArray[np.int64], seed: int) -> tuple[MetricValue, ...]:
    """Accuracy and top-3 accuracy of a logistic regression, and kNN accuracy, on a random 80/20 split.

    A picture of a class that the 80 % lack counts as missed.

    Args:
        features: (n, F) of the test images; standardised on the 80 %.
        classes: (n,).
        seed: of the split.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    fit, score = split(len(features), seed)
    mean, spread = features[fit].mean(axis=0), features[fit].std(axis=0)
    standard = (features - mean) / np.where(spread > 0, spread, 1)
    probe = LogisticRegression(max_iter=1000).fit(standard[fit], classes[fit])
    chance = probe.predict_proba(standard[score])
    neighbours = KNeighborsClassifier(min(_NEIGHBOURS, len(fit))).fit(features[fit], classes[fit])
    values = (
        probe.score(standard[score], classes[score]),
        top_k_accuracy(chance, probe.classes_, classes[score], k=3),
        neighbours.score(features[score], classes[score]),
    )
    return tuple(MetricValue(name, float(value)) for name, value in zip(METRICS, values, strict=True))


def tables(facts: StudyFacts, results: Sequence[Result]) -> list[Table]:
    """Every scenario: published, ours of the same, the difference; then our best."""
    published = PUBLISHED.get(facts.dataset, {})
    rows: list[tuple[Cell, ...]] = []
    for augmentation, shown in AUGMENTATIONS.items():
        for loss, words in ((PAIRWISE, "pairwise cosine"), (TRIPLET, "triplet")):
            cells = [r for r in results if r.method == loss and r.facts.get("augmentation") == augmentation]
            ours = [pooled([cell.score(metric) for cell in cells]) for metric in METRICS]
            theirs = published.get((augmentation, loss), (None, None, None))
            mixed = [cell for pair in zip(theirs, ours, strict=True) for cell in pair]
            rows.append((words, shown, *mixed))
    for name, words in OURS.items():
        cells = [r for r in results if r.method == name]
        best = [pooled([cell.score(metric) for cell in cells]) for metric in METRICS]
        rows.append((words, "own", *(cell for score in best for cell in (None, score))))
    names = ("accuracy", "top-3", "kNN")
    columns = tuple(f"{name}, {who}" for name in names for who in ("published", "here"))
    notes = (
        "Mean over seeds and its 95 % t interval. Theirs: 32 sigmoid outputs, batch 1024, SGD.",
        "The sheet does not give kernel, widths, margins and k: 3 x 3; 16, 32, 64, 64; torch's defaults; 5.",
        f"Ours: {LOOKS // 2} epochs of two views; a triplet scenario sees as many images.",
    )
    title = f"{facts.dataset}: contrastive loss x augmentation"
    return [Table(title, ("loss", "augmentation", *columns), tuple(rows), notes)]
