"""Heat maps lie where the network saw something, in colours for every eye, and broken files do no harm."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dashboard import heat
from dashboard.heat import SIDE, colours, heat_sheet

SIGHT = {  # Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
    "all cones": np.eye(3),
    "no red cones": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no green cones": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "no blue cones": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A grey picture twice as wide as high, and a map that is hot in its right half."""
    Image.new("RGB", (80, 40), (100, 100, 100)).save(tmp_path / "fruit.png")
    hot = np.zeros((16, 16), np.uint8)
    hot[:, 8:] = 255
    Image.fromarray(hot).save(tmp_path / "heat.png")
    return tmp_path


def drawn(folder: Path, opacity: float, picture: str = "fruit.png", heat_map: str = "heat.png") -> np.ndarray:
    cells = (((picture, str(folder / heat_map)),),)
    return np.asarray(Image.open(io.BytesIO(heat_sheet(str(folder), cells, opacity))).convert("RGB"), int)


@pytest.mark.parametrize("sight", SIGHT)
def test_hotter_is_lighter_for_every_eye(sight: str) -> None:
    rgb = colours() / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    light = np.clip(linear @ SIGHT[sight].T, 0, 1) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light[::16]) > 0).all()


def test_the_map_is_laid_over_the_picture_and_nowhere_else(folder: Path) -> None:
    pixels = drawn(folder, 1.0)
    assert pixels.shape == (SIDE, SIDE, 3)
    middle = SIDE // 2
    assert abs(pixels[middle, SIDE // 4] - 100).max() < 12, "cold: the fruit shows through"
    assert pixels[middle, 3 * SIDE // 4].min() > 130 and pixels[middle, 3 * SIDE // 4, 0] > 220, "hot"
    assert pixels[5].max() < 20, "above the picture there is nothing"


def test_opacity_says_how_strong(folder: Path) -> None:
    hot = [drawn(folder, opacity)[SIDE // 2, 3 * SIDE // 4, 0] for opacity in (0.0, 0.5, 1.0)]
    assert hot == sorted(hot) and abs(hot[0] - 100) < 12


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_a_broken_map_leaves_the_picture(folder: Path, content: bytes) -> None:
    (folder / "bad.png").write_bytes(content)
    assert abs(drawn(folder, 1.0, heat_map="bad.png")[SIDE // 2, 3 * SIDE // 4] - 100).max() < 12


def test_what_is_too_large_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heat, "MOST_PIXELS", 100)
    heat_sheet.cache_clear()
    assert abs(drawn(folder, 1.0)[SIDE // 2, 3 * SIDE // 4] - 100).max() < 12
    heat_sheet.cache_clear()


def test_a_picture_outside_the_folder_is_an_empty_tile(folder: Path) -> None:
    pixels = drawn(folder / "..", 1.0, picture="../etc/passwd")
    assert pixels.min() > 100, "the tile that says that there is none"


def test_a_sheet_is_small_and_has_a_tile_a_view(folder: Path) -> None:
    cell = ("fruit.png", str(folder / "heat.png"))
    data = heat_sheet(str(folder), ((cell, cell, cell, cell), (cell, ("", ""))), 0.7)
    size = Image.open(io.BytesIO(data)).size
    assert len(data) <= heat.MOST_SHEET and size[0] > 3.9 * SIDE and size[1] > 1.9 * SIDE
