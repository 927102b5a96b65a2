"""Heat maps over the pictures they explain: composited here, small, guarded and remembered.

The colours are those of "inferno" (van der Walt and Smith 2015), which grow lighter evenly for every kind of
colour vision; where there is no heat the fruit shows through.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dashboard.pictures import inside, montage, tile

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 120
"""Side of one tile in pixels."""
MOST_BYTES = 4_000_000
MOST_PIXELS = 4_000_000
MOST_SHEET = 60_000
INFERNO = (
    "#000004", "#1B0C41", "#4A0C6B", "#781C6D", "#A52C60",
    "#CF4446", "#ED6925", "#FB9B06", "#F7D13D", "#FCFFA4",
)  # fmt: skip
"""Ten steps at equal distances, dark to light."""

Cell = tuple[str, str]
"""Path of a picture relative to the data set's folder, and absolute path of its heat map; empty = none."""


def colours() -> NDArray[np.uint8]:
    """(256, 3) red, green and blue of every heat, cold to hot."""
    steps = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in INFERNO], float)
    places = np.linspace(0, 255, len(steps))
    levels = np.arange(256)
    return (
        np.stack([np.interp(levels, places, steps[:, c]) for c in range(3)], axis=1).round().astype(np.uint8)
    )


@lru_cache(maxsize=400)
def heat_sheet(
    root: str,
    cells: tuple[tuple[Cell, ...], ...],
    opacity: float,
    side: int = SIDE,
    most_bytes: int = MOST_SHEET,
) -> bytes:
    """One WebP picture: a row a sensor, a column a view, the heat map over each of them.

    Args:
        root: folder of the data set.
        cells: rows of pictures and their maps.
        opacity: of the hottest point, 0 (the picture alone) to 1.
        side: of a tile in pixels.
        most_bytes: see ``pictures.montage``.
    """
    columns = max(len(row) for row in cells)
    rows = [
        [_composed(root, picture, heat, opacity, side) for picture, heat in row]
        + [None] * (columns - len(row))
        for row in cells
    ]
    return montage(rows, side, most_bytes)


def _composed(root: str, picture: str, heat: str, opacity: float, side: int) -> Image | None:
    from PIL import Image

    path = inside(Path(root), picture)
    base = None if path is None else tile(path, side)
    if path is None or base is None or not heat or opacity <= 0:
        return base
    warmth = _warmth(Path(heat), path, side)
    if warmth is None:
        return base
    alpha = (opacity * warmth.astype(np.float32) / 255.0)[..., None]
    mixed = np.asarray(base, np.float32) * (1 - alpha) + colours()[warmth].astype(np.float32) * alpha
    return Image.fromarray(mixed.round().astype(np.uint8))


def _warmth(heat: Path, picture: Path, side: int) -> NDArray[np.uint8] | None:
    """A heat map laid where its picture lies in the tile, (side, side), 0 to 255; None if unreadable.

    The network saw the picture stretched to a square, so the map is stretched back to the picture's shape.
    """
    from PIL import Image, ImageOps

    try:
        if heat.stat().st_size > MOST_BYTES:
            return None
        with Image.open(heat, formats=("PNG",)) as image, Image.open(picture) as shown:
            if image.width * image.height > MOST_PIXELS:
                return None
            scale = side / max(shown.size)
            shape = (max(1, round(shown.width * scale)), max(1, round(shown.height * scale)))
            laid = ImageOps.pad(image.convert("L").resize(shape, Image.Resampling.BILINEAR), (side, side))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # Pillow has many words for a broken file
    return np.asarray(laid, np.uint8)
