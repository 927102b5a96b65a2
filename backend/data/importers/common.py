"""What every importer shares: pictures with a label in, a multiclass data set folder out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.data.dataset import MULTICLASS, Defect
from backend.data.importers.source import lies_inside, source_fingerprint
from backend.data.problem import MANIFEST_FILE, shown
from backend.data.spec import LONGEST_NAME, Spec, is_name
from backend.data.writing import SOURCE_STATE, already_made, new_folder, note, write_csv, write_spec
from backend.errors import DataError

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_ADDED = ("__MACOSX", "@eaDir")
"""Folders that a Mac adds to archives, and a file server to folders: copies and thumbnails, not fruit."""
_FOLDER_SIZE = 1000
_LONGEST_ID = 64
_HASH_DIGITS = 8


@dataclass(frozen=True)
class Picture:
    """One picture of one fruit.

    Attributes:
        fruit_id: unique, as the contract wants it (see ``IdMaker``).
        label: its class.
        suffix: of the file, with the dot.
        save: writes the file at the path it is given.
        split: ``train``, ``val``, ``test`` or ``""``.
        group: origin; ``""`` = its own.
    """

    fruit_id: str
    label: str
    suffix: str
    save: Callable[[Path], object]
    split: str = ""
    group: str = ""


@dataclass(frozen=True)
class Collection:
    """What an importer found.

    Attributes:
        spec: for ``dataset.toml``.
        pictures: read once, in the order of the manifest.
        total: number of pictures, for the progress bar.
        modality: what the camera saw.
        splits: whether the source comes with a train and a test part.
        tables: further CSV files: name to (header, rows).
    """

    spec: Spec
    pictures: Iterable[Picture]
    total: int
    modality: str = "rgb"
    splits: bool = False
    tables: tuple[tuple[str, Sequence[str], Sequence[Sequence[object]]], ...] = ()


class IdMaker:
    """Fruit ids from file names: letters, digits, ``.``, ``_`` and ``-``, at most 64, each only once."""

    def __init__(self) -> None:
        """Nothing is taken yet."""
        self._taken: set[str] = set()

    def __call__(self, *words: str) -> str:
        """An id from ``words``; one that is too long or taken ends in a hash of them."""
        plain = fruit_id = re.sub(r"[^A-Za-z0-9._-]+", "_", "-".join(words))
        while len(fruit_id) > _LONGEST_ID or fruit_id in self._taken:
            digits = hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()
            fruit_id = f"{plain[: _LONGEST_ID - _HASH_DIGITS - 1]}-{digits[:_HASH_DIGITS]}"
            words = (*words, "")  # the same words a third time need another hash
        self._taken.add(fruit_id)
        return fruit_id


def multiclass_spec(
    name: str,
    classes: Sequence[str],
    *,
    healthy: str = "",
    kinds: dict[str, str] | None = None,
    description: str = "",
    licence: str = "",
    source: str = "",
) -> Spec:
    """``dataset.toml`` of a collection of classes; ``kinds`` names the classes that are defects."""
    defects = tuple(Defect(label, (kinds or {}).get(label, "other")) for label in classes)
    return Spec(name, MULTICLASS, healthy, False, description, licence, source, defects)


def existing_folder(source: Path, expected: str) -> Path:
    """``source`` if it is a folder.

    Raises:
        DataError: it is not.
    """
    if not source.is_dir():
        raise DataError(
            "not a folder" if source.exists() else "no such folder",
            where=str(source),
            expected=expected,
            action="correct the path",
        )
    return source


def is_part(path: Path) -> bool:
    """Whether a path below the source is part of the collection: not hidden, not added by a program."""
    return not any(part.startswith(".") or part in _ADDED for part in path.parts)


def is_picture(file: Path) -> bool:
    """Whether the name of a file says that it is an image."""
    return file.suffix.lower() in IMAGE_SUFFIXES


def note_left_out(files: Sequence[Path], source: Path) -> None:
    """Tell which ``files`` below ``source`` are not imported, if any: a camera may save what nobody reads."""
    if files:
        kinds = ", ".join(IMAGE_SUFFIXES)
        first = shown(str(files[0].relative_to(source)))
        note(f"left out {len(files)} files that do not end in {kinds}, the first {first}")


def make(
    out: Path, recipe: dict[str, Any], source: Path, collect: Callable[[], Collection], progress: bool
) -> None:
    """Write the data set that ``collect`` finds in ``source`` to ``out``, unless it is there already.

    Raises:
        DataError: ``out`` holds something else or cannot be written, or a class has a name that no data set
            may have; whatever ``collect`` raises.
    """

    def whole_recipe() -> dict[str, Any]:
        # A source that holds what is made of it is never the same twice.
        state = "" if lies_inside(out, source) else source_fingerprint(source)
        return {**recipe, SOURCE_STATE: state}

    if not already_made(out, whole_recipe()):
        collection = collect()
        _check_classes(collection.spec, source)
        # looked at anew: ``collect`` downloads what is missing
        with new_folder(out, whole_recipe()) as folder:
            _write(folder, collection, progress)


def _check_classes(spec: Spec, source: Path) -> None:
    for defect in spec.defects:
        if not is_name(defect.name):
            raise DataError(
                f"class name {shown(defect.name)}",
                where=str(source),
                expected=f"1 to {LONGEST_NAME} printable characters, no space at either end",
                action="rename the class",
            )


def _write(folder: Path, collection: Collection, progress: bool) -> None:
    from tqdm import tqdm

    rows = []
    pictures = tqdm(
        collection.pictures,
        total=collection.total,
        unit="image",
        desc=collection.spec.name,
        disable=not progress,
    )
    for number, picture in enumerate(pictures):
        folder_name = f"images/{collection.modality}/{number // _FOLDER_SIZE:03d}"
        path = f"{folder_name}/{picture.fruit_id}{picture.suffix}"
        if number % _FOLDER_SIZE == 0:
            (folder / folder_name).mkdir(parents=True)
        picture.save(folder / path)
        rows.append([picture.fruit_id, picture.group, picture.split, picture.label, path])
    header = ["fruit_id", "group", "split", "label", f"image:{collection.modality}:1"]
    used = [0, *([1] if any(row[1] for row in rows) else []), *([2] if collection.splits else []), 3, 4]
    write_csv(folder / MANIFEST_FILE, [header[i] for i in used], ([row[i] for i in used] for row in rows))
    for name, columns, lines in collection.tables:
        write_csv(folder / name, columns, lines)
    write_spec(folder, collection.spec)


def has_fixed_split(parts: Iterable[str]) -> bool:
    """Whether the parts make a fixed split: it needs something to train on and something to test on."""
    found = {part for part in parts if part}
    usable = {"train", "test"} <= found
    if found and not usable:
        note(f"only {', '.join(sorted(found))} and no train and test part: the parts are put together")
    return usable
