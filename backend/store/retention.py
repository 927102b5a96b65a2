"""What may be forgotten, and forgetting it: the ``gc`` of a store.

Kept always: runs that are newer than the policy's days, runs that still run, final runs (unless the policy
says otherwise), and the pretraining that any kept run came from.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from backend.errors import ConfigError, StoreError
from backend.store.artifacts import (
    TRASH,
    artifact_root,
    checkpoint_root,
    inside,
    remove_empty_folders,
    stores_sharing,
)
from backend.store.connection import require_store
from backend.store.session import WriteSession

MOST_DAYS = 36_500
"""A hundred years; a calendar ends somewhere."""


@dataclass(frozen=True)
class Policy:
    """What to keep.

    Attributes:
        keep_days: runs that ended less than so many days ago stay.
        keep_finals: whether runs of purpose ``final`` stay whatever their age.
        artifacts_only: forget files (checkpoints, heat maps), keep every number.
    """

    keep_days: float = 30.0
    keep_finals: bool = True
    artifacts_only: bool = False

    def __post_init__(self) -> None:
        """Check the range."""
        if not 0 <= self.keep_days <= MOST_DAYS:
            raise ConfigError(repr(self.keep_days), where="--keep-days", expected=f"0 to {MOST_DAYS}")


@dataclass(frozen=True)
class Expendable:
    """A run that the policy lets go."""

    run_id: str
    name: str
    purpose: str
    status: str
    ended: str
    files: int
    bytes: int


def expendable(
    connection: sqlite3.Connection, policy: Policy, now: datetime | None = None
) -> list[Expendable]:
    """The runs that a policy would let go, oldest first; only reads.

    Args:
        connection: an open store.
        policy: what to keep.
        now: the time to count back from; None = now.
    """
    limit = (now or datetime.now(UTC)) - timedelta(days=policy.keep_days)
    rows = connection.execute(
        "WITH RECURSIVE old AS ("
        "  SELECT run_id FROM run WHERE status <> 'running' AND NOT (:keep_finals AND purpose = 'final') "
        "  AND COALESCE(finished, heartbeat, started) < :before), "
        "kept AS (SELECT run_id, parent_run_id FROM run WHERE run_id NOT IN (SELECT run_id FROM old) "
        "  UNION SELECT run.run_id, run.parent_run_id FROM run JOIN kept ON run.run_id = kept.parent_run_id) "
        "SELECT run_id, name, purpose, status, COALESCE(finished, heartbeat, started), "
        "(SELECT COUNT(*) FROM artifact AS a WHERE a.run_id = run.run_id), "
        "(SELECT COALESCE(SUM(bytes), 0) FROM artifact AS a WHERE a.run_id = run.run_id) "
        "FROM run WHERE run_id NOT IN (SELECT run_id FROM kept) ORDER BY 5, 1",
        {"before": limit.isoformat(timespec="microseconds"), "keep_finals": policy.keep_finals},
    )
    found = [Expendable(*row) for row in rows]
    return [run for run in found if run.files] if policy.artifacts_only else found


def own_files(connection: sqlite3.Connection, path: Path, runs: list[Expendable]) -> tuple[list[Path], str]:
    """Which files of runs are this store's alone; only reads.

    A copy of a store names the files of the store that it was made from.

    Args:
        connection: the open store.
        path: the store.
        runs: whose files.

    Returns:
        The files that may go with their runs, and why others stay; empty = all may go.
    """
    root = artifact_root(path)
    if sharing := stores_sharing(path):
        return [], (
            f"files, checkpoints and trash stay: {', '.join(sharing)} beside {path.name} may need them, for "
            f"artifacts/{root.name} belongs to both; move the copy elsewhere, then run `doctor --fix` and gc"
        )
    named = [
        row["path"]
        for run in runs
        for row in connection.execute("SELECT path FROM artifact WHERE run_id = ?", (run.run_id,))
    ]
    own = []
    for relative in named:
        with suppress(StoreError):  # a path that leads outside is not ours to delete
            file = inside(path.parent, relative)
            own += [file] if file.is_relative_to(root.resolve()) else []
    if len(own) == len(named):
        return own, ""
    return own, (
        f"{len(named) - len(own)} files stay: they are not in artifacts/{root.name}, the folder of "
        f"{path.name}; run gc on the store that they belong to"
    )


def collect(path: Path, policy: Policy, now: datetime | None = None) -> tuple[list[Expendable], str]:
    """Forget what the policy lets go: rows in one transaction, then files, and unused pages.

    With them go old trash and checkpoints that nobody goes on from. Where another store shares the folders
    of files, only rows go.

    Args:
        path: the store.
        policy: what to keep.
        now: the time to count back from; None = now.

    Returns:
        What was forgotten, and why files of it stay; empty = none does.

    Raises:
        StoreError: it is no store, or another writer has it.
    """
    require_store(path)
    now = now or datetime.now(UTC)
    with WriteSession(path, "gc") as session:
        with session.transaction() as connection:
            runs = expendable(connection, policy, now)
            files, kept = own_files(connection, path, runs)
            connection.execute("PRAGMA defer_foreign_keys = ON")
            tables = ("artifact", "attribution") if policy.artifacts_only else ("run",)
            for table in tables:
                connection.executemany(
                    f"DELETE FROM {table} WHERE run_id = ?",  # noqa: S608 - our own names
                    [(run.run_id,) for run in runs],
                )
        for file in files:
            file.unlink(missing_ok=True)
        if not stores_sharing(path):
            _empty_trash(artifact_root(path), now - timedelta(days=policy.keep_days))
            _forget_checkpoints(session)
            remove_empty_folders(artifact_root(path))
        with suppress(sqlite3.Error):  # compacting needs room; without it the store only stays large
            session.connection.execute("VACUUM")
    return runs, kept


def _forget_checkpoints(session: WriteSession) -> None:
    """Remove what nobody goes on from: checkpoints of runs that are complete, or are not there any more."""
    waiting = {row[0] for row in session.rows("SELECT run_id FROM run WHERE status <> 'complete'")}
    for file in checkpoint_root(session.path).glob("*-fold*.safetensors"):
        if file.name.rpartition("-fold")[0] not in waiting:
            file.unlink(missing_ok=True)


def _empty_trash(root: Path, limit: datetime) -> None:
    trash = root / TRASH
    for entry in trash.iterdir() if trash.is_dir() else ():
        if datetime.fromtimestamp(entry.stat().st_mtime, UTC) < limit:
            shutil.rmtree(entry)
