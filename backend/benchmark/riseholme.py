"""One-class anomaly detection on Riseholme-2021, the protocol of CH-Rand.

Choi, Would, Salazar-Gomez and Cielniak 2022, "Self-supervised representation learning for reliable robotic
monitoring of fruit anomalies" (arXiv:2109.10135). Fitted on normal training fruit; a test fruit's score is
the mean Euclidean distance to its k nearest among them; test = the split's normal test fruit and every
anomalous fruit. Four choices of what is normal: ripe, unripe, both, both and occluded.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.benchmark import colour, networks
from backend.benchmark.bench import Bench, Measured, Result, StudyFacts
from backend.benchmark.encoding import FrozenEncoder
from backend.benchmark.oneclass_scores import area_metrics
from backend.benchmark.sources import Rows
from backend.benchmark.table import Cell, Table, pooled
from backend.config import AugmentConfig, DataConfig, MethodConfig, ModelConfig, OptimConfig, RunConfig
from backend.data.dataset import FruitDataset
from backend.data.importers.riseholme import SPLITS_FILE
from backend.errors import DataError
from backend.evaluation.features import l2_normalise, nearest
from backend.evaluation.oneclass import anomaly_scores
from backend.methods.registry import default_augment, default_method_config, default_optim
from backend.store.bundle import MetricValue
from backend.training.pretrain import pretrain

CASES = {"R": "ripe", "U": "unripe", "RU": "ripe, unripe", "RUO": "ripe, unripe, occluded"}
NEIGHBOURS = (1, 5)
SIDE = 64
Parts = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Features of normal training fruit and of test fruit."""

PUBLISHED = {
    ("R", 1): (0.920, 0.955),
    ("U", 1): (0.873, 0.755),
    ("RU", 1): (0.834, 0.607),
    ("RUO", 1): (0.804, 0.496),
    ("R", 5): (0.922, 0.957),
    ("U", 5): (0.870, 0.765),
    ("RU", 5): (0.838, 0.615),
    ("RUO", 5): (0.796, 0.484),
}
"""(normal fruit, k) to AUROC and AUPRC of CH-Rand on Split 1, mean of three runs; from their repository."""

CH_RAND, NAIVE, COLOURS, SIMCLR = "channel_randomisation", "hsv_histogram", "colour_histogram", "simclr"
STEPS = 200
"""Of CH-Rand. At a quarter of the width neither more steps nor another rate reach the published figures."""
_JITTER = AugmentConfig("custom", 0.125, ("horizontal_flip", "vertical_flip", "colour_jitter"))
"""The paper's flips, and its jitter of .1 in brightness, contrast and saturation; of hue it is .025."""


@dataclass(frozen=True)
class Case:
    """One choice of normal fruit.

    Attributes:
        name: R, U, RU or RUO.
        train: rows of normal fruit to fit on.
        validation: rows of normal fruit that nothing was fitted on.
        test: rows of held-out normal and of all anomalous fruit.
        strange: (test,) True for the anomalous ones.
    """

    name: str
    train: Rows
    validation: Rows
    test: Rows
    strange: NDArray[np.bool_]


def read_cases(dataset: FruitDataset, split: int, place: str = "") -> list[Case]:
    """The four cases of a split.

    Args:
        dataset: as imported.
        split: 1 to 3.
        place: of the collection, for messages.

    Raises:
        DataError: the split's lists were not among the imported files.
    """
    path = dataset.root / SPLITS_FILE
    rows_of = {fruit_id: row for row, fruit_id in enumerate(dataset.fruit_ids)}
    listed: dict[tuple[str, str], list[int]] = {}
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                if line["split"] == str(split):
                    listed.setdefault((line["subset"], line["part"]), []).append(rows_of[line["fruit_id"]])
    anomalous = np.flatnonzero(dataset.labels[:, dataset.defect_names.index("anomalous")] == 1)
    cases = []
    for name in CASES:
        parts = [np.array(listed.get((name, part), []), np.int64) for part in ("train", "val", "test")]
        if min(map(len, parts)) < 2:
            raise DataError(
                f"no lists of Split{split} for {name}",
                where=place,
                expected=f"Splits/Split{split}/Split{split}-{name}-Train.txt, -Val.txt and -Test.txt",
                action="get the whole data set, or choose another --split",
            )
        train, validation, normal = parts
        strange = np.repeat([False, True], [len(normal), len(anomalous)])
        cases.append(Case(name, train, validation, np.concatenate([normal, anomalous]), strange))
    return cases


