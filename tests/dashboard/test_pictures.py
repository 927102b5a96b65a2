"""Thumbnails: small, from inside the folder only, and never a reason to fail."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dashboard import pictures


def sheet(root: Path, *views: tuple[str, ...]) -> Image.Image:
    return Image.open(io.BytesIO(pictures.sheet(str(root), views))).convert("RGB")


def tile(picture: Image.Image, row: int, column: int) -> tuple[int, ...]:
    step = pictures.SIDE + pictures.GAP
    return picture.getpixel((column * step + pictures.SIDE // 2, row * step + 10))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "in").mkdir(parents=True)
    Image.new("RGB", (300, 300), (200, 30, 30)).save(folder / "in" / "red.png")
    Image.new("L", (40, 40), 250).save(folder / "white.jpg")
    deep = np.full((32, 32), 1000, dtype=np.uint16)
    deep[:16] = 4000
    Image.fromarray(deep).save(folder / "deep.png")
    Image.new("RGB", (32, 32), (0, 0, 255)).save(tmp_path / "secret.png")
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes((folder / "in" / "red.png").read_bytes()[:60])
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    return folder


def test_views_stand_in_their_rows_and_columns(root: Path) -> None:
    picture = sheet(root, ("in/red.png", "white.jpg"), ("deep.png", ""))
    step = pictures.SIDE + pictures.GAP
    assert picture.size == (2 * step - pictures.GAP, 2 * step - pictures.GAP)
    assert tile(picture, 0, 0)[0] > 180 and tile(picture, 0, 0)[1] < 80
    assert min(tile(picture, 0, 1)) > 230


def test_sixteen_bits_are_stretched(root: Path) -> None:
    picture = sheet(root, ("deep.png",))
    assert picture.getpixel((40, 10))[0] > 230 and picture.getpixel((40, 78))[0] < 25


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png",
        "/etc/hostname",
        "link.png",
        "in/../../secret.png",
        "missing.png",
        "empty.png",
        "cut.png",
        "in",
        "a\0b.png",
        "x" * 5000,
    ],
)
def test_what_must_not_or_cannot_be_shown_is_an_empty_tile(root: Path, path: str) -> None:
    assert tile(sheet(root, (path,)), 0, 0) == pytest.approx((206, 210, 213), abs=12)


@pytest.mark.parametrize(("columns", "side"), [(1, 264), (2, 176), (3, 117), (4, 88), (8, 88)])
def test_few_views_are_drawn_larger(columns: int, side: int) -> None:
    assert pictures.tile_side(columns) == side


def test_a_bomb_is_not_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_PIXELS", 1000)
    pictures.sheet.cache_clear()
    assert tile(sheet(root, ("in/red.png",)), 0, 0) == pytest.approx((206, 210, 213), abs=12)
    pictures.sheet.cache_clear()


def test_a_sheet_of_noise_stays_below_20_kb(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for i in range(8):
        Image.fromarray(random.integers(0, 255, (96, 96, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    views = (tuple(f"{i}.png" for i in range(4)), tuple(f"{i}.png" for i in range(4, 8)))
    assert len(pictures.sheet(str(tmp_path), views)) <= pictures.MOST_SHEET_BYTES


def test_a_folder_that_is_gone_is_said_to_be_gone(tmp_path: Path) -> None:
    assert pictures.available(str(tmp_path))
    assert (
        not pictures.available(str(tmp_path / "gone"))
        and not pictures.available("")
        and not pictures.available("\0")
    )
