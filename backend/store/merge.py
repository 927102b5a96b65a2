"""Bringing the runs of other machines' stores into one: idempotent, and trusting nothing.

A run is the same run wherever its id is the same. One that both stores hold is taken from where it is
further: complete before unfinished, then more folds; a tie keeps what is here. Every file is copied to
the path that this store would have given it, and only if it has its checksum.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.errors import StoreError
from backend.store.artifacts import RUN_ID, copy_artifact, inside, target_path
from backend.store.connection import as_store_error, open_readonly
from backend.store.insert import insert_rows
from backend.store.integrity import integrity_faults, json_faults
from backend.store.session import WriteSession

_PLAIN = (
    "run_fold",
    "curve",
    "metric",
    "prediction",
    "defect_confusion",
    "class_confusion",
    "embedding",
    "neighbour",
)
"""Tables of a run whose rows are copied as they are."""


@dataclass
class Merged:
    """What came from one store.

    Attributes:
        source: the store.
        added: ids of runs that were not here.
        replaced: ids of runs that were further there.
        known: number of runs that were here already, as far or further.
        artifacts: files copied or already here.
        refused: what was not taken, and why.
    """

    source: str
    added: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    known: int = 0
    artifacts: int = 0
    refused: list[str] = field(default_factory=list)


def merge(target: Path, sources: list[Path]) -> list[Merged]:
    """Merge other stores into ``target``.

    Args:
        target: the store that grows; made where it does not exist.
        sources: other stores, only read; each is taken whole or not at all.

    Raises:
        StoreError: a source is missing, foreign, damaged or of another schema version, ``target`` is locked
            or the disk is full. Sources merged before stay merged.
    """
    for source in sources:  # before the target is made
        if source.resolve() == target.resolve():
            raise StoreError("a store cannot be merged into itself", where=str(source))
        open_readonly(source).close()
    results = []
    with WriteSession(target, "merge") as session:
        for source in sources:
            with closing(open_readonly(source)) as other:
                try:
                    other.execute("BEGIN")  # one snapshot, whoever writes there
                    results.append(_merge_one(session, other, source))
                except sqlite3.Error as error:
                    raise as_store_error(error, source) from error
    return results


def _merge_one(session: WriteSession, other: sqlite3.Connection, source: Path) -> Merged:
    faults = integrity_faults(other) or [f"no JSON in {where}" for where in json_faults(other)]
    if faults:
        raise StoreError(
            f"the store is damaged: {faults[0]}",
            where=str(source),
            action="run `python -m backend.store doctor` on it",
        )
    result = Merged(str(source))
    wanted = _choose(session, other, result)
    files = {run_id: _fetch_files(session, other, source, run_id, result) for run_id in wanted}
    with session.transaction() as connection:
        connection.execute("PRAGMA defer_foreign_keys = ON")  # a run may come before its pretraining
        for table in ("dataset", "fruit"):
            _copy(session, other, table, "OR IGNORE")
        _copy_studies(connection, other, session)
        for run_id in wanted:
            _copy_run(session, other, run_id)
            session.put("artifact", files[run_id])
            _copy_attributions(session, other, run_id, files[run_id])
        _copy_comparisons(connection, other, session)
        _copy_findings(connection, other, session)
    return result


def _choose(session: WriteSession, other: sqlite3.Connection, result: Merged) -> list[str]:
    """The runs to take, in the order in which they started."""
    progress = (
        "SELECT run_id, status = 'complete', "
        "(SELECT COUNT(*) FROM run_fold AS f WHERE f.run_id = run.run_id) FROM run ORDER BY started, run_id"
    )
    here = {row[0]: tuple(row)[1:] for row in session.rows(progress)}
    wanted = []
    for row in other.execute(progress):
        run_id, state = row[0], tuple(row)[1:]
        if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
            result.refused.append(f"run {run_id!r}: not the id of a run")
        elif run_id not in here:
            result.added.append(run_id)
            wanted.append(run_id)
        elif state > here[run_id]:
            result.replaced.append(run_id)
            wanted.append(run_id)
        else:
            result.known += 1
    return wanted


def _fetch_files(
    session: WriteSession, other: sqlite3.Connection, source: Path, run_id: str, result: Merged
) -> list[dict[str, Any]]:
    """Copy a run's files and return their rows as this store names them, with the old path beside."""
    rows = []
    for row in other.execute("SELECT * FROM artifact WHERE run_id = ? ORDER BY name", (run_id,)):
        values = dict(row)
        try:
            file = inside(source.parent, str(values["path"]))
            target = target_path(session.path, run_id, str(values["name"]))
            fault = copy_artifact(file, target, str(values["sha256"]))
        except StoreError as error:
            if error.__cause__ is not None:  # the disk, not the name
                raise
            fault = error.found
        if fault:
            result.refused.append(f"run {run_id}, artifact {values['name']!r}: {fault}")
            continue
        values["path"] = target.relative_to(session.path.parent).as_posix()
        rows.append(values)
        result.artifacts += 1
    return rows


