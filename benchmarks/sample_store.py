"""A full run store made by formula, for tests and benchmarks of the dashboard. Nothing in it was trained.

Scores are a noisy function of the labels, so that every number on a page follows from a seed. Two data sets:
an avocado one (multilabel, ten defects, two picture sensors and pressure) with several studies, and a
strawberry one (multiclass, four classes).

    python benchmarks/sample_store.py runs/sample.db --runs 1000
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sample_ablations import (
    augmentation_ablation,
    health_curves,
    input_ablation,
    protocols,
    sensor_skill,
)
from sample_data import FOLDS, avocados, draw_pictures, folds_of, strawberries
from sample_findings import findings, report, trials
from sample_rows import compare, curves, metrics, predictions

from backend.config import AugmentConfig, DataConfig, MethodConfig, ModelConfig, RunConfig
from backend.data.dataset import FruitDataset
from backend.store.bundle import CurvePoint, FoldBundle, MetricValue, Predictions
from backend.store.rows import RunRow, StudyRow
from backend.store.writer import RunStore

HOSTILE_NAME = "<script>document.title='owned'</script> **bold** $x$ [link](http://example.invalid)"
"""A run label that must show as text wherever it appears."""

SKILL = {"supervised": 1.0, "simclr": 1.15, "moco": 1.2, "byol": 1.1, "barlow_twins": 1.4, "rotnet": 0.95}
ENVIRONMENT = {
    "host": "sample",
    "python": "3.11",
    "packages": {"torch": "2.11.0"},
    "device": "cpu",
    "threads": 1,
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much to build.

    Attributes:
        fruit: labelled avocados.
        runs: runs beside the fixed ones, most of them trials of the search.
        epochs: of every curve.
        pictures: whether to draw them.
    """

    fruit: int = 240
    runs: int = 12
    epochs: int = 12
    pictures: bool = True


def config(method: str, seed: int, kind: str = "finetune", **changes: object) -> RunConfig:
    """The configuration of a sample run; ``baseline`` runs are supervised."""
    baseline = kind == "baseline"
    base = RunConfig(
        kind=kind,
        method=MethodConfig(name="supervised" if baseline else method),
        model=ModelConfig(
            backbone="resnet18", modalities=("rgb", "nir"), init="random" if baseline else "ssl"
        ),
        augment=AugmentConfig(),
        data=DataConfig(folds=FOLDS),
        seed=seed,
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


class Builder:
    """Writes sample studies through the same writer that training uses."""

    def __init__(self, store: RunStore, plan: Plan) -> None:
        """Keep the open store and the amounts."""
        self.store, self.plan = store, plan

    def study(self, study_id: str, name: str, dataset: FruitDataset) -> str:
        """Start a study."""
        self.store.start_study(
            StudyRow(study_id, name, {"name": name}, dataset.dataset_id, "mcc", folds_of(dataset))
        )
        return study_id

    def start(self, study_id: str, dataset: FruitDataset, chosen: RunConfig) -> str:
        """Start a run and return its id."""
        row = RunRow.from_config(
            chosen,
            study_id=study_id,
            dataset_id=dataset.dataset_id,
            n_folds=FOLDS,
            environment=ENVIRONMENT,
            git_commit=COMMIT,
        )
        self.store.start_run(row)
        return row.run_id

    def run(
        self,
        study_id: str,
        dataset: FruitDataset,
        chosen: RunConfig,
        *,
        folds: int = FOLDS,
        finish: bool = True,
        keep: bool = True,
        skill: float | NDArray[np.float64] | None = None,
        scored: bool | None = None,
        extra: tuple[MetricValue, ...] = (),
        health: tuple[CurvePoint, ...] = (),
    ) -> str:
        """Train nothing, store everything.

        Args:
            study_id: its study.
            dataset: its data set.
            chosen: its configuration.
            folds: how many folds to write.
            finish: whether it completes.
            keep: whether predictions are stored (trials of the search store only metrics).
            skill: how strongly labels pull on scores, for all defects or (D,); None = as its method does.
            scored: whether it has the metrics of its predictions; None = unless it is a pretraining.
            extra: further metrics of the whole run.
            health: further curves of every fold.
        """
        run_id = self.start(study_id, dataset, chosen)
        if skill is None:
            skill = SKILL.get(chosen.method.name, 1.0) * (0.6 + 0.4 * chosen.data.label_fraction**0.3)
        scored = chosen.kind != "pretrain" if scored is None else scored
        parts = []
        for fold in range(folds):
            part = predictions(dataset, skill, f"{run_id}", fold)
            parts.append(part)
            self.store.write_fold(
                run_id,
                FoldBundle(
                    fold=fold,
                    seconds=40.0 + fold,
                    predictions=part if keep and scored else None,
                    metrics=metrics(part) if scored else (),
                    curves=(*curves(run_id, fold, self.plan.epochs), *health),
                    notes=(("kept_epoch", "9"),),
                ),
            )
        if finish:
            pooled = metrics(Predictions.concatenate(parts)) if scored else ()
            self.store.finish_run(run_id, (*pooled, *extra))
        return run_id


def overnight(build: Builder, dataset: FruitDataset) -> None:
    """A complete study: trials, finals of three seeds, label fractions, failures and tests between finals."""
    study = build.study("study-overnight", "overnight", dataset)
    build.run(study, dataset, config("", 0, "baseline", label=HOSTILE_NAME, purpose="tune"), keep=False)
    failed = build.start(study, dataset, config("", 91, "baseline", purpose="tune"))
    build.store.end_run(failed, "failed", "out of memory: batch of 256 at 224 px; halve the batch")
    for seed in (92, 93):
        pruned = build.start(study, dataset, config("", seed, "baseline", purpose="tune"))
        build.store.end_run(pruned, "pruned", "worse than the median after epoch 3")
    stopped = build.run(study, dataset, config("byol", 94, purpose="tune"), folds=1, finish=False, keep=False)
    build.store.end_run(stopped, "interrupted", "the budget of 8 h was used up")
    finals: dict[str, list[str]] = {}
    for seed in range(3):
        finals.setdefault("supervised", []).append(build.run(study, dataset, config("", seed, "baseline")))
        for method in ("simclr", "barlow_twins"):
            healthy = health_curves(build.plan.epochs)
            parent = build.run(study, dataset, config(method, seed, "pretrain"), keep=False, health=healthy)
            finals.setdefault(method, []).append(
                build.run(study, dataset, config(method, seed, parent=parent))
            )
    base, tuned = config("", 0, "baseline"), config("barlow_twins", 0)
    protocols(build, study, dataset, base, tuned)
    input_ablation(build, study, dataset, base, finals["supervised"][0])
    augmentation_ablation(build, study, dataset, tuned)
    for i in range(build.plan.runs):
        model = dataclasses.replace(config("", 0).model, dropout=(i % 90) / 100)
        chosen = config("moco" if i % 2 else "simclr", 100 + i, purpose="tune", model=model)
        run_id = build.start(study, dataset, chosen)
        values = tuple(
            MetricValue(m, 0.4 + 0.3 * ((i * 37) % 100) / 100, None) for m in ("mcc", "recall", "accuracy")
        )
        for fold in range(FOLDS):
            build.store.write_fold(
                run_id, FoldBundle(fold, 20.0, metrics=values, curves=curves(run_id, fold, build.plan.epochs))
            )
        build.store.finish_run(run_id, values)
    trials(build, study, dataset, base)
    trials(build, study, dataset, config("simclr", 0), 8)
    findings(build.store, dataset, finals["supervised"][0], 0.5)
    findings(build.store, dataset, finals["barlow_twins"][0], 0.85)
    report(build.store, dataset, finals["supervised"][0])
    for a, b in zip(finals["supervised"], finals["barlow_twins"], strict=True):
        build.store.add_comparisons(compare(build.store, a, b))
    build.store.finish_study(study, "complete", build.store.summarise_study(study))


def three_sensors(build: Builder, dataset: FruitDataset) -> None:
    """A complete study of a baseline that also reads pressure, with and without each sensor."""
    study = build.study("study-sensors", "sensors", dataset)
    base = config("", 0, "baseline")
    full = dataclasses.replace(
        base, model=dataclasses.replace(base.model, modalities=("rgb", "nir", "pressure"))
    )
    run_id = build.run(study, dataset, full, skill=sensor_skill(dataset, full.model.modalities))
    input_ablation(build, study, dataset, full, run_id)
    build.store.finish_study(study, "complete", build.store.summarise_study(study))


def tonight(build: Builder, dataset: FruitDataset) -> None:
    """A study that is running: one run alive with one fold done, one run without a sign of life for a day."""
    study = build.study("study-tonight", "tonight", dataset)
    progress = {"stage": "pretraining", "done": 7, "total": 31, "seconds_left": 5400}
    stalled = build.run(study, dataset, config("rotnet", 5), folds=1, finish=False)
    alive = build.run(study, dataset, config("", 6, "baseline"), folds=1, finish=False)
    build.store.update_progress(study, progress)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="microseconds")
    with build.store.transaction() as connection:
        connection.execute("UPDATE run SET heartbeat = ? WHERE run_id = ?", (yesterday, stalled))
    build.store.heartbeat([alive], study)


