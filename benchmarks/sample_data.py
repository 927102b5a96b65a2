"""Two data sets made by formula, for tests and benchmarks of the dashboard: labels, readings and pictures."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from backend.data.dataset import MULTICLASS, MULTILABEL, Defect, FruitDataset

FOLDS = 3

AVOCADO_DEFECTS = (
    ("stem-end-rot", "internal", 1.2, 0.35, 0.18),
    ("body-rot", "internal", 1.2, 0.35, 0.13),
    ("vascular-browning", "internal", 0.8, 0.35, 0.10),
    ("bruising", "internal", 0.7, 0.35, 0.15),
    ("grey-pulp", "internal", 1.0, 0.35, 0.07),
    ("sunburn", "external", 0.4, 0.35, 0.12),
    ("lenticel-damage", "external", 0.2, 0.35, 0.20),
    ("wind-scar", "external", 0.2, 0.35, 0.16),
    ("insect-damage", "external", 0.5, 0.35, 0.06),
    ("chilling-injury", "external", 0.6, 0.35, 0.05),
)
STRAWBERRY_CLASSES = (
    ("ripe", "other", 0.4, 0.0, 0.25),
    ("unripe", "other", 0.3, 0.1, 0.5),
    ("occluded", "other", 0.1, 0.1, 0.15),
    ("anomalous", "external", 1.0, 0.3, 0.1),
)


def seeded(*parts: object) -> np.random.Generator:
    """A generator that depends on nothing but ``parts``."""
    digest = hashlib.sha256("|".join(str(part) for part in parts).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def avocados(root: Path, fruit: int = 240, unlabelled: int = 40) -> FruitDataset:
    """A multilabel data set: ``fruit`` labelled and ``unlabelled`` unlabelled fruit on pallets of 10.

    Args:
        root: its folder; pictures are written by ``draw_pictures``.
        fruit: labelled fruit.
        unlabelled: fruit without any label.
    """
    n = fruit + unlabelled
    random = seeded("avocados", n)
    rates = np.array([rate for *_, rate in AVOCADO_DEFECTS])
    labels = (random.random((n, len(rates))) < rates).astype(np.float32)
    labels[fruit:] = np.nan
    labels[random.random((n, len(rates))) < 0.02] = np.nan
    ids = tuple(f"avo-{i:05d}" for i in range(n))
    softness = random.normal(2.4, 0.5, (n, 2)).astype(np.float32).round(2)
    softness[random.random((n, 2)) < 0.03] = np.nan
    paths = {
        (sensor, view): tuple(
            "" if (i + int(view)) % 37 == 0 else f"{sensor}/{name}-{view}.png" for i, name in enumerate(ids)
        )
        for sensor in ("rgb", "nir")
        for view in ("1", "2", "3", "4")
    }
    return FruitDataset(
        root=root,
        name="synthetic-hass",
        task=MULTILABEL,
        healthy="a-quality",
        synthetic=True,
        description="Hass avocados drawn by formula.",
        licence="CC0-1.0",
        source="benchmarks/sample_store.py",
        defects=tuple(Defect(*values[:4]) for values in AVOCADO_DEFECTS),
        fruit_ids=ids,
        groups=tuple(f"pallet-{i // 10:03d}" for i in range(n)),
        fixed_split=None,
        labels=labels,
        pressure_names=("tap_1", "tap_2"),
        pressures=softness,
        modalities={"rgb": ("1", "2", "3", "4"), "nir": ("1", "2", "3", "4")},
        paths=paths,
        dataset_id=f"{n:016x}",
        label_version=f"{n + 1:016x}",
    )


def strawberries(root: Path, fruit: int = 160) -> FruitDataset:
    """A multiclass data set of four classes, one picture a fruit."""
    random = seeded("strawberries", fruit)
    rates = np.array([rate for *_, rate in STRAWBERRY_CLASSES])
    classes = random.choice(len(rates), fruit, p=rates / rates.sum())
    ids = tuple(f"berry-{i:04d}" for i in range(fruit))
    return FruitDataset(
        root=root,
        name="strawberry-crops",
        task=MULTICLASS,
        healthy="ripe",
        synthetic=True,
        description="Strawberry crops, made by formula.",
        licence="CC0-1.0",
        source="benchmarks/sample_store.py",
        defects=tuple(Defect(*values[:4]) for values in STRAWBERRY_CLASSES),
        fruit_ids=ids,
        groups=tuple(f"plant-{i // 4:03d}" for i in range(fruit)),
        fixed_split=None,
        labels=np.eye(len(rates), dtype=np.float32)[classes],
        pressure_names=(),
        pressures=np.empty((fruit, 0), dtype=np.float32),
        modalities={"rgb": ("1",)},
        paths={("rgb", "1"): tuple(f"rgb/{name}.png" for name in ids)},
        dataset_id=f"{fruit + 7:016x}",
        label_version=f"{fruit + 8:016x}",
    )


def draw_pictures(dataset: FruitDataset, side: int = 48) -> None:
    """Write a small picture for every path of a data set: an oval whose tone follows the fruit's number."""
    from PIL import Image, ImageDraw

    for (sensor, view), paths in dataset.paths.items():
        for i, path in enumerate(paths):
            if not path:
                continue
            tone = 40 + (i * 29 + int(view) * 11) % 120
            colour = (tone // 2, tone, tone // 3) if sensor == "rgb" else tone
            picture = Image.new("RGB" if sensor == "rgb" else "L", (side, side))
            ImageDraw.Draw(picture).ellipse((8, 3, side - 8, side - 3), fill=colour)
            target = dataset.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            picture.save(target)


def folds_of(dataset: FruitDataset) -> dict[str, int]:
    """Labelled fruit to outer fold, by group."""
    groups = {name: i for i, name in enumerate(dict.fromkeys(dataset.groups))}
    return {
        name: groups[group] % FOLDS
        for name, group, known in zip(dataset.fruit_ids, dataset.groups, dataset.labelled, strict=True)
        if known
    }
