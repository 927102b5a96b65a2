"""Thumbnails of fruit: every view of every sensor on one sheet, small, guarded and remembered.

Paths come from a store, which may come from anywhere: none may lead out of the data set's folder, and a
picture that is too large, of a format we do not expect, or broken, becomes an empty tile.
"""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 88
"""Side of one tile in pixels."""
GAP = 4
MOST_PIXELS = 64_000_000
MOST_BYTES = 64_000_000
MOST_SHEET_BYTES = 20_000
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM")

Views = tuple[tuple[str, ...], ...]
"""Rows of paths relative to the data set's folder; an empty path is a missing view."""


def inside(root: Path, relative: str) -> Path | None:
    """The path of a picture, None where it is missing or leads out of ``root``."""
    if not relative:
        return None
    try:
        path = (root / relative).resolve()
        found = path.is_relative_to(root.resolve()) and path.is_file()
    except (OSError, ValueError):  # too long, a loop of links, a zero byte
        return None
    return path if found else None


def available(root: str) -> bool:
    """Whether the folder of a data set is still there."""
    try:
        return bool(root) and Path(root).is_dir()
    except (OSError, ValueError):
        return False


def tile_side(columns: int, side: int = SIDE) -> int:
    """Side of the tiles of a sheet: larger where a card shows fewer views, so that they are not blurred.

    Args:
        columns: views beside each other.
        side: where there are four of them.
    """
    return max(side, min(3 * side, 4 * side // max(1, columns)))


@lru_cache(maxsize=600)
def sheet(root: str, views: Views, side: int = SIDE) -> bytes:
    """One WebP picture: a row a sensor, a column a view, empty tiles where a view is missing.

    Args:
        root: folder of the data set.
        views: rows of relative paths.
        side: of a tile in pixels.

    Returns:
        At most 20 kB.
    """
    columns = max(len(row) for row in views)
    tiles = []
    for row in views:
        paths = [inside(Path(root), relative) for relative in row]
        drawn = [None if path is None else tile(path, side) for path in paths]
        tiles.append([*drawn, *([None] * (columns - len(row)))])
    return montage(tiles, side)


def montage(tiles: list[list[Image | None]], side: int, most_bytes: int = MOST_SHEET_BYTES) -> bytes:
    """Square tiles as one WebP picture.

    Args:
        tiles: rows of equal length; None = there is no picture.
        side: of a tile in pixels.
        most_bytes: the quality is lowered until the file is no larger.
    """
    from PIL import Image

    size = (len(tiles[0]) * (side + GAP) - GAP, len(tiles) * (side + GAP) - GAP)
    canvas = Image.new("RGB", size, (127, 127, 127))
    for i, row in enumerate(tiles):
        for j, one in enumerate(row):
            canvas.paste(one or _empty(side), (j * (side + GAP), i * (side + GAP)))
    for quality in (80, 60, 40, 20):
        data = io.BytesIO()
        canvas.save(data, "WEBP", quality=quality, method=2)
        if data.tell() <= most_bytes:
            break
    return data.getvalue()


def _empty(side: int) -> Image:
    """A tile that says that there is no picture: grey with a diagonal."""
    from PIL import Image, ImageDraw

    tile = Image.new("RGB", (side, side), (206, 210, 213))
    ImageDraw.Draw(tile).line((0, side, side, 0), fill=(150, 156, 161), width=2)
    return tile


def tile(path: Path, side: int) -> Image | None:
    """A picture fitted into a square; None where it cannot be read."""
    from PIL import Image, ImageOps

    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return None
            picture.draft("RGB", (2 * side, 2 * side))
            small = _eight_bits(picture)
            return ImageOps.pad(small, (side, side), color=(0, 0, 0))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # Pillow has many words for a broken file


def _eight_bits(picture: Image) -> Image:
    """Any mode as RGB; deeper pixels are stretched from their darkest to their brightest."""
    from PIL import Image

    if not picture.mode.startswith(("I", "F")):
        return picture.convert("RGB")
    pixels = np.asarray(picture, dtype=np.float32)
    low, high = float(pixels.min()), float(pixels.max())
    scaled = (pixels - low) * (255.0 / (high - low) if high > low else 0.0)
    return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")


@lru_cache(maxsize=8)
def photograph(root: str, relative: str, widest: int = 1600) -> bytes | None:
    """One picture as WebP, no wider than ``widest`` pixels.

    Args:
        root: folder that it must lie in.
        relative: its path there.
        widest: in pixels.

    Returns:
        None where it is missing, outside, too large or broken.
    """
    from PIL import Image

    path = inside(Path(root), relative)
    try:
        if path is None or path.stat().st_size > MOST_BYTES:
            return None
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                return None
            small = _eight_bits(picture)
            small.thumbnail((widest, 4 * widest))
            data = io.BytesIO()
            small.save(data, "WEBP", quality=85, method=2)
            return data.getvalue()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # as for thumbnails
