"""What is wrong with a store, and what of it can be put right.

``examine`` only reads. ``treat`` repairs what has one right answer: confusion matrices are counted again
from the predictions, files that no row names go to a trash folder, runs that no driver runs any more are
marked interrupted, damaged indexes are rebuilt. It never deletes a number.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from backend.errors import StoreError
from backend.store import folds
from backend.store.artifacts import (
    TRASH,
    artifact_root,
    file_sha256,
    files_below,
    inside,
    remove_empty_folders,
    stores_sharing,
)
from backend.store.audit import audit_run
from backend.store.connection import open_readonly, require_store, utc_now
from backend.store.integrity import integrity_faults, json_faults
from backend.store.locking import lock_holder
from backend.store.problems import Problem
from backend.store.writer import RunStore


@dataclass(frozen=True)
class Patient:
    """A store under examination; ``alone`` = no driver writes to it now."""

    connection: sqlite3.Connection
    path: Path
    alone: bool


Check = Callable[[Patient], Iterator[Problem]]

DAMAGE = (sqlite3.DatabaseError, ValueError, TypeError, KeyError, AttributeError)
"""What reading damaged values can raise: the store may hold anything where a number or JSON should be."""


def examine(path: Path) -> list[Problem]:
    """Look at everything; changes nothing.

    Args:
        path: the store.

    Raises:
        StoreError: the file is missing, foreign, or of another schema version.
    """
    return _examine(path, alone=lock_holder(path) is None)


def _examine(path: Path, *, alone: bool) -> list[Problem]:
    problems: list[Problem] = []
    with closing(open_readonly(path)) as connection:
        for check in CHECKS:
            try:
                problems += check(Patient(connection, path, alone))
            except DAMAGE as error:
                what = check.__name__.strip("_").replace("_", " ")
                problems.append(Problem("corrupt", path.name, f"{what} cannot be checked: {error}"))
    return problems


def treat(path: Path) -> tuple[list[Problem], list[Problem]]:
    """Repair what can be repaired.

    Args:
        path: the store; an older one is migrated first, with a backup beside it.

    Returns:
        What was repaired, and what is still wrong.

    Raises:
        StoreError: it is no store, another writer has it, or it cannot be opened for writing.
    """
    require_store(path)
    with RunStore(path, "doctor --fix") as store:
        before = _examine(path, alone=True)
        for kind, repair in REPAIRS.items():
            found = [problem for problem in before if problem.kind == kind and problem.repair]
            if found:
                repair(store, found)
        after = _examine(path, alone=True)
    return [problem for problem in before if problem not in after], after


def _integrity(patient: Patient) -> Iterator[Problem]:
    for fault in integrity_faults(patient.connection):
        kind = "reference" if "point to a missing" in fault else "corrupt"
        repair = "rebuild the indexes" if "index" in fault else ""
        yield Problem(kind, patient.path.name, fault, repair)


def _json_columns(patient: Patient) -> Iterator[Problem]:
    for where, rows in json_faults(patient.connection).items():
        yield Problem("json", where, f"{rows} rows hold no JSON")


def _artifacts(patient: Patient) -> Iterator[Problem]:
    rows = patient.connection.execute(
        "SELECT run_id, name, path, sha256 FROM artifact ORDER BY run_id, name"
    ).fetchall()
    for run_id, name, relative, sha256 in tqdm(rows, "artifacts", disable=None, leave=False):
        where = f"run {run_id}, artifact {name}"
        try:
            file = inside(patient.path.parent, relative)
        except StoreError as error:
            yield Problem("artifact", where, error.found)
            continue
        if not file.is_file():
            yield Problem("artifact", where, f"the file {relative} is missing")
        elif file_sha256(file) != sha256:
            yield Problem("checksum", where, f"the file {relative} does not have its checksum")


def _orphans(patient: Patient) -> Iterator[Problem]:
    if not patient.alone:
        return  # a writer puts files down before it names them
    orphans = _orphaned_files(patient.connection, patient.path)
    if orphans and (sharing := stores_sharing(patient.path)):
        where = artifact_root(patient.path).relative_to(patient.path.parent).as_posix()
        detail = (
            f"{len(orphans)} files stay that no run names: {', '.join(sharing)} beside {patient.path.name} "
            "may need them; move the copy elsewhere and run this again"
        )
        yield Problem("orphan", where, detail)
        return
    for file in orphans:
        where = file.relative_to(patient.path.parent).as_posix()
        yield Problem("orphan", where, "no run names this file", "move it to the trash")


def _orphaned_files(connection: sqlite3.Connection, path: Path) -> list[Path]:
    named = {row[0] for row in connection.execute("SELECT path FROM artifact")}
    return [
        file
        for file in files_below(artifact_root(path))
        if file.relative_to(path.parent).as_posix() not in named
    ]


def _numbers(patient: Patient) -> Iterator[Problem]:
    runs = [
        row[0]
        for row in patient.connection.execute(
            "SELECT run_id FROM run WHERE EXISTS (SELECT 1 FROM prediction AS p WHERE p.run_id = run.run_id) "
            "ORDER BY started, run_id"
        )
    ]
    for run_id in tqdm(runs, "runs", disable=None, leave=False):
        try:
            yield from audit_run(patient.connection, run_id)
        except DAMAGE as error:
            yield Problem("corrupt", f"run {run_id}", f"its numbers cannot be checked: {error}")


def _reasons(patient: Patient) -> Iterator[Problem]:
    for run_id, metric, n in patient.connection.execute(
        "SELECT run_id, metric, COUNT(*) FROM metric WHERE value IS NULL AND reason = '' "
        "GROUP BY run_id, metric"
    ):
        yield Problem("metric", f"run {run_id}", f"{n} values of {metric} are undefined without a reason")


def _unfinished(patient: Patient) -> Iterator[Problem]:
    for run_id, n_folds, n in patient.connection.execute(
        "SELECT run_id, n_folds, (SELECT COUNT(*) FROM run_fold AS f WHERE f.run_id = run.run_id) AS n "
        "FROM run WHERE status = 'complete' AND n < n_folds"
    ):
        yield Problem("incomplete", f"run {run_id}", f"complete with {n} of {n_folds} folds")
    if not patient.alone:
        return
    for kind, name in patient.connection.execute(
        "SELECT 'run', run_id FROM run WHERE status = 'running' "
        "UNION ALL SELECT 'study', study_id FROM study WHERE status = 'running'"
    ):
        yield Problem("stale", f"{kind} {name}", "running, but nothing runs it", "mark it interrupted")


def _groups(patient: Patient) -> Iterator[Problem]:
    for study_id, dataset_id, text in patient.connection.execute(
        "SELECT study_id, dataset_id, folds FROM study"
    ):
        fold_of = json.loads(text) if text else {}
        sides: dict[str, set[int]] = {}
        for fruit_id, group in patient.connection.execute(
            "SELECT fruit_id, fruit_group FROM fruit WHERE dataset_id = ?", (dataset_id,)
        ):
            if fruit_id in fold_of:
                sides.setdefault(group, set()).add(fold_of[fruit_id])
        for group in sorted(name for name, seen in sides.items() if len(seen) > 1):
            yield Problem("group", f"study {study_id}", f"fruit of group {group!r} are in several folds")


CHECKS: tuple[Check, ...] = (
    _integrity,
    _json_columns,
    _unfinished,
    _groups,
    _reasons,
    _numbers,
    _artifacts,
    _orphans,
)


def _rebuild_indexes(store: RunStore, found: list[Problem]) -> None:
    with store.reading() as connection:
        connection.execute("REINDEX")


def _recount(store: RunStore, found: list[Problem]) -> None:
    for run_id in {problem.where.removeprefix("run ") for problem in found}:
        with store.transaction() as connection:
            for row in connection.execute("SELECT fold FROM run_fold WHERE run_id = ?", (run_id,)).fetchall():
                folds.count_confusions(connection, run_id, row[0])
            if store.run_status(run_id) == "complete":
                folds.pool_confusions(connection, run_id)


def _mark_interrupted(store: RunStore, found: list[Problem]) -> None:
    store.recover()


def _move_to_trash(store: RunStore, found: list[Problem]) -> None:
    root = artifact_root(store.path)
    trash = root / TRASH / utc_now().replace(":", "")
    for file in _orphaned_files(store.connection, store.path):
        target = trash / file.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
    remove_empty_folders(root)


REPAIRS: dict[str, Callable[[RunStore, list[Problem]], None]] = {
    "corrupt": _rebuild_indexes,
    "stale": _mark_interrupted,
    "confusion": _recount,
    "orphan": _move_to_trash,
}
"""Kind of problem to its repair, in the order in which they are done."""
