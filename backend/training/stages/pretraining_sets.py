"""What pretraining should see: how many fruit, which composition, and whether a coreset would do.

Every set is pretrained with the same number of optimisation steps as the whole pool, so that a small set is
not worse merely because it was seen less, and judged by a probe at each label fraction. Coresets are chosen
by the features of the pretraining on the whole pool; a random draw of the same size stands beside each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from backend.config import CORESETS, RunConfig
from backend.store.rows import COMPLETE
from backend.training.comparing import compare_runs
from backend.training.driver import RunResult
from backend.training.parents import ParentWeights
from backend.training.settings import PretrainingSetStage
from backend.training.stages.context import StageContext
from backend.training.stages.pretraining import Setting, pretraining_config, probe_config

WHOLE = ("all", 1.0)
NEED_FEATURES = (*CORESETS, "balanced_pseudo")


@dataclass(frozen=True)
class _Probed:
    """A set, the labels it was judged with, and the probe that did."""

    subset: tuple[str, float]
    setting: Setting
    run: RunResult


def run_pretraining_sets(stage: StageContext) -> None:
    """Pretrain on every set of the plan, probe, and compare with the random set of the same size."""
    plan = stage.plan.pretraining_sets
    if not plan.method or not stage.has_images:
        return
    probed = {
        (found.subset, found.setting): found.run
        for seed in plan.seeds
        for found in _run_seed(stage, plan, seed)
    }
    for subset in subsets(plan)[1:]:
        reference = WHOLE if subset[0] == "all" else ("all", subset[1])
        for fraction in plan.fractions:
            settings = [Setting(fraction, seed) for seed in plan.seeds]
            pairs = [(probed.get((reference, s)), probed.get((subset, s))) for s in settings]
            there = [(a, b) for a, b in pairs if a is not None and b is not None]
            a, b = [pair[0] for pair in there], [pair[1] for pair in there]
            compare_runs(stage.driver, a, b, family="pretraining-sets", seed=stage.seed)


def subsets(plan: PretrainingSetStage) -> list[tuple[str, float]]:
    """(selection, share) of every set, the whole pool first; random draws are ``all`` at a share."""
    found = [WHOLE]
    found += [("all", share) for share in plan.shares]
    found += [(name, share) for name in plan.selections if name in CORESETS for share in plan.shares]
    found += [(name, 1.0) for name in plan.selections if name not in CORESETS]
    return list(dict.fromkeys(found))


def _run_seed(stage: StageContext, plan: PretrainingSetStage, seed: int) -> Iterator[_Probed]:
    """All sets of one seed: the whole pool first, for its features choose the coresets."""
    whole = stage.driver.run([set_config(stage, plan, WHOLE, seed, None)])[0]
    if whole.status != COMPLETE:
        return
    others = [subset for subset in subsets(plan) if subset != WHOLE]
    configs = [set_config(stage, plan, subset, seed, whole.run_id) for subset in others]
    weights = ParentWeights(stage.driver)
    runs = dict(zip(others, stage.driver.run(configs, weights=weights), strict=True)) | {WHOLE: whole}
    wanted = [
        (subset, Setting(fraction, seed), run)
        for subset, run in runs.items()
        if run.status == COMPLETE
        for fraction in plan.fractions
    ]
    probes = [set_probe(stage, plan.method, setting, run) for _, setting, run in wanted]
    for (subset, setting, _), run in zip(wanted, stage.driver.run(probes, weights=weights), strict=True):
        yield _Probed(subset, setting, run)


def set_config(
    stage: StageContext, plan: PretrainingSetStage, subset: tuple[str, float], seed: int, whole: str | None
) -> RunConfig:
    """The pretraining on one set; the epochs of a smaller set grow so that its steps stay the same.

    How many fruit a composition leaves is not known before it is drawn, so its epochs are those of the
    whole pool.
    """
    selection, share = subset
    base = pretraining_config(stage, plan.method, Setting(1.0, seed))
    return replace(
        base,
        purpose="pretraining-sets",
        optim=replace(base.optim, epochs=max(1, round(plan.epochs / share))),
        data=replace(base.data, pool="train", selection=selection, selection_share=share),
        seed=seed,
        parent=whole if selection in NEED_FEATURES else None,
        label=f"{selection} {share:.0%}",
    )


def set_probe(stage: StageContext, method: str, setting: Setting, parent: RunResult) -> RunConfig:
    """The probe of one set's features."""
    config = probe_config(stage, method, setting, parent)
    data = replace(
        config.data,
        pool="train",
        selection=parent.config.data.selection,
        selection_share=parent.config.data.selection_share,
    )
    return replace(config, purpose="pretraining-sets", data=data, label=parent.config.label)
