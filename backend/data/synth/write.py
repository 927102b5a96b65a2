"""Write drawn fruit as files: pictures, masks and the rows of the tables that name them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.data.problem import MANIFEST_FILE
from backend.data.synth.fruit import PRESSURES, VIEWS, Floats, Fruit, Pallet
from backend.data.synth.painters import Painter
from backend.data.synth.render import Pictures, render
from backend.data.writing import write_csv

MODALITIES = ("rgb", "nir")
MASKS_HEADER = ("fruit_id", "defect", "view", "path")
_FOLDER_SIZE = 1000
_WASTE_BYTES = 2048
"""Half a block of a usual disk: what a file leaves empty at its end."""
_MASK_SHARE = 4 / 64**2
"""Least share of a view that a mask must cover to be written."""


@dataclass(frozen=True)
class Batch:
    """One pallet of B fruit with everything that is known and recorded of it.

    Attributes:
        pallet: the line.
        fruit: shapes and true severities.
        painters: D defects and what paints them, in the order of ``fruit.severity``.
        recorded: (B, D) labels as the manifest has them, NaN = unlabelled.
        readings: (B, len(PRESSURES)), NaN = missing.
        lost: (B, len(MODALITIES), len(VIEWS)) True where a camera failed.
        masks: whether ground-truth masks are written.
    """

    pallet: Pallet
    fruit: Fruit
    painters: Mapping[str, Painter]
    recorded: Floats
    readings: Floats
    lost: NDArray[np.bool_]
    masks: bool


@dataclass(frozen=True)
class Rows:
    """Rows of manifest.csv, truth.csv and masks.csv."""

    manifest: list[list[object]]
    truth: list[list[object]]
    masks: list[tuple[str, str, str, str]]


def fruit_bytes(size: int) -> int:
    """About what the pictures of a fruit take on a disk; three quarters of it at 64 px, nine tenths at 256.

    Under noise PNG saves no more than half of the raw bytes.

    Args:
        size: pixels a side.
    """
    channels = 4  # three of RGB, one of NIR
    return len(VIEWS) * (channels * size**2 // 2 + len(MODALITIES) * _WASTE_BYTES)


def write_batch(rng: np.random.Generator, batch: Batch, folder: Path, ids: Sequence[str], size: int) -> Rows:
    """Draw the pictures of a pallet, write those of its first fruit, and return their rows.

    Args:
        rng: source of the camera noise.
        batch: the whole pallet.
        folder: the data set.
        ids: of the fruit to write; the last pallet may not be full.
        size: pixels a side.
    """
    pictures = render(rng, batch.fruit, batch.pallet, batch.painters, size)
    paths = _write_pictures(folder, ids, pictures, batch.lost)
    manifest: list[list[object]] = []
    truth: list[list[object]] = []
    for slot, fruit_id in enumerate(ids):
        labels = ["" if np.isnan(value) else str(int(value)) for value in batch.recorded[slot]]
        readings = ["" if np.isnan(value) else f"{value:.3f}" for value in batch.readings[slot]]
        manifest.append([fruit_id, batch.pallet.name, *labels, *readings, *paths[slot]])
        severity = batch.fruit.severity[slot]
        severities = [f"{value:.3f}" for value in severity]
        ripeness = f"{batch.fruit.ripeness[slot]:.3f}"
        truth.append([fruit_id, ripeness, *(severity > 0).astype(int), *severities])
    return Rows(manifest, truth, _write_masks(folder, ids, pictures) if batch.masks else [])


def write_tables(folder: Path, names: Sequence[str], rows: Rows) -> None:
    """Write manifest.csv, truth.csv and masks.csv of the defects ``names``."""
    images = [f"image:{modality}:{view}" for modality in MODALITIES for view in VIEWS]
    labels = [f"defect:{name}" for name in names]
    readings = [f"pressure:{name}" for name in PRESSURES]
    write_csv(folder / MANIFEST_FILE, ["fruit_id", "group", *labels, *readings, *images], rows.manifest)
    truth = ["fruit_id", "ripeness", *labels, *(f"severity:{name}" for name in names)]
    write_csv(folder / "truth.csv", truth, rows.truth)
    write_csv(folder / "masks.csv", MASKS_HEADER, rows.masks)


def _write_pictures(
    folder: Path, ids: Sequence[str], pictures: Pictures, lost: NDArray[np.bool_]
) -> list[list[str]]:
    """Write every view that is not lost; for each fruit its paths in the order of the manifest's columns."""
    paths: list[list[str]] = [[] for _ in ids]
    for m, (modality, pixels) in enumerate(zip(MODALITIES, (pictures.rgb, pictures.nir), strict=True)):
        for slot, fruit_id in enumerate(ids):
            for v, view in enumerate(VIEWS):
                path = "" if lost[slot, m, v] else f"images/{modality}/{_name(fruit_id, view)}"
                paths[slot].append(path)
                if path:
                    _save_png(folder, path, pixels[slot, v])
    return paths


def _write_masks(folder: Path, ids: Sequence[str], pictures: Pictures) -> list[tuple[str, str, str, str]]:
    """Write a 1-bit PNG for every view that shows a defect, and return the rows of masks.csv."""
    rows = []
    for name, (which, masks) in pictures.masks.items():
        least = max(1, _MASK_SHARE * masks.shape[-1] ** 2)
        for slot, views in zip(which, masks, strict=True):
            if slot >= len(ids):
                continue
            for view, mask in zip(VIEWS, views, strict=True):
                if np.count_nonzero(mask) >= least:
                    path = f"masks/{name}/{_name(ids[slot], view)}"
                    _save_png(folder, path, mask)
                    rows.append((ids[slot], name, view, path))
    return sorted(rows)


def _name(fruit_id: str, view: str) -> str:
    """Path of a picture below its modality: folders of 1,000 fruit keep file managers usable."""
    return f"{int(fruit_id[1:]) // _FOLDER_SIZE:03d}/{fruit_id}-{view}.png"


def _save_png(folder: Path, path: str, pixels: NDArray[np.uint8] | NDArray[np.bool_]) -> None:
    """Write one PNG; on camera noise run-length matching is faster than any search, and smaller."""
    import zlib

    from PIL import Image

    full = f"{folder}/{path}"
    try:
        file = open(full, "wb")  # noqa: SIM115, PTH123 - a Path per file is a tenth of the time
    except FileNotFoundError:
        os.makedirs(os.path.dirname(full), exist_ok=True)  # noqa: PTH103, PTH120
        file = open(full, "wb")  # noqa: SIM115, PTH123
    with file:
        Image.fromarray(pixels).save(file, "png", compress_level=1, compress_type=zlib.Z_RLE)
