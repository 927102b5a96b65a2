"""The contact sheet: fruit as they are beside random draws of an augmentation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from backend.augment.pipeline import Augmenter, to_float
from backend.augment.policies import CUSTOM
from backend.config import AugmentConfig
from backend.data.dataset import FruitDataset
from backend.data.images import decode_image
from backend.errors import DataError

TILE = 96
"""Side of a tile in pixels, and the resolution at which the augmentation is drawn."""
DRAWS = 8
_GAP, _LABEL, _HEADER = 4, 132, 58
_PAPER, _INK, _FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)
_NOTHING = np.zeros((TILE, TILE, 1), dtype=np.uint8)


def contact_sheet(
    dataset: FruitDataset, config: AugmentConfig, *, fruits: int, seed: int, always: bool = False
) -> Image.Image:
    """Draw an augmentation on some fruit of a data set.

    Every row is a fruit and a sensor, every column a draw. The sensors of a fruit share their geometry,
    which shows wherever they are registered. An asymmetric policy alternates first and second views.

    Args:
        dataset: fruit from the whole manifest are taken, evenly spaced, of those that the most sensors saw.
        config: the augmentation.
        fruits: how many, 1 or more; fewer where the data set has fewer.
        seed: of the draws.
        always: give every tile every operation, whatever its probability.

    Returns:
        An RGB image.

    Raises:
        ConfigError: unknown policy or operation.
        DataError: no fruit has an image, or an image cannot be read.
    """
    augmenter = Augmenter(config, TILE, always=always)
    seen = _first_views(dataset)
    rows = _choose(dataset, seen, fruits)
    original = {name: _load(dataset, [paths[row] for row in rows]) for name, paths in seen.items()}
    generator = torch.Generator().manual_seed(seed)
    asymmetric = augmenter.policy.second_steps is not None
    columns, titles = [original], ["as it is"]
    for draw in range(DRAWS):
        second = asymmetric and draw % 2 == 1
        columns.append(augmenter(original, generator, second_view=second))
        titles.append(f"view {1 + draw % 2}" if asymmetric else f"draw {draw + 1}")
    places = [(i, name) for i, row in enumerate(rows) for name in seen if seen[name][row]]
    labels = [(dataset.fruit_ids[rows[i]], name) for i, name in places]
    tiles = [[column[name][i] for column in columns] for i, name in places]
    return _draw(tiles, labels, titles, _heading(augmenter, dataset, seed))


def operation_sheet(dataset: FruitDataset, names: Sequence[str], *, seed: int) -> Image.Image:
    """Draw every operation alone on one fruit, a row each, on the first sensor that it changes.

    Args:
        dataset: its first fruit that the most sensors saw is taken.
        names: of the operations, 1 or more.
        seed: of the draws.

    Returns:
        An RGB image.

    Raises:
        ConfigError: unknown operation.
        DataError: no fruit has an image, or an image cannot be read.
    """
    seen = _first_views(dataset)
    row = _choose(dataset, seen, 1)[0]
    original = {name: _load(dataset, [paths[row]]) for name, paths in seen.items() if paths[row]}
    tiles, labels = [], []
    for name in names:
        augmenter = Augmenter(AugmentConfig(policy=CUSTOM, operations=(name,)), TILE, always=True)
        generator = torch.Generator().manual_seed(seed)
        draws = [augmenter(original, generator) for _ in range(DRAWS)]
        changed = [s for s in original if any(not torch.equal(draw[s], original[s]) for draw in draws)]
        sensor = next(iter(changed or original))
        tiles.append([pixels[sensor][0] for pixels in (original, *draws)])
        labels.append((name, sensor))
    titles = ["as it is", *(f"draw {draw + 1}" for draw in range(DRAWS))]
    heading = (f"{dataset.name} · every operation alone · seed {seed}", f"fruit {dataset.fruit_ids[row]}")
    return _draw(tiles, labels, titles, heading)


def _first_views(dataset: FruitDataset) -> dict[str, list[str]]:
    """Sensor to the path of every fruit's first view that exists, "" = none; blind sensors are left out."""
    found = {}
    for name, views in dataset.modalities.items():
        by_fruit = zip(*(dataset.paths[name, view] for view in views), strict=True)
        found[name] = [next(filter(None, paths), "") for paths in by_fruit]
    return {name: paths for name, paths in found.items() if any(paths)}


