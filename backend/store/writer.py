"""The one writer of a run store: small verbs, each a short transaction.

    with RunStore("runs/store.db", purpose="study 7f3a") as store:
        store.add_dataset(dataset, warnings)
        store.start_study(study)
        store.start_run(run)
        store.write_fold(run.run_id, bundle)
        store.finish_run(run.run_id, metrics)

A fold is the unit of progress: it is in the store whole or not at all, and writing it again replaces it.
When ``write_fold`` returns, the fold survives a power cut; everything else that one may take (the start or
the end of a run) follows from the folds when the study goes on.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlite_utils import Database

from backend.errors import StoreError
from backend.store import folds
from backend.store.artifacts import inside
from backend.store.bundle import CurvePoint, FoldBundle, MetricValue, Predictions
from backend.store.connection import utc_now
from backend.store.datasets import dataset_row, fruit_rows
from backend.store.findings import FindingsStore
from backend.store.rows import RUN_ENDINGS, STUDY_ENDINGS, RunRow, StudyRow, compact_json
from backend.store.summary import summarise_study

if TYPE_CHECKING:  # the store stands below the data package: it knows the type, not the module
    from backend.data.dataset import FruitDataset


class RunStore(FindingsStore):
    """The verbs of a study's driver on a store that is locked, open and migrated.

    Every verb raises ``StoreError`` with one clear line where the disk or the file fails, and then has
    changed nothing.
    """

    # Data sets and studies

    def add_dataset(self, dataset: FruitDataset, warnings: list[str]) -> None:
        """Store a data set and its fruit; adding it again only renews folder and warnings.

        Args:
            dataset: what was read.
            warnings: what ``check`` found that does not stop a study.
        """
        with self.transaction() as connection:
            known = self.value("SELECT 1 FROM dataset WHERE dataset_id = ?", dataset.dataset_id)
            database = Database(connection, execute_plugins=False)
            database.table("dataset").upsert(dataset_row(dataset, warnings), pk="dataset_id")
            if not known:
                self.put("fruit", fruit_rows(dataset))

    def start_study(self, study: StudyRow) -> None:
        """Start a study, or go on with the one of that id.

        Raises:
            StoreError: the study exists with another data set or other outer folds, so that its runs
                would not pair.
        """
        now = utc_now()
        with self.transaction() as connection:
            known = self.study(study.study_id)
            if known is None:
                row = asdict(study) | {"status": "running", "started": study.started or now, "heartbeat": now}
                for name in ("plan", "folds", "progress", "summary"):
                    row[name] = compact_json(row[name])
                self.put("study", [row])
                return
            if (known.dataset_id, known.fold_version) != (study.dataset_id, study.fold_version):
                raise StoreError(
                    f"study {study.study_id} was started on other data or other folds",
                    where=str(self.path),
                    expected=f"data set {known.dataset_id} with folds {known.fold_version}",
                    action="pass another --store or restore the data set",
                )
            connection.execute(
                "UPDATE study SET status = 'running', finished = NULL, heartbeat = ?, name = ?, plan = ? "
                "WHERE study_id = ?",
                (now, study.name, compact_json(study.plan), study.study_id),
            )

    def study(self, study_id: str) -> StudyRow | None:
        """The study of that id, None where there is none."""
        row = self.row("SELECT * FROM study WHERE study_id = ?", study_id)
        if row is None:
            return None
        values = dict(row)
        for name in ("plan", "folds", "progress", "summary"):
            values[name] = json.loads(values[name])
        return StudyRow(**values)

    def update_progress(self, study_id: str, progress: dict[str, Any]) -> None:
        """Say where the study is (stage, done, total, seconds left); counts as a sign of life."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE study SET progress = ?, heartbeat = ? WHERE study_id = ?",
                (compact_json(progress), utc_now(), study_id),
            )

    def finish_study(self, study_id: str, status: str, summary: dict[str, Any]) -> None:
        """End a study as complete, interrupted or failed.

        Args:
            study_id: the study.
            status: how it ended.
            summary: what ran, what failed and why.
        """
        assert status in STUDY_ENDINGS, status
        now = utc_now()
        with self.transaction(durable=True) as connection:
            connection.execute(
                "UPDATE study SET status = ?, summary = ?, finished = ?, heartbeat = ? WHERE study_id = ?",
                (status, compact_json(summary), now, now, study_id),
            )

    # Runs

    def start_run(self, run: RunRow) -> None:
        """Start a run, or take an unfinished one up again; a complete run stays as it is."""
        now = utc_now()
        with self.transaction() as connection:
            if self.run_status(run.run_id) is None:
                row = vars(run) | {"status": "running", "started": now, "heartbeat": now}
                row["transductive"] = int(run.transductive)
                for name in ("modalities", "augmentations", "params", "environment"):
                    row[name] = compact_json(row[name])
                self.put("run", [row])
            else:
                connection.execute(
                    "UPDATE run SET status = 'running', error = NULL, finished = NULL, heartbeat = ? "
                    "WHERE run_id = ? AND status <> 'complete'",
                    (now, run.run_id),
                )

    def write_fold(self, run_id: str, bundle: FoldBundle) -> None:
        """Store everything one fold produced; the fold is finished when this returns.

        Artifacts reach the disk first, then one transaction holds all rows, so that no row ever points to
        a file that is not there.

        Raises:
            StoreError: unknown run, unsafe artifact name, a score that is no number, or a full disk.
        """
        self._require_run(run_id)
        fold, now = int(bundle.fold), utc_now()
        notes = dict(bundle.notes) | ({"pruned": bundle.pruned} if bundle.pruned else {})
        files = self._keep_files(run_id, bundle.artifacts, fold)
        before = self.rows("SELECT path FROM artifact WHERE run_id = ? AND fold = ?", run_id, fold)
        with self.transaction(durable=True) as connection:
            folds.delete_fold(connection, run_id, fold)
            if bundle.predictions is not None:
                folds.insert_predictions(connection, run_id, fold, bundle.predictions)
                folds.count_confusions(connection, run_id, fold)
            folds.insert_metrics(connection, run_id, fold, bundle.metrics)
            folds.insert_curves(connection, run_id, fold, bundle.curves)
            self.put("artifact", files)
            self._insert_attributions(run_id, bundle.attributions, fold)
            self._insert_embeddings(run_id, bundle.embeddings, fold)
            connection.execute(
                "INSERT INTO run_fold (run_id, fold, seconds, finished, notes) VALUES (?, ?, ?, ?, ?)",
                (run_id, fold, bundle.seconds, now, compact_json(notes)),
            )
            connection.execute("UPDATE run SET heartbeat = ? WHERE run_id = ?", (now, run_id))
        kept = {row["path"] for row in files}
        for row in before:
            if row["path"] not in kept:
                inside(self.path.parent, row["path"]).unlink(missing_ok=True)

    def finish_run(self, run_id: str, metrics: Iterable[MetricValue]) -> None:
        """Complete a run: pooled metrics, cumulative confusion matrices, seconds of all folds.

        Args:
            run_id: the run, all of its folds written.
            metrics: computed from ``load_predictions(run_id)``; stored with ``fold`` NULL.
        """
        self._require_run(run_id)
        with self.transaction() as connection:
            folds.insert_metrics(connection, run_id, None, tuple(metrics))
            folds.pool_confusions(connection, run_id)
            self._end(connection, run_id, "complete", None)

    def end_run(
        self,
        run_id: str,
        status: str,
        error: str,
        curves: Mapping[int, tuple[CurvePoint, ...]] = MappingProxyType({}),
    ) -> None:
        """End a run as failed, pruned or interrupted, and say why; its finished folds stay.

        Args:
            run_id: the run.
            status: how it ended.
            error: the reason and the last log lines.
            curves: fold to the curves up to its failure; the fold stays unfinished.
        """
        assert status in RUN_ENDINGS, status
        self._require_run(run_id)
        with self.transaction() as connection:
            for fold, points in curves.items():
                folds.delete_fold(connection, run_id, fold)
                folds.insert_curves(connection, run_id, fold, points)
            self._end(connection, run_id, status, error)

    def _end(self, connection: sqlite3.Connection, run_id: str, status: str, error: str | None) -> None:
        connection.execute(
            "UPDATE run SET status = :status, error = :error, finished = :now, heartbeat = :now, "
            "seconds = (SELECT COALESCE(SUM(seconds), 0) FROM run_fold WHERE run_id = :run_id) "
            "WHERE run_id = :run_id",
            {"status": status, "error": error, "now": utc_now(), "run_id": run_id},
        )

    def heartbeat(self, run_ids: Iterable[str], study_id: str) -> None:
        """Write that these runs and their study are alive."""
        now = utc_now()
        with self.transaction() as connection:
            connection.executemany(
                "UPDATE run SET heartbeat = ? WHERE run_id = ?", [(now, run_id) for run_id in run_ids]
            )
            connection.execute("UPDATE study SET heartbeat = ? WHERE study_id = ?", (now, study_id))

    def recover(self) -> None:
        """Mark every run and study that is still ``running`` as interrupted.

        Whoever holds the lock is the only writer, so the drivers of all of them are gone, whatever study they
        were on; ``start_study`` and ``start_run`` take them up again.
        """
        with self.transaction() as connection:
            connection.execute(
                "UPDATE run SET status = 'interrupted', finished = COALESCE(heartbeat, started), "
                "error = 'the driver ended before the run did' WHERE status = 'running'"
            )
            connection.execute(
                "UPDATE study SET status = 'interrupted', finished = COALESCE(heartbeat, started) "
                "WHERE status = 'running'"
            )

    # What a resumed study reads back

    def finished_folds(self, run_id: str) -> set[int]:
        """The folds of a run that are in the store."""
        return {row[0] for row in self.rows("SELECT fold FROM run_fold WHERE run_id = ?", run_id)}

    def pruned_folds(self, run_id: str) -> dict[int, str]:
        """The finished folds of a run that were pruned, and why."""
        sql = (
            "SELECT fold, notes ->> '$.pruned' FROM run_fold WHERE run_id = ? AND notes ->> '$.pruned' <> ''"
        )
        return {row[0]: row[1] for row in self.rows(sql, run_id)}

    def load_predictions(self, run_id: str, fold: int | None = None) -> Predictions:
        """The predictions of a run (or one fold), bit for bit: see ``folds.load_predictions``."""
        self._require_run(run_id)
        with self.reading() as connection:
            return folds.load_predictions(connection, run_id, fold)

    def fold_metrics(self, run_id: str, metric: str, defect: str | None = None) -> dict[int, float | None]:
        """Fold to value of one metric (``defect`` None = over all defects); None = undefined there."""
        rows = self.rows(
            "SELECT fold, value FROM metric WHERE run_id = ? AND metric = ? AND defect IS ? "
            "AND fold IS NOT NULL ORDER BY fold",
            run_id,
            metric,
            defect,
        )
        return {row[0]: row[1] for row in rows}

    def curve(self, run_id: str, fold: int, split: str, metric: str) -> list[float]:
        """One training curve, epoch by epoch; NaN where the value was not finite."""
        rows = self.rows(
            "SELECT value FROM curve WHERE run_id = ? AND fold = ? AND split = ? AND metric = ? "
            "ORDER BY epoch",
            run_id,
            fold,
            split,
            metric,
        )
        return [math.nan if row[0] is None else float(row[0]) for row in rows]

    def summarise_study(self, study_id: str) -> dict[str, Any]:
        """What ran, what failed and why, and the best result: see ``backend.store.summary``."""
        with self.reading() as connection:
            return summarise_study(connection, study_id)
