"""Everything that is wrong with a data set, at once: ``python -m backend.data check DIR``.

Errors are what makes results wrong or training impossible, and ``tune`` refuses them. Warnings leave
results right but are worth a look; they go into the store.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.data.cells import FIRST_ROW
from backend.data.check_images import Looking, check_images
from backend.data.dataset import MULTICLASS
from backend.data.manifest import Manifest, read_manifest
from backend.data.masks import check_masks
from backend.data.problem import ERROR, MANIFEST_FILE, WARNING, Problem, Problems

__all__ = ["ERROR", "WARNING", "Problem", "check_dataset"]


def check_dataset(
    root: Path,
    folds: int = 5,
    *,
    images: bool = True,
    cache_dir: Path | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> list[Problem]:
    """Find every problem of the data set in the folder ``root``.

    Args:
        root: the data set folder.
        folds: outer folds that are meant to be used; without effect where the manifest fixes a split.
        images: decode every image and mask and look for near-duplicates; False = look at the text files only.
        cache_dir: where it is remembered which images were fine, so that a second check of the same
            images is instant; None = nowhere.
        workers: most processes that decode; None = one a core.
        progress: show a bar on stderr where it is a terminal.

    Returns:
        Problems: of the text files, then of the labels and masks, then of the images.

    Raises:
        DataError: ``root`` is no folder.
    """
    problems = Problems()
    manifest = read_manifest(root, problems)
    if manifest is not None:
        _check_labels(manifest, folds, problems)
        _check_missing(manifest, problems)
        looking = Looking(root, cache_dir, workers, progress) if images else None
        check_masks(manifest, root, problems, looking)
        if looking is not None:
            check_images(manifest, problems, looking)
    return problems


def _check_labels(manifest: Manifest, folds: int, problems: Problems) -> None:
    multiclass = manifest.spec.task == MULTICLASS
    labelled = ~np.isnan(manifest.labels).all(axis=1)
    if not labelled.any():
        column = "label" if multiclass else "defect:<name>"
        message = "no labelled fruit; nothing can be trained or tested; fill in some labels"
        problems.error(MANIFEST_FILE, message, column=column)
        return
    if labelled.all():
        message = "every fruit is labelled; pretraining has no unlabelled pool and sees training fruit alone"
        problems.warning(MANIFEST_FILE, message)
    names = [defect.name for defect in manifest.spec.defects]
    present = [name for d, name in enumerate(names) if (manifest.labels[:, d] == 1).any()]
    if multiclass and len(present) == 1:
        message = f"one class only, {present[0]!r}; expected two or more; label fruit of another class"
        problems.error(MANIFEST_FILE, message, column="label")
        return
    for d, name in enumerate(names):
        column = "label" if multiclass else f"defect:{name}"
        truths = {f"class {name!r}": 1} if multiclass else {"1": 1, "0": 0}
        for words, truth in truths.items():
            _check_count(manifest, manifest.labels[:, d] == truth, words, column, folds, problems)
    if manifest.fixed_split is not None:
        loose = int((labelled & (np.array(manifest.fixed_split) == "")).sum())
        if loose:
            message = f"{loose} labelled fruit name no part of the fixed split; they are trained on"
            problems.warning(MANIFEST_FILE, message, column="split")


def _check_count(
    manifest: Manifest,
    chosen: NDArray[np.bool_],
    words: str,
    column: str,
    folds: int,
    problems: Problems,
) -> None:
    """Every fold tests on other groups, so each label needs as many groups as there are folds."""
    groups = np.array(manifest.groups)
    if manifest.fixed_split is not None:
        side = np.array(manifest.fixed_split)
        if not (chosen & (side != "test")).any():
            message = f"no training fruit with {words}; label some or remove the defect"
            problems.error(MANIFEST_FILE, message, column=column)
        elif not (chosen & (side == "test")).any():
            message = f"no test fruit with {words}; its metrics will stay empty"
            problems.warning(MANIFEST_FILE, message, column=column)
        return
    count, found = int(chosen.sum()), len(np.unique(groups[chosen]))
    if found < folds:
        fewer = f"use at most {found} folds, " if found > 1 else ""
        message = (
            f"{count} fruit with {words} in {found} groups; expected at least {folds} groups, one per fold; "
            f"{fewer}label more or remove it from dataset.toml and the manifest"
        )
        problems.error(MANIFEST_FILE, message, column=column)


def _check_missing(manifest: Manifest, problems: Problems) -> None:
    columns = {f"image:{modality}:{view}": at for (modality, view), at in manifest.columns.images.items()}
    columns |= {f"pressure:{name}": at for name, at in manifest.columns.pressures.items()}
    absent = np.array([[not cells[at] for at in columns.values()] for cells in manifest.rows])
    for column, missing in zip(columns, absent.T, strict=True):
        if missing.any():
            message = f"missing for {missing.mean():.1%} of the fruit ({missing.sum()} of {len(missing)})"
            problems.warning(MANIFEST_FILE, message, column=column)
    unseen = absent.all(axis=1)
    if columns and unseen.all():
        problems.error(MANIFEST_FILE, "no fruit has an image or a reading; fill in what the sensors saw")
    elif columns and unseen.any():
        first = int(unseen.argmax()) + FIRST_ROW
        message = f"{unseen.sum()} fruit have neither image nor reading, the first in row {first}"
        problems.warning(MANIFEST_FILE, message)
