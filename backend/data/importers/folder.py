"""Class folders: ``SRC/<class>/**/*.png``, or ``SRC/<train|val|test>/<class>/**/*.png``."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from backend.data.importers.common import (
    IMAGE_SUFFIXES,
    Collection,
    IdMaker,
    Picture,
    existing_folder,
    has_fixed_split,
    is_part,
    is_picture,
    multiclass_spec,
    note_left_out,
)
from backend.data.writing import note
from backend.errors import DataError, unknown_name

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Names of folders, in small letters, to the part they hold."""
_HEALTHY = ("a-quality", "healthy", "good", "normal", "ok", "sound", "no-defect", "fresh", "ripe")
_EXPECTED = "class folders with images, or train/, val/, test/ with class folders in them"

Found = list[tuple[str, str, Path]]
"""(split, class, file), sorted."""


def collect(source: Path, healthy: str | None = None) -> Collection:
    """Find the classes and pictures of ``source``.

    Args:
        source: the folder.
        healthy: the class without defects; None = guessed from the names, else the most frequent one.

    Raises:
        DataError: no folder, no class, a class without pictures, or split and class folders mixed.
        ConfigError: ``healthy`` is no class.
    """
    found = find(source)
    counts = Counter(label for _, label, _ in found)
    # dataset.toml is UTF-8, the name of a folder need not be
    name = os.fsencode(source.resolve().name).decode("utf-8", "replace")
    spec = multiclass_spec(
        name,
        sorted(counts),
        healthy=_healthy(counts, healthy),
        description=f"{len(found)} pictures of {len(counts)} classes, imported from class folders",
        source=name,
    )
    splits = has_fixed_split(split for split, _, _ in found)
    return Collection(spec, pictures(source, found, splits), len(found), splits=splits)


def find(source: Path) -> Found:
    """Every picture below ``source`` with its split and class, sorted."""
    folders = subfolders(existing_folder(source, _EXPECTED))
    parts = [folder for folder in folders if folder.name.lower() in SPLITS]
    others = [folder for folder in folders if folder not in parts and any(map(is_picture, _files(folder)))]
    if parts and others:
        raise DataError(
            f"both {parts[0].name}/ and {others[0].name}/",
            where=str(source),
            expected=_EXPECTED,
            action="move one kind elsewhere",
        )
    found: Found = []
    left: list[Path] = []
    for part in parts or [source]:
        split = SPLITS[part.name.lower()] if parts else ""
        classes = subfolders(part)
        if not classes:
            raise DataError("no class folders", where=str(part), expected=_EXPECTED)
        for folder in classes:
            files = _files(folder)
            images = list(filter(is_picture, files))
            if not images:
                raise DataError(
                    "class folder without images",
                    where=str(folder),
                    expected=f"files ending in {', '.join(IMAGE_SUFFIXES)}",
                    action="add some or remove the folder",
                )
            found.extend((split, folder.name, file) for file in images)
            left.extend(file for file in files if not is_picture(file))
    note_left_out(left, source)
    return found


def pictures(source: Path, found: Found, splits: bool) -> Iterator[Picture]:
    """Copies of what ``find`` found."""
    make_id = IdMaker()
    for split, label, file in found:
        inside = file.relative_to(source).with_suffix("")
        fruit_id = make_id(*inside.parts)
        copy = partial(shutil.copyfile, file)
        yield Picture(fruit_id, label, file.suffix.lower(), copy, split if splits else "")


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in ``folder``, sorted, without those that are no part of a collection."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and is_part(path.relative_to(folder)))


def _files(folder: Path) -> list[Path]:
    """The files in ``folder`` and below, sorted, without editors' copies and thumbnails."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and is_part(path.relative_to(folder)))


def _healthy(counts: Counter[str], healthy: str | None) -> str:
    if healthy is not None:
        if healthy not in counts:
            raise unknown_name("class", healthy, tuple(counts), "--healthy")
        return healthy
    plain = {re.sub(r"[^a-z]+", "-", name.lower()).strip("-"): name for name in counts}
    for guess in _HEALTHY:
        if guess in plain:
            return plain[guess]
    name = min(counts, key=lambda label: (-counts[label], label))
    note(f"no class is called healthy or like it; {name!r}, the most frequent, is taken for it (--healthy)")
    return name
