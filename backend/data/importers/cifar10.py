"""CIFAR-10 from its python batches or from class folders."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.data.importers import folder
from backend.data.importers.arrays import Part, choose, pictures, tidy
from backend.data.importers.common import (
    Collection,
    Picture,
    existing_folder,
    has_fixed_split,
    multiclass_spec,
)
from backend.data.spec import Spec
from backend.data.writing import note
from backend.errors import ConfigError, DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_ALSO = {"plane": "airplane", "aeroplane": "airplane", "car": "automobile"}
_NAMES = {name: name for name in CLASSES} | {str(i): name for i, name in enumerate(CLASSES)} | _ALSO
"""Names that class folders are seen with, in small letters, to the class."""

_BATCHES = "cifar-10-batches-py"
_FILES = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}
_SIDE = 32
_UNREADABLE = (
    OSError,
    pickle.UnpicklingError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    EOFError,
    ArithmeticError,
    MemoryError,
)
"""What missing and damaged files raise."""

_EXPECTED = (
    f"{_BATCHES}/ with data_batch_1 to 5 and test_batch, or train/ and test/ with a folder for each class"
)


def collect(source: Path, limit: int | None = None) -> Collection:
    """Find batches or class folders in ``source`` or in a folder directly below it; else download.

    Raises:
        DataError: neither is there and they cannot be downloaded; a file is damaged.
    """
    if source.exists():
        existing_folder(source, _EXPECTED)
        places = [source, *folder.subfolders(source)]
        for place in places:
            if any((place / file).is_file() for files in _FILES.values() for file in files):
                return _collect_batches(place, limit)
        for place in places:
            if _looks_like_class_folders(place):
                return _collect_folders(place, limit)
    root = source.parent if source.name == _BATCHES else source
    _download(root)
    return _collect_batches(root / _BATCHES, limit)


def _collect_batches(place: Path, limit: int | None) -> Collection:
    parts = [_read_part(place, split) for split in _FILES]
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


def _looks_like_class_folders(place: Path) -> bool:
    return any(inside.name.lower() in (_NAMES | folder.SPLITS) for inside in folder.subfolders(place))


def _collect_folders(source: Path, limit: int | None) -> Collection:
    if limit is not None:
        raise ConfigError("given with class folders", where="--limit", expected="python batches")
    found = folder.find(source)
    labels = {label for _, label, _ in found}
    if strange := sorted(label for label in labels if label.lower() not in _NAMES):
        raise DataError(
            f"class folder {strange[0]!r}",
            where=str(source),
            expected=f"one of {', '.join(CLASSES)}, or 0 to 9",
        )
    found = [(split, _NAMES[label.lower()], file) for split, label, file in found]
    if absent := sorted(set(CLASSES) - {label for _, label, _ in found}):
        note(f"no pictures of {', '.join(absent)} in {source}")
    if {split for split, _, _ in found} == {"train", "val"}:
        note("val is taken for the test part")
        found = [("test" if split == "val" else split, label, file) for split, label, file in found]
    splits = has_fixed_split(split for split, _, _ in found)
    return Collection(_spec(), _whole(source, found, splits), len(found), splits=splits)


def _whole(source: Path, found: folder.Found, splits: bool) -> Iterator[Picture]:
    """The pictures, each opened before it is copied: a data set with a damaged one would stay damaged."""
    from PIL import Image

    for (_, _, file), picture in zip(found, folder.pictures(source, found, splits), strict=True):
        try:
            with Image.open(file) as image:
                image.load()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(
                f"not an image ({error})",
                where=str(file),
                expected="a whole picture",
                action="replace the file",
            ) from error
        yield picture


def _download(root: Path) -> None:
    """Let torchvision fetch (or unpack) the published archive."""
    from torchvision.datasets import CIFAR10

    note(f"no {_BATCHES} and no class folders in {root}: downloading CIFAR-10 there")
    try:
        with tidy(root):
            CIFAR10(str(root), download=True)
    except (RuntimeError, OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(
            f"no CIFAR-10, and it cannot be downloaded ({reason})",
            where=str(root),
            expected=_EXPECTED,
            action="correct the path, copy the files there, or go online",
        ) from error


class _ArraysOnly(pickle.Unpickler):
    """Unpickles arrays and plain containers; anything else could run code."""

    _ALLOWED = frozenset({"_reconstruct", "scalar", "_frombuffer", "ndarray", "dtype"})

    def find_class(self, module: str, name: str) -> Any:
        """What arrays are made of."""
        # the published files were written by NumPy 1, whose core has moved
        module = module.replace("numpy.core", "numpy._core")
        inside = module in ("numpy", "numpy._core.multiarray", "numpy._core.numeric")
        if (inside and name in self._ALLOWED) or (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")


def _read_part(place: Path, split: str) -> Part:
    """All batches of a part, the published ones or others of the same form."""
    pixels, classes = zip(*(_read_batch(place / name) for name in _FILES[split]), strict=True)
    planes = np.concatenate(pixels).reshape(-1, 3, _SIDE, _SIDE)
    return Part(split, np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), np.concatenate(classes))


def _read_batch(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """(n, 3072) pixels, plane by plane, and (n,) class numbers.

    Raises:
        DataError: the file is missing or damaged, or holds something else.
    """
    try:
        batch = _ArraysOnly(io.BytesIO(file.read_bytes()), encoding="latin1").load()
        pixels, classes = np.asarray(batch["data"]), np.asarray(batch["labels"])
    except _UNREADABLE as error:
        raise _no_batch(file, " ".join(str(error).split())[:160] or type(error).__name__) from error
    if pixels.dtype != np.uint8 or pixels.shape != (len(classes), 3 * _SIDE**2) or not len(classes):
        raise _no_batch(file, f"{pixels.dtype} pixels {pixels.shape}, {len(classes)} labels")
    if classes.dtype.kind not in "iu" or not 0 <= classes.min() <= classes.max() < len(CLASSES):
        raise _no_batch(file, f"labels from {classes.min()} to {classes.max()}")
    return pixels, classes.astype(np.intp)


def _no_batch(file: Path, what: str) -> DataError:
    return DataError(
        f"no batch of CIFAR-10 ({what})",
        where=str(file),
        expected=f"a pickle with data, (n, {3 * _SIDE**2}) uint8, and labels, 0 to 9, as published",
        action="copy it there again",
    )
