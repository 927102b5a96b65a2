"""Decode every image of a data set once, and find pictures of one fruit under two groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.data.cache_layout import FORMAT
from backend.data.cells import FIRST_ROW
from backend.data.dataset import FruitDataset
from backend.data.duplicates import near_duplicates
from backend.data.fingerprint import FileHashes, images_fingerprint, short_hash
from backend.data.manifest import Manifest
from backend.data.memo import read_memo, write_memo
from backend.data.parallel import map_in_processes, workers_for
from backend.data.problem import MANIFEST_FILE, Problems, shown
from backend.errors import DataError

HASH_SIDE = 16
"""The perceptual hash has 16 x 16 bits; with the usual 8 x 8, one MNIST digit in ten has a twin."""

HASH_WORDS = HASH_SIDE**2 // 64

_FLAT_DEVIATION = 1.0
_TASK_IMAGES = 64


@dataclass(frozen=True)
class Looking:
    """How to look at the images of a data set.

    Attributes:
        root: the data set folder.
        cache_dir: where it is remembered which images were fine; None = nowhere.
        workers: most processes; None = one a core.
        progress: show a bar on stderr where it is a terminal.
    """

    root: Path
    cache_dir: Path | None
    workers: int | None
    progress: bool


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


def check_images(manifest: Manifest, problems: Problems, looking: Looking) -> None:
    """Note images that cannot be decoded, flat ones, and near-duplicates across groups.

    Args:
        manifest: what the text files say.
        problems: takes the problems; cells that it holds already are not looked at.
        looking: where and how.
    """
    reported = {(problem.row, problem.column) for problem in problems}
    places = [
        place for place in _places(manifest.paths) if (place.fruit + FIRST_ROW, place.column) not in reported
    ]
    findings = look([place.path for place in places], looking)
    _note_faults(places, findings, problems)
    for modality in dict.fromkeys(place.modality for place in places):
        seen = [
            (place, finding.hash)
            for place, finding in zip(places, findings, strict=True)
            if place.modality == modality and finding.hash is not None
        ]
        if seen:
            hashes = np.stack([bits for _, bits in seen])
            _note_duplicates([place for place, _ in seen], hashes, manifest, problems)


def hashed_images(dataset: FruitDataset, looking: Looking) -> tuple[list[Place], NDArray[np.uint64]]:
    """Every image that can be decoded and is not flat, and its (4,) perceptual hash.

    Where ``check_images`` has looked at the same data set before, nothing is decoded again.

    Args:
        dataset: whose images.
        looking: where and how.

    Returns:
        m images in the order of the manifest's columns, and (m, 4) hashes.
    """
    places = _places(dataset.paths)
    findings = look([place.path for place in places], looking)
    seen = [(place, f.hash) for place, f in zip(places, findings, strict=True) if f.hash is not None]
    hashes = np.array([bits for _, bits in seen], dtype=np.uint64).reshape(len(seen), HASH_WORDS)
    return [place for place, _ in seen], hashes


def _places(paths: dict[tuple[str, str], tuple[str, ...]]) -> list[Place]:
    return [
        Place(row, modality, f"image:{modality}:{view}", path)
        for (modality, view), column in paths.items()
        for row, path in enumerate(column)
        if path
    ]


def look(paths: list[str], looking: Looking) -> list[Finding]:
    """A finding for each of ``paths`` below the folder; remembered where all of them were fine before."""
    memo = _memo_file(paths, looking)
    known = None if memo is None else read_memo(memo)
    if known is not None:
        table = np.frombuffer(known, dtype=np.uint64).reshape(len(paths), HASH_WORDS)
        return [Finding("", row if row.any() else None) for row in table]
    full = [f"{looking.root.resolve()}/{path}" for path in paths]
    tasks = [full[start : start + _TASK_IMAGES] for start in range(0, len(full), _TASK_IMAGES)]
    results = map_in_processes(
        look_at_images,
        tasks,
        [len(task) for task in tasks],
        workers=workers_for(len(full), looking.workers),
        description="checking images",
        progress=looking.progress,
    )
    findings = [finding for result in results for finding in result]
    if memo is not None and not any(finding.fault for finding in findings):
        # 0 stands for a flat image: in the hash of any other about half of the bits are set.
        flat = np.zeros(HASH_WORDS, dtype=np.uint64)
        hashes = [flat if finding.hash is None else finding.hash for finding in findings]
        write_memo(memo, b"".join(words.tobytes() for words in hashes))
    return findings


def _memo_file(paths: list[str], looking: Looking) -> Path | None:
    """Named by the bytes of these images; None = nowhere to remember, or an image cannot be read."""
    if looking.cache_dir is None:
        return None
    digests, failures = FileHashes(looking.root, looking.cache_dir).digests(paths)
    if failures:
        return None
    return looking.cache_dir / f"findings-{short_hash([FORMAT, images_fingerprint(paths, digests)])}.bin"


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
