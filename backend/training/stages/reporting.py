"""The data report: what in the data deserves a second look, from predictions, pictures and features.

It comes last, and with it the cards of every final run, which tell what it found.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from backend.data.check_images import Looking, hashed_images
from backend.data.dataset import MULTICLASS
from backend.data.duplicates import NEAR
from backend.evaluation.label_issues import OUTLYING, LabelError, label_errors, outlying
from backend.explain.data_report import (
    NONE,
    conflict_findings,
    drift_findings,
    duplicate_findings,
    outlier_findings,
    sensor_findings,
)
from backend.explain.pairs import similar_fruit
from backend.explain.sensors import SIGNIFICANT, find_drift, read_sensors
from backend.store.bundle import ArtifactData
from backend.store.queries import space as space_queries
from backend.store.rows import FindingRow
from backend.training.driver import RunResult
from backend.training.space import feature_space, find_neighbours
from backend.training.stages.cards import write_cards
from backend.training.stages.context import StageContext, best_run
from backend.training.stages.pieces import piece, pulse

REPORT = "data_report.json"
"""Artifact of the baseline behind a report: how much was found, and by which limits. Written last."""


def run_reports(stage: StageContext) -> None:
    """The data report, where the plan asks for one, and the cards of every final run."""
    baseline = best_run(stage.baselines)
    if stage.plan.data_report.enabled and baseline is not None:
        report = DataReport(stage, baseline)
        if not report.is_made:
            report.make()
    write_cards(stage)


@dataclass
class DataReport:
    """One data report.

    Attributes:
        stage: the study.
        baseline: whose held-out predictions and features are used.
        found: kind of finding to how many there were before the weakest were left out.
    """

    stage: StageContext
    baseline: RunResult
    found: dict[str, int] = field(default_factory=dict)

    @property
    def is_made(self) -> bool:
        """Whether this baseline has a whole report; whoever deletes the artifact gets a new one."""
        return self.stage.driver.store.load_artifact(self.baseline.run_id, REPORT) is not None

    def make(self) -> None:
        """Make every part; a part that fails leaves the earlier findings of its kinds alone."""
        parts = {
            "sensors and drift": self.sensors,
            "duplicates and label conflicts": self.duplicates,
            "likely label errors": self.labels,
            "outliers": self.outliers,
        }
        self.stage.driver.progress.expect(len(parts))
        finished = []
        for name, make_part in parts.items():
            with piece(self.stage, name):
                make_part()
                finished.append(name)
        if len(finished) == len(parts):
            facts = {
                "found": self.found,
                "kept_of_each_kind": self.stage.plan.data_report.keep,
                "limits": {
                    "duplicate_bits_of_256": NEAR,
                    "outlier_robust_z": OUTLYING,
                    "drift_adjusted_p": SIGNIFICANT,
                },
            }
            data = json.dumps(facts, indent=2).encode()
            self.stage.driver.store.add_artifact(self.baseline.run_id, ArtifactData(REPORT, "report", data))

    def sensors(self) -> None:
        """What each sensor delivers, and which groups differ."""
        context = self.stage.driver.context
        sensors = read_sensors(context.dataset, context.cache, pulse(self.stage))
        self._keep("sensor", sensor_findings(sensors))
        self._keep("drift", drift_findings(find_drift(sensors, np.asarray(context.dataset.groups))))

    def duplicates(self) -> None:
        """Fruit that share a picture, and those of them that disagree about the label."""
        dataset, cache = self.stage.driver.context.dataset, self.stage.driver.context.cache
        looking = Looking(dataset.root, cache.folder.parent, workers=None, progress=False)
        pairs = similar_fruit(*hashed_images(dataset, looking))
        self._keep("duplicate", duplicate_findings(pairs, dataset))
        self._keep("label_conflict", conflict_findings(pairs, dataset))

    def labels(self) -> None:
        """Labels that held-out predictions contradict."""
        predictions = self.stage.driver.store.load_predictions(self.baseline.run_id)
        task = self.stage.driver.context.dataset.task
        errors = label_errors(predictions, task)
        self._keep("label_issue", [label_finding(error, task, self.baseline.run_id) for error in errors])

    def outliers(self) -> None:
        """Fruit far from all others in feature space; none where the baseline sees no picture."""
        if not self.baseline.config.model.image_modalities:
            self._keep("outlier", [])
            return
        fruit_ids, distance = self._distances()
        rows, ratio = outlying(distance)
        chosen = [fruit_ids[row] for row in rows]
        self._keep("outlier", outlier_findings(chosen, ratio[rows].tolist(), self.baseline.run_id))

    def _distances(self) -> tuple[list[str], np.ndarray[tuple[int], np.dtype[np.float64]]]:
        """Root mean square distance of each fruit to its stored neighbours, on the unit sphere."""
        driver, run_id = self.stage.driver, self.baseline.run_id
        with driver.store.reading() as connection:
            table = space_queries.neighbours(connection, run_id)
        if table.empty:
            space = feature_space(driver, run_id, self.stage.plan.projections.layer)
            count = self.stage.plan.projections.neighbours
            driver.store.add_neighbours(
                run_id, find_neighbours(space, driver.context.dataset, count, pulse(self.stage))
            )
            with driver.store.reading() as connection:
                table = space_queries.neighbours(connection, run_id)
        similarity = table.groupby("fruit_id").similarity.mean()
        distance = np.sqrt(np.maximum(2 - 2 * similarity.to_numpy(dtype=np.float64), 0))
        return similarity.index.tolist(), distance

    def _keep(self, kind: str, findings: Sequence[FindingRow]) -> None:
        """Store the strongest findings of a kind in the place of earlier ones."""
        self.found[kind] = len(findings)
        kept = findings[: self.stage.plan.data_report.keep]
        dataset_id = self.stage.driver.context.dataset.dataset_id
        self.stage.driver.store.replace_findings(dataset_id, (kind,), kept)


def label_finding(error: LabelError, task: str, run_id: str) -> FindingRow:
    """A likely label error as a row: ``value`` = the probability that the model gives to another label."""
    given = error.defect if task == MULTICLASS or error.given else NONE
    return FindingRow(
        "label_issue",
        error.defect,
        error.fruit_id,
        value=1 - error.quality,
        detail={"given": given, "likely": error.suggested},
        run_id=run_id,
    )
