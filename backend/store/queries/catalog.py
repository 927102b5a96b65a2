"""Data sets and studies: what there is to choose from, and what each one is."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backend.store.queries._frame import first, frame, parsed

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class DefectFacts:
    """A defect or class as ``dataset.toml`` describes it; costs are money a fruit."""

    name: str
    kind: str
    cost_miss: float
    cost_false_alarm: float


@dataclass(frozen=True)
class DatasetFacts:
    """One data set.

    Attributes:
        defects: in the order of ``dataset.toml``.
        modalities: image sensor to its views.
        pressures: names of the readings.
        root: folder that the pictures lie in.
        warnings: what the check found that does not stop a study.
    """

    dataset_id: str
    name: str
    task: str
    synthetic: bool
    n_fruits: int
    n_labelled: int
    healthy: str
    defects: tuple[DefectFacts, ...]
    modalities: dict[str, tuple[str, ...]]
    pressures: tuple[str, ...]
    description: str
    licence: str
    source: str
    label_version: str
    root: str
    warnings: tuple[str, ...]


def datasets(connection: sqlite3.Connection) -> pd.DataFrame:
    """Every data set, the one studied last first.

    Returns:
        dataset_id, name, task, synthetic, n_fruits, n_labelled, n_studies, last_started (UTC or None).
    """
    return frame(
        connection,
        """
        SELECT d.dataset_id, d.name, d.task, d.synthetic, d.n_fruits, d.n_labelled,
               COUNT(s.study_id) AS n_studies, MAX(s.started) AS last_started
        FROM dataset d LEFT JOIN study s ON s.dataset_id = d.dataset_id
        GROUP BY d.dataset_id
        ORDER BY last_started IS NULL, last_started DESC, d.name
        """,
    )


def dataset(connection: sqlite3.Connection, dataset_id: str) -> DatasetFacts | None:
    """What one data set is; None where the store does not know it."""
    row = first(connection, "SELECT * FROM dataset WHERE dataset_id = ?", (dataset_id,))
    if row is None:
        return None
    spec: dict[str, Any] = parsed(row["spec"], {})
    return DatasetFacts(
        dataset_id=row["dataset_id"],
        name=row["name"],
        task=row["task"],
        synthetic=bool(row["synthetic"]),
        n_fruits=row["n_fruits"],
        n_labelled=row["n_labelled"],
        healthy=spec.get("healthy", ""),
        defects=tuple(_defect(values) for values in spec.get("defects", [])),
        modalities={name: tuple(views) for name, views in spec.get("modalities", {}).items()},
        pressures=tuple(spec.get("pressures", ())),
        description=spec.get("description", ""),
        licence=spec.get("licence", ""),
        source=spec.get("source", ""),
        label_version=row["label_version"],
        root=row["root"],
        warnings=tuple(str(text) for text in parsed(row["warnings"], [])),
    )


def _defect(values: dict[str, Any]) -> DefectFacts:
    return DefectFacts(
        name=str(values.get("name", "")),
        kind=str(values.get("kind", "other")),
        cost_miss=float(values.get("cost_miss", 1.0)),
        cost_false_alarm=float(values.get("cost_false_alarm", 1.0)),
    )


def defect_counts(connection: sqlite3.Connection, dataset_id: str) -> pd.DataFrame:
    """How many fruit have each defect.

    Returns:
        defect, positives, labelled (fruit with a label for that defect).
    """
    return frame(
        connection,
        """
        SELECT label.key AS defect, COALESCE(SUM(label.value), 0) AS positives, COUNT(label.value) AS labelled
        FROM fruit, json_each(fruit.labels) AS label
        WHERE fruit.dataset_id = ?
        GROUP BY label.key
        """,
        (dataset_id,),
    )


def groups(connection: sqlite3.Connection, dataset_id: str) -> tuple[str, ...]:
    """Names of the pallets, origins or plants that the fruit come from."""
    sql = "SELECT DISTINCT fruit_group FROM fruit WHERE dataset_id = ? ORDER BY fruit_group"
    return tuple(str(row[0]) for row in connection.execute(sql, (dataset_id,)))


def fruit_of(connection: sqlite3.Connection, dataset_id: str, group: str) -> frozenset[str]:
    """Ids of the fruit of one pallet, origin or plant."""
    sql = "SELECT fruit_id FROM fruit WHERE dataset_id = ? AND fruit_group = ?"
    return frozenset(str(row[0]) for row in connection.execute(sql, (dataset_id, group)))


def studies(connection: sqlite3.Connection, dataset_id: str) -> pd.DataFrame:
    """The studies of a data set, the latest first.

    Returns:
        study_id, name, metric, started, finished, status, heartbeat, fold_version, n_runs, and n_final, how
        many runs of purpose ``final`` are complete.
    """
    return frame(
        connection,
        """
        SELECT s.study_id, s.name, s.metric, s.started, s.finished, s.status, s.heartbeat, s.fold_version,
               (SELECT COUNT(*) FROM run r WHERE r.study_id = s.study_id) AS n_runs,
               -- The plus sends SQLite to the index by purpose: few of a study's runs are final ones.
               (SELECT COUNT(*) FROM run r WHERE r.dataset_id = s.dataset_id AND r.purpose = 'final'
                AND +r.study_id = s.study_id AND r.status = 'complete') AS n_final
        FROM study s
        WHERE s.dataset_id = ?
        ORDER BY s.started DESC, s.study_id
        """,
        (dataset_id,),
    )


def running_studies(connection: sqlite3.Connection) -> pd.DataFrame:
    """Studies whose driver has not said that it ended, whatever the data set; the latest first.

    Returns:
        study_id, dataset_id, name, dataset, root (of the data set), plan (its name, None where unknown),
        started, heartbeat, progress (JSON text).
    """
    return frame(
        connection,
        """
        SELECT s.study_id, s.dataset_id, s.name, d.name AS dataset, d.root,
               CASE WHEN json_valid(s.plan) THEN json_extract(s.plan, '$.plan.name') END AS plan,
               s.started, s.heartbeat, s.progress
        FROM study s JOIN dataset d USING (dataset_id)
        WHERE s.status = 'running'
        ORDER BY s.started DESC
        """,
    )


def finished_runs(connection: sqlite3.Connection) -> int:
    """How many final runs are complete: changes when there is something new to show."""
    sql = "SELECT COUNT(*) FROM run WHERE purpose = 'final' AND status = 'complete'"
    return int(connection.execute(sql).fetchone()[0])


@dataclass(frozen=True)
class Progress:
    """Where a study is; ``seconds_left`` None = not known yet."""

    stage: str
    done: int
    total: int
    seconds_left: float | None


def progress_of(text: str) -> Progress:
    """The JSON of ``study.progress`` as values; what is missing or malformed counts as nothing."""
    values = parsed(text, {})
    values = values if isinstance(values, dict) else {}
    numbers = {key: values.get(key) for key in ("done", "total", "seconds_left")}
    sound = {key: value for key, value in numbers.items() if isinstance(value, int | float)}
    left = sound.get("seconds_left")
    return Progress(
        stage=str(values.get("stage", "")),
        done=int(sound.get("done", 0)),
        total=int(sound.get("total", 0)),
        seconds_left=None if left is None else float(left),
    )


def study(connection: sqlite3.Connection, study_id: str) -> dict[str, Any] | None:
    """One study with ``plan``, ``progress`` and ``summary`` parsed; None where the store does not know it."""
    row = first(
        connection,
        "SELECT study_id, name, plan, dataset_id, metric, started, finished, status, heartbeat,"
        " fold_version, progress, summary FROM study WHERE study_id = ?",
        (study_id,),
    )
    if row is None:
        return None
    return row | {key: parsed(row[key], {}) for key in ("plan", "progress", "summary")}
