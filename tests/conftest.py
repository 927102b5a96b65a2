"""Fruit that a tiny network learns in a few epochs, for every test that trains; pages for those that look."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

# Before torch is imported: tests run beside each other, and on tiny fruit a second thread only waits.
os.environ.setdefault("OMP_NUM_THREADS", "1")

MULTILABEL_TOML = """
name = "tiny"
task = "multilabel"
healthy = "a-quality"
synthetic = true
description = "rot darkens NIR, scar reddens RGB, soft lowers the pressure"
licence = "CC0-1.0"
source = "drawn by the tests"
[[defect]]
name = "rot"
kind = "internal"
[[defect]]
name = "scar"
kind = "external"
[[defect]]
name = "soft"
kind = "internal"
"""
MULTICLASS_TOML = """
name = "tiny-classes"
task = "multiclass"
healthy = "fine"
synthetic = true
description = "the class is the colour"
licence = "CC0-1.0"
source = "drawn by the tests"
[[defect]]
name = "fine"
kind = "other"
[[defect]]
name = "red"
kind = "external"
[[defect]]
name = "blue"
kind = "internal"
"""


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)


def _write(root: Path, toml: str, header: list[str], rows: list[list[str]]) -> Path:
    (root / "dataset.toml").write_text(toml)
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return root


def write_multilabel(root: Path, fruits: int = 72, unlabelled: int = 12, size: int = 16) -> Path:
    """Three defects, two RGB views, one NIR view, one reading; some views and readings are missing."""
    rng = np.random.default_rng(5)
    header = ["fruit_id", "group", "defect:rot", "defect:scar", "defect:soft", "pressure:tap"]
    header += ["image:rgb:1", "image:rgb:2", "image:nir:1"]
    rows = []
    for i in range(fruits):
        rot, scar, soft = i % 3 == 0, i % 4 == 1, i % 5 == 2
        labels = [str(int(x)) for x in (rot, scar, soft)] if i >= unlabelled else ["", "", ""]
        tap = "" if i % 17 == 3 else f"{(2.0 if soft else 8.0) + rng.normal() / 4:.3f}"
        paths = []
        for view in (1, 2):
            pixels = rng.normal(110, 12, (size, size, 3))
            if scar:
                pixels[4:12, 4:12, 0] += 110
            paths.append(f"images/{i}-rgb-{view}.png")
            _save(root / paths[-1], pixels)
        nir = rng.normal(150, 12, (size, size)) - (90 if rot else 0)
        paths.append(f"images/{i}-nir-1.png")
        _save(root / paths[-1], nir)
        if i % 19 == 4:
            paths[1] = ""
        rows.append([f"f{i:03d}", f"pallet{i // 2}", *labels, tap, *paths])
    return _write(root, MULTILABEL_TOML, header, rows)


def write_multiclass(root: Path, fruits: int = 60, size: int = 16) -> Path:
    """Three classes told apart by colour, one picture each."""
    rng = np.random.default_rng(6)
    rows = []
    for i in range(fruits):
        label = ("fine", "red", "blue")[i % 3]
        pixels = rng.normal(100, 12, (size, size, 3))
        pixels[..., 0] += 90 * (label == "red")
        pixels[..., 2] += 90 * (label == "blue")
        _save(root / f"images/{i}.png", pixels)
        rows.append([f"f{i:03d}", label, f"images/{i}.png"])
    return _write(root, MULTICLASS_TOML, ["fruit_id", "label", "image:rgb:1"], rows)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that in the end no worker waits for another."""
    long = {item.path for item in items if {"slow", "browser"} & {mark.name for mark in item.iter_markers()}}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def multilabel_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that no test changes."""
    return write_multilabel(tmp_path_factory.mktemp("multilabel"))


@pytest.fixture(scope="session")
def multiclass_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that no test changes."""
    return write_multiclass(tmp_path_factory.mktemp("multiclass"))


@pytest.fixture
def write_folder() -> Callable[[Path], Path]:
    """Writes a multilabel folder that the test may damage."""
    return write_multilabel


PAGE = """
from pathlib import Path
from dashboard.window import drawing
from dashboard.pages import PAGES
drawing(next(entry for entry in PAGES if entry.name == {page!r}), Path({store!r}))()
"""


@pytest.fixture(scope="session")
def components_found_once() -> Iterator[None]:
    """Streamlit reads what is installed, a fifth of a second, for each page that a test opens; here once."""
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests)
        )
        yield


@pytest.fixture
def open_page(components_found_once: None) -> Callable[..., AppTest]:
    """Draws a page of a store once, with what the address says."""
    from streamlit.testing.v1 import AppTest

    def opened(store: Path, page: str, **address: str) -> AppTest:
        app = AppTest.from_string(PAGE.format(page=page, store=str(store)), default_timeout=60)
        for name, value in address.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception
        return app

    return opened
