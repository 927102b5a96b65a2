"""Self-supervised pretraining: pretrain once, then probe and fine-tune at every label fraction.

Each result stands beside a supervised partner with the same labels, the same hyper-parameters and the same
number of steps, and is compared with it on the same fruit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from backend.config import MethodConfig, ModelConfig, RunConfig
from backend.methods.registry import default_optim, method_info
from backend.store.rows import COMPLETE
from backend.training.comparing import compare_runs
from backend.training.driver import RunResult
from backend.training.parents import ParentWeights
from backend.training.search import baseline_config
from backend.training.stages.context import StageContext
from backend.training.stages.method_search import (
    default_method_parameters,
    planned_augment,
    planned_method,
    search_method,
    with_parameters,
)
from backend.training.stages.pieces import part


@dataclass(frozen=True)
class Setting:
    """One cell of the table: how many labels, which draw of them."""

    fraction: float
    seed: int


def run_pretraining(stage: StageContext) -> None:
    """Pretrain, probe, fine-tune and compare every method of the plan."""
    plan = stage.plan.pretraining
    if not _has_work(stage):
        return
    settings = _settings(stage)
    partners = dict(
        zip(settings, stage.driver.run([supervised_config(stage, s) for s in settings]), strict=True)
    )
    for name in stage.budget.affordable(tuple(name for name in plan.methods if name != "supervised")):
        with part(stage, name):
            tuned = _run_method(stage, name, settings)
            for fraction in plan.fractions:
                pairs = [(partners[s], tuned[s]) for s in settings if s.fraction == fraction and s in tuned]
                _compare(stage, pairs)
            most = max(plan.fractions)
            stage.finetunes[name] = [tuned[s] for s in settings if s.fraction == most and s in tuned]


def runs_known_ahead(stage: StageContext) -> list[RunConfig]:
    """What ``run_pretraining`` will run whatever comes before it: partners, and untuned pretrainings.

    Nothing under a budget, which may still change the plan.
    """
    plan = stage.plan.pretraining
    if not _has_work(stage) or stage.budget.limit is not None:
        return []
    settings = _settings(stage)
    ahead = [supervised_config(stage, setting) for setting in settings]
    if plan.trials < 2 and plan.pool != "unlabelled":  # that pool is pretrained on once, not fold by fold
        for name in plan.methods:
            if (info := method_info(name)).pretrains:
                ahead += _parent_configs(stage, name, settings, default_method_parameters(info)).values()
    return list(dict.fromkeys(ahead))


def _has_work(stage: StageContext) -> bool:
    return bool(stage.plan.pretraining.methods) and stage.has_images


def _settings(stage: StageContext) -> list[Setting]:
    plan = stage.plan.pretraining
    return [Setting(fraction, seed) for fraction in plan.fractions for seed in plan.seeds]


def supervised_config(stage: StageContext, setting: Setting) -> RunConfig:
    """The baseline that a fine-tune is compared with; with all labels it is the final one."""
    config = baseline_config(
        stage.baseline_parameters,
        stage.plan,
        stage.modalities,
        purpose="final",
        seed=setting.seed,
        split_seed=stage.seed,
    )
    if setting.fraction == 1:
        return config
    return replace(
        config,
        purpose="label-efficiency",
        data=replace(config.data, label_fraction=setting.fraction),
        optim=stage.plan.pretraining.with_few_labels(config.optim),
    )


def _run_method(stage: StageContext, name: str, settings: list[Setting]) -> dict[Setting, RunResult]:
    """Pretrain with a method, then probe and fine-tune; returns the fine-tunes that ran."""
    parents = _parents(stage, name, settings)
    started = {s: run for s, run in parents.items() if run is None or run.status == COMPLETE}
    weights = ParentWeights(stage.driver)
    configs = [probe_config(stage, name, s, run) for s, run in started.items()]
    probes = stage.driver.run(configs, weights=weights)
    most = max(stage.plan.pretraining.fractions)
    stage.pretrained += [
        (run, probe)
        for (s, run), probe in zip(started.items(), probes, strict=True)
        if run is not None and s.fraction == most
    ]
    if name == "random_init":  # fine-tuned, it would be the supervised partner itself
        return {}
    configs = [_finetune(stage, name, s, run) for s, run in started.items()]
    return dict(zip(started, stage.driver.run(configs, weights=weights), strict=True))


def _parents(stage: StageContext, name: str, settings: list[Setting]) -> dict[Setting, RunResult | None]:
    """The pretraining behind each setting; None for references, which have none."""
    info = method_info(name)
    if not info.pretrains:
        return dict.fromkeys(settings)
    driver, plan = stage.driver, stage.plan.pretraining
    parameters = search_method(stage, name, pretraining_config(stage, name, settings[0]))
    configs = _parent_configs(stage, name, settings, parameters)
    distinct = list(dict.fromkeys(configs.values()))
    folds = driver.outer_folds[:1] if plan.pool == "unlabelled" else None
    results = dict(zip(distinct, driver.run(distinct, folds=folds), strict=True))
    return {setting: results[config] for setting, config in configs.items()}


def _parent_configs(
    stage: StageContext, name: str, settings: list[Setting], parameters: dict[str, Any]
) -> dict[Setting, RunConfig]:
    plan = stage.plan.pretraining
    return {s: with_parameters(pretraining_config(stage, name, s), plan, parameters) for s in settings}


def pretraining_config(stage: StageContext, name: str, setting: Setting) -> RunConfig:
    """A method that never looks at labels is pretrained once a seed, one that does once a setting."""
    plan = stage.plan.pretraining
    base = supervised_config(stage, setting)
    number = plan.seeds.index(setting.seed) if setting.seed in plan.seeds else 0
    return replace(
        base,
        kind="pretrain",
        purpose="final",
        method=planned_method(stage, name),
        model=images_only(base.model),
        augment=planned_augment(plan, name),
        optim=default_optim(name, epochs=plan.epochs, batch_size=plan.batch_size),
        data=replace(
            base.data,
            label_fraction=1.0 if method_info(name).labels == "never" else setting.fraction,
            pool=plan.pool,
        ),
        seed=plan.seeds[number % (plan.pretrainings or len(plan.seeds))],
        devices=plan.devices,
    )


def _finetune(stage: StageContext, name: str, setting: Setting, parent: RunResult | None) -> RunConfig:
    """The supervised partner's run, started from pretrained encoders."""
    base = supervised_config(stage, setting)
    return replace(
        base,
        kind="finetune",
        method=parent.config.method if parent else MethodConfig(name=name),
        model=replace(base.model, init="ssl" if parent else "imagenet"),
        optim=replace(base.optim, backbone_rate=stage.plan.pretraining.backbone_rate),
        data=replace(base.data, pool=stage.plan.pretraining.pool),
        parent=parent.run_id if parent else None,
    )


def probe_config(stage: StageContext, name: str, setting: Setting, parent: RunResult | None) -> RunConfig:
    """Frozen features under the field's protocols."""
    base = supervised_config(stage, setting)
    init = "ssl" if parent else ("imagenet" if name == "imagenet" else "random")
    return replace(
        base,
        kind="probe",
        method=parent.config.method if parent else MethodConfig(name=name),
        model=replace(images_only(base.model), init=init),
        data=replace(base.data, pool=stage.plan.pretraining.pool),
        parent=parent.run_id if parent else None,
    )


def images_only(model: ModelConfig) -> ModelConfig:
    """The model without pressure: pretraining learns from pictures."""
    return replace(model, modalities=model.image_modalities)


def _compare(stage: StageContext, pairs: list[tuple[RunResult, RunResult]]) -> None:
    """Store how far fine-tuning is better than its supervised partners, over all seeds of a fraction."""
    partners, tuned = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    compare_runs(stage.driver, partners, tuned, family="pretraining", seed=stage.seed)
