"""What a run leaves beside its numbers: files, explanations, projections, comparisons."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backend.errors import LostFileError, StoreError
from backend.store.artifacts import inside, write_artifact
from backend.store.bundle import ArtifactData, AttributionData, EmbeddingData, MetricValue, NeighbourData
from backend.store.rows import ComparisonRow, FindingRow, RunRow, compact_json, finite
from backend.store.session import WriteSession


class FindingsStore(WriteSession):
    """The part of ``backend.store.writer.RunStore`` that keeps files and findings."""

    def run_status(self, run_id: str) -> str | None:
        """Status of a run, None where it was never started."""
        value = self.value("SELECT status FROM run WHERE run_id = ?", run_id)
        return None if value is None else str(value)

    def twin_run(self, row: RunRow, fold_version: str, study_seed: int) -> str | None:
        """A complete run of another study that did exactly this: same data, folds, settings and seeds.

        Returns:
            The run's id, the oldest one first; None where there is none that still has files of every fold.
        """
        value = self.value(
            "SELECT run_id FROM run JOIN study USING (study_id) WHERE run.study_id <> ? "
            "AND run.status = 'complete' AND run.dataset_id = ? AND run.config_hash = ? AND run.seed = ? "
            "AND run.n_folds = ? AND study.fold_version = ? AND json_extract(study.plan, '$.seed') = ? "
            "AND run.n_folds = (SELECT COUNT(DISTINCT fold) FROM artifact AS a WHERE a.run_id = run.run_id) "
            "ORDER BY run.started LIMIT 1",
            row.study_id,
            row.dataset_id,
            row.config_hash,
            row.seed,
            row.n_folds,
            fold_version,
            study_seed,
        )
        return None if value is None else str(value)

    def add_metrics(self, run_id: str, metrics: Iterable[MetricValue]) -> None:
        """Store pooled metrics (``fold`` NULL) beside those a run has, replacing ones of the same name.

        Args:
            run_id: a complete run, to which a later stage adds what it found out about it.
            metrics: names that ``finish_run`` does not write, e.g. ``shapley:nir``.
        """
        self._require_run(run_id)
        rows = [
            {
                "run_id": run_id,
                "fold": None,
                "defect": metric.defect,
                "metric": metric.metric,
                "value": finite(metric.value),
                "ci_low": finite(metric.ci_low),
                "ci_high": finite(metric.ci_high),
                "reason": metric.reason,
            }
            for metric in metrics
        ]
        with self.transaction():
            self.put("metric", rows)

    def pooled_metric_names(self, run_id: str) -> set[str]:
        """Names of the metrics that a run has over all folds."""
        return {
            row[0]
            for row in self.rows(
                "SELECT DISTINCT metric FROM metric WHERE run_id = ? AND fold IS NULL", run_id
            )
        }

    def add_comparisons(self, comparisons: Iterable[ComparisonRow]) -> None:
        """Store differences between runs; the same question asked again replaces the answer."""
        rows = [asdict(comparison) for comparison in comparisons]
        for row in rows:
            for name in ("delta", "ci_low", "ci_high", "p_value", "p_adjusted", "effect_size"):
                row[name] = finite(row[name])
        with self.transaction():
            self.put("comparison", rows)

    def add_embeddings(
        self, run_id: str, embeddings: Iterable[EmbeddingData], fold: int | None = None
    ) -> None:
        """Store 2-D projections of a run, replacing points of the same projection and fruit.

        Args:
            run_id: the run.
            embeddings: the projections.
            fold: whose model they show; None = that of the whole run.
        """
        self._require_run(run_id)
        with self.transaction():
            self._insert_embeddings(run_id, embeddings, fold)

    def add_neighbours(self, run_id: str, found: NeighbourData) -> None:
        """Store the nearest fruit of each fruit in a run's feature space, replacing earlier ones."""
        self._require_run(run_id)
        rows = [
            {
                "run_id": run_id,
                "fruit_id": fruit,
                "rank": rank,
                "neighbour_id": neighbour,
                "similarity": float(similarity),
            }
            for fruit, names, values in zip(
                found.fruit_ids, found.neighbours, found.similarity.tolist(), strict=True
            )
            for rank, (neighbour, similarity) in enumerate(zip(names, values, strict=True), start=1)
        ]
        with self.transaction() as connection:
            connection.execute("DELETE FROM neighbour WHERE run_id = ?", (run_id,))
            self.put("neighbour", rows)

    def replace_findings(self, dataset_id: str, kinds: Iterable[str], findings: Iterable[FindingRow]) -> None:
        """Store what was found out about a data set in the place of earlier findings of ``kinds``."""
        rows = [asdict(finding) | {"dataset_id": dataset_id} for finding in findings]
        for row in rows:
            row["value"] = finite(row["value"])
            row["detail"] = compact_json(row["detail"])
        with self.transaction() as connection:
            connection.executemany(
                "DELETE FROM finding WHERE dataset_id = ? AND kind = ?",
                [(dataset_id, kind) for kind in kinds],
            )
            self.put("finding", rows)

    def add_attributions(
        self,
        run_id: str,
        attributions: Iterable[AttributionData],
        artifacts: Iterable[ArtifactData] = (),
        fold: int | None = None,
    ) -> None:
        """Store explanation images of a run, all of them or none.

        Args:
            run_id: the run.
            attributions: what each image explains; ``name`` is that of an artifact of the run.
            artifacts: the images that are not in the store yet.
            fold: whose model they explain; None = that of the whole run.
        """
        self._require_run(run_id)
        files = self._keep_files(run_id, artifacts, fold)
        with self.transaction():
            self.put("artifact", files)
            self._insert_attributions(run_id, attributions, fold)

    def load_artifact(self, run_id: str, name: str) -> bytes | None:
        """The content of an artifact; None where there is none of that name, or its file is lost or damaged.

        Raises:
            StoreError: the file is there and cannot be read.
        """
        known = self.value("SELECT sha256 FROM artifact WHERE run_id = ? AND name = ?", run_id, name)
        if known is None:
            return None
        path = self.artifact_path(run_id, name)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"the artifact cannot be read ({error.strerror})", where=str(path)) from error
        return data if hashlib.sha256(data).hexdigest() == known else None

    def require_artifact(self, run_id: str, name: str) -> bytes:
        """The content of an artifact that cannot be done without.

        Raises:
            LostFileError: there is none of that name, or its file is lost or damaged.
        """
        data = self.load_artifact(run_id, name)
        if data is None:
            raise LostFileError(
                f"the file of artifact {name!r} of run {run_id} is missing or damaged",
                where=str(self.path),
                action="restore it from a copy, or start the study in a new --store",
            )
        return data

    def add_artifact(self, run_id: str, artifact: ArtifactData) -> Path:
        """Keep a file with a run, replacing one of the same name; returns where it lies."""
        self._require_run(run_id)
        rows = self._keep_files(run_id, [artifact], None)
        with self.transaction():
            self.put("artifact", rows)
        return self.artifact_path(run_id, artifact.name)

    def artifact_path(self, run_id: str, name: str) -> Path:
        """Where an artifact lies.

        Raises:
            StoreError: there is none of that name, or its path leads outside the store's folder.
        """
        return inside(self.path.parent, self._stored_path(run_id, name))

    def _stored_path(self, run_id: str, name: str) -> str:
        path = self.value("SELECT path FROM artifact WHERE run_id = ? AND name = ?", run_id, name)
        if path is None:
            raise StoreError(f"run {run_id} has no artifact {name!r}", where=str(self.path))
        return str(path)

    def _keep_files(
        self, run_id: str, artifacts: Iterable[ArtifactData], fold: int | None
    ) -> list[dict[str, Any]]:
        """Write files and return their rows; a name that another fold uses is refused, not overwritten."""
        artifacts = list(artifacts)
        taken = {
            row["name"]
            for row in self.rows("SELECT name FROM artifact WHERE run_id = ? AND fold IS NOT ?", run_id, fold)
        }
        for artifact in artifacts:
            if artifact.name in taken:
                raise StoreError(
                    f"artifact {artifact.name!r} belongs to another fold of run {run_id}",
                    where=str(self.path),
                    expected="a name of its own for every fold",
                )
        return [write_artifact(self.path, run_id, artifact, fold) for artifact in artifacts]

    def _insert_attributions(
        self, run_id: str, attributions: Iterable[AttributionData], fold: int | None
    ) -> None:
        rows = [
            {
                "run_id": run_id,
                "fruit_id": item.fruit_id,
                "defect": item.defect,
                "modality": item.modality,
                "view": item.view,
                "path": self._stored_path(run_id, item.name),
                "scores": compact_json(item.scores),
                "fold": fold,
            }
            for item in attributions
        ]
        self.put("attribution", rows)

    def _insert_embeddings(self, run_id: str, embeddings: Iterable[EmbeddingData], fold: int | None) -> None:
        rows = [
            {"run_id": run_id, "fruit_id": fruit, "projection": item.projection, "x": x, "y": y, "fold": fold}
            for item in embeddings
            for fruit, (x, y) in zip(item.fruit_ids, item.xy.tolist(), strict=True)
        ]
        self.put("embedding", rows)

    def _require_run(self, run_id: str) -> None:
        if self.run_status(run_id) is None:
            raise StoreError(f"unknown run {run_id!r}", where=str(self.path), action="start the run first")
