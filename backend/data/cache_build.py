"""Build an image cache: decode every image once, in all cores, into files that appear only when whole."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import math
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from backend.data.cache_layout import META_FILE, CacheLayout, ModalityLayout, data_file, present_file
from backend.data.cells import FIRST_ROW
from backend.data.dataset import FruitDataset
from backend.data.images import bit_depth, decode_image, inspect_image
from backend.data.parallel import map_in_processes, workers_for
from backend.data.problem import MANIFEST_FILE, shown
from backend.errors import DataError

FORMAT_SAMPLE = 64
"""So many images of a modality tell whether it is grey and how many bits it uses."""

RGB = "rgb"
"""The modality that always has three channels."""

_SLICE_BYTES = 8 << 20
_SLICE_IMAGES = 64
_BUFFERS_AT_ONCE = 256  # the system takes 1,024 at most
_FLUSH_SECONDS = 0.25
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


@dataclass(frozen=True)
class Decoding:
    """What to decode and how.

    Attributes:
        dataset: whose images.
        resolution: side of the square images in pixels.
        workers: most processes; None = one a core.
        progress: show a bar on stderr where it is a terminal.
    """

    dataset: FruitDataset
    resolution: int
    workers: int | None
    progress: bool


@dataclass(frozen=True)
class Slice:
    """Consecutive fruit of one modality: what one task decodes and writes.

    Attributes:
        modality: its name.
        root: the data set folder.
        target: the modality's file, already of full size.
        first: position of the first fruit.
        shape: (V, H, W, C) of one fruit.
        bits: bits in use of 16-bit images.
        views: V names.
        paths: per fruit V paths, "" = missing.
    """

    modality: str
    root: str
    target: Path
    first: int
    shape: tuple[int, int, int, int]
    bits: int
    views: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...]

    @property
    def images(self) -> int:
        """Number of images that exist."""
        return sum(bool(path) for paths in self.paths for path in paths)


@contextlib.contextmanager
def writing_into(folder: Path) -> Iterator[None]:
    """Hold the lock of the cache ``folder`` and turn what the disk refuses into one line.

    The lock is the operating system's: it goes with its process, however that ends.

    Raises:
        DataError: the disk is full or cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            yield
    except OSError as error:
        full = error.errno in _DISK_FULL
        raise DataError(
            "disk full while writing the image cache"
            if full
            else f"cannot write the image cache ({error.strerror})",
            where=str(folder.parent),
            action="free space there or choose another folder" if full else "choose another folder",
        ) from error


