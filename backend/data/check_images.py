"""Decode every image of a data set once, and find pictures of one fruit under two groups."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.data.cells import FIRST_ROW
from backend.data.manifest import Manifest
from backend.data.parallel import map_in_processes, workers_for
from backend.data.problem import MANIFEST_FILE, Problems, shown
from backend.errors import DataError

HASH_SIDE = 16
"""The perceptual hash has 16 x 16 bits; with the usual 8 x 8, one MNIST digit in ten has a twin."""

NEAR = 12
"""Most differing bits of near-duplicates. Of the strawberries no two differ in fewer than 52 and of
4,000 MNIST digits in fewer than 20, while a copy that was brightened or saved as JPEG differs in about 5."""

_FLAT_DEVIATION = 1.0
_TASK_IMAGES = 64
_LONGEST_LAG = 1000
_WORD_BITS = 64


@dataclass(frozen=True)
class Place:
    """Where the manifest names an image.

    Attributes:
        fruit: position of the fruit.
        modality: of the image.
        column: of the manifest.
        path: relative to the folder.
    """

    fruit: int
    modality: str
    column: str
    path: str


@dataclass(frozen=True)
class Finding:
    """What one image looked like.

    Attributes:
        fault: why it cannot be decoded; "" = it can.
        hash: (4,) uint64, its perceptual hash; None for an image that is flat or faulty.
    """

    fault: str
    hash: NDArray[np.uint64] | None = None


def check_images(
    manifest: Manifest, root: Path, problems: Problems, workers: int | None, progress: bool
) -> None:
    """Note images that cannot be decoded, flat ones, and near-duplicates across groups.

    Args:
        manifest: what the text files say.
        root: the data set folder.
        problems: takes the problems; cells that it holds already are not looked at.
        workers: most processes; None = one a core.
        progress: show a bar on stderr where it is a terminal.
    """
    reported = {(problem.row, problem.column) for problem in problems}
    places = [
        Place(row, modality, f"image:{modality}:{view}", path)
        for (modality, view), paths in manifest.paths.items()
        for row, path in enumerate(paths)
        if path and (row + FIRST_ROW, f"image:{modality}:{view}") not in reported
    ]
    findings = _look([f"{root.resolve()}/{place.path}" for place in places], workers, progress)
    _note_faults(places, findings, problems)
    for modality in dict.fromkeys(place.modality for place in places):
        seen = [
            (place, finding.hash)
            for place, finding in zip(places, findings, strict=True)
            if place.modality == modality and finding.hash is not None
        ]
        if seen:
            _note_duplicates(
                [place for place, _ in seen], np.stack([bits for _, bits in seen]), manifest, problems
            )


def _look(paths: list[str], workers: int | None, progress: bool) -> list[Finding]:
    tasks = [paths[start : start + _TASK_IMAGES] for start in range(0, len(paths), _TASK_IMAGES)]
    results = map_in_processes(
        look_at_images,
        tasks,
        [len(task) for task in tasks],
        workers=workers_for(len(paths), workers),
        description="checking images",
        progress=progress,
    )
    return [finding for result in results for finding in result]


def look_at_images(paths: list[str]) -> list[Finding]:
    """Decode and hash the files ``paths``."""
    import imagehash
    from PIL import Image

    from backend.data.images import decode_image

    findings = []
    for path in paths:
        try:
            pixels = decode_image(path, 4 * HASH_SIDE)
        except DataError as error:
            findings.append(Finding(str(error)))
            continue
        if pixels.std() < _FLAT_DEVIATION:
            findings.append(Finding(""))
            continue
        picture = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[:, :, 0])
        bits = imagehash.phash(picture, hash_size=HASH_SIDE).hash
        findings.append(Finding("", np.packbits(bits).view(np.uint64)))
    return findings


def _note_faults(places: list[Place], findings: list[Finding], problems: Problems) -> None:
    flat: dict[str, list[int]] = {}
    for place, finding in zip(places, findings, strict=True):
        row = place.fruit + FIRST_ROW
        if finding.fault:
            problems.cell(row, place.column, f"{shown(place.path)}: {finding.fault}")
        elif finding.hash is None:
            flat.setdefault(place.column, []).append(row)
    for column, rows in flat.items():
        message = (
            f"{len(rows)} images are a single flat colour, the first in row {rows[0]}; look at the sensor"
        )
        problems.warning(MANIFEST_FILE, message, column=column)


def _note_duplicates(
    places: list[Place], hashes: NDArray[np.uint64], manifest: Manifest, problems: Problems
) -> None:
    _, groups = np.unique([manifest.groups[place.fruit] for place in places], return_inverse=True)
    for cluster in near_duplicates(hashes, groups):
        first, second = places[cluster[0]], places[cluster[1]]
        more = f" and {len(cluster) - 2} more" if len(cluster) > 2 else ""
        message = (
            f"{shown(second.path)} looks like {shown(first.path)} of row {first.fruit + FIRST_ROW}{more}, in "
            "another group; training and test may share a fruit: give these fruit one group"
        )
        problems.warning(MANIFEST_FILE, message, row=second.fruit + FIRST_ROW, column=second.column)


def near_duplicates(hashes: NDArray[np.uint64], groups: NDArray[np.integer]) -> list[list[int]]:
    """Images of different groups whose hashes differ in at most ``NEAR`` bits.

    Splitting a hash into NEAR + 1 parts leaves one part equal in any such pair, so only images that share
    a part are compared: sorting instead of n^2 comparisons. Of more than 1,000 images that share a part,
    each is compared with the next 1,000.

    Args:
        hashes: (n, W) words of 64 bits.
        groups: (n,) group numbers.

    Returns:
        Clusters of at least two positions, ascending, linked by such pairs.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = [pair for part in _parts(hashes) for pair in _close_pairs(part, hashes, groups)]
    if not pairs:
        return []
    left, right = np.concatenate(pairs, axis=1)
    links = coo_array((np.ones(len(left), bool), (left, right)), shape=(len(hashes), len(hashes)))
    _, labels = connected_components(links, directed=False)
    clusters: dict[int, list[int]] = {}
    for position in np.unique([left, right]):
        clusters.setdefault(int(labels[position]), []).append(int(position))
    return list(clusters.values())


def _parts(hashes: NDArray[np.uint64]) -> Iterator[NDArray[np.uint64]]:
    """NEAR + 1 keys of (n,): every (NEAR + 1)th bit, because neighbouring frequencies go together."""
    bits = np.unpackbits(hashes.view(np.uint8), axis=1)
    for part in range(NEAR + 1):
        chosen = bits[:, part :: NEAR + 1].astype(np.uint64)
        yield (chosen << np.arange(chosen.shape[1], dtype=np.uint64)).sum(axis=1)


def _close_pairs(
    keys: NDArray[np.uint64], hashes: NDArray[np.uint64], groups: NDArray[np.integer]
) -> Iterator[NDArray[np.intp]]:
    """(2, m) positions of images with equal keys, different groups and close hashes, once a lag."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    left = np.arange(len(keys))
    for lag in range(1, _LONGEST_LAG + 1):
        # In sorted keys a run that ends before this lag has ended for every longer one.
        left = left[left < len(keys) - lag]
        left = left[ordered[left] == ordered[left + lag]]
        if not left.size:
            return
        a, b = order[left], order[left + lag]
        a, b = (side[groups[a] != groups[b]] for side in (a, b))
        near = np.bitwise_count(hashes[a] ^ hashes[b]).sum(axis=1) <= NEAR
        if near.any():
            yield np.stack([a[near], b[near]])
