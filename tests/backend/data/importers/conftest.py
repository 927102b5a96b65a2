"""Tiny collections made on the spot, and the real ones where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def save_picture():
    """Write a small noise picture; every number gives another one."""

    def save(path: Path, number=0, size=(10, 12), mode="RGB"):
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
        pixels = np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return pixels

    return save


@pytest.fixture
def real_data():
    """Folder of a real collection, or skip."""

    def find(name: str) -> Path:
        default = Path(__file__).parents[5] / "shared" / "data"
        folder = Path(os.environ.get("AVOCADO_REAL_DATA", default)) / name
        if not folder.is_dir():
            pytest.skip(f"no real data: {folder} (set AVOCADO_REAL_DATA)")
        return folder

    return find
