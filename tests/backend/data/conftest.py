"""A small, valid data set folder that a test damages before it writes it."""

import csv
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.data.cache import ImageCache, open_cache
from backend.data.manifest import read_dataset
from backend.errors import DataError

HEADER = [
    "fruit_id",
    "group",
    "defect:rot",
    "defect:scar",
    "pressure:tap",
    "image:rgb:1",
    "image:rgb:2",
    "image:nir:1",
]
TOML = """
name = "small"
task = "multilabel"
healthy = "a-quality"
synthetic = true
description = "for tests"
licence = "CC0-1.0"
source = "drawn"

[[defect]]
name = "rot"
kind = "internal"
cost_miss = 2.5

[[defect]]
name = "scar"
kind = "external"
"""


class Folder:
    """Header, rows and dataset.toml to edit, images on disk; ``write`` saves the text files."""

    def __init__(self, root: Path, fruits: int, size: int):
        self.root = root
        self.header = list(HEADER)
        self.toml = TOML
        self.rows: list[list[str]] = []
        rng = np.random.default_rng(7)
        (root / "images").mkdir(parents=True)
        for i in range(fruits):
            cells = [f"f{i}", f"g{i}", str(i % 2), str(i // 2 % 2), f"{i}.5"]
            for column in HEADER[5:]:
                _, modality, view = column.split(":")
                path = f"images/{modality}-{i}-{view}.png"
                channels = (3,) if modality == "rgb" else ()
                Image.fromarray(rng.integers(0, 256, (size, size, *channels), dtype=np.uint8)).save(
                    root / path
                )
                cells.append(path)
            self.rows.append(cells)
        self.rows[-1][2:4] = ["", ""]  # an unlabelled pool of one

    def set(self, row: int, column: str, value: str) -> None:
        """Set a cell; ``row`` counts as the file does, the first fruit is row 2."""
        self.rows[row - 2][self.header.index(column)] = value

    def get(self, row: int, column: str) -> str:
        return self.rows[row - 2][self.header.index(column)]

    def add_column(self, name: str, values: list[str]) -> None:
        self.header.append(name)
        for cells, value in zip(self.rows, values, strict=True):
            cells.append(value)

    def drop_column(self, name: str) -> None:
        position = self.header.index(name)
        for cells in (self.header, *self.rows):
            del cells[position]

    def to_multiclass(self, labels: list[str]) -> None:
        """Change the task; the classes are those of ``labels``."""
        for name in ("defect:rot", "defect:scar"):
            self.drop_column(name)
        self.add_column("label", labels)
        classes = "".join(f'[[defect]]\nname = "{name}"\n' for name in dict.fromkeys(labels) if name)
        self.toml = f'name = "small"\ntask = "multiclass"\nhealthy = "sound"\n{classes}'

    def write(self, encoding: str = "utf-8", line_end: str = "\n") -> Path:
        with (self.root / "manifest.csv").open("w", encoding=encoding, newline="") as file:
            csv.writer(file, lineterminator=line_end).writerows([self.header, *self.rows])
        (self.root / "dataset.toml").write_text(self.toml, encoding=encoding)
        return self.root


@pytest.fixture
def new_folder(tmp_path: Path) -> Callable[..., Folder]:
    """Makes a folder of ``fruits`` fruit with images of ``size`` px."""

    def make(fruits: int = 13, size: int = 12, name: str = "set") -> Folder:
        return Folder(tmp_path / name, fruits, size)

    return make


@pytest.fixture
def folder(new_folder: Callable[..., Folder]) -> Folder:
    return new_folder()


@pytest.fixture
def refusal() -> Callable[[Folder], str]:
    """The one line with which a folder is refused."""

    def line(folder: Folder) -> str:
        with pytest.raises(DataError) as caught:
            read_dataset(folder.write())
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return line


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def opened(cache_dir: Path) -> Callable[..., ImageCache]:
    """``opened(folder, resolution, **options)``: the cache of a folder as it is now."""

    def open_it(folder: Folder, resolution: int = 8, *, cache_dir: Path = cache_dir, **options) -> ImageCache:
        return open_cache(read_dataset(folder.write()), resolution, cache_dir, progress=False, **options)

    return open_it


@pytest.fixture
def caches(cache_dir: Path) -> Callable[[], list[str]]:
    """Names of everything in the cache's folder that belongs to a cache, locks apart."""
    return lambda: [path.name for path in cache_dir.glob("images-*") if path.suffix != ".lock"]


@pytest.fixture
def png_header() -> Callable[[int, int], bytes]:
    """A PNG of a few bytes whose header promises ``width`` x ``height`` RGB pixels."""

    def make(width: int, height: int) -> bytes:
        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        body = zlib.compress(bytes(100))
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")

    return make
