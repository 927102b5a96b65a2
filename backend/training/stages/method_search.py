"""Tuning of a pretraining method: short pretrainings, judged by kNN on inner validation.

The proxy is cheap and never sees a test fruit: the frozen features of inner validation, classified by their
neighbours in the fitting part. Optuna varies what the method's registry entry allows, the learning rate and
the strength of the augmentation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backend.augment.policies import CUSTOM, require_policy
from backend.augment.registry import get_operation
from backend.config import AugmentConfig, MethodConfig, RunConfig
from backend.data.dataset import FruitDataset
from backend.methods.registry import (
    MethodInfo,
    Range,
    compatible_augment,
    default_method_config,
    default_optim,
    method_info,
)
from backend.training.settings import PretrainingStage
from backend.training.stages.context import StageContext
from backend.training.tuning import open_storage, tune

if TYPE_CHECKING:
    import optuna

RATE_SPAN = 4.0
"""Where the registry gives no range, the learning rate may differ from the method's own by this factor."""


def search_method(stage: StageContext, name: str, configure_base: RunConfig) -> dict[str, Any]:
    """The parameters to pretrain a method with: searched, or its defaults where the plan has no trials.

    Args:
        stage: of the study.
        name: of the method.
        configure_base: a pretraining run of it, from which trials differ in parameters and length.
    """
    plan, info = stage.plan.pretraining, method_info(name)
    views = most_views(stage.driver.context.dataset, configure_base.model.image_modalities)
    first = default_method_parameters(info)
    if plan.trials < 2:
        return first
    # Trials are many: they run beside each other, each on one device.
    full = replace(configure_base, purpose="tune", devices=1)
    short = replace(full, optim=replace(full.optim, epochs=plan.tune_epochs))
    return tune(
        stage.driver,
        open_storage(stage.storage_url),
        name,
        suggest=lambda trial: suggest_method_parameters(trial, info, views),
        configure=lambda values: with_parameters(short, plan, values),
        first=first,
        trials=plan.trials,
        generation=plan.generation,
        folds=stage.driver.outer_folds[: plan.tune_folds],
        # What is searched for has to be trained as well: without time for that, more trials serve nothing.
        stop=lambda done: not stage.budget.ends_in_time(full),
        at_length=None
        if plan.tune_epochs == plan.epochs
        else lambda values: with_parameters(full, plan, values),
    )


def planned_method(stage: StageContext, name: str) -> MethodConfig:
    """The method as the registry has it, its steps as the plan wants them.

    Where every fruit is a pallet of its own, nothing can stand together, and the configuration says so.
    """
    groups = stage.driver.context.dataset.groups
    block = stage.plan.pretraining.group_block if len(set(groups)) < len(groups) else 1
    return replace(default_method_config(name), group_block=block)


def planned_augment(plan: PretrainingStage, name: str, strength: float = 1.0) -> AugmentConfig:
    """What the plan wants a method to be augmented by: its own policy, or the plan's, less what it rules out.

    Raises:
        ConfigError: an unknown policy or operation.
    """
    if plan.policy:
        require_policy(plan.policy, "pretraining.policy")
    for operation in plan.operations:
        get_operation(operation, "pretraining.operations")
    policy = CUSTOM if plan.operations else plan.policy or method_info(name).policy
    factor = min(2.0, plan.strength * strength)
    return compatible_augment(name, AugmentConfig(policy, factor, plan.operations, plan.without))


def most_views(dataset: FruitDataset, modalities: tuple[str, ...]) -> int:
    """The largest number of views that one of the sensors has."""
    return max((len(dataset.modalities[name]) for name in modalities), default=0)


def default_method_parameters(info: MethodInfo) -> dict[str, Any]:
    """What the registry says: the first trial, and what runs where nothing is searched."""
    return {
        "learning_rate": info.learning_rate,
        "augment_strength": 1.0,
        "positives": info.default_positives,
        **{name: info.defaults[name] for name in info.search if name in info.defaults},
    }


def suggest_method_parameters(trial: optuna.Trial, info: MethodInfo, views: int) -> dict[str, Any]:
    """Ask Optuna for one configuration; the same names as ``default_method_parameters``."""
    rate = info.search.get(
        "learning_rate", Range(info.learning_rate / RATE_SPAN, info.learning_rate * RATE_SPAN, log=True)
    )
    assert isinstance(rate, Range), "a learning rate is a number"
    parameters: dict[str, Any] = {
        "learning_rate": trial.suggest_float("learning_rate", rate.low, rate.high, log=rate.log),
        "augment_strength": trial.suggest_float("augment_strength", 0.5, 1.5),
        "positives": info.default_positives,
    }
    choices = [
        name for name in info.positives if name == info.default_positives or name in ("views", "fruit")
    ]
    if views > 1 and len(choices) > 1:
        parameters["positives"] = trial.suggest_categorical("positives", choices)
    for name, search in info.search.items():
        if name not in info.defaults:
            continue
        if isinstance(search, tuple):
            parameters[name] = trial.suggest_categorical(name, list(search))
        else:
            parameters[name] = _suggest_number(trial, name, search, info.defaults[name])
    return parameters


def _suggest_number(trial: optuna.Trial, name: str, search: Range, default: object) -> float | int:
    if isinstance(default, int) and not isinstance(default, bool):
        return trial.suggest_int(name, int(search.low), int(search.high), log=search.log)
    return trial.suggest_float(name, search.low, search.high, log=search.log)


def with_parameters(config: RunConfig, plan: PretrainingStage, parameters: dict[str, Any]) -> RunConfig:
    """A pretraining run under parameters of the search."""
    name = config.method.name
    known = method_info(name).defaults
    optim = default_optim(name, epochs=config.optim.epochs, batch_size=plan.batch_size)
    params = {key: value for key, value in parameters.items() if key in known}
    return replace(
        config,
        method=_method(config.method, parameters["positives"], params),
        augment=planned_augment(plan, name, parameters["augment_strength"]),
        optim=replace(
            optim,
            learning_rate=optim.learning_rate * parameters["learning_rate"] / method_info(name).learning_rate,
        ),
    )


def _method(method: MethodConfig, positives: str, params: dict[str, Any]) -> MethodConfig:
    """The method; values that are the registry's own are left out, so that a default is one configuration."""
    defaults = method_info(method.name).defaults
    changed = tuple((key, value) for key, value in params.items() if value != defaults[key])
    return replace(method, positives=positives, params=changed)