def _choose(dataset: FruitDataset, seen: dict[str, list[str]], fruits: int) -> list[int]:
    """Rows of the manifest that the most sensors saw, evenly spaced."""
    if not seen:
        raise DataError(
            "no fruit with an image", where=str(dataset.root), expected="at least one, of some sensor"
        )
    sensors = np.array([[bool(path) for path in paths] for paths in seen.values()]).sum(axis=0)
    best = np.flatnonzero(sensors == sensors.max())
    return [int(best[int(i)]) for i in np.linspace(0, len(best) - 1, min(fruits, len(best)))]


def _load(dataset: FruitDataset, paths: list[str]) -> Tensor:
    """(n, C, TILE, TILE) images of one sensor, black where a path is ""; all coloured where one is."""
    pixels = []
    for path in paths:
        try:
            found = decode_image(str(dataset.root / path), TILE) if path else _NOTHING
        except DataError as error:
            raise DataError(error.found, where=str(dataset.root / path)) from error
        pixels.append(found)
    channels = max(image.shape[2] for image in pixels)
    stack = np.stack([np.broadcast_to(image, (TILE, TILE, channels)) for image in pixels])
    return to_float(torch.from_numpy(stack))


def _heading(augmenter: Augmenter, dataset: FruitDataset, seed: int) -> tuple[str, str]:
    config, policy = augmenter.config, augmenter.policy
    what = policy.description if config.policy == "custom" else f"policy {policy.name}: {policy.description}"
    steps = dict.fromkeys(step.operation for step in (*policy.steps, *(policy.second_steps or ())))
    return (
        f"{dataset.name} · {what} · strength {config.strength:g} · seed {seed}",
        ", ".join(steps) or "no operation",
    )


def _draw(
    tiles: list[list[Tensor]], labels: list[tuple[str, str]], titles: list[str], heading: tuple[str, str]
) -> Image.Image:
    """Lay out rows of (C, TILE, TILE) tiles with their labels."""
    step = TILE + _GAP
    font = ImageFont.load_default(size=12)
    # Long headings decide the width of narrow sheets, so that nothing is cut off.
    width = max(_LABEL + step * len(titles), 2 * _GAP + int(max(font.getlength(line) for line in heading)))
    sheet = Image.new("RGB", (width, _HEADER + step * len(tiles)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, 4), heading[0], fill=_INK, font=font)
    pen.text((_GAP, 21), heading[1], fill=_FAINT, font=font)
    for column, title in enumerate(titles):
        pen.text((_LABEL + column * step, _HEADER - 19), title, fill=_INK, font=font)
    for row, (line, (fruit, modality)) in enumerate(zip(tiles, labels, strict=True)):
        top = _HEADER + row * step
        pen.text((_GAP, top + TILE // 2 - 16), _fit(fruit, font), fill=_INK, font=font)
        pen.text((_GAP, top + TILE // 2), _fit(modality, font), fill=_FAINT, font=font)
        for column, tile in enumerate(line):
            sheet.paste(Image.fromarray(_to_rgb(tile)), (_LABEL + column * step, top))
    return sheet


def _fit(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """``text``, its end cut off where it is wider than the label column."""
    kept = text
    while font.getlength(kept) > _LABEL - 2 * _GAP:
        kept = kept.removesuffix("…")[:-1] + "…"
    return kept


def _to_rgb(tile: Tensor) -> NDArray[np.uint8]:
    """(H, W, 3) pixels of a (C, H, W) image: its first three channels, or its first one as grey."""
    shown = tile[:3] if len(tile) >= 3 else tile[:1].expand(3, -1, -1)
    pixels: NDArray[np.uint8] = shown.permute(1, 2, 0).mul(255).round().to(torch.uint8).numpy()
    return np.ascontiguousarray(pixels)