def berries(build: Builder, dataset: FruitDataset) -> None:
    """A complete multiclass study without any pretraining."""
    study = build.study("study-berries", "strawberries", dataset)
    runs = [build.run(study, dataset, config("", seed, "baseline")) for seed in range(2)]
    findings(build.store, dataset, runs[0], 0.7)
    report(build.store, dataset, runs[0])
    build.store.finish_study(study, "complete", build.store.summarise_study(study))


def build(path: Path, plan: Plan | None = None) -> Path:
    """Make the whole store, its data sets beside it.

    Args:
        path: the store; must not exist.
        plan: how much.

    Returns:
        ``path``.
    """
    plan = plan or Plan()
    fruit = avocados(path.parent / "avocados", plan.fruit)
    crops = strawberries(path.parent / "strawberries")
    if plan.pictures:
        draw_pictures(fruit)
    with RunStore(path, purpose="sample") as store:
        builder = Builder(store, plan)
        store.add_dataset(crops, [])
        berries(builder, crops)
        store.add_dataset(fruit, ["2 % of the labels are missing"])
        three_sensors(builder, fruit)
        overnight(builder, fruit)
        tonight(builder, fruit)
    return path


def main(argv: list[str] | None = None) -> int:
    """Build a sample store from the command line."""
    parser = argparse.ArgumentParser(description="Make a sample run store by formula.")
    parser.add_argument("store", type=Path)
    parser.add_argument("--runs", type=int, default=12, help="further runs (default: 12)")
    parser.add_argument("--fruit", type=int, default=240, help="labelled avocados (default: 240)")
    chosen = parser.parse_args(argv)
    if chosen.store.exists():
        print(f"error: {chosen.store} exists already; pass another path", file=sys.stderr)
        return 2
    chosen.store.parent.mkdir(parents=True, exist_ok=True)
    build(chosen.store, Plan(fruit=chosen.fruit, runs=chosen.runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
