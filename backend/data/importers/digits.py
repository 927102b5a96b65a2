"""MNIST and Fashion-MNIST from their raw IDX files, read by torchvision."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from backend.data.importers.arrays import Part, choose, pictures, tidy
from backend.data.importers.common import Collection, multiclass_spec
from backend.data.writing import note
from backend.errors import DataError

_FAILURES = (RuntimeError, OSError, ValueError, AssertionError, KeyError, EOFError)
"""What torchvision's readers raise on missing, truncated or foreign files, and offline."""


def collect_mnist(source: Path, limit: int | None = None) -> Collection:
    """Handwritten digits; ``source`` holds ``MNIST/raw``, or is it."""
    from torchvision.datasets import MNIST

    return _collect(
        MNIST,
        source,
        limit,
        names=tuple("0123456789"),
        title="MNIST",
        licence="CC BY-SA 3.0",
        origin="http://yann.lecun.com/exdb/mnist/ (LeCun, Cortes, Burges)",
    )


def collect_fashion(source: Path, limit: int | None = None) -> Collection:
    """Articles of clothing; ``source`` holds ``FashionMNIST/raw``, or is it."""
    from torchvision.datasets import FashionMNIST

    names = tuple(re.sub(r"[^a-z]+", "-", name.lower()) for name in FashionMNIST.classes)
    return _collect(
        FashionMNIST,
        source,
        limit,
        names=names,
        title="Fashion-MNIST",
        licence="MIT",
        origin="https://github.com/zalandoresearch/fashion-mnist (Xiao, Rasul, Vollgraf, arXiv:1708.07747)",
    )


def _collect(
    reader: Any,
    source: Path,
    limit: int | None,
    *,
    names: tuple[str, ...],
    title: str,
    licence: str,
    origin: str,
) -> Collection:
    root = _root(source, reader.__name__)
    raw = root / reader.__name__ / "raw"
    if not (raw / "train-images-idx3-ubyte").is_file():
        note(f"no raw files in {raw}: downloading {title} there")
    parts = [_read(reader, root, title, split, len(names)) for split in ("train", "test")]
    chosen = choose(parts, limit)
    spec = multiclass_spec(
        title,
        names,
        description=f"{title}, 28 x 28 px grey, with its own train and test part; no class is healthy",
        licence=licence,
        source=origin,
    )
    prefix = title.lower()
    total = sum(map(len, chosen))
    return Collection(spec, pictures(parts, chosen, names, prefix), total, modality="grey", splits=True)


def _root(source: Path, name: str) -> Path:
    """The folder that torchvision wants, from it, ``…/NAME`` or ``…/NAME/raw``."""
    if source.name == "raw" and source.parent.name == name:
        return source.parent.parent
    return source.parent if source.name == name else source


def _read(reader: Any, root: Path, title: str, split: str, classes: int) -> Part:
    raw = root / reader.__name__ / "raw"
    try:
        with tidy(raw):
            data = reader(str(root), train=split == "train", download=True)
    except _FAILURES as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(
            f"cannot read or download {title} ({reason})",
            where=str(raw),
            expected="the four raw IDX files, e.g. train-images-idx3-ubyte",
            action="copy them there, or go online",
        ) from error
    part = Part(split, data.data.numpy(), np.asarray(data.targets, dtype=np.intp))
    if fault := _fault(part, classes):
        raise DataError(
            f"{fault} in the {split} part",
            where=str(raw),
            expected=f"a label from 0 to {classes - 1} for each image",
            action=f"copy the files of {title} there again",
        )
    return part


def _fault(part: Part, classes: int) -> str:
    """Why the labels are not those of the pictures, or of a relative such as EMNIST; "" = all is well."""
    if len(part.pixels) != len(part.classes):
        return f"{len(part.pixels)} images and {len(part.classes)} labels"
    highest = part.classes.max(initial=0)
    return f"label {highest}" if highest >= classes else ""
