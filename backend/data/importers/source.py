"""Where a collection lies, before anything of it is read: what state it is in, and that OUT is elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from backend.data.fingerprint import short_hash
from backend.errors import DataError


def source_fingerprint(source: Path) -> str:
    """What a source holds; another text where files came, went, were moved or changed since.

    Names, sizes and times of change are all that is looked at. Hidden files are no part of a collection.

    Args:
        source: a folder, with everything below it, or a single file.

    Returns:
        Number of files, their bytes and a hash, in words; "" where there is nothing (yet).

    Raises:
        DataError: ``source`` may not be read, or its name is none.
    """
    try:
        if not source.exists():
            return ""
        if source.is_dir():
            any(source.iterdir())  # os.walk would pass over a folder that may not be read
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})", where=str(source), action="correct the path or permissions"
        ) from error
    states = sorted(_states(source))
    size = sum(size for _, size, _ in states)
    return f"{len(states)} files, {size} bytes, {short_hash(states)}"


def lies_inside(out: Path, source: Path) -> bool:
    """Whether ``out`` is ``source`` or lies below it."""
    return Path(os.path.realpath(out)).is_relative_to(os.path.realpath(source))


def refuse_inside(out: Path, source: Path) -> None:
    """Keep what is made out of what it is made from, where the next import would find it.

    Raises:
        DataError: ``out`` is ``source`` or lies below it.
    """
    if lies_inside(out, source):
        raise DataError(
            "lies inside the source",
            where=str(out),
            expected=f"a folder outside {source}",
            action="choose another",
        )


def _states(source: Path) -> Iterator[tuple[str, int, int]]:
    """Path below the source, bytes, and time of change of every file; links are followed, once each."""
    for path in _files(source) if source.is_dir() else [source]:
        try:
            status = path.stat()
        except OSError:  # a link to nowhere
            continue
        yield str(path.relative_to(source)), status.st_size, status.st_mtime_ns


def _files(source: Path) -> Iterator[Path]:
    seen = set()
    for folder, folders, names in os.walk(source, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link to a folder above would go round for ever
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in names if not name.startswith("."))