def _columns(session: WriteSession, table: str) -> list[str]:
    return [row["name"] for row in session.rows(f"PRAGMA table_info({table})")]


def _copy(
    session: WriteSession, other: sqlite3.Connection, table: str, conflict: str, run_id: str | None = None
) -> None:
    """Copy the rows of one table (of one run)."""
    names = _columns(session, table)
    where, values = ("", ()) if run_id is None else ("WHERE run_id = ?", (run_id,))
    cursor = other.execute(f"SELECT {', '.join(names)} FROM {table} {where}", values)  # noqa: S608 - our own names
    insert_rows(session.connection, table, names, cursor, conflict=conflict)


def _upsert(names: list[str], table: str) -> str:
    """The statement that puts a row of ``table`` in the place of the one with its id."""
    columns, marks = ", ".join(names), ", ".join("?" * len(names))
    renewed = ", ".join(f"{name} = excluded.{name}" for name in names if name != f"{table}_id")
    return (
        f"INSERT INTO {table} ({columns}) VALUES ({marks}) "  # noqa: S608 - our own names
        f"ON CONFLICT ({table}_id) DO UPDATE SET {renewed}"
    )


def _copy_studies(connection: sqlite3.Connection, other: sqlite3.Connection, session: WriteSession) -> None:
    """Copy studies that are not here, or that came to their end there alone."""
    known = {row[0] for row in connection.execute("SELECT study_id FROM study")}
    names = _columns(session, "study")
    connection.executemany(
        f"{_upsert(names, 'study')} WHERE study.status <> 'complete' AND excluded.status = 'complete'",
        map(tuple, other.execute(f"SELECT {', '.join(names)} FROM study")),  # noqa: S608 - our own names
    )
    connection.executemany(
        # Whatever runs elsewhere does not run here.
        "UPDATE study SET status = 'interrupted' WHERE study_id = ? AND status = 'running'",
        [(row[0],) for row in other.execute("SELECT study_id FROM study") if row[0] not in known],
    )


def _copy_run(session: WriteSession, other: sqlite3.Connection, run_id: str) -> None:
    """Put one run in the place of what is here of it; comparisons with it stay."""
    connection = session.connection
    names = _columns(session, "run")
    row = other.execute(f"SELECT {', '.join(names)} FROM run WHERE run_id = ?", (run_id,)).fetchone()  # noqa: S608
    connection.execute(_upsert(names, "run"), tuple(row))
    connection.execute(
        "UPDATE run SET status = 'interrupted', error = 'was running when its store was merged' "
        "WHERE run_id = ? AND status = 'running'",
        (run_id,),
    )
    for table in (*_PLAIN, "artifact", "attribution"):
        connection.execute(f"DELETE FROM {table} WHERE run_id = ?", (run_id,))  # noqa: S608 - our own names
    for table in _PLAIN:
        _copy(session, other, table, "", run_id)


def _copy_attributions(
    session: WriteSession, other: sqlite3.Connection, run_id: str, files: list[dict[str, Any]]
) -> None:
    """Copy explanations whose image came along, under the image's new path."""
    new_path = {row["name"]: row["path"] for row in files}
    rows = []
    for row in other.execute(
        "SELECT t.*, a.name AS artifact_name FROM attribution AS t "
        "JOIN artifact AS a ON a.run_id = t.run_id AND a.path = t.path WHERE t.run_id = ?",
        (run_id,),
    ):
        values = dict(row)
        name = values.pop("artifact_name")
        if name in new_path:
            rows.append(values | {"path": new_path[name]})
    session.put("attribution", rows)


def _copy_comparisons(
    connection: sqlite3.Connection, other: sqlite3.Connection, session: WriteSession
) -> None:
    """Copy answers to questions that were not asked here, about runs that are here."""
    names = _columns(session, "comparison")
    here = {row[0] for row in connection.execute("SELECT run_id FROM run")}
    a, b = names.index("run_id_a"), names.index("run_id_b")
    rows = [
        row
        for row in other.execute(f"SELECT {', '.join(names)} FROM comparison")  # noqa: S608 - our own names
        if row[a] in here and row[b] in here
    ]
    insert_rows(connection, "comparison", names, rows, conflict="OR IGNORE")


def _copy_findings(connection: sqlite3.Connection, other: sqlite3.Connection, session: WriteSession) -> None:
    """Copy what was found out about data sets there and not here."""
    _copy(session, other, "finding", "OR IGNORE")
    connection.execute("UPDATE finding SET run_id = NULL WHERE run_id NOT IN (SELECT run_id FROM run)")
