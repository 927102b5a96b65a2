"""What explains runs and data in a sample store, by formula: heat maps, projections, trials, findings.

Rows are those of ``docs/stored-results.md``; nothing was trained.
"""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sample_data import FOLDS, seeded

from backend.config import OptimConfig, RunConfig
from backend.data.dataset import MULTICLASS, FruitDataset
from backend.store.bundle import (
    ArtifactData,
    AttributionData,
    EmbeddingData,
    FoldBundle,
    MetricValue,
    NeighbourData,
    Predictions,
)
from backend.store.rows import FindingRow
from backend.store.writer import RunStore

if TYPE_CHECKING:
    from sample_store import Builder

TRIALS = 30
EXPLAINED = 3
"""Fruit for each defect and outcome."""
NEIGHBOURS = 10


def trials(build: Builder, study: str, dataset: FruitDataset, base: RunConfig, n: int = TRIALS) -> None:
    """Trials of a search whose score depends on learning rate and dropout, a little on the rest.

    Args:
        build: writes runs.
        study: their study.
        dataset: their data set.
        base: the configuration that they vary.
        n: how many.
    """
    random = seeded("trials", dataset.dataset_id)
    for i in range(n):
        rate = float(10 ** random.uniform(-3.5, -1.8))
        drop = float(random.uniform(0, 0.5))
        batch = int(random.choice([16, 32, 64]))
        optim = dataclasses.replace(
            OptimConfig(), learning_rate=round(rate, 6), batch_size=batch, weight_decay=0.01
        )
        model = dataclasses.replace(
            base.model, dropout=round(drop, 3), view_pooling=str(random.choice(["mean", "max", "attention"]))
        )
        chosen = dataclasses.replace(base, seed=1000 + i, optim=optim, model=model, purpose="tune", label="")
        run_id = build.start(study, dataset, chosen)
        score = 0.78 - 0.16 * (np.log10(rate) + 2.6) ** 2 - 0.25 * (drop - 0.2) ** 2 + random.normal(0, 0.01)
        values = (MetricValue("inner_mcc", float(np.clip(score, -1, 1))),)
        seconds = 30.0 + 900.0 / batch + float(random.uniform(0, 20))
        for fold in range(FOLDS):
            build.store.write_fold(run_id, FoldBundle(fold, seconds, metrics=values))
        build.store.finish_run(run_id, values)


def explain(store: RunStore, dataset: FruitDataset, run_id: str, skill: float) -> None:
    """Heat maps of some fruit of every defect and outcome, and their scores.

    Args:
        store: to write to.
        dataset: the fruit.
        run_id: the run that is explained; has predictions.
        skill: share of the maps whose hottest point lies on the defect.
    """
    found = store.load_predictions(run_id)
    pictures = [(sensor, view) for sensor, views in dataset.modalities.items() for view in views]
    attributions, artifacts, values = [], [], []
    for column, defect in enumerate(found.defects):
        names = {view: f"explanations/{defect}-{view}.png" for _, view in pictures}
        artifacts += [
            ArtifactData(name, "attribution", heat_map(defect, view)) for view, name in names.items()
        ]
        hits = []
        for outcome, rows in _outcomes(found, column).items():
            for row in rows[:EXPLAINED]:
                fruit = found.fruit_ids[row]
                scores: dict[str, float | str] = {
                    "outcome": outcome,
                    "score": float(found.score[row, column]),
                }
                if outcome in ("tp", "fn"):
                    hits.append(float(seeded("hit", run_id, defect, fruit).random() < skill))
                    scores["pointing"] = hits[-1]
                attributions += [
                    AttributionData(fruit, defect, sensor, view, names[view], scores)
                    for sensor, view in pictures
                ]
        values += _localisation(defect, hits)
    store.add_attributions(run_id, attributions, artifacts)
    store.add_metrics(run_id, values)


def _outcomes(found: Predictions, column: int) -> dict[str, list[int]]:
    truth, said = found.y_true[:, column] == 1, found.y_pred[:, column] == 1
    known = ~np.isnan(found.y_true[:, column])
    cells = {"tp": truth & said, "fn": truth & ~said, "fp": ~truth & said, "tn": ~truth & ~said}
    return {name: [int(i) for i in np.flatnonzero(cell & known)] for name, cell in cells.items()}


def _localisation(defect: str, hits: list[float]) -> list[MetricValue]:
    if not hits:
        return []
    share = float(np.mean(hits))
    half = 1.96 * float(np.sqrt(max(0.02, share * (1 - share)) / len(hits)))
    return [
        MetricValue("localisation_pointing", share, defect, max(0.0, share - half), min(1.0, share + half)),
        MetricValue("localisation_energy", 0.7 * share, defect),
        MetricValue("sanity_correlation", 0.12, defect),
    ]