def build_cache(job: Decoding, folder: Path) -> CacheLayout:
    """Decode all images into the new ``folder``; the caller holds its lock.

    Raises:
        DataError: an image cannot be decoded; names its row and column.
        OSError: the disk is full or cannot be written.
    """
    temporary = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # left by a process that was killed: we have its lock
    try:
        temporary.mkdir()
        with _flushing(temporary):
            layout = _decode_all(job, temporary)
        for name, views in job.dataset.modalities.items():
            present = [[bool(path) for path in job.dataset.paths[name, view]] for view in views]
            np.save(temporary / present_file(name), np.array(present).T)
        (temporary / META_FILE).write_text(layout.to_json(), encoding="utf-8")
        for path in (*temporary.iterdir(), temporary):
            _flush(path)
        temporary.rename(folder)
        _flush(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return layout


@contextlib.contextmanager
def _flushing(folder: Path) -> Iterator[None]:
    """Have the disk write while the cores decode, so that little is left to wait for at the end."""
    done = threading.Event()

    def flush() -> None:
        while not done.wait(_FLUSH_SECONDS):
            for path in folder.iterdir():
                _flush(path)

    with ThreadPoolExecutor(1) as thread:
        flushed = thread.submit(flush)
        try:
            yield
        finally:
            done.set()
        flushed.result()


def _decode_all(job: Decoding, folder: Path) -> CacheLayout:
    layouts = {name: _sampled_layout(job.dataset, name) for name in job.dataset.modalities}
    layout = CacheLayout(job.resolution, len(job.dataset), layouts)
    coloured = _fill(job, layout, tuple(layouts), folder)
    if coloured:
        # Grey modalities that hold a colour image outside the sample: decode them again, as colour.
        colour = {name: dataclasses.replace(layouts[name], channels=3) for name in coloured}
        layout = CacheLayout(job.resolution, len(job.dataset), {**layouts, **colour})
        _fill(job, layout, coloured, folder)
    return layout


def _fill(job: Decoding, layout: CacheLayout, modalities: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """Decode ``modalities`` into their files; returns those that hold colour where the layout says grey."""
    slices: list[Slice] = []
    for modality in modalities:
        target = folder / data_file(modality)
        _reserve(target, layout.file_bytes(modality))
        slices += _slices(job.dataset, modality, layout, target)
    images = [piece.images for piece in slices]
    fits = map_in_processes(
        _decode_slice,
        slices,
        images,
        workers=workers_for(sum(images), job.workers),
        description="decoding images",
        progress=job.progress,
    )
    with contextlib.closing(fits):
        coloured = {piece.modality for piece, fit in zip(slices, fits, strict=True) if not fit}
    return tuple(name for name in modalities if name in coloured)


def _sampled_layout(dataset: FruitDataset, modality: str) -> ModalityLayout:
    """Channels and bits of a modality, from a sample evenly spread over its views and fruit."""
    views = dataset.modalities[modality]
    columns = [(view, dataset.paths[modality, view]) for view in views]
    places = [(row, view, path) for view, paths in columns for row, path in enumerate(paths) if path]
    steps = max(1, len(places) / FORMAT_SAMPLE)
    grey, maximum = modality != RGB, 0
    for pick in range(min(FORMAT_SAMPLE, len(places))):
        row, view, path = places[int(pick * steps)]
        with _placed(str(dataset.root), path, row, f"image:{modality}:{view}"):
            info = inspect_image(str(dataset.root / path))
        grey, maximum = grey and info.grey, max(maximum, info.maximum)
    return ModalityLayout(len(views), 1 if grey else 3, bit_depth(maximum))


def _slices(dataset: FruitDataset, modality: str, layout: CacheLayout, target: Path) -> list[Slice]:
    views = dataset.modalities[modality]
    shape = layout.shape(modality)
    step = max(1, min(_SLICE_IMAGES // len(views), _SLICE_BYTES // math.prod(shape)))
    paths = list(zip(*(dataset.paths[modality, view] for view in views), strict=True))
    return [
        Slice(
            modality=modality,
            root=str(dataset.root.resolve()),
            target=target,
            first=first,
            shape=shape,
            bits=layout.modalities[modality].bits,
            views=views,
            paths=tuple(paths[first : first + step]),
        )
        for first in range(0, len(dataset), step)
    ]


def _decode_slice(piece: Slice) -> bool:
    """Decode and write one slice; False = an image has more channels than its modality."""
    resolution, channels = piece.shape[2:]
    absent = np.zeros(piece.shape[1:], dtype=np.uint8)
    images = []
    for fruit, paths in enumerate(piece.paths):
        for view, path in enumerate(paths):
            if not path:
                images.append(absent)
                continue
            with _placed(
                piece.root, path, piece.first + fruit, f"image:{piece.modality}:{piece.views[view]}"
            ):
                image = decode_image(f"{piece.root}/{path}", resolution, piece.bits)
            if image.shape[2] > channels:
                return False
            images.append(np.broadcast_to(image, absent.shape))
    _write_at(piece.target, images, piece.first * math.prod(piece.shape))
    return True


@contextlib.contextmanager
def _placed(root: str, path: str, row: int, column: str) -> Iterator[None]:
    """Add file, row and column to an error about one image."""
    try:
        yield
    except DataError as error:
        where = f"{root}/{MANIFEST_FILE} row {row + FIRST_ROW}, column {column}"
        raise DataError(f"{shown(path)}: {error}", where=where) from error


def _reserve(path: Path, size: int) -> None:
    """Make a file of full size and, where the file system can, claim its space before any decoding."""
    with path.open("wb") as file:
        file.truncate(size)
        if size and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                if error.errno not in _CANNOT_RESERVE:
                    raise


def _write_at(path: Path, images: list[NDArray[np.uint8]], offset: int) -> None:
    """Write at a position: unlike a store to a mapping, a full disk is an error here, not a signal.

    The images go to the file from where the decoder left them; gathering them first would cost a tenth of
    the whole build.
    """
    rest = [np.ascontiguousarray(image).data.cast("B") for image in images]
    file = os.open(path, os.O_WRONLY)
    try:
        while rest:
            written = os.pwritev(file, rest[:_BUFFERS_AT_ONCE], offset)
            offset += written
            while rest and written >= len(rest[0]):
                written -= len(rest.pop(0))
            if written:
                rest[0] = rest[0][written:]
    finally:
        os.close(file)


def _flush(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
