"""SKU-110K: crops of shelf products from annotation CSVs (Goldman et al., CVPR 2019).

Rows are ``image,x1,y1,x2,y2,class,image_width,image_height``, with or without a header, in
``SRC/annotations/*.csv`` or ``SRC/*.csv`` (or SRC is one such file); pictures lie in ``images/``. A file
name with train, val or test in it tells the part. All crops of one picture are a group.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.data.importers.common import Collection, IdMaker, Picture, has_fixed_split, multiclass_spec
from backend.data.writing import note
from backend.errors import ConfigError, DataError

COLUMNS = ("image", "x1", "y1", "x2", "y2", "class", "image_width", "image_height")
MIN_SIDE = 16
_SUBSET_SEED = 0


@dataclass(frozen=True)
class Box:
    """One row of an annotation file; pixels, x2 and y2 exclusive."""

    corners: tuple[int, int, int, int]
    label: str


Size = tuple[int, int]
Boxes = dict[tuple[str, Path], list[Box]]
"""(split, image file) to its boxes."""


def collect(source: Path, min_side: int = MIN_SIDE, limit: int | None = None) -> Collection:
    """Find the boxes.

    Args:
        source: folder of the data set, or one annotation CSV.
        min_side: crops with a shorter side are left out, in pixels.
        limit: take whole pictures at random until there are that many crops.

    Raises:
        ConfigError: an option out of range.
        DataError: no annotations, a row that cannot be read, a picture that is not there.
    """
    for name, value in (("--min-side", min_side), ("--limit", 1 if limit is None else limit)):
        if value < 1:
            raise ConfigError(f"{value}", where=name, expected="1 or more")
    boxes: Boxes = defaultdict(list)
    for file in _annotations(source):
        _read(file, min_side, boxes)
    boxes = _subset(boxes, limit)
    total = sum(map(len, boxes.values()))
    if total == 0:
        raise DataError(f"no crop of {min_side} px or more", where=str(source), action="lower --min-side")
    counts = Counter(box.label for found in boxes.values() for box in found)
    if len(counts) == 1:
        note(f"every crop is {next(iter(counts))!r}: good for pretraining, nothing to tell apart")
    spec = multiclass_spec(
        "SKU-110K",
        sorted(counts),
        description="crops of shelf products, grouped by the picture they come from; no class is healthy",
        licence="academic and non-commercial use only",
        source="https://github.com/eg4000/SKU110K_CVPR19 (Goldman et al., CVPR 2019)",
    )
    splits = has_fixed_split(split for split, _ in boxes)
    return Collection(spec, _pictures(boxes, splits), total, splits=splits)


def _annotations(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    files = sorted([*source.glob("annotations/*.csv"), *source.glob("*.csv")])
    if not files:
        raise DataError(
            "no annotation CSV",
            where=str(source),
            expected="annotations/*.csv or *.csv with the columns " + ",".join(COLUMNS),
            action="correct the path",
        )
    return files


def _read(file: Path, min_side: int, boxes: Boxes) -> None:
    split = next((part for part in ("train", "val", "test") if part in file.stem.lower()), "")
    known: dict[str, tuple[Path, Size | None]] = {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            for number, cells in enumerate(csv.reader(lines, strict=True), start=1):
                if not cells or (number == 1 and len(cells) > 1 and cells[1] == "x1"):
                    continue
                where = f"{file}, row {number}"
                box = _box(cells, where)
                if cells[0] not in known:
                    path = _image(file, cells[0], where)
                    known[cells[0]] = path, _size(path)
                path, size = known[cells[0]]
                box = _inside(box, size, where)
                x1, y1, x2, y2 = box.corners
                if min(x2 - x1, y2 - y1) >= min_side:
                    boxes[split, path].append(box)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"not CSV in UTF-8 ({error})", where=str(file), action="save it as such") from error


def _box(cells: list[str], where: str) -> Box:
    expected = "the columns " + ",".join(COLUMNS)
    if len(cells) != len(COLUMNS):
        raise DataError(f"{len(cells)} cells", where=where, expected=expected)
    try:
        x1, y1, x2, y2 = (int(float(cell)) for cell in cells[1:5])
    except (ValueError, OverflowError) as error:
        raise DataError(f"a box that is no number ({error})", where=where, expected=expected) from error
    return Box((x1, y1, x2, y2), cells[5].strip() or "object")


def _inside(box: Box, size: Size | None, where: str) -> Box:
    """What of a box lies in its picture: those of the published files reach over the rim by some pixels.

    The picture itself says how large it is; the last two columns may be those of another version of it.
    """
    x1, y1, x2, y2 = box.corners
    x1, y1 = max(x1, 0), max(y1, 0)
    if size is not None:
        x2, y2 = min(x2, size[0]), min(y2, size[1])
    if x2 <= x1 or y2 <= y1:
        picture = "the picture" if size is None else f"the picture of {size[0]} x {size[1]} px"
        raise DataError(
            f"an empty box {list(box.corners)}", where=where, expected=f"x1 < x2, y1 < y2 inside {picture}"
        )
    return Box((x1, y1, x2, y2), box.label)


def _size(path: Path) -> Size | None:
    """Width and height of a picture; None where it cannot be read, so that ``_pictures`` leaves it out."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            return file.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _image(file: Path, name: str, where: str) -> Path:
    base = file.parent.parent if file.parent.name == "annotations" else file.parent
    for path in (base / "images" / name, base / name):
        if path.is_file() and path.resolve().is_relative_to(base.resolve()):
            return path
    raise DataError(
        f"picture {name!r} is not there",
        where=where,
        expected=f"it in {base / 'images'}",
        action="copy the pictures there",
    )


def _subset(boxes: Boxes, limit: int | None) -> Boxes:
    keys = sorted(boxes)
    if limit is None:
        return {key: boxes[key] for key in keys}
    chosen: Boxes = {}
    for place in np.random.default_rng(_SUBSET_SEED).permutation(len(keys)):
        if sum(map(len, chosen.values())) >= limit:
            break
        chosen[keys[place]] = boxes[keys[place]]
    return dict(sorted(chosen.items()))


def _pictures(boxes: Boxes, splits: bool) -> Iterator[Picture]:
    from PIL import Image

    make_id = IdMaker()
    unreadable = []
    for (split, path), found in boxes.items():
        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            unreadable.append(f"{path.name}: {error}")
            continue
        for number, box in enumerate(found):
            crop = image.crop(box.corners)
            part = split if splits else ""
            yield Picture(make_id(path.stem, f"{number:04d}"), box.label, ".png", crop.save, part, path.stem)
    if len(unreadable) == len(boxes):
        raise DataError("no picture can be read", where=unreadable[0], action="get the pictures again")
    if unreadable:
        note(f"{len(unreadable)} pictures cannot be read and are left out, first {unreadable[0]}")
