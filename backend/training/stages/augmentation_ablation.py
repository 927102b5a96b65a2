"""Which augmentation helps: each alone, each pair, the default policy without each, weaker and stronger.

A cheap run of every candidate on a few folds is ranked by its inner-validation MCC (for a pretraining that of
a linear probe: where defects are rare, votes of the nearest fruit tell policies apart worse). The best and
the worst are then confirmed on every fold against no augmentation at all, with seeds that the ranking did not
see, so that luck that won a place in the ranking does not count twice.
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from backend.augment.policies import CUSTOM, operation_names, require_policy
from backend.augment.registry import get_operation, list_operations
from backend.augment.sheet import contact_sheet, operation_sheet
from backend.config import PRESSURE, AugmentConfig, MethodConfig, RunConfig
from backend.errors import ConfigError
from backend.methods.registry import (
    compatible_augment,
    default_augment,
    default_optim,
    method_info,
    require_pretrains,
)
from backend.store.bundle import ArtifactData
from backend.store.rows import COMPLETE
from backend.training.comparing import compare_runs
from backend.training.driver import RunResult
from backend.training.parents import ParentWeights
from backend.training.probing import PROBE_INNER_MCC
from backend.training.settings import AugmentationStage
from backend.training.stages.context import StageContext
from backend.training.stages.method_search import planned_method
from backend.training.stages.pieces import part

PURPOSE = "augmentation-ablation"
SUPERVISED = MethodConfig().name
NONE, DEFAULT = "none", "own policy"
RGB = "rgb"
SHEET, OPERATION_SHEET = "augmentations.png", "operations.png"
"""Names of the pictures of the default policy and of every operation alone, kept with the policy's run."""

log = logging.getLogger(__name__)


def run_augmentation_ablation(stage: StageContext) -> None:
    """For each method, rank every candidate cheaply, then confirm the best and the worst."""
    settings = stage.plan.augmentations
    if not settings.every_method:
        return
    if not stage.has_images:
        log.info("augmentations: no image sensor, so there is nothing to augment")
        return
    for method in settings.every_method:
        with part(stage, f"augmentations of {method}"):
            _Ablation(stage, method).run()


def check_candidates(settings: AugmentationStage, modalities: Sequence[str]) -> None:
    """Refuse, before anything is trained, what ``run_augmentation_ablation`` would stumble over.

    Raises:
        ConfigError: a method that does not exist or learns nothing, an unknown policy or operation, or no
            operation that is left for these sensors.
    """
    if not any(sensor != PRESSURE for sensor in modalities):
        return
    for method in settings.every_method:
        supervised = method == SUPERVISED
        if not supervised:
            require_pretrains(method, "augmentations.method")
        candidates(settings, method, AugmentConfig() if supervised else default_augment(method), modalities)


def candidates(
    settings: AugmentationStage, method: str, default: AugmentConfig, modalities: Sequence[str]
) -> dict[str, AugmentConfig]:
    """Every policy that is tried, by a name for people; the first is no augmentation.

    Args:
        settings: which kinds of candidates.
        method: what is trained with them; what its task rules out is left out.
        default: the method's own policy.
        modalities: sensors in use; an operation that changes none of them is left out.

    Raises:
        ConfigError: an unknown policy or operation, or no operation that is left.
    """
    for name in settings.policies:
        require_policy(name, "augmentations.policies")
    policies = {NONE: AugmentConfig(policy=NONE), DEFAULT: default}
    policies |= {f"policy {name}": _allowed(method, AugmentConfig(policy=name)) for name in settings.policies}
    names = _operations(settings, method, default, modalities)
    if settings.alone:
        policies |= {name: AugmentConfig(policy=CUSTOM, operations=(name,)) for name in names}
    if settings.pairs:
        pairs = combinations(names, 2)
        policies |= {" + ".join(pair): AugmentConfig(policy=CUSTOM, operations=pair) for pair in pairs}
    if settings.leave_one_out:
        own = [name for name in operation_names(default) if _acts(name, modalities)]
        policies |= {f"without {name}": replace(default, without=(*default.without, name)) for name in own}
    for factor in settings.strengths:
        strength = min(2.0, default.strength * factor)
        if strength != default.strength:
            policies[f"strength {factor:g}"] = replace(default, strength=strength)
    return policies


