"""Read a data set folder (contracts section 1) into a ``FruitDataset``.

``read_manifest`` notes every problem and reads what it can; ``read_dataset`` refuses a data set that
has any error. ``backend.data.check`` looks further: at pixels, and at whether the labels suffice.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.data.cells import (
    FIRST_ROW,
    Rows,
    read_fruit_ids,
    read_groups,
    read_labels,
    read_pressures,
    read_splits,
)
from backend.data.columns import Columns, read_columns
from backend.data.dataset import FruitDataset
from backend.data.fingerprint import FileHashes, dataset_fingerprint, label_fingerprint
from backend.data.paths import Paths, read_paths
from backend.data.problem import MANIFEST_FILE, Problems, refuse
from backend.data.spec import Spec, read_spec, read_text
from backend.errors import DataError


@dataclass(frozen=True)
class Manifest:
    """What could be read of a data set folder, pixels apart; complete where nothing was wrong.

    Attributes:
        spec: ``dataset.toml``.
        columns: the header, sorted.
        rows: the cells below it.
        fruit_ids: n identifiers.
        groups: n groups.
        fixed_split: n split words or None.
        labels: (n, D) float32, 1, 0 or NaN.
        pressures: (n, P) float32, NaN = missing.
        paths: (modality, view) to n paths, "" = missing.
    """

    spec: Spec
    columns: Columns
    rows: Rows
    fruit_ids: tuple[str, ...]
    groups: tuple[str, ...]
    fixed_split: tuple[str, ...] | None
    labels: NDArray[np.float32]
    pressures: NDArray[np.float32]
    paths: Paths


def read_dataset(root: Path, *, cache_dir: Path | None = None) -> FruitDataset:
    """Read the data set in the folder ``root``.

    Args:
        root: holds ``manifest.csv`` and ``dataset.toml``.
        cache_dir: where the hashes of the images are remembered, so that a second start reads none of
            them again; None = nowhere.

    Raises:
        DataError: anything in the folder breaks the contract; one line for the first problem and the
            number of the others.
    """
    problems = Problems()
    manifest = read_manifest(root, problems)
    if problems.errors or manifest is None:
        refuse(problems, root)
    hashes = FileHashes(root, cache_dir)
    files = [path for column in manifest.paths.values() for path in column]
    digests, failures = hashes.digests(files)
    for (modality, view), column in manifest.paths.items():
        for row, path in enumerate(column):
            if path in failures:
                problems.cell(row + FIRST_ROW, f"image:{modality}:{view}", failures[path])
    if problems.errors:
        refuse(problems, root)
    spec = manifest.spec
    modalities: dict[str, tuple[str, ...]] = {}
    for modality, view in manifest.paths:
        modalities[modality] = (*modalities.get(modality, ()), view)
    return FruitDataset(
        root=root,
        name=spec.name,
        task=spec.task,
        healthy=spec.healthy,
        synthetic=spec.synthetic,
        description=spec.description,
        licence=spec.licence,
        source=spec.source,
        defects=spec.defects,
        fruit_ids=manifest.fruit_ids,
        groups=manifest.groups,
        fixed_split=manifest.fixed_split,
        labels=manifest.labels,
        pressure_names=tuple(manifest.columns.pressures),
        pressures=manifest.pressures,
        modalities=modalities,
        paths=manifest.paths,
        dataset_id=dataset_fingerprint(spec.content, manifest.columns.header, manifest.rows, digests, files),
        label_version=label_fingerprint(spec, manifest.fruit_ids, manifest.labels),
    )


def read_manifest(root: Path, problems: Problems) -> Manifest | None:
    """Read both text files of ``root`` and note everything that is wrong with them.

    Args:
        root: the data set folder.
        problems: takes the problems.

    Returns:
        What could be read; None where there are no rows or no usable ``dataset.toml``.

    Raises:
        DataError: ``root`` is no folder.
    """
    if not root.is_dir():
        raise DataError(
            "not a folder" if root.exists() else "no such folder",
            where=str(root),
            expected="a data set folder with manifest.csv and dataset.toml",
            action="correct the path, or make one with `python -m backend.data synth`",
        )
    spec = read_spec(root, problems)
    table = _read_table(root, problems)
    if table is None:
        return None
    header, rows = table
    columns = read_columns(header, spec, problems)
    fruit_ids = read_fruit_ids(rows, columns, problems)
    groups = read_groups(rows, columns, fruit_ids, problems)
    fixed_split = read_splits(rows, columns, groups, problems)
    pressures = read_pressures(rows, columns, problems)
    paths = read_paths(rows, columns, groups, root, problems)
    if spec is None:
        return None
    labels = read_labels(rows, columns, spec, problems)
    return Manifest(spec, columns, rows, fruit_ids, groups, fixed_split, labels, pressures, paths)


def _read_table(root: Path, problems: Problems) -> tuple[list[str], Rows] | None:
    """Header and rows of the manifest, every row as long as the header."""
    text = read_text(root / MANIFEST_FILE, problems)
    if text is None:
        return None
    records: Rows = []
    try:
        # strict: a stray quote would otherwise swallow the following rows without a word
        records.extend(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        row = len(records) + 1
        problems.error(MANIFEST_FILE, f"not CSV ({error}); check the quotes of this row", row=row)
        return None
    while records and not records[-1]:
        records.pop()
    if len(records) < FIRST_ROW:
        message = (
            "no fruit; add one row per fruit" if records else "empty; expected a header and a row per fruit"
        )
        problems.error(MANIFEST_FILE, message)
        return None
    header, *rows = records
    for number, cells in enumerate(rows, start=FIRST_ROW):
        if len(cells) != len(header):
            message = f"{len(cells)} cells; expected {len(header)}, one per column of the header"
            problems.error(MANIFEST_FILE, message, row=number)
            cells[:] = (cells + [""] * len(header))[: len(header)]
    return header, rows
