"""Where the models look: Grad-CAM of chosen fruit by the best baseline and the best fine-tune.

Each test fruit is explained by the model of its own fold, in the workers. A fold whose numbers are in the
store is not explained again, and no fault in here costs more than the explanations themselves.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from backend.evaluation.bootstrap import bootstrap
from backend.explain.choose import Choice, changed, found, surest, unique
from backend.store.bundle import MetricValue
from backend.training.driver import Driver, RunResult
from backend.training.explanation import ExplainTask, Values, numbers_file
from backend.training.settings import ExplanationStage
from backend.training.stages.context import StageContext, best_run

log = logging.getLogger(__name__)


@dataclass
class _Explained:
    """One run, the fruit chosen of it, and what went wrong."""

    run: RunResult
    shown: list[Choice]
    judged: list[Choice]
    probed: list[Choice]
    faults: list[str] = field(default_factory=list)


def run_explanations(stage: StageContext) -> None:
    """Explain the best baseline and the best fine-tune; a fault is reported and the study goes on."""
    settings = stage.plan.explanations
    if not settings.enabled or not stage.has_images:
        return
    tuned = [run for runs in stage.finetunes.values() for run in runs]
    try:
        _explain(stage.driver, settings, best_run(stage.baselines), best_run(tuned))
    except Exception as error:
        log.exception("explanations")
        stage.driver.progress.failed("explanations", str(error))


def _explain(
    driver: Driver, settings: ExplanationStage, baseline: RunResult | None, tuned: RunResult | None
) -> None:
    chosen = [_choose(driver, settings, run) for run in (baseline, tuned) if run is not None]
    if baseline is not None and tuned is not None:
        before, after = (driver.store.load_predictions(run.run_id) for run in (baseline, tuned))
        for explained, more in zip(chosen, changed(before, after, settings.per_outcome), strict=True):
            explained.shown = unique(explained.shown, more)
    tasks = list(_missing(driver, chosen))
    driver.progress.expect(len(tasks))
    _run(driver, chosen, tasks)
    for explained in chosen:
        metrics = _pooled(driver, explained)
        driver.store.add_metrics(explained.run.run_id, metrics)


def _choose(driver: Driver, settings: ExplanationStage, run: RunResult) -> _Explained:
    predictions = driver.store.load_predictions(run.run_id)
    hits = [choice for choice in surest(predictions, settings.curves) if choice.outcome == "tp"]
    return _Explained(run, surest(predictions, settings.per_outcome), found(predictions), hits)


def _missing(driver: Driver, chosen: list[_Explained]) -> Iterator[tuple[_Explained, int]]:
    """Every fold of every run that the store does not hold explained."""
    for explained in chosen:
        for fold in driver.outer_folds:
            if driver.store.load_artifact(explained.run.run_id, numbers_file(fold)) is None:
                yield explained, fold


def _tasks(driver: Driver, tasks: list[tuple[_Explained, int]]) -> Iterator[ExplainTask]:
    dataset = driver.context.dataset
    fold_of = dict(zip(dataset.fruit_ids, driver.context.folds.tolist(), strict=True))

    def part(choices: list[Choice], fold: int) -> tuple[Choice, ...]:
        return tuple(choice for choice in choices if fold_of[choice.fruit_id] == fold)

    for explained, fold in tasks:
        weights = driver.store.load_artifact(explained.run.run_id, f"fold{fold}/model.safetensors")
        if weights is None:
            _fail(driver, explained, fold, "its checkpoint is gone; train the run again")
            continue
        yield ExplainTask(
            run_id=explained.run.run_id,
            config=explained.run.config,
            fold=fold,
            study_seed=driver.study_seed,
            weights=weights,
            shown=part(explained.shown, fold),
            judged=part(explained.judged, fold),
            probed=part(explained.probed, fold),
        )


def _run(driver: Driver, chosen: list[_Explained], tasks: list[tuple[_Explained, int]]) -> None:
    """Explain folds in the workers and store what comes back, each in one transaction."""
    by_id = {explained.run.run_id: explained for explained in chosen}
    for outcome in driver.executor.run(_tasks(driver, tasks)):
        if outcome is None:
            driver.store.heartbeat([], driver.study_id)
            continue
        explained, bundle = by_id[outcome.task.run_id], outcome.bundle
        if bundle is None:
            _fail(driver, explained, outcome.task.fold, outcome.error)
            continue
        driver.store.add_attributions(
            explained.run.run_id, bundle.attributions, bundle.artifacts, fold=bundle.fold
        )
        driver.progress.advance("explanations", bundle.seconds)


def _fail(driver: Driver, explained: _Explained, fold: int, error: str) -> None:
    line = error.splitlines()[0] if error else "unknown fault"
    explained.faults.append(f"fold {fold} is not explained: {line}")
    driver.progress.failed("explanations", error)


def _pooled(driver: Driver, explained: _Explained) -> list[MetricValue]:
    """Each metric of each defect, and over all, as the mean over fruit with an interval over groups."""
    values: Values = {}
    for fold in driver.outer_folds:
        data = driver.store.load_artifact(explained.run.run_id, numbers_file(fold))
        for metric, defects in (json.loads(data)["values"] if data else {}).items():
            for defect, fruit in defects.items():
                values.setdefault(metric, {}).setdefault(defect, {}).update(fruit)
    reason = "; ".join(explained.faults)
    group_of = dict(zip(driver.context.dataset.fruit_ids, driver.context.dataset.groups, strict=True))
    found_metrics = []
    for metric, defects in values.items():
        pairs = {defect: list(fruit.items()) for defect, fruit in defects.items()}
        every = [pair for members in pairs.values() for pair in members]
        for defect, members in [*pairs.items(), (None, every)]:
            value, low, high = _mean_with_interval(members, group_of, driver.study_seed)
            found_metrics.append(MetricValue(metric, value, defect, low, high, reason))
    return found_metrics


def _mean_with_interval(
    members: list[tuple[str, float]], group_of: dict[str, str], seed: int
) -> tuple[float, float | None, float | None]:
    """The mean of (fruit, value) pairs, and its 95 % interval from resampling groups."""
    groups, group = np.unique([group_of[fruit] for fruit, _ in members], return_inverse=True)
    sums = np.bincount(group, weights=[value for _, value in members])
    counts = np.bincount(group).astype(np.float64)
    # With the only group left out the mean is undefined, which the bootstrap takes as NaN.
    with np.errstate(invalid="ignore"):
        drawn = bootstrap(
            lambda weights: (weights @ sums / (weights @ counts))[:, None], len(groups), seed=seed
        )
    interval = drawn.interval(0)
    return float(drawn.point[0]), interval.low, interval.high