def run(bench: Bench) -> None:
    """CH-Rand, the naive reference and our scores on the four cases."""
    cases = read_cases(bench.dataset, bench.options.split, bench.place)
    for case in cases[:1] if bench.quick else cases:
        facts = {"normal": case.name}
        bench.cell(_plain(NAIVE), facts, functools.partial(_naive, bench, case))
        bench.cell(_plain(COLOURS), facts, functools.partial(_colours, bench, case))
        for seed in bench.seeds:
            config = ch_rand_config(bench, len(case.train), seed)
            bench.cell(config, facts, functools.partial(measure_ch_rand, bench, case))
            config = simclr_config(bench, len(case.train), seed)
            bench.cell(config, facts, functools.partial(_simclr, bench, case))


def _plain(name: str) -> RunConfig:
    """A cell that trains nothing."""
    return RunConfig(kind="probe", method=MethodConfig(name), data=DataConfig(resolution=SIDE))


def epochs_of(steps: int, batch: int, samples: int) -> int:
    """Epochs that come nearest to so many steps."""
    return max(1, round(steps / max(1, samples // min(batch, samples))))


def ch_rand_config(bench: Bench, samples: int, seed: int) -> RunConfig:
    """CH-Rand with the paper's network.

    The paper takes up to 1,500 x 8 steps of 128 at a rate of 5e-6; here fewer at a higher rate. Half of each
    batch of 128 is randomised, as there.
    """
    steps = 4 if bench.quick else STEPS
    return RunConfig(
        kind="pretrain",
        method=default_method_config(CH_RAND),
        model=ModelConfig(backbone=networks.CH_RAND),
        augment=_JITTER,
        optim=OptimConfig(
            epochs=epochs_of(steps, 64, samples), batch_size=64, learning_rate=1e-4, weight_decay=1e-3
        ),
        data=DataConfig(resolution=SIDE),
        seed=seed,
    )


def simclr_config(bench: Bench, samples: int, seed: int) -> RunConfig:
    """SimCLR on whole fruit: no crop, since an anomaly may be anywhere on the fruit."""
    steps = 8 if bench.quick else 300
    return RunConfig(
        kind="pretrain",
        method=default_method_config(SIMCLR),
        augment=dataclasses.replace(default_augment(SIMCLR), policy="whole_fruit"),
        optim=default_optim(SIMCLR, epochs=epochs_of(steps, 128, samples), batch_size=128),
        data=DataConfig(resolution=SIDE),
        seed=seed,
    )


def _images(bench: Bench, rows: Rows) -> colour.Images:
    return bench.context(SIDE).cache.batch(rows, "rgb")[:, 0]


def _naive(bench: Bench, case: Case, config: RunConfig) -> Measured:
    train, test = (colour.hsv_histogram(_images(bench, rows)) for rows in (case.train, case.test))
    return Measured(tuple(_distances(case, (train, test), config.seed)))


def _colours(bench: Bench, case: Case, config: RunConfig) -> Measured:
    train, validation, test = (_images(bench, rows) for rows in (case.train, case.validation, case.test))
    hsv = colour.to_hsv(train), colour.to_hsv(test)
    window, found = colour.choose_window(train, validation, k=max(NEIGHBOURS), seed=config.seed)
    middle = colour.joint_histogram(hsv[0], window), colour.joint_histogram(hsv[1], window)
    whole = colour.joint_histogram(hsv[0]), colour.joint_histogram(hsv[1])
    metrics = _distances(case, middle, config.seed) + _distances(case, whole, config.seed, "whole-")
    notes = [(f"cut_paste_auroc[{side:g}]", f"{value:.4f}") for side, value in found.items()]
    return Measured((*metrics, MetricValue("window", window)), notes=tuple(notes))


def _distances(case: Case, parts: Parts, seed: int, prefix: str = "") -> list[MetricValue]:
    """Both areas for each k."""
    found: list[MetricValue] = []
    for k in NEIGHBOURS:
        found += area_metrics(case.strange, anomaly_scores(*parts, k=k), f"{prefix}k{k}", seed)
    return found


def measure_ch_rand(bench: Bench, case: Case, config: RunConfig) -> Measured:
    """CH-Rand as configured, trained on a case's normal fruit: areas under both curves for each k."""
    context = bench.context(SIDE)
    result = pretrain(
        config, context.dataset, context.cache, case.train, seed=config.seed, device=context.device
    )
    encoder = FrozenEncoder(config, context, case.train, result.weights)
    seen = encoder.features(case.train), encoder.features(case.test)
    metrics = _distances(case, seen, config.seed)
    return Measured(tuple(metrics), result.curves, notes=result.notes)


def _simclr(bench: Bench, case: Case, config: RunConfig) -> Measured:
    """SimCLR's own distances, and their sum with those of the colours, both in units of normal fruit."""
    context = bench.context(SIDE)
    result = pretrain(
        config, context.dataset, context.cache, case.train, seed=config.seed, device=context.device
    )
    encoder = FrozenEncoder(config, context, case.train, result.weights)
    seen = l2_normalise(encoder.features(case.train)), l2_normalise(encoder.features(case.test))
    metrics = _distances(case, seen, config.seed)
    window, _ = colour.choose_window(
        _images(bench, case.train), _images(bench, case.validation), k=max(NEIGHBOURS), seed=0
    )
    images = [_images(bench, rows) for rows in (case.train, case.test)]
    coloured = [colour.joint_histogram(colour.to_hsv(part), window) for part in images]
    for k in NEIGHBOURS:
        both = standardised(seen[0], seen[1], k) + standardised(coloured[0], coloured[1], k)
        metrics += area_metrics(case.strange, both, f"with-colour-k{k}", config.seed)
    return Measured(tuple(metrics), result.curves, notes=result.notes)


def standardised(train: NDArray[np.float32], test: NDArray[np.float32], k: int) -> NDArray[np.float64]:
    """Distances to the k nearest in standard deviations of the normal fruit's own, so that they add up."""
    own = nearest(train, train, min(k, len(train) - 1), skip_self=True)[0].mean(axis=1)
    distance = anomaly_scores(train, test, k=k)
    scaled: NDArray[np.float64] = (distance - own.mean()) / max(float(own.std()), 1e-9)
    return scaled


_SHOWN = (
    (CH_RAND, "", "CH-Rand, ours"),
    (NAIVE, "", "naive: HSV histogram, 16 bins a channel"),
    (COLOURS, "whole-", "joint colour histogram, whole crop"),
    (COLOURS, "", "joint colour histogram, middle of the crop"),
    (SIMCLR, "", "SimCLR"),
    (SIMCLR, "with-colour-", "SimCLR and joint colours"),
)


def tables(facts: StudyFacts, results: Sequence[Result]) -> list[Table]:
    """AUROC and AUPRC for each case: theirs, ours, and by how much."""
    return [
        _table(facts, results, measure, index, label)
        for index, (measure, label) in enumerate((("auroc", "ROC"), ("auprc", "precision-recall")))
    ]


def _table(facts: StudyFacts, results: Sequence[Result], measure: str, index: int, label: str) -> Table:
    present = [case for case in CASES if any(r.facts.get("normal") == case for r in results)]
    rows: list[tuple[Cell, ...]] = []
    for k in NEIGHBOURS:
        rows.append(("CH-Rand, published", k, *(PUBLISHED[case, k][index] for case in present)))
        for method, prefix, words in _SHOWN:
            metric = f"oneclass_{measure}:{prefix}k{k}"
            cells = [
                pooled([r.score(metric) for r in results if r.method == method and r.facts["normal"] == case])
                for case in present
            ]
            if any(cell.value is not None for cell in cells):
                rows.append((words, k, *cells))
    numbered = tuple((row[0], str(row[1]), *row[2:]) for row in rows)
    return Table(
        f"Riseholme-2021, Split {facts.plan['split']}: area under the {label} curve",
        ("score", "k", *(f"normal: {CASES[case]}" for case in present)),
        numbered,
        _notes(facts, results),
    )


def _notes(facts: StudyFacts, results: Sequence[Result]) -> tuple[str, ...]:
    windows = {r.facts["normal"]: r.score("window").value for r in results if r.method == COLOURS}
    chosen = ", ".join(f"{case} {value:g}" for case, value in windows.items() if value is not None)
    notes = [
        "Mean over seeds; in brackets the 95 % bootstrap interval over test fruit, averaged over seeds.",
        "Published figures are of Split 1, mean of three runs.",
        f"CH-Rand, ours: the network as published, {STEPS} steps; theirs train for up to 12,000.",
        f"Middle of the crop in sides of it, chosen on normal fruit with pasted patches: {chosen}.",
    ]
    return tuple(notes)
