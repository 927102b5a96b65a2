"""Decoded images on disk: every image is decoded once per resolution, then read back as raw bytes.

A cache is a folder named by the content of the images and the resolution: one raw uint8 file of shape
(N, V, H, W, C) per modality, a mask of the views that exist, and ``cache.json``. It is built beside its
place and renamed into it, under a lock, so a folder of that name is always whole.
"""

from __future__ import annotations

import math
import os
import shutil
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.data.cache_build import Decoding, build_cache, writing_into
from backend.data.cache_layout import FORMAT, META_FILE, CacheLayout, data_file, present_file
from backend.data.dataset import FruitDataset
from backend.data.fingerprint import FileHashes, images_fingerprint, short_hash
from backend.errors import DataError

STATISTICS_SAMPLE = 512
_FRUIT_PER_READ = 32
LEVELS = 256


Places = Sequence[int] | NDArray[np.integer[Any]]
"""Numbers of fruit in a data set, or of views of a fruit."""


class ImageCache:
    """The images of one data set at one resolution.

    Pickles as a path and a few numbers; files are opened on first use in every process.

    Reading uses ``preadv`` into the batch rather than a mapping. Pages of a mapping count as resident
    memory of every process that touches them, so an epoch over a 40 GB cache would look like, and under a
    container's limit be, 40 GB; a read leaves nothing but the batch, goes through the same page cache,
    and costs about a microsecond per fruit more.
    """

    def __init__(self, folder: Path, layout: CacheLayout) -> None:
        """Read the cache in ``folder``; use ``open_cache`` to get one."""
        self.folder = folder
        self.layout = layout
        self._files: dict[str, int] = {}
        self._present: dict[str, NDArray[np.bool_]] | None = None

    def __len__(self) -> int:
        """Number of fruit."""
        return self.layout.count

    def __getstate__(self) -> tuple[Path, CacheLayout]:
        return self.folder, self.layout

    def __setstate__(self, state: tuple[Path, CacheLayout]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    @property
    def resolution(self) -> int:
        """Side of the images in pixels."""
        return self.layout.resolution

    @property
    def modalities(self) -> tuple[str, ...]:
        """Image modalities, in the order of the manifest."""
        return tuple(self.layout.modalities)

    @property
    def channels(self) -> dict[str, int]:
        """Modality to C."""
        return {name: layout.channels for name, layout in self.layout.modalities.items()}

    @property
    def nbytes(self) -> int:
        """Bytes on disk of all images."""
        return sum(self.layout.file_bytes(name) for name in self.modalities)

    @property
    def present(self) -> dict[str, NDArray[np.bool_]]:
        """Modality to (N, V): True where that view exists; elsewhere its pixels are 0."""
        if self._present is None:
            self._present = {
                name: np.load(self.folder / present_file(name), allow_pickle=False)
                for name in self.modalities
            }
        return self._present

    def batch(self, indices: Places, modality: str, views: Places | None = None) -> NDArray[np.uint8]:
        """Images of some fruit.

        Args:
            indices: B positions in the data set, in any order, repeats allowed.
            modality: one of ``modalities``.
            views: (B,) the number of the one view to read of each; None = all of them.

        Returns:
            (B, V, H, W, C), so that a permuted tensor is channels_last; (B, H, W, C) with ``views``.

        Raises:
            IndexError: a position outside 0 to N - 1, or a view outside 0 to V - 1.
            DataError: the file was cut or removed since it was opened.
        """
        per_fruit, *picture = self.layout.shape(modality)
        rows, count, shape = [int(index) for index in indices], len(self), (per_fruit, *picture)
        if views is not None:  # the file, read as one of single pictures
            if not all(0 <= view < per_fruit for view in views):
                raise IndexError(f"a view of {views} in fruit of {per_fruit}")
            rows = [row * per_fruit + int(view) for row, view in zip(rows, views, strict=True)]
            count, shape = count * per_fruit, tuple(picture)
        pixels = np.empty((len(rows), *shape), dtype=np.uint8)
        size = math.prod(shape)
        file = self._open(modality)
        for slot, row in zip(pixels.reshape(len(rows), size), rows, strict=True):
            if not 0 <= row < count:
                raise IndexError(f"place {row} of {count} in the cache")
            if os.preadv(file, [slot.data], row * size) != size:
                raise self._damaged(modality)
        return pixels

    def channel_statistics(
        self, indices: Places
    ) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Mean and standard deviation of every channel, to normalise with.

        Taken from at most 512 of the given fruit, evenly spaced in the manifest's order, so the same fruit
        give the same numbers; missing views do not count.

        Args:
            indices: positions in the data set, for example of the training part.

        Returns:
            Modality to (mean (C,), std (C,)) on the scale 0 to 1. The deviation is at least one level
            (1/255); of a modality without any image the mean is 0 and the deviation 1.
        """
        rows = np.unique(np.asarray(indices, dtype=np.int64))
        if len(rows) > STATISTICS_SAMPLE:
            rows = rows[np.linspace(0, len(rows) - 1, STATISTICS_SAMPLE).astype(np.int64)]
        return {name: self._moments(name, rows) for name in self.modalities}

    def _moments(
        self, modality: str, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Exact, from one histogram a channel."""
        channels = self.channels[modality]
        histogram = np.zeros((channels, LEVELS), dtype=np.int64)
        for start in range(0, len(rows), _FRUIT_PER_READ):
            chunk = rows[start : start + _FRUIT_PER_READ]
            seen = self.batch(chunk, modality)[self.present[modality][chunk]]
            for channel in range(channels):
                histogram[channel] += np.bincount(seen[..., channel].ravel(), minlength=LEVELS)
        total = histogram.sum(axis=1)
        if not total.all():
            return np.zeros(channels, np.float32), np.ones(channels, np.float32)
        levels = np.arange(LEVELS) / (LEVELS - 1)
        mean = histogram @ levels / total
        variance = histogram @ levels**2 / total - mean**2
        std = np.sqrt(np.maximum(variance, 1 / (LEVELS - 1) ** 2))
        return mean.astype(np.float32), std.astype(np.float32)

    def _open(self, modality: str) -> int:
        if modality not in self._files:
            try:
                file = os.open(self.folder / data_file(modality), os.O_RDONLY)
            except OSError as error:
                raise self._damaged(modality) from error
            weakref.finalize(self, os.close, file)
            self._files[modality] = file
        return self._files[modality]

    def _damaged(self, modality: str) -> DataError:
        return DataError(
            "the image cache was cut or removed while in use",
            where=str(self.folder / data_file(modality)),
            action="delete the folder and start again; it is built anew",
        )


def open_cache(
    dataset: FruitDataset,
    resolution: int,
    cache_dir: Path,
    *,
    workers: int | None = None,
    progress: bool = True,
) -> ImageCache:
    """The decoded images of ``dataset``; decodes them first where no earlier start has.

    Args:
        dataset: whose images; labels and readings do not matter, so relabelling decodes nothing again.
        resolution: side of the square images in pixels.
        cache_dir: holds all caches; made where missing.
        workers: most processes that decode; None = one a core.
        progress: show a bar on stderr where it is a terminal.

    Raises:
        DataError: an image cannot be decoded (with its row and column), or the cache cannot be written,
            as when the disk is full; then nothing half-made is left.
    """
    files = [path for column in dataset.paths.values() for path in column]
    digests, failures = FileHashes(dataset.root, cache_dir).digests(files)
    for failure in failures.values():
        raise DataError(failure, where=str(dataset.root))
    key = short_hash([FORMAT, dataset.modalities, len(dataset), images_fingerprint(files, digests)])
    folder = cache_dir.resolve() / f"images-{key}-{resolution}px"
    cache = _whole(folder)
    if cache is not None:
        return cache
    job = Decoding(dataset, resolution, workers, progress)
    with writing_into(folder):
        cache = _whole(folder)  # another process may have built it while this one waited for the lock
        if cache is None:
            shutil.rmtree(folder, ignore_errors=True)
            cache = ImageCache(folder, build_cache(job, folder))
    return cache


def _whole(folder: Path) -> ImageCache | None:
    """The cache in ``folder`` if it is there and of full size."""
    try:
        layout = CacheLayout.from_json((folder / META_FILE).read_text(encoding="utf-8"))
        for name in layout.modalities:
            if (folder / data_file(name)).stat().st_size != layout.file_bytes(name):
                return None
            (folder / present_file(name)).stat()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return ImageCache(folder, layout)
