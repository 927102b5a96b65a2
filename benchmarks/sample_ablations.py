"""Ablations of a sample store by formula: sensors, augmentations, methods and shares of the labels.

Rows are those of docs/stored-results.md; how much a sensor, an operation or a label is worth is written here.
"""

from __future__ import annotations

import dataclasses
import io
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sample_data import seeded
from sample_rows import compare

from backend.config import AugmentConfig, MethodConfig, RunConfig
from backend.data.dataset import FruitDataset
from backend.store.bundle import ArtifactData, CurvePoint, MetricValue

if TYPE_CHECKING:
    from sample_store import Builder

WORTH = {"rgb": {"internal": 0.2, "external": 0.75}, "nir": {"internal": 0.7, "external": 0.15}}
"""What a sensor adds to the skill on a kind of defect; sensors that are not named add next to nothing."""

OPERATIONS = ("random_resized_crop", "horizontal_flip", "colour_jitter", "gaussian_blur")
GAIN = {"random_resized_crop": 0.09, "horizontal_flip": 0.04, "colour_jitter": 0.05, "gaussian_blur": -0.02}
"""What an operation adds to the inner-validation score of a run without any."""
PLAIN = 0.31
RANKING_SEED = 7
LABELS = (0.05, 0.1, 0.25)


def input_ablation(build: Builder, study: str, dataset: FruitDataset, full: RunConfig, full_run: str) -> None:
    """Every proper subset of the sensors of ``full``, and what ``full_run`` says of each sensor."""
    sensors = full.model.modalities
    subsets = [part for size in range(1, len(sensors)) for part in combinations(sensors, size)]
    runs = {}
    for part in subsets:
        model = dataclasses.replace(full.model, modalities=part)
        chosen = dataclasses.replace(full, model=model, purpose="input-ablation")
        runs[part] = build.run(study, dataset, chosen, skill=sensor_skill(dataset, part))
    metrics = [value for sensor in sensors for value in _sensor_metrics(dataset, sensors, sensor)]
    build.store.add_metrics(full_run, metrics)
    for sensor in sensors:
        without = tuple(name for name in sensors if name != sensor)
        if without:
            family = f"input-ablation: without {sensor}"
            build.store.add_comparisons(compare(build.store, runs[without], full_run, family))


def sensor_skill(dataset: FruitDataset, sensors: tuple[str, ...]) -> NDArray[np.float64]:
    """(D,) how strongly labels pull on the scores of a model that has these sensors."""
    return np.array(
        [
            0.25 + sum(WORTH.get(name, {}).get(defect.kind, 0.02) for name in sensors)
            for defect in dataset.defects
        ]
    )


def _sensor_metrics(dataset: FruitDataset, sensors: tuple[str, ...], sensor: str) -> list[MetricValue]:
    values = []
    for defect in (None, *dataset.defects):
        kinds = [defect.kind] if defect else ["internal", "external"]
        worth = 0.5 * float(np.mean([WORTH.get(sensor, {}).get(kind, 0.02) for kind in kinds]))
        name = defect.name if defect else None
        values.append(MetricValue(f"shapley:{sensor}", worth, name, worth - 0.05, worth + 0.06))
        for metric, size in ((f"mcc_without:{sensor}", 1.3), (f"mcc_permuted:{sensor}", 1.5)):
            left = 0.6 - size * worth
            values.append(MetricValue(metric, left, name, left - 0.05, left + 0.04))
        for view in dataset.modalities.get(sensor, ()):
            left = 0.6 - 0.3 * worth - 0.01 * float(view)
            metric = f"mcc_without_view:{sensor}:{view}"
            values.append(MetricValue(metric, left, name, left - 0.04, left + 0.03))
    return values


def augmentation_ablation(build: Builder, study: str, dataset: FruitDataset, base: RunConfig) -> None:
    """Operations alone, in pairs and left out, strengths, a confirmed policy and the contact sheet."""
    policies = [AugmentConfig(policy=name) for name in ("none", "fruit", "simclr")]
    policies += [AugmentConfig(policy="custom", operations=(name,)) for name in OPERATIONS]
    policies += [AugmentConfig(policy="custom", operations=pair) for pair in combinations(OPERATIONS, 2)]
    policies += [AugmentConfig(policy="fruit", without=(name,)) for name in OPERATIONS]
    policies += [AugmentConfig(policy="fruit", strength=strength) for strength in (0.5, 1.5)]
    purpose = "augmentation-ablation"
    pretrained = {}
    for policy in policies:
        chosen = dataclasses.replace(
            base, kind="pretrain", purpose=purpose, augment=policy, seed=RANKING_SEED
        )
        value = augmented_score(policy)
        voted = MetricValue("inner_mcc", value / 3)
        run_id = build.run(study, dataset, chosen, folds=1, keep=False, extra=(voted,))
        pretrained[policy] = run_id
        probe = dataclasses.replace(chosen, kind="probe", parent=run_id)
        readout = {"probe_inner_mcc": value, "mcc": value + 0.05, "knn_mcc": value - 0.03}
        extra = tuple(MetricValue(name, score) for name, score in readout.items())
        build.run(study, dataset, probe, folds=1, keep=False, extra=extra, scored=False)
    _confirm(build, study, dataset, base, {policies[0]: 1.0, policies[1]: 1.35})
    for name, kind in (("augmentations.png", "contact_sheet"), ("operations.png", "operation_sheet")):
        build.store.add_artifact(pretrained[policies[1]], ArtifactData(name, kind, coloured_tiles(kind)))


