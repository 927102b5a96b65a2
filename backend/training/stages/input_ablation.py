"""Which sensor matters for which defect: every subset of the sensors, retrained on the same folds.

The full set is the final run itself; each subset has its parameters, its folds and its seed. Three answers
stand side by side: what a retrained model loses without a sensor (comparisons, with a verdict), how the
sensors share the MCC (Shapley values), and what the trained model loses when an input is masked or exchanged.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from backend.config import PRESSURE, RunConfig
from backend.errors import TrainingError
from backend.evaluation.joint import joint_mcc
from backend.evaluation.shapley import shapley_weights, subsets
from backend.store.bundle import MetricValue, Predictions
from backend.store.rows import COMPLETE
from backend.training.comparing import compare_runs
from backend.training.driver import RunResult
from backend.training.parents import ParentWeights
from backend.training.perturbing import list_changes, predictions_after
from backend.training.stages.context import StageContext

PURPOSE = "input-ablation"
Subsets = dict[tuple[str, ...], list[RunResult]]
"""Subset of the sensors, in their order, to its runs, one a seed."""

log = logging.getLogger(__name__)


def run_input_ablation(stage: StageContext) -> None:
    """Retrain on every subset for the baseline and, where asked, the best pretraining; then compare."""
    settings = stage.plan.input_ablation
    if not settings.enabled:
        return
    if len(stage.modalities) == 1:
        log.info(
            "input ablation: %s is the only sensor, so there is no other to leave out", *stage.modalities
        )
    full = _full_baselines(stage)
    _ablate(stage, full)
    if settings.pretrained and (tuned := best_finetunes(stage)):
        _ablate(stage, tuned)


def _full_baselines(stage: StageContext) -> list[RunResult]:
    """The runs with every sensor: the final ones, unless the ablation has epochs of its own."""
    settings = stage.plan.input_ablation
    if len(stage.modalities) == 1:  # nothing to retrain that would need a partner of the same length
        return stage.baselines
    final = stage.baselines[0].config
    return stage.driver.run([_shortened(stage, replace(final, seed=seed)) for seed in settings.seeds])


def _shortened(stage: StageContext, config: RunConfig) -> RunConfig:
    epochs = stage.plan.input_ablation.epochs
    if epochs in (0, config.optim.epochs):
        return config
    return replace(config, purpose=PURPOSE, optim=config.optim.lasting(epochs))


def best_finetunes(stage: StageContext) -> list[RunResult]:
    """The fine-tunes of the method with the best inner-validation MCC, one a seed of the ablation.

    Where pretraining had other seeds, its first one stands for them.
    """
    complete = {
        name: [run for run in runs if run.status == COMPLETE] for name, runs in stage.finetunes.items()
    }
    scores = {
        name: float(np.mean([run.inner_score for run in runs])) for name, runs in complete.items() if runs
    }
    if not scores:
        return []
    runs = complete[max(scores, key=lambda name: scores[name])]
    return [run for run in runs if run.config.seed in stage.plan.input_ablation.seeds] or runs[:1]


def _ablate(stage: StageContext, full: list[RunResult]) -> None:
    """Retrain without sensors, compare, share the MCC, and take inputs from the trained models."""
    full = [run for run in full if run.status == COMPLETE]
    if not full:
        raise TrainingError(
            "no run with every sensor finished, so there is nothing to compare with",
            where="input ablation",
            action="see the failed runs for the reasons",
        )
    sensors = full[0].config.model.modalities
    chosen = [subset for subset in subsets(sensors) if subset != sensors]
    configs = [subset_config(run.config, subset) for subset in chosen for run in full]
    results = iter(stage.driver.run(configs, weights=ParentWeights(stage.driver)))
    runs: Subsets = {subset: [next(results) for _ in full] for subset in chosen}
    runs[sensors] = full
    for sensor in sensors:
        rest = tuple(name for name in sensors if name != sensor)
        if rest:
            family = f"{PURPOSE}: without {sensor}"
            compare_runs(stage.driver, runs[rest], full, family=family, seed=stage.seed)
    _store_shapley(stage, sensors, runs)
    for run in full:
        _store_changes(stage, run)


def subset_config(full: RunConfig, subset: tuple[str, ...]) -> RunConfig:
    """The run on fewer sensors with the parameters of ``full``; pretrained encoders come along."""
    left_out = [name for name in full.model.modalities if name not in subset]
    return replace(
        full,
        purpose=PURPOSE,
        model=replace(full.model, modalities=subset),
        label=f"without {'+'.join(left_out)}",
    )


def _store_shapley(stage: StageContext, sensors: tuple[str, ...], runs: Subsets) -> None:
    """Share the MCC of the full set among its sensors, over all seeds; kept with every seed's run."""
    if len(sensors) < 2 or not all(run.status == COMPLETE for members in runs.values() for run in members):
        return
    names = [f"shapley:{sensor}" for sensor in sensors]
    # With every seed's run, for a driver that was killed here may have stored it with some of them only.
    if all(set(names) <= stage.driver.store.pooled_metric_names(run.run_id) for run in runs[sensors]):
        return
    load = stage.driver.store.load_predictions
    coalitions = list(runs)
    values = _joint(
        stage,
        names,
        [[load(run.run_id) for run in runs[coalition]] for coalition in coalitions],
        shapley_weights(sensors, coalitions),
    )
    for run in runs[sensors]:
        stage.driver.store.add_metrics(run.run_id, values)


def _store_changes(stage: StageContext, run: RunResult) -> None:
    """Take inputs from the trained model and keep the MCC that is left."""
    driver, settings = stage.driver, stage.plan.input_ablation
    model = run.config.model
    fused = model.fusion == "early" and len(model.image_modalities) > 1  # no picture of its own to take away
    sensors = tuple(name for name in model.modalities if name == PRESSURE or not fused)
    changes = list_changes(sensors, driver.context.dataset.modalities, settings.repeats)
    names = list(dict.fromkeys(change.metric for change in changes))
    if not names or set(names) <= driver.store.pooled_metric_names(run.run_id):
        return
    found = predictions_after(driver, run, changes)
    sets = [[found[change] for change in changes if change.metric == name] for name in names]
    driver.store.add_metrics(run.run_id, _joint(stage, names, sets, None))


def _joint(
    stage: StageContext,
    names: Sequence[str],
    sets: Sequence[Sequence[Predictions]],
    mixture: NDArray[np.float64] | None,
) -> list[MetricValue]:
    dataset = stage.driver.context.dataset
    return joint_mcc(
        names,
        sets,
        task=dataset.task,
        groups=dict(zip(dataset.fruit_ids, dataset.groups, strict=True)),
        mixture=mixture,
        seed=stage.seed,
    )
