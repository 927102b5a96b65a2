"""A copy of a store that is known to be good, made while others read and write."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from backend.errors import StoreError
from backend.store.connection import as_store_error, connect_readonly, require_file, stored_version
from backend.store.integrity import integrity_faults, row_counts
from backend.store.locking import lock_holder


def back_up(source: Path, target: Path) -> dict[str, int]:
    """Copy ``source`` to ``target`` with SQLite's online backup, and verify the copy.

    The copy appears under its name only when its integrity, foreign keys, schema version and row counts
    have been checked. It is a single file without ``-wal``, readable from any medium. Artifacts are not
    copied: they never change once written.

    Args:
        source: a run store of any schema version.
        target: the copy; an older copy of the same store is replaced. Any other file is left alone, and so
            is a store in use or with runs or folds that ``source`` lacks: the arguments may be swapped.

    Returns:
        Rows a table.

    Raises:
        StoreError: the source cannot be read, the target is something else or cannot be written, or the copy
            is not right.
    """
    require_file(source)
    if target.resolve() == source.resolve():
        raise StoreError("the copy would replace the store", where=str(target), action="pass another name")
    _require_replaceable(source, target)
    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        partial.touch()  # a place that takes no file is said to be so, not the store
        counts = _copy(source, partial)
        with partial.open("rb") as handle:
            os.fsync(handle.fileno())
        partial.replace(target)
    except sqlite3.Error as error:
        full = (getattr(error, "sqlite_errorname", "") or "").startswith("SQLITE_FULL")
        raise as_store_error(error, target if full else source) from error
    except OSError as error:
        raise StoreError(
            f"the copy cannot be written ({error.strerror})",
            where=str(target),
            action="free space or pass another place",
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return counts


def _require_replaceable(source: Path, target: Path) -> None:
    """Raise where ``target`` is in use, or holds anything that ``source`` lacks."""
    if not target.exists():
        return
    expected = "a new name, or an older copy of the same store"
    pending = target.with_name(target.name + "-wal")
    if lock_holder(target) is not None or (pending.exists() and pending.stat().st_size):
        raise StoreError(
            "there is a store in use",
            where=str(target),
            expected=expected,
            action="pass another name (--store is what is copied)",
        )
    try:
        with closing(connect_readonly(target)) as old, closing(connect_readonly(source)) as store:
            stored_version(old, target)
            (studies, folds), (old_studies, old_folds) = _contents(store), _contents(old)
        mine = old_studies <= studies
    except (sqlite3.Error, StoreError):
        mine = False
    if not mine:
        raise StoreError(
            "there is a file that is no copy of this store",
            where=str(target),
            expected=expected,
            action="pass another name, or remove the file",
        )
    fuller = sum(n > folds.get(run_id, -1) for run_id, n in old_folds.items())
    if fuller:
        raise StoreError(
            f"there is a store with {fuller} runs that are missing or less complete in {source}",
            where=str(target),
            expected=expected,
            action="pass another name (--store is what is copied), or remove the file where gc forgot them",
        )


def _contents(connection: sqlite3.Connection) -> tuple[set[str], dict[str, int]]:
    """The ids of the studies, and run id to the number of its folds."""
    studies = {row[0] for row in connection.execute("SELECT study_id FROM study")}
    folds = connection.execute(
        "SELECT run_id, (SELECT COUNT(*) FROM run_fold AS f WHERE f.run_id = run.run_id) FROM run"
    )
    return studies, dict(folds)


def _copy(source: Path, partial: Path) -> dict[str, int]:
    with (
        closing(connect_readonly(source)) as original,
        closing(sqlite3.connect(partial, isolation_level=None)) as copy,
    ):
        original.execute("BEGIN")  # one snapshot for the counts and the copy
        version = stored_version(original, source)
        counts = row_counts(original)
        original.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
        faults = integrity_faults(copy)
        if not faults and (row_counts(copy) != counts or stored_version(copy, partial) != version):
            faults = ["rows are missing"]
    if faults:
        raise StoreError(
            f"the copy is not right: {faults[0]}",
            where=str(source),
            action="run `python -m backend.store doctor`",
        )
    return counts
