"""Riseholme-2021: crops of strawberries from a robot's camera (Choi et al., ICRA 2022).

``SRC/Data/Normal/{Ripe,Unripe,Occluded}`` and ``SRC/Data/Anomalous`` become four classes. The authors' split
lists are for one-class detection: train on normal fruit of some classes, test on more of them and on every
anomalous fruit. They do not fit the manifest's ``split`` column and go to ``splits.csv`` beside it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from backend.data.dataset import EXTERNAL
from backend.data.importers.common import (
    Collection,
    IdMaker,
    Picture,
    existing_folder,
    is_part,
    is_picture,
    multiclass_spec,
    note_left_out,
)
from backend.data.writing import note
from backend.errors import DataError

CLASSES = {
    "ripe": "Data/Normal/Ripe",
    "unripe": "Data/Normal/Unripe",
    "occluded": "Data/Normal/Occluded",
    "anomalous": "Data/Anomalous",
}
SPLITS_FILE = "splits.csv"
SPLITS_HEADER = ("split", "subset", "part", "fruit_id")
_LIST = re.compile(r"Split(\d+)-(R|U|RU|RUO)-(Train|Val|Test)\.txt")
_EXPECTED = "the folder of Riseholme-2021 with Data/Normal/Ripe and Data/Anomalous in it"

DESCRIPTION = """\
Strawberries in a polytunnel, cropped by hand from pictures of a robot's side camera, one RGB view each. \
Ripe, unripe and occluded fruit are normal; anomalous ones have some health issue. splits.csv holds the \
authors' one-class splits: subset R, U, RU, RUO = normal classes in use, part = train, val, test; every \
anomalous fruit belongs to each test part. Which crops show the same plant is not recorded, so nothing is \
grouped."""


def collect(source: Path) -> Collection:
    """Find the crops and the split lists.

    Raises:
        DataError: a class is missing or empty; a list cannot be read or names a crop that is not there.
    """
    existing_folder(source, _EXPECTED)
    files: dict[str, list[Path]] = {}
    left: list[Path] = []
    for label, name in CLASSES.items():
        folder = existing_folder(source / name, _EXPECTED)
        own = sorted(
            file for file in folder.iterdir() if file.is_file() and is_part(file.relative_to(folder))
        )
        files[label] = sorted(filter(is_picture, own), key=lambda file: (len(file.stem), file.stem))
        if not files[label]:
            raise DataError("no .png files", where=str(folder), expected=_EXPECTED)
        left.extend(file for file in own if not is_picture(file))
    note_left_out(left, source)
    spec = multiclass_spec(
        "Riseholme-2021",
        tuple(CLASSES),
        healthy="ripe",
        kinds={"anomalous": EXTERNAL},
        description=DESCRIPTION,
        licence="none stated; shared by the authors for research on fruit anomalies, cite the paper",
        source="https://github.com/ctyeong/Riseholme-2021 (Choi, Would, Salazar-Gomez, Cielniak, ICRA 2022, "
        "arXiv:2109.10135)",
    )
    crops = [(label, file) for label, found in files.items() for file in found]
    # the published crops are numbered through all classes; where a number comes again it gets a hash
    make_id = IdMaker()
    ids = {file: make_id("strawberry", file.stem) for _, file in crops}
    splits = _split_rows(source, ids)
    tables = ((SPLITS_FILE, SPLITS_HEADER, splits),) if splits else ()
    return Collection(spec, _pictures(crops, ids), len(crops), tables=tables)


def _pictures(crops: list[tuple[str, Path]], ids: dict[Path, str]) -> Iterator[Picture]:
    for label, file in crops:
        yield Picture(ids[file], label, file.suffix.lower(), partial(shutil.copyfile, file))


def _split_rows(source: Path, ids: dict[Path, str]) -> list[tuple[str, str, str, str]]:
    rows = []
    parts: dict[tuple[str, str], set[str]] = {}
    # lists name the crops as published, also where somebody has saved them as JPEG since
    any_suffix = {(file.parent, file.stem): fruit_id for file, fruit_id in ids.items()}
    for file in sorted((source / "Splits").glob("*/*.txt")):
        match = _LIST.fullmatch(file.name)
        if match is None:
            continue
        number, subset, part = match.groups()
        parts.setdefault((number, subset), set()).add(part)
        for line, name in enumerate(_read_list(file).split("\n"), start=1):
            if not name.strip():
                continue
            crop = source / "Data" / "Normal" / name.strip()
            fruit_id = ids.get(crop) or any_suffix.get((crop.parent, crop.stem))
            if fruit_id is None:
                raise DataError(
                    f"crop {name.strip()!r} is not in Data/Normal",
                    where=f"{file}, line {line}",
                    action="get the whole data set",
                )
            rows.append((number, subset, part.lower(), fruit_id))
    for (number, subset), present in parts.items():
        if absent := [part for part in ("Train", "Val", "Test") if part not in present]:
            note(f"split {number} of {subset} has no list for {', '.join(absent)} in {source / 'Splits'}")
    if not rows:
        note(f"no split lists in {source / 'Splits'}: {SPLITS_FILE} is not written")
    return rows


def _read_list(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 ({error})", where=str(file), action="save it as such") from error
