"""Tiny collections in the layouts that are published, and the command on them."""

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR10

from backend.benchmark.__main__ import main
from backend.cli import run_command
from backend.data.importers.cifar10 import CLASSES

COLOURS = np.random.default_rng(3).integers(40, 216, (10, 3))


def picture(label: int, rng: np.random.Generator, side: int = 32) -> np.ndarray:
    """Noise around the colour of the class."""
    return np.clip(COLOURS[label] + rng.normal(0, 12, (side, side, 3)), 0, 255).astype(np.uint8)


@pytest.fixture
def cifar_batches(tmp_path, monkeypatch) -> Path:
    """``cifar-10-batches-py`` with 40 pictures a batch, 100 to test on; torchvision knows their checksums."""
    folder = tmp_path / "torchvision" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    sums = {}
    for name, count in {**{f"data_batch_{i}": 40 for i in range(1, 6)}, "test_batch": 100}.items():
        labels = [i % 10 for i in range(count)]
        rows = [picture(label, rng).transpose(2, 0, 1).ravel() for label in labels]
        raw = pickle.dumps({"data": np.stack(rows), "labels": labels})
        (folder / name).write_bytes(raw)
        sums[name] = hashlib.md5(raw).hexdigest()
    raw = pickle.dumps({"label_names": list(CLASSES)})
    (folder / "batches.meta").write_bytes(raw)
    monkeypatch.setattr(
        CIFAR10, "train_list", [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in range(1, 6)]
    )
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": hashlib.md5(raw).hexdigest()}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    return folder.parent


@pytest.fixture
def cifar_folders(tmp_path) -> Path:
    """``train/<class>/*.png`` and ``test/<class>/*.png``."""
    rng = np.random.default_rng(1)
    for part, count in (("train", 20), ("test", 10)):
        for label, name in enumerate(CLASSES):
            folder = tmp_path / "folders" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(picture(label, rng)).save(folder / f"{number:04d}.png")
    return tmp_path / "folders"


def _idx(path: Path, values: np.ndarray) -> None:
    """An IDX file of unsigned bytes."""
    head = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(head + values.astype(np.uint8).tobytes())


@pytest.fixture
def mnist_raw(tmp_path) -> Path:
    """``MNIST/raw`` with bars whose place tells the digit."""
    raw = tmp_path / "digits" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(2)
    for part, count in (("train", 400), ("t10k", 200)):
        labels = np.arange(count) % 10
        pixels = rng.integers(0, 30, (count, 28, 28))
        for number, label in enumerate(labels):
            pixels[number, 4:24, 4 + 2 * label : 6 + 2 * label] = 220
        _idx(raw / f"{part}-images-idx3-ubyte", pixels)
        _idx(raw / f"{part}-labels-idx1-ubyte", labels)
    return tmp_path / "digits"


@pytest.fixture
def strawberries(tmp_path) -> Path:
    """Riseholme's folders: red, green and darker fruit on leaves; anomalous ones have a grey spot."""
    root = tmp_path / "riseholme"
    rng = np.random.default_rng(4)
    bases = {"Ripe": (200, 30, 30), "Unripe": (150, 190, 80), "Occluded": (120, 50, 50)}
    lists: dict[str, list[str]] = {name: [] for name in bases}
    number = 0
    for name, base in {**bases, "Anomalous": bases["Ripe"]}.items():
        folder = root / "Data" / ("Anomalous" if name == "Anomalous" else f"Normal/{name}")
        folder.mkdir(parents=True)
        for _ in range(24):
            pixels = rng.normal((40, 110, 40), 10, (64, 64, 3))
            pixels[14:50, 14:50] = rng.normal(base, 14, (36, 36, 3))
            if name == "Anomalous":
                pixels[24:40, 24:40] = rng.normal((140, 140, 150), 8, (16, 16, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{number}.png")
            if name in lists:
                lists[name].append(f"{name}/{number}.png")
            number += 1
    splits = root / "Splits" / "Split1"
    splits.mkdir(parents=True)
    kinds = {"R": ("Ripe",), "U": ("Unripe",), "RU": ("Ripe", "Unripe"), "RUO": tuple(bases)}
    for subset, names in kinds.items():
        for part, rows in (("Train", slice(0, 14)), ("Val", slice(14, 18)), ("Test", slice(18, 24))):
            chosen = [file for name in names for file in lists[name][rows]]
            (splits / f"Split1-{subset}-{part}.txt").write_text("\n".join(chosen) + "\n")
    return root


@pytest.fixture
def benchmark_command(tmp_path, capsys):
    """Runs the command with a store of its own: ``(exit code, stdout, stderr)``."""

    def run(*arguments: object) -> tuple[int, str, str]:
        texts = [str(argument) for argument in arguments]
        code = run_command(main, [*texts, "--store", str(tmp_path / "out" / "store.db"), "--threads", "1"])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def benchmark_json(benchmark_command):
    """The JSON that a successful run prints."""

    def run(*arguments: object) -> dict:
        code, out, err = benchmark_command(*arguments, "--json", "--quick", "--device", "cpu")
        assert code == 0, err
        return json.loads(out)[0]

    return run
