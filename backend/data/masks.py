"""Where a defect truly is: masks of synthetic fruit, or drawn by somebody, for judging explanations.

``masks.csv`` has the columns fruit_id, defect, view and path; each path is a picture below the data set
folder, white where the defect is. Sensors are registered, so one mask stands for every sensor of its view. A
fruit with the defect has a row for each view that shows it. A data set need not have such a file.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.data.cells import FIRST_ROW, Rows
from backend.data.check_images import Looking, look
from backend.data.dataset import FruitDataset
from backend.data.images import decode_image
from backend.data.manifest import Manifest
from backend.data.paths import FolderGuard
from backend.data.problem import Problems, shown
from backend.errors import DataError

MASKS_FILE = "masks.csv"
MASKS_HEADER = ("fruit_id", "defect", "view", "path")
_COVERED = 0.25
"""Share of a pixel that the defect must cover, so that small marks survive shrinking."""


class Masks:
    """The masks of one data set; empty where it has none.

    Args:
        root: the data set folder.
        paths: (fruit_id, defect) to view to path.
    """

    def __init__(self, root: Path, paths: dict[tuple[str, str], dict[str, str]]) -> None:
        self._root = root
        self._paths = paths

    def __len__(self) -> int:
        """Number of pairs of fruit and defect."""
        return len(self._paths)

    def has(self, fruit_id: str, defect: str) -> bool:
        """Whether it is known where this fruit has this defect."""
        return (fruit_id, defect) in self._paths

    def load(self, fruit_id: str, defect: str, side: int) -> dict[str, NDArray[np.bool_]]:
        """View to (side, side) mask, for the views that show the defect; empty where it is not known.

        Raises:
            DataError: a mask that cannot be decoded.
        """
        found = {}
        for view, path in self._paths.get((fruit_id, defect), {}).items():
            try:
                pixels = decode_image(str(self._root / path), side)
            except DataError as error:
                raise DataError(
                    error.found,
                    where=str(self._root / path),
                    expected=error.expected,
                    action=f"replace the file or remove its row of {MASKS_FILE}",
                ) from error
            found[view] = pixels[:, :, 0] >= 255 * _COVERED
        return found


def read_masks(dataset: FruitDataset) -> Masks:
    """The masks of a data set.

    Raises:
        DataError: a ``masks.csv`` that cannot be read, with other columns, or paths that
            leave the folder.
    """
    guard = FolderGuard(dataset.root)
    paths: dict[tuple[str, str], dict[str, str]] = {}
    for number, row in enumerate(_rows(dataset.root), start=FIRST_ROW):
        if fault := _fault(row, guard):
            raise DataError(fault, where=f"{dataset.root / MASKS_FILE}, row {number}")
        fruit_id, defect, view, path = row
        paths.setdefault((fruit_id, defect), {})[view] = path
    return Masks(dataset.root, paths)


def check_masks(manifest: Manifest, root: Path, problems: Problems, looking: Looking | None = None) -> None:
    """Note everything that is wrong with ``masks.csv`` in the folder ``root``; it need not be there.

    Args:
        manifest: what the text files say.
        root: the data set folder.
        problems: takes the problems.
        looking: how to look at the pictures; None = look at the table only.
    """
    try:
        rows = _rows(root)
    except DataError as error:
        problems.error(MASKS_FILE, f"{error.found}; expected {error.expected}")
        return
    guard = FolderGuard(root)
    whole: dict[int, list[str]] = {}
    for number, row in enumerate(rows, start=FIRST_ROW):
        if fault := _fault(row, guard):
            problems.error(MASKS_FILE, fault, row=number)
        else:
            whole[number] = row
    _check_names(whole, manifest, problems)
    _check_labels(whole, manifest, problems)
    if whole and looking is not None:
        findings = look([path for *_, path in whole.values()], looking)
        for (number, row), finding in zip(whole.items(), findings, strict=True):
            if finding.fault:
                problems.error(MASKS_FILE, f"{shown(row[3])}: {finding.fault}", row=number, column="path")


def _check_names(rows: dict[int, list[str]], manifest: Manifest, problems: Problems) -> None:
    """Each row is of a fruit, defect and view that there is, and no other row is of the same."""
    known = {
        "fruit_id": set(manifest.fruit_ids),
        "defect": {defect.name for defect in manifest.spec.defects},
        "view": {view for _, view in manifest.paths},
    }
    seen: dict[tuple[str, ...], int] = {}
    for number, row in rows.items():
        for (column, names), word in zip(known.items(), row, strict=False):
            if word not in names:
                message = f"{shown(word)} is not in the manifest; correct it or remove the row"
                problems.error(MASKS_FILE, message, row=number, column=column)
        first = seen.setdefault(tuple(row[: len(known)]), number)
        if first != number:
            message = f"fruit, defect and view are those of row {first}; keep one mask, of all their spots"
            problems.error(MASKS_FILE, message, row=number)


def _check_labels(rows: dict[int, list[str]], manifest: Manifest, problems: Problems) -> None:
    """Whose mask shows a defect has it, except that an inspector of synthetic fruit errs on purpose."""
    if manifest.spec.synthetic:
        return
    names = [defect.name for defect in manifest.spec.defects]
    pairs = {(manifest.fruit_ids[row], names[d]) for row, d in np.argwhere(manifest.labels == 1)}
    odd = [number for number, (fruit_id, defect, *_) in rows.items() if (fruit_id, defect) not in pairs]
    if odd:
        message = f"{len(odd)} masks of fruit that are not labelled with the defect, the first in row"
        message += f" {odd[0]}; correct the labels or remove the rows"
        problems.warning(MASKS_FILE, message)


def _rows(root: Path) -> Rows:
    """The rows below the header of ``masks.csv``; none where there is no such file."""
    file = root / MASKS_FILE
    if not file.is_file():
        return []
    try:
        with file.open(encoding="utf-8-sig", newline="") as handle:
            header, *rows = csv.reader(handle)
    except (OSError, ValueError, csv.Error) as error:
        empty = isinstance(error, ValueError) and not isinstance(error, UnicodeError)
        reason = "it is empty" if empty else str(error)
        raise DataError(f"cannot be read ({reason})", where=str(file), expected="CSV in UTF-8") from error
    if tuple(header) != MASKS_HEADER:
        names = ", ".join(header)[:80]
        raise DataError(f"columns {names!r}", where=str(file), expected=", ".join(MASKS_HEADER))
    return rows


def _fault(row: list[str], guard: FolderGuard) -> str | None:
    """What is wrong with the shape or the path of a row; None = nothing."""
    if len(row) != len(MASKS_HEADER):
        return f"{len(row)} cells; expected {len(MASKS_HEADER)}"
    return guard.fault(row[3])