def augmented_score(policy: AugmentConfig) -> float:
    """The inner-validation score under a policy."""
    present = {"fruit": OPERATIONS, "simclr": OPERATIONS[:2]}.get(policy.policy, policy.operations)
    gain = sum(GAIN[name] for name in present if name not in policy.without)
    return PLAIN + gain * (1 - (policy.strength - 1) ** 2)


def _confirm(
    build: Builder,
    study: str,
    dataset: FruitDataset,
    base: RunConfig,
    skills: dict[AugmentConfig, float],
) -> None:
    runs = {}
    for policy, skill in skills.items():
        for seed in range(2):
            chosen = dataclasses.replace(base, purpose="augmentation-ablation", seed=seed)
            first = dataclasses.replace(chosen, kind="pretrain", augment=policy)
            # A confirmation has another score than the ranking; it must not enter there.
            parent = build.run(
                study, dataset, first, keep=False, extra=(MetricValue("inner_mcc", 0.9 + seed / 100),)
            )
            tuned = dataclasses.replace(chosen, parent=parent)
            runs[policy, seed] = build.run(study, dataset, tuned, skill=skill)
    plain, best = skills
    rows = compare(build.store, runs[plain, 0], runs[best, 0], "augmentation-ablation: fruit")
    build.store.add_comparisons(rows)


def coloured_tiles(kind: str) -> bytes:
    """A picture that stands for a sheet of augmentations: tiles of many colours."""
    from PIL import Image

    tiles = seeded(kind).integers(40, 220, (6, 12, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(np.kron(tiles, np.ones((40, 40, 1), dtype=np.uint8))).save(data, "PNG")
    return data.getvalue()


def protocols(build: Builder, study: str, dataset: FruitDataset, base: RunConfig, tuned: RunConfig) -> None:
    """Probes of every method; with fewer labels fine-tunes and their supervised partners; three seeds each.

    Args:
        build: writes.
        study: its id.
        dataset: the fruit.
        base: the supervised final run.
        tuned: a fine-tune of the method that is also tried with fewer labels.
    """
    for seed in range(3):
        for method in ("simclr", "barlow_twins", "random_init"):
            init = "random" if method == "random_init" else "ssl"
            probe = dataclasses.replace(
                tuned,
                kind="probe",
                method=MethodConfig(name=method),
                model=dataclasses.replace(tuned.model, init=init),
                seed=seed,
            )
            skill = {"simclr": 0.85, "barlow_twins": 1.0}.get(method, 0.4)
            build.run(study, dataset, probe, skill=skill, extra=_protocol_values(skill, seed))
        for fraction in LABELS:
            for chosen, skill in ((base, 0.45 + 0.6 * fraction**0.5), (tuned, 0.75 + 0.65 * fraction**0.5)):
                data = dataclasses.replace(chosen.data, label_fraction=fraction)
                few = dataclasses.replace(chosen, data=data, purpose="label-efficiency", seed=seed)
                build.run(study, dataset, few, skill=skill)
    collapsed = dataclasses.replace(tuned, kind="pretrain", method=MethodConfig(name="simsiam"))
    run_id = build.run(
        study, dataset, collapsed, folds=1, finish=False, keep=False, health=health_curves(8, collapsed=True)
    )
    build.store.end_run(
        run_id,
        "failed",
        "fold 1: collapsed in epoch 8: all embeddings are nearly alike (spread 0.031, healthy is near 1)",
    )


def _protocol_values(skill: float, seed: int) -> tuple[MetricValue, ...]:
    luck = 0.01 * seed
    return (
        MetricValue("probe_accuracy", 0.6 + 0.2 * skill + luck),
        MetricValue("knn_accuracy", 0.55 + 0.2 * skill + luck),
        MetricValue("knn_mcc", 0.4 * skill + luck),
        MetricValue("retrieval_map", 0.3 + 0.3 * skill + luck),
        MetricValue("retrieval_r1", 0.4 + 0.3 * skill + luck),
    )


def health_curves(epochs: int, *, collapsed: bool = False) -> tuple[CurvePoint, ...]:
    """Spread, effective rank, alignment and uniformity of a pretraining, epoch by epoch."""
    points = []
    for epoch in range(1, epochs + 1):
        share = epoch / epochs
        spread = 0.9 * (1 - share) + 0.03 if collapsed else 0.6 + 0.35 * share
        values = {
            "embedding_std": spread,
            "effective_rank": 1 + 30 * spread * (0.5 + share / 2),
            "alignment_loss": 0.4 * (1 - share) + (0.0 if collapsed else 0.15),
            "uniformity_loss": -3.5 * spread,
        }
        points += [CurvePoint(epoch, "health", name, value) for name, value in values.items()]
    return tuple(points)