def heat_map(defect: str, view: str, side: int = 32) -> bytes:
    """A spot somewhere on the fruit, as an 8-bit grey PNG."""
    from PIL import Image

    x, y = seeded("spot", defect, view).uniform(0.3, 0.7, 2)
    grid = (np.arange(side) + 0.5) / side
    spot = np.exp(-((grid[None, :] - x) ** 2 + (grid[:, None] - y) ** 2) / 0.02)
    data = io.BytesIO()
    Image.fromarray((255 * spot).astype(np.uint8)).save(data, "PNG")
    return data.getvalue()


def findings(store: RunStore, dataset: FruitDataset, run_id: str, skill: float) -> None:
    """Heat maps and projections of a run; see ``explain`` and ``project``."""
    explain(store, dataset, run_id, skill)
    project(store, dataset, run_id, skill)


def project(store: RunStore, dataset: FruitDataset, run_id: str, pull: float) -> None:
    """Projections and neighbours of all fruit: features are labels pulled by ``pull``, plus noise.

    Args:
        store: to write to.
        dataset: the fruit.
        run_id: whose features.
        pull: how far labels move a fruit.
    """
    noise = seeded("features", run_id).normal(size=(len(dataset.fruit_ids), 8))
    labels = np.nan_to_num(dataset.labels)
    mix = seeded("mix").normal(size=(labels.shape[1], 8))
    features = noise + pull * labels @ mix
    names = ("pca", "umap", "tsne", "tsne_5", "tsne_50")
    embeddings = []
    for name in names:
        turn = seeded("turn", name).normal(size=(8, 2))
        embeddings.append(EmbeddingData(name, dataset.fruit_ids, (features @ turn).astype(np.float32)))
    store.add_embeddings(run_id, embeddings)
    store.add_neighbours(run_id, _neighbours(dataset, features))
    trust = [MetricValue(f"trustworthiness:{name}", 0.82 + 0.03 * i) for i, name in enumerate(names)]
    group = [
        MetricValue("group_probe_accuracy", 0.09, ci_low=0.06, ci_high=0.12),
        MetricValue("group_chance", 0.04),
    ]
    store.add_metrics(run_id, [*trust, *group])


def _neighbours(dataset: FruitDataset, features: NDArray[np.float64]) -> NeighbourData:
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -2)
    nearest = np.argsort(-similarity, axis=1)[:, :NEIGHBOURS]
    return NeighbourData(
        dataset.fruit_ids,
        tuple(tuple(dataset.fruit_ids[i] for i in row) for row in nearest),
        np.take_along_axis(similarity, nearest, axis=1).astype(np.float32),
    )


def report(store: RunStore, dataset: FruitDataset, run_id: str) -> None:
    """Findings of every kind about a data set."""
    ids, defects = dataset.fruit_ids, dataset.defect_names
    one_class = dataset.task == MULTICLASS
    issues = []
    for i in range(9):
        column = i % len(defects)
        without = np.flatnonzero(dataset.labels[:, column] == 0)
        row = int(without[3 * i])
        given = defects[int(np.nanargmax(dataset.labels[row]))] if one_class else "none"
        detail = {"given": given, "likely": defects[column]}
        issues.append(
            FindingRow(
                "label_issue", defects[column], ids[row], value=0.97 - 0.03 * i, detail=detail, run_id=run_id
            )
        )
    pairs = [
        FindingRow(
            "duplicate",
            "",
            ids[20 + i],
            ids[40 + 11 * i],
            float(i),
            {"sensor": "rgb", "same_group": i % 2 == 0},
        )
        for i in range(5)
    ]
    conflicts = [
        FindingRow(
            "label_conflict", defects[0], ids[60], ids[75], 2.0, {"given": "none", "other": defects[0]}
        )
    ]
    outliers = [
        FindingRow("outlier", "", ids[100 + 7 * i], value=3.4 - 0.2 * i, run_id=run_id) for i in range(4)
    ]
    sensors = [
        FindingRow(
            "sensor", name, value=0.4, detail={"mean": 0.4, "std": 0.2, "missing": 0.03, "saturated": 0.01}
        )
        for name in dataset.modalities
    ]
    drifts = [
        FindingRow("drift", f"{list(dataset.modalities)[i % 2 if len(dataset.modalities) > 1 else 0]} · "
                   f"{dataset.groups[10 * i]}", value=1.8 - 0.7 * i)
        for i in range(5)
    ]  # fmt: skip
    found = [*issues, *pairs, *conflicts, *outliers, *sensors, *drifts]
    store.replace_findings(dataset.dataset_id, tuple({row.kind for row in found}), found)
