"""Collections that come as arrays of pictures in memory: a stratified subset, saved as PNG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.data.importers.common import Picture
from backend.data.splits import stratified_order
from backend.errors import ConfigError

SUBSET_SEED = 0


@dataclass(frozen=True)
class Part:
    """The train or test part of a collection.

    Attributes:
        split: its name.
        pixels: (n, H, W) or (n, H, W, 3) uint8.
        classes: (n,) class numbers.
    """

    split: str
    pixels: NDArray[np.uint8]
    classes: NDArray[np.intp]


@contextmanager
def tidy(folder: Path) -> Iterator[None]:
    """Remove the empty folders that a download makes at and above ``folder`` before it fails."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        for path in made:
            with suppress(OSError):
                path.rmdir()
        raise


def choose(parts: Sequence[Part], limit: int | None) -> list[NDArray[np.intp]]:
    """Which pictures of each part to take: all, or ``limit`` with every class and part in its share.

    Raises:
        ConfigError: ``limit`` is not above 0.
    """
    if limit is None:
        return [np.arange(len(part.classes)) for part in parts]
    if limit < 1:
        raise ConfigError(f"{limit}", where="--limit", expected="1 or more")
    classes = np.concatenate([part.classes for part in parts])
    sizes = [len(part.classes) for part in parts]
    strata = classes * len(parts) + np.repeat(np.arange(len(parts)), sizes)
    chosen = np.sort(stratified_order(strata, np.random.default_rng(SUBSET_SEED))[:limit])
    starts = np.cumsum([0, *sizes])
    return [chosen[(chosen >= start) & (chosen < stop)] - start for start, stop in pairwise(starts)]


def pictures(
    parts: Sequence[Part], chosen: Sequence[NDArray[np.intp]], names: Sequence[str], prefix: str
) -> Iterator[Picture]:
    """The chosen pictures; the id tells the part and the place in the original files."""
    for part, rows in zip(parts, chosen, strict=True):
        for row in rows:
            fruit_id = f"{prefix}-{part.split}-{row:05d}"
            save = partial(_save_png, part.pixels[row])
            yield Picture(fruit_id, names[part.classes[row]], ".png", save, part.split)


def _save_png(pixels: NDArray[np.uint8], path: Path) -> None:
    from PIL import Image

    Image.fromarray(pixels).save(path, compress_level=1)
