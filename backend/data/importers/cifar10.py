"""CIFAR-10 from its python batches, read by torchvision, or from class folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.data.importers import folder
from backend.data.importers.arrays import Part, choose, pictures, tidy
from backend.data.importers.common import Collection, has_fixed_split, multiclass_spec
from backend.data.spec import Spec
from backend.data.writing import note
from backend.errors import ConfigError, DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_BATCHES = "cifar-10-batches-py"


def collect(source: Path, limit: int | None = None) -> Collection:
    """Find the batches (``source`` holds ``cifar-10-batches-py``, or is it) or the class folders.

    Raises:
        DataError: neither is there and they cannot be downloaded; a file is damaged.
    """
    if _has_class_folders(source):
        return _collect_folders(source, limit)
    root = source.parent if source.name == _BATCHES else source
    if not (root / _BATCHES).is_dir():
        note(f"no {_BATCHES} in {root}: downloading CIFAR-10 there")
    parts = [_read(root, split) for split in ("train", "test")]
    chosen = choose(parts, limit)
    found = pictures(parts, chosen, CLASSES, "cifar10")
    return Collection(_spec(), found, sum(map(len, chosen)), splits=True)


def _spec() -> Spec:
    return multiclass_spec(
        "CIFAR-10",
        CLASSES,
        description="CIFAR-10, 32 x 32 px colour, with its own train and test part; no class is healthy",
        licence="none stated; cite the technical report",
        source="https://www.cs.toronto.edu/~kriz/cifar.html (Krizhevsky, 2009)",
    )


def _has_class_folders(source: Path) -> bool:
    return any((base / CLASSES[0]).is_dir() for base in (source, source / "train"))


def _collect_folders(source: Path, limit: int | None) -> Collection:
    if limit is not None:
        raise ConfigError("given with class folders", where="--limit", expected="python batches")
    found = folder.find(source)
    labels = {label for _, label, _ in found}
    if strange := sorted(labels - set(CLASSES)):
        raise DataError(
            f"class folder {strange[0]!r}", where=str(source), expected=f"one of {', '.join(CLASSES)}"
        )
    splits = has_fixed_split(split for split, _, _ in found)
    return Collection(_spec(), folder.pictures(source, found, splits), len(found), splits=splits)


def _read(root: Path, split: str) -> Part:
    from torchvision.datasets import CIFAR10

    try:
        # torchvision checks the published MD5 of every batch before it unpickles one
        with tidy(root):
            data = CIFAR10(str(root), train=split == "train", download=True)
    except (RuntimeError, OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(
            f"cannot read or download CIFAR-10 ({reason})",
            where=str(root / _BATCHES),
            expected="data_batch_1 to 5, test_batch and batches.meta as published",
            action="copy them there, or go online",
        ) from error
    return Part(split, data.data, np.asarray(data.targets, dtype=np.intp))
