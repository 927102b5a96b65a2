"""Runs: the table of all of them, what became of them, and everything about one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backend.store.queries._frame import first, frame, json_list, parsed

if TYPE_CHECKING:
    import pandas as pd

NEWEST = 20_000
"""Most runs that a table shows; beyond it the oldest are left out."""


@dataclass(frozen=True)
class RunFilter:
    """Which runs; an empty field lets every run pass.

    Attributes:
        modalities: the JSON text of the sensors, as the store holds it.
        statuses: of ``running, stalled, complete, pruned, failed, interrupted``.
        text: part of the name, method, backbone, id or failure text, case ignored.
        stale_before: UTC time; a running run without a sign of life since then counts as stalled.
        since: UTC time; runs started before it are left out.
    """

    dataset_id: str = ""
    study_id: str = ""
    method: str = ""
    modalities: str = ""
    purposes: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    text: str = ""
    stale_before: str = ""
    since: str = ""


_STATE = (
    "CASE WHEN r.status = 'running' AND COALESCE(r.heartbeat, r.started) < :stale_before"
    " THEN 'stalled' ELSE r.status END"
)

_CLAUSES = {
    "dataset_id": "r.dataset_id = :dataset_id",
    "study_id": "r.study_id = :study_id",
    "method": "r.method = :method",
    "modalities": "r.modalities = :modalities",
    "since": "r.started >= :since",
}


def _where(chosen: RunFilter) -> tuple[str, dict[str, Any]]:
    """The WHERE clause of a filter and its parameters; only fixed text enters the clause."""
    clauses = [clause for name, clause in _CLAUSES.items() if getattr(chosen, name)]
    values: dict[str, Any] = {name: getattr(chosen, name) for name in (*_CLAUSES, "stale_before")}
    for name, column in (("purposes", "r.purpose"), ("statuses", _STATE)):
        names = getattr(chosen, name)
        if names:
            marks = [f":{name}{i}" for i in range(len(names))]
            clauses.append(f"{column} IN ({', '.join(marks)})")
            values |= {f"{name}{i}": value for i, value in enumerate(names)}
    if chosen.text:
        values["text"] = f"%{_literal(chosen.text)}%"
        columns = ("name", "method", "backbone", "run_id", "error")
        clauses.append("(" + " OR ".join(f"r.{column} LIKE :text ESCAPE '!'" for column in columns) + ")")
    return ("WHERE " + " AND ".join(clauses) if clauses else ""), values


def _literal(text: str) -> str:
    """``text`` for LIKE, so that % and _ mean themselves."""
    return "".join(f"!{char}" if char in "!%_" else char for char in text)


def run_table(
    connection: sqlite3.Connection, chosen: RunFilter, metric: str = "mcc", limit: int = NEWEST
) -> pd.DataFrame:
    """Runs, the latest first.

    Args:
        connection: of the store.
        chosen: which runs.
        metric: whose pooled value over all folds and defects is shown.
        limit: most rows.

    Returns:
        run_id, name, state (with ``stalled``), score (the metric, None where undefined), kind, purpose,
        method, backbone, modalities (JSON text), label_fraction, seed, started, seconds, error, study.
    """
    where, values = _where(chosen)
    sql = [
        "SELECT r.run_id, r.name,",
        _STATE,
        "AS state, m.value AS score, r.kind, r.purpose, r.method, r.backbone, r.modalities,",
        "r.label_fraction, r.seed, r.started, r.seconds, r.error, s.name AS study",
        "FROM run r JOIN study s ON s.study_id = r.study_id",
        "LEFT JOIN metric m ON m.run_id = r.run_id AND m.metric = :metric",
        "AND COALESCE(m.defect, '') = '' AND COALESCE(m.fold, -1) = -1",
        where,
        "ORDER BY r.started DESC LIMIT :limit",
    ]
    return frame(connection, " ".join(sql), values | {"metric": metric, "limit": limit})


def state_counts(connection: sqlite3.Connection, chosen: RunFilter) -> dict[str, int]:
    """How many runs are in each state (with ``stalled``), most first."""
    where, values = _where(chosen)
    sql = ["SELECT", _STATE, "AS state, COUNT(*) FROM run r", where, "GROUP BY state ORDER BY COUNT(*) DESC"]
    return {str(row[0]): int(row[1]) for row in connection.execute(" ".join(sql), values)}


def reasons(connection: sqlite3.Connection, chosen: RunFilter, limit: int = 50) -> pd.DataFrame:
    """Why runs did not finish: equal reasons counted together, failures before prunings.

    Returns:
        state, error (None = no reason was given), n, name (of the latest such run), run_id, latest (UTC).
    """
    where, values = _where(chosen)
    glue = "AND" if where else "WHERE"
    sql = [
        "SELECT",
        _STATE,
        "AS state, r.error, COUNT(*) AS n, r.name, r.run_id, MAX(r.started) AS latest FROM run r",
        where,
        glue,
        "r.status IN ('failed', 'interrupted', 'pruned', 'running')",
        "GROUP BY state, r.error HAVING state <> 'running'",
        "ORDER BY state = 'pruned', n DESC, latest DESC LIMIT :limit",
    ]
    return frame(connection, " ".join(sql), values | {"limit": limit})


def choices(connection: sqlite3.Connection, dataset_id: str, study_id: str = "") -> pd.DataFrame:
    """Which methods and sensors the runs of a data set, or of one study, used.

    Returns:
        method, modalities (JSON text), n.
    """
    where, values = _where(RunFilter(dataset_id=dataset_id, study_id=study_id))
    sql = ["SELECT r.method, r.modalities, COUNT(*) AS n FROM run r", where]
    return frame(connection, " ".join([*sql, "GROUP BY r.method, r.modalities"]), values)


def run(connection: sqlite3.Connection, run_id: str) -> dict[str, Any] | None:
    """One run with its JSON parsed, plus ``study_name``, ``dataset_name`` and ``folds_done``."""
    row = first(
        connection,
        """
        SELECT r.*, s.name AS study_name, s.metric AS study_metric, s.fold_version, d.name AS dataset_name,
               (SELECT COUNT(*) FROM run_fold f WHERE f.run_id = r.run_id) AS folds_done
        FROM run r JOIN study s ON s.study_id = r.study_id JOIN dataset d ON d.dataset_id = r.dataset_id
        WHERE r.run_id = ?
        """,
        (run_id,),
    )
    if row is None:
        return None
    lists = {key: parsed(row[key], []) for key in ("modalities", "augmentations")}
    return row | lists | {key: parsed(row[key], {}) for key in ("params", "environment")}


def finish_times(connection: sqlite3.Connection, run_ids: Sequence[str]) -> tuple[str, ...]:
    """When runs finished, in the order of ``run_ids``; empty text for one that has not."""
    sql = "SELECT run_id, finished FROM run WHERE run_id IN (SELECT value FROM json_each(?))"
    known = {str(row[0]): row[1] for row in connection.execute(sql, (json_list(run_ids),))}
    return tuple(known.get(run_id) or "" for run_id in run_ids)


def folds(connection: sqlite3.Connection, run_id: str) -> pd.DataFrame:
    """The finished folds of a run: fold, seconds, finished, notes (JSON text)."""
    sql = "SELECT fold, seconds, finished, notes FROM run_fold WHERE run_id = ? ORDER BY fold"
    return frame(connection, sql, (run_id,))


def curves(connection: sqlite3.Connection, run_id: str) -> pd.DataFrame:
    """The training curves of a run: fold, epoch (from 1), split, metric, value."""
    sql = (
        "SELECT fold, epoch, split, metric, value FROM curve WHERE run_id = ?"
        " ORDER BY metric, split, fold, epoch"
    )
    return frame(connection, sql, (run_id,))


def artifacts(connection: sqlite3.Connection, run_id: str) -> pd.DataFrame:
    """The files of a run: name, kind, path (relative to the store), bytes."""
    sql = "SELECT name, kind, path, bytes FROM artifact WHERE run_id = ? ORDER BY kind, name"
    return frame(connection, sql, (run_id,))


def lineage(connection: sqlite3.Connection, run_id: str) -> pd.DataFrame:
    """The run, what it was made from and what was made from it, oldest first.

    Returns:
        run_id, name, kind, purpose, seed, status, distance (below 0 = ancestor, 0 = the run itself).
    """
    return frame(
        connection,
        """
        WITH RECURSIVE
        up(run_id, parent, distance) AS (
            SELECT run_id, parent_run_id, 0 FROM run WHERE run_id = :run_id
            UNION ALL
            SELECT r.run_id, r.parent_run_id, up.distance - 1 FROM run r JOIN up ON r.run_id = up.parent
            WHERE up.distance > -20
        )
        SELECT r.run_id, r.name, r.kind, r.purpose, r.seed, r.status, up.distance
        FROM up JOIN run r USING (run_id)
        UNION ALL
        SELECT * FROM (
            SELECT run_id, name, kind, purpose, seed, status, 1 FROM run
            WHERE parent_run_id = :run_id AND study_id = (SELECT study_id FROM run WHERE run_id = :run_id)
            ORDER BY started LIMIT 50
        )
        ORDER BY 7
        """,
        {"run_id": run_id},
    )