def _allowed(method: str, policy: AugmentConfig) -> AugmentConfig:
    """The policy without what the method's task rules out."""
    return policy if method == SUPERVISED else compatible_augment(method, policy)


def _operations(
    settings: AugmentationStage, method: str, default: AugmentConfig, modalities: Sequence[str]
) -> tuple[str, ...]:
    """The operations that are tried alone and in pairs."""
    ruled_out = () if method == SUPERVISED else method_info(method, "augmentations.method").conflicts
    wanted = settings.operations or operation_names(default)
    names = tuple(name for name in wanted if name not in ruled_out and _acts(name, modalities))
    if not names:
        raise ConfigError(
            "no operation to try",
            where="augmentations.operations",
            expected=f"operations that change {', '.join(modalities)} and that {method} allows",
            action="name others, or leave the list empty",
        )
    return names


def _acts(name: str, modalities: Sequence[str]) -> bool:
    """Whether an operation changes any of the sensors: colour is for RGB alone, ``sensor`` for all others."""
    kind = get_operation(name, "augmentations.operations").info.kind
    images = [sensor for sensor in modalities if sensor != PRESSURE]
    if kind == "colour":
        return RGB in images
    return kind != "sensor" or any(sensor != RGB for sensor in images)


def extremes(scores: dict[str, float], count: int) -> list[str]:
    """The ``count`` best and worst, the best first; those without a score drop."""
    known = {name: score for name, score in scores.items() if not math.isnan(score)}
    order = sorted(known, key=lambda name: -known[name])
    return order if len(order) <= 2 * count else [*order[:count], *order[len(order) - count :]]


def _keep_sheet(stage: StageContext, policy: AugmentConfig, run: RunResult) -> None:
    """Keep pictures of what the default policy, and every operation alone, do to these fruit."""
    if run.status != COMPLETE:
        return
    dataset = stage.driver.context.dataset
    names = [info.name for info in list_operations() if _acts(info.name, stage.modalities)]
    drawn = {
        SHEET: ("contact_sheet", contact_sheet(dataset, policy, fruits=4, seed=stage.seed)),
        OPERATION_SHEET: ("operation_sheet", operation_sheet(dataset, names, seed=stage.seed)),
    }
    for name, (kind, sheet) in drawn.items():
        picture = io.BytesIO()
        sheet.save(picture, "PNG")
        stage.driver.store.add_artifact(run.run_id, ArtifactData(name, kind, picture.getvalue()))


