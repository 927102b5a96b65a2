"""Files of a run beside the store: written whole or not at all, checksummed, never outside their folder.

They lie in ``artifacts/<store name>/<run id>/<artifact name>``, so that several stores share a folder and
never touch each other's files. Table ``artifact`` holds the path relative to the store's folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from backend.errors import StoreError
from backend.store.bundle import ArtifactData

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
TRASH = ".trash"
"""Folder inside a store's artifact folder where ``doctor --fix`` puts what it takes away."""

_SQLITE = b"SQLite format 3\0"
_FORBIDDEN = re.compile(r'[\x00-\x1f\\:*?"<>|]')


def artifact_root(store: Path) -> Path:
    """The folder of all artifacts of ``store``."""
    return store.parent / "artifacts" / store.stem


def checkpoint_root(store: Path) -> Path:
    """The folder of what unfinished folds of ``store`` go on from, ``<run id>-fold<number>.safetensors``."""
    return store.parent.resolve() / "checkpoints" / store.stem


def stores_sharing(store: Path) -> list[str]:
    """Names of other stores beside ``store`` that differ in the suffix only, and so share both folders.

    What no row of ``store`` names may be theirs. A copy of a store names the same files, too.
    """
    return sorted(
        file.name
        for file in store.parent.iterdir()
        if file.stem == store.stem and file.is_file() and not file.samefile(store) and _is_sqlite(file)
    )


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def safe_relative(name: str) -> PurePosixPath:
    """``name`` as a relative path that cannot leave its folder on any system.

    Raises:
        StoreError: absolute, empty or too long, with ``..``, control characters or drive letters.
    """
    parts = name.split("/")
    bad = _FORBIDDEN.search(name) or len(name) > 400
    if bad or any(part.strip() in ("", ".", "..", TRASH) or len(part) > 200 for part in parts):
        raise StoreError(
            f"artifact name {name[:80]!r}",
            expected="a relative path inside the run's folder, without '..' or control characters",
            action="give the artifact another name",
        )
    return PurePosixPath(*parts)


def inside(folder: Path, relative: str) -> Path:
    """The file at ``relative`` below ``folder``, links followed, refused where it lies outside.

    Raises:
        StoreError: the path leaves ``folder``.
    """
    path = (folder / safe_relative(relative)).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise StoreError(
            f"artifact path {relative!r} leads outside", where=str(folder), action="do not trust this store"
        )
    return path


def write_artifact(store: Path, run_id: str, artifact: ArtifactData, fold: int | None) -> dict[str, Any]:
    """Write one artifact to disk and return its row of table ``artifact``.

    The file is complete and on the disk when this returns; a crash before leaves no file of that name.

    Args:
        store: the store's file.
        run_id: whose artifact it is.
        artifact: name, kind and content.
        fold: the fold that produced it, None for the whole run.

    Raises:
        StoreError: unsafe name, or the disk does not take the file.
    """
    target = target_path(store, run_id, artifact.name)
    partial = target.with_name(f".{target.name[:200]}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(artifact.data)
        _put_in_place(partial, target)
    except OSError as error:
        raise _not_written(target, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return {
        "run_id": run_id,
        "name": artifact.name,
        "kind": artifact.kind,
        "path": target.relative_to(store.parent).as_posix(),
        "sha256": hashlib.sha256(artifact.data).hexdigest(),
        "bytes": len(artifact.data),
        "fold": fold,
    }


def target_path(store: Path, run_id: str, name: str) -> Path:
    """Where an artifact goes.

    Raises:
        StoreError: the run id or the name would leave the artifact folder.
    """
    if not RUN_ID.fullmatch(run_id):
        raise StoreError(f"run id {run_id[:80]!r}", expected="letters, digits, '.', '_' and '-'")
    folder = artifact_root(store) / run_id
    target = folder / safe_relative(name)
    if not target.parent.resolve().is_relative_to(store.parent.resolve()):
        raise StoreError(f"artifact name {name!r} leads outside through a link", where=str(folder))
    return target


def copy_artifact(source: Path, target: Path, sha256: str) -> str:
    """Copy a file whose content must have the checksum ``sha256``.

    Returns:
        Why it was not copied; empty = it was.

    Raises:
        StoreError: the disk does not take the copy.
    """
    if not source.is_file():
        return "the file is missing"
    if target.is_file() and file_sha256(target) == sha256:
        return ""
    partial = target.with_name(f".{target.name[:200]}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, partial)
        if file_sha256(partial) != sha256:
            return "the content does not have its checksum"
        _put_in_place(partial, target)
    except OSError as error:
        raise _not_written(target, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return ""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def files_below(root: Path) -> Iterator[Path]:
    """Every file of a store's artifact folder, what lies in the trash left out, in a fixed order."""
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if name != TRASH)
        yield from (Path(folder) / name for name in sorted(files))


def remove_empty_folders(root: Path) -> None:
    """Remove every folder below ``root`` that holds nothing."""
    for folder, _, _ in os.walk(root, topdown=False):
        path = Path(folder)
        if path != root and not any(path.iterdir()):
            path.rmdir()


def _put_in_place(partial: Path, target: Path) -> None:
    """Give a file its name, so that a power cut takes neither content nor name."""
    _sync(partial)
    partial.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    """Put the content of a file, or the names in a folder, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _not_written(target: Path, error: OSError) -> StoreError:
    return StoreError(
        f"the artifact cannot be written ({error.strerror})",
        where=str(target),
        action="free space and start the same command again; nothing finished is lost",
    )
