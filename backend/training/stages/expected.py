"""What each stage will make, said before it runs: for ``--dry-run`` and for ``--budget``.

A stage that is not in ``EXPECTED`` makes no runs, or cannot say which; a budget then keeps a share for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

from backend.config import PRESSURE, MethodConfig, RunConfig
from backend.data.dataset import FruitDataset
from backend.methods.registry import default_augment, default_method_config, default_optim, method_info
from backend.training.costs import Work
from backend.training.plan import Plan
from backend.training.search import baseline_config, default_parameters
from backend.training.stages.augmentation_ablation import SUPERVISED, candidates
from backend.training.stages.method_search import planned_augment
from backend.training.stages.pretraining_sets import subsets


@dataclass(frozen=True)
class Outlook:
    """What is known of a study before its stages run.

    Attributes:
        plan: what will run.
        dataset: the fruit.
        modalities: sensors in use.
        folds: outer folds.
        seed: of the study.
        parameters: of the baseline, once the search has chosen; empty = the defaults stand for them.
    """

    plan: Plan
    dataset: FruitDataset
    modalities: tuple[str, ...]
    folds: int
    seed: int
    parameters: dict[str, Any] = field(default_factory=dict)

    def baseline(self, purpose: str = "final", **more: object) -> RunConfig:
        """A baseline run as the stages will configure it."""
        defaults = default_parameters(self.plan, self.dataset, self.modalities)
        return baseline_config(
            {**defaults, **self.parameters, **more},
            self.plan,
            self.modalities,
            purpose=purpose,
            seed=0,
            split_seed=self.seed,
        )

    def few_labels(self, fraction: float) -> RunConfig:
        """The supervised run at a label fraction."""
        config = self.baseline()
        if fraction == 1:
            return config
        return replace(
            config,
            data=replace(config.data, label_fraction=fraction),
            optim=self.plan.pretraining.with_few_labels(config.optim),
        )

    def pretraining(self, name: str, fraction: float, epochs: int) -> RunConfig:
        """A pretraining run."""
        plan, base = self.plan.pretraining, self.few_labels(fraction)
        return replace(
            base,
            kind="pretrain",
            method=default_method_config(name),
            model=replace(base.model, modalities=base.model.image_modalities),
            augment=planned_augment(plan, name),
            optim=default_optim(name, epochs=epochs, batch_size=plan.batch_size),
            data=replace(base.data, pool=plan.pool),
            devices=plan.devices,
        )

    def probe(self, name: str, fraction: float) -> RunConfig:
        """A probe of frozen features."""
        base = self.few_labels(fraction)
        model = replace(base.model, modalities=base.model.image_modalities)
        return replace(base, kind="probe", method=MethodConfig(name=name), model=model)


def expected_baseline(outlook: Outlook) -> list[Work]:
    """Trials, shared among the backbones, the best beside the first at full length, and finals."""
    stage = outlook.plan.baseline
    together = stage.generation * stage.tune_folds
    trials = [
        Work(
            f"trials, {backbone}",
            outlook.baseline("tune", backbone=backbone),
            len(range(number, stage.trials, len(stage.backbones))),
            min(stage.tune_folds, outlook.folds),
            together,
        )
        for number, backbone in enumerate(stage.backbones)
    ]
    if stage.trials > 1 and stage.tune_epochs != stage.epochs:
        trials.append(Work("confirmation", outlook.baseline(), 2, min(stage.tune_folds, outlook.folds)))
    return [*trials, Work("finals", outlook.baseline(), len(outlook.plan.seeds), outlook.folds)]


def expected_pretraining(outlook: Outlook) -> list[Work]:
    """Supervised partners, then for each method pretraining, probes and fine-tunes at each label fraction."""
    stage = outlook.plan.pretraining
    if not stage.methods or not has_images(outlook):
        return []
    works = [
        Work(f"supervised, {_labels(fraction)}", outlook.few_labels(fraction), len(seeds), outlook.folds)
        for fraction in stage.fractions
        if (seeds := [seed for seed in stage.seeds if fraction < 1 or seed not in outlook.plan.seeds])
    ]
    return works + [work for name in stage.methods for work in expected_method(outlook, name)]


def expected_method(outlook: Outlook, name: str) -> list[Work]:
    """The works of one pretraining method."""
    if name == SUPERVISED:
        return []
    stage, info = outlook.plan.pretraining, method_info(name)
    seeds, folds = len(stage.seeds), outlook.folds
    works = []
    if info.pretrains:
        works += _expected_search(outlook, name)
        draws = (1.0,) if info.labels == "never" else stage.fractions
        parents = 1 if stage.pool == "unlabelled" else folds
        runs = min(seeds, stage.pretrainings or seeds)
        works += [
            Work(f"{name}, pretraining", outlook.pretraining(name, draw, stage.epochs), runs, parents)
            for draw in draws
        ]
    for fraction in stage.fractions:
        works.append(Work(f"{name}, probe, {_labels(fraction)}", outlook.probe(name, fraction), seeds, folds))
        if name != "random_init":
            tuned = replace(outlook.few_labels(fraction), kind="finetune")
            works.append(Work(f"{name}, fine-tune, {_labels(fraction)}", tuned, seeds, folds))
    return works


def _expected_search(outlook: Outlook, name: str) -> list[Work]:
    stage = outlook.plan.pretraining
    if stage.trials < 2:
        return []
    folds = min(stage.tune_folds, outlook.folds)
    full = replace(outlook.pretraining(name, 1.0, stage.epochs), purpose="tune", devices=1)
    short = replace(full, optim=replace(full.optim, epochs=stage.tune_epochs))
    trials = Work(f"{name}, trials", short, stage.trials, folds, stage.generation * folds)
    if stage.tune_epochs == stage.epochs:
        return [trials]
    return [trials, Work(f"{name}, confirmation", full, 2, folds)]


def expected_sets(outlook: Outlook) -> list[Work]:
    """Every set takes as many steps as the whole pool does."""
    stage = outlook.plan.pretraining_sets
    if not stage.method or not has_images(outlook):
        return []
    runs = len(subsets(stage)) * len(stage.seeds)
    works = [
        Work("sets, pretraining", outlook.pretraining(stage.method, 1.0, stage.epochs), runs, outlook.folds)
    ]
    return works + [
        Work(f"sets, probe, {_labels(fraction)}", outlook.probe(stage.method, fraction), runs, outlook.folds)
        for fraction in stage.fractions
    ]


def expected_inputs(outlook: Outlook) -> list[Work]:
    """Every proper subset of the sensors, retrained; the full set where it is not a final run already."""
    stage, sensors = outlook.plan.input_ablation, outlook.modalities
    if not stage.enabled or len(sensors) == 1:
        return []
    same = stage.epochs in (0, outlook.plan.baseline.epochs)
    missing = [seed for seed in stage.seeds if not same or seed not in outlook.plan.seeds]
    works = [Work("every sensor", _shortened(outlook.baseline(), stage.epochs), len(missing), outlook.folds)]
    for size in range(1, len(sensors)):
        for subset in combinations(sensors, size):
            config = _shortened(replace(outlook, modalities=subset).baseline(), stage.epochs)
            runs = len(stage.seeds) * (2 if stage.pretrained else 1)
            works.append(Work(f"only {'+'.join(subset)}", config, runs, outlook.folds))
    return works


def _shortened(config: RunConfig, epochs: int) -> RunConfig:
    return replace(config, optim=config.optim.lasting(epochs)) if epochs else config


def expected_augmentations(outlook: Outlook) -> list[Work]:
    """For each method cheap runs of every policy on a few folds, then the best and worst on all."""
    stage = outlook.plan.augmentations
    if not has_images(outlook):
        return []
    return [work for method in stage.every_method for work in _expected_policies(outlook, method)]


def _expected_policies(outlook: Outlook, method: str) -> list[Work]:
    stage, final = outlook.plan.augmentations, outlook.baseline()
    supervised = method == SUPERVISED
    own = final.augment if supervised else default_augment(method)
    policies = len(candidates(stage, method, own, outlook.modalities))
    confirmed = (1 + 2 * stage.confirm) * len(stage.seeds) if stage.confirm else 0
    folds = min(stage.folds, outlook.folds)
    if supervised:
        return [
            Work(f"{method}, policies", _shortened(final, stage.epochs), policies, folds),
            Work(f"{method}, confirmed", final, confirmed, outlook.folds),
        ]
    cheap, tuned = outlook.pretraining(method, 1.0, stage.epochs), replace(final, kind="finetune")
    return [
        Work(f"{method}, policies, pretraining", cheap, policies, folds),
        Work(f"{method}, policies, probe", outlook.probe(method, 1.0), policies, folds),
        Work(f"{method}, confirmed, pretraining", cheap, confirmed, outlook.folds),
        Work(f"{method}, confirmed, fine-tune", tuned, confirmed, outlook.folds),
    ]


def _labels(fraction: float) -> str:
    return f"{100 * fraction:g} % labels"


def has_images(outlook: Outlook) -> bool:
    """Whether there is anything to pretrain on."""
    return any(name != PRESSURE for name in outlook.modalities)


EXPECTED: dict[str, Callable[[Outlook], list[Work]]] = {
    "baseline": expected_baseline,
    "pretraining": expected_pretraining,
    "pretraining_sets": expected_sets,
    "input_ablation": expected_inputs,
    "augmentations": expected_augmentations,
}
"""Field of the plan that describes a stage, to what the stage will make."""