@dataclass(frozen=True)
class _Ablation:
    """Turns candidates into runs of one method."""

    stage: StageContext
    method: str

    def run(self) -> None:
        """Rank, keep a picture, confirm."""
        default = self.default_policy()
        chosen = candidates(self.settings, self.method, default, self.stage.modalities)
        ranked = self.rank(chosen)
        scores = self.scores(ranked)
        _keep_sheet(self.stage, default, ranked[DEFAULT])
        picked = extremes({name: scores[name] for name in scores if name != NONE}, self.settings.confirm)
        if picked:
            self.confirm({name: chosen[name] for name in (NONE, *picked)})

    @property
    def settings(self) -> AugmentationStage:
        return self.stage.plan.augmentations

    @property
    def supervised(self) -> bool:
        return self.method == SUPERVISED

    @property
    def final(self) -> RunConfig:
        """The final baseline: its parameters are those of every candidate."""
        return self.stage.baselines[0].config

    @property
    def ranking_seed(self) -> int:
        """A seed that no confirmation has."""
        return max(self.settings.seeds) + 1

    def default_policy(self) -> AugmentConfig:
        """What the method uses unless told otherwise; for the baseline, what tuning chose."""
        return self.final.augment if self.supervised else default_augment(self.method)

    @property
    def folds(self) -> tuple[int, ...]:
        """The few that candidates are ranked on."""
        return self.stage.driver.outer_folds[: self.settings.folds]

    def rank(self, policies: dict[str, AugmentConfig]) -> dict[str, RunResult]:
        """One cheap run of every candidate."""
        make = self._cheap_baseline if self.supervised else self._pretrain
        configs = [make(policy, self.ranking_seed, name) for name, policy in policies.items()]
        return dict(zip(policies, self.stage.driver.run(configs, folds=self.folds), strict=True))

    def scores(self, ranked: dict[str, RunResult]) -> dict[str, float]:
        """The inner-validation MCC of every candidate that finished: a pretraining's by a linear probe.

        Where not every pretraining has a probe with one (an older version wrote none), all have that of kNN.
        """
        finished = {name: run for name, run in ranked.items() if run.status == COMPLETE}
        own = {name: run.inner_score for name, run in finished.items()}
        if self.supervised:
            return own
        driver = self.stage.driver
        probes = [self._probe(run) for run in finished.values()]
        results = driver.run(probes, folds=self.folds, weights=ParentWeights(driver))
        read = {name: self._probed(run) for name, run in zip(finished, results, strict=True)}
        return own if any(math.isnan(score) for score in read.values()) else read

    def _probed(self, probe: RunResult) -> float:
        """A probe's inner-validation MCC, the mean over its folds; NaN without one."""
        found = self.stage.driver.store.fold_metrics(probe.run_id, PROBE_INNER_MCC).values()
        known = [value for value in found if value is not None]
        return sum(known) / len(known) if known else math.nan

    def confirm(self, policies: dict[str, AugmentConfig]) -> None:
        """Every fold and seed of the chosen policies, each compared with the first, no augmentation."""
        tuned = self._baselines(policies) if self.supervised else self._finetunes(policies)
        for name in [name for name in policies if name != NONE]:
            both = [seed for seed in self.settings.seeds if (NONE, seed) in tuned and (name, seed) in tuned]
            compare_runs(
                self.stage.driver,
                [tuned[NONE, seed] for seed in both],
                [tuned[name, seed] for seed in both],
                family=f"{PURPOSE}: {self.method}, {name}",
                seed=self.stage.seed,
            )

    def _baselines(self, policies: dict[str, AugmentConfig]) -> dict[tuple[str, int], RunResult]:
        keys = [(name, seed) for name in policies for seed in self.settings.seeds]
        configs = [self._baseline(policies[name], seed, name) for name, seed in keys]
        return dict(zip(keys, self.stage.driver.run(configs), strict=True))

    def _finetunes(self, policies: dict[str, AugmentConfig]) -> dict[tuple[str, int], RunResult]:
        driver = self.stage.driver
        keys = [(name, seed) for name in policies for seed in self.settings.seeds]
        configs = [self._pretrain(policies[name], seed, name) for name, seed in keys]
        shared = self.stage.plan.pretraining.pool == "unlabelled"
        parents = driver.run(configs, folds=driver.outer_folds[:1] if shared else None)
        started = {key: run for key, run in zip(keys, parents, strict=True) if run.status == COMPLETE}
        finetunes = [self._finetune(run) for run in started.values()]
        return dict(zip(started, driver.run(finetunes, weights=ParentWeights(driver)), strict=True))

    def _baseline(self, policy: AugmentConfig, seed: int, name: str) -> RunConfig:
        return replace(self.final, purpose=PURPOSE, augment=policy, seed=seed, label=name)

    def _cheap_baseline(self, policy: AugmentConfig, seed: int, name: str) -> RunConfig:
        config = self._baseline(policy, seed, name)
        return replace(config, optim=config.optim.lasting(self.settings.epochs))

    def _pretrain(self, policy: AugmentConfig, seed: int, name: str) -> RunConfig:
        plan = self.stage.plan.pretraining
        return replace(
            self._baseline(policy, seed, name),
            kind="pretrain",
            method=planned_method(self.stage, self.method),
            model=replace(self.final.model, modalities=self.final.model.image_modalities),
            optim=default_optim(self.method, epochs=self.settings.epochs, batch_size=plan.batch_size),
            data=replace(self.final.data, pool=plan.pool),
        )

    def _probe(self, parent: RunResult) -> RunConfig:
        config = parent.config
        return replace(
            config,
            kind="probe",
            model=replace(config.model, init="ssl"),
            optim=self.final.optim,
            parent=parent.run_id,
        )

    def _finetune(self, parent: RunResult) -> RunConfig:
        """The final baseline started from the parent's encoders, under the baseline's own augmentation."""
        config = parent.config
        rate = self.stage.plan.pretraining.backbone_rate
        return replace(
            self.final,
            kind="finetune",
            purpose=PURPOSE,
            method=config.method,
            model=replace(self.final.model, init="ssl"),
            optim=replace(self.final.optim, backbone_rate=rate),
            data=config.data,
            seed=config.seed,
            parent=parent.run_id,
            label=config.label,
        )
