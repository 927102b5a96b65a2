"""The supervised baseline: search, confirm on inner validation, then cross-validate what was chosen."""

from __future__ import annotations

from functools import partial

from backend.training.search import (
    baseline_config,
    default_parameters,
    suggest_parameters,
    views_apart,
)
from backend.training.stages.context import StageContext
from backend.training.stages.pretraining import runs_known_ahead
from backend.training.tuning import open_storage, tune


def run_baseline(stage: StageContext) -> None:
    """Tune the baseline and run its final cross-validation, once a seed."""
    plan, driver = stage.plan, stage.driver
    dataset = driver.context.dataset
    configure = partial(
        baseline_config, plan=plan, modalities=stage.modalities, seed=stage.seed, split_seed=stage.seed
    )
    first = default_parameters(plan, dataset, stage.modalities)
    parameters = tune(
        driver,
        open_storage(stage.storage_url),
        "baseline",
        suggest=lambda trial: suggest_parameters(trial, plan, dataset, stage.modalities),
        configure=lambda values: configure(values, purpose="tune"),
        first=first,
        second=views_apart(first),
        trials=stage.budget.trials,
        generation=plan.baseline.generation,
        folds=driver.outer_folds[: plan.baseline.tune_folds],
        stop=stage.budget.search_is_over,
        at_length=None
        if plan.baseline.tune_epochs == plan.baseline.epochs
        else lambda values: configure(values, purpose="final"),
    )
    stage.baseline_parameters = parameters
    finals = [configure(parameters, purpose="final", seed=seed) for seed in plan.seeds]
    # The last folds of the finals would leave cores idle: what the next stage needs anyway fills them.
    runs = dict.fromkeys([*finals, *runs_known_ahead(stage)])
    stage.baselines = driver.run(list(runs))[: len(finals)]
