"""What a plan says about each stage of a study: dataclasses read from TOML and checked on construction.

No torch here, so that ``--list``, ``--help``, ``--dry-run`` and errors in a plan are immediate. A stage with
``enabled = false`` (or without methods) is left out; a new stage is one dataclass here, one field in
``backend.training.plan.Plan`` and one function in ``backend.training.stages``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.config import POOLS, SELECTIONS, OptimConfig
from backend.errors import unknown_name
from backend.fields import above_zero, at_least, each_once, one_of, require, seeds_of, shares


@dataclass(frozen=True)
class BaselineStage:
    """The supervised baseline: tune, then cross-validate the best.

    Attributes:
        trials: configurations that Optuna tries.
        generation: trials asked together; fixed, so that the number of workers changes nothing.
        tune_folds: outer folds on whose inner validation a trial is scored.
        tune_epochs: epochs of a trial.
        epochs: epochs of the final run.
        patience: epochs without improvement before a final run stops.
        min_steps: optimisation steps that a final run takes at least, however few the fruit; a trial takes
            its share of them.
        backbones: names to choose from.
    """

    trials: int = 16
    generation: int = 4
    tune_folds: int = 1
    tune_epochs: int = 12
    epochs: int = 24
    patience: int = 8
    min_steps: int = 600
    backbones: tuple[str, ...] = ("resnet10_half",)

    def __post_init__(self) -> None:
        """Check every field."""
        at_least(
            1,
            "baseline",
            trials=self.trials,
            generation=self.generation,
            tune_folds=self.tune_folds,
            tune_epochs=self.tune_epochs,
            epochs=self.epochs,
        )
        each_once("baseline", backbones=self.backbones)


@dataclass(frozen=True)
class PretrainingStage:
    """Self-supervised methods against the baseline; no method = no such stage.

    Attributes:
        methods: names from ``backend.methods.registry``.
        epochs: of pretraining.
        batch_size: images a step of pretraining.
        pool: what pretraining sees, see ``DataConfig.pool``.
        fractions: label fractions at which to probe and fine-tune.
        seeds: draws of labels and weights, each a run of its own.
        min_steps: steps that training on few labels takes at least, instead of the baseline's.
        few_labels_rate: factor on the tuned learning rate below all labels, for the baseline and for
            fine-tuning alike: a rate that suits thousands of fruit is too high for a hundred.
        few_labels_batch: fruit a step below all labels, for both alike; 0 = as tuned on all labels. Steps of
            64 gain .02 MCC over steps of 16 on a hundred strawberries.
        backbone_rate: factor on the learning rate of pretrained encoders in fine-tuning.
        pretrainings: how many of each method; the seeds share them in turn. 0 = one for each seed.
        trials: configurations of each method that Optuna tries; below 2 the method's own are taken.
        generation: trials asked together.
        tune_folds: outer folds on whose inner validation a trial is scored.
        tune_epochs: epochs of a trial.
        devices: devices of one machine that share each final pretraining, batch by batch; trials take one.
        group_block: images of one pallet that stand together in a step, see ``MethodConfig.group_block``.
        policy: of augmentation, for every method; empty = each method's own.
        operations: exactly these augmentations, in place of a policy.
        without: augmentations taken out of the policy.
        strength: of the augmentations, 0 (off) to 2 (twice the policy's magnitudes); trials vary it.
    """

    methods: tuple[str, ...] = ()
    epochs: int = 40
    batch_size: int = 128
    pool: str = "train"
    fractions: tuple[float, ...] = (0.1, 1.0)
    seeds: tuple[int, ...] = (0,)
    min_steps: int = 250
    few_labels_rate: float = 0.33
    few_labels_batch: int = 64
    backbone_rate: float = 0.5
    pretrainings: int = 0
    trials: int = 0
    generation: int = 4
    tune_folds: int = 1
    tune_epochs: int = 8
    devices: int = 1
    group_block: int = 1
    policy: str = ""
    operations: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Check every field."""
        above_zero("pretraining", few_labels_rate=self.few_labels_rate, backbone_rate=self.backbone_rate)
        shares("pretraining", fractions=self.fractions)
        each_once("pretraining", fractions=self.fractions)
        at_least(
            0,
            "pretraining",
            pretrainings=self.pretrainings,
            trials=self.trials,
            few_labels_batch=self.few_labels_batch,
        )
        at_least(
            1,
            "pretraining",
            epochs=self.epochs,
            batch_size=self.batch_size,
            generation=self.generation,
            tune_folds=self.tune_folds,
            tune_epochs=self.tune_epochs,
            devices=self.devices,
            group_block=self.group_block,
        )
        seeds_of("pretraining", self.seeds)
        one_of("pretraining", POOLS, pool=self.pool)
        right = not (self.policy and self.operations)
        require(right, self.policy, "pretraining.policy", "no policy beside operations")
        require(0 <= self.strength <= 2, self.strength, "pretraining.strength", "0 to 2")

    def with_few_labels(self, optim: OptimConfig) -> OptimConfig:
        """How training on a share of the labels differs from training on all of them."""
        return replace(
            optim,
            learning_rate=optim.learning_rate * self.few_labels_rate,
            batch_size=self.few_labels_batch or optim.batch_size,
            min_steps=self.min_steps,
        )


@dataclass(frozen=True)
class PretrainingSetStage:
    """What pretraining should see: how many fruit, which ones, and whether a coreset would do.

    Attributes:
        method: a pretraining method; empty = no such stage.
        selections: names from ``SELECTIONS``, each at every share.
        shares: of the pool.
        epochs: of pretraining on the whole pool; smaller sets take as many steps.
        fractions: label fractions at which the features are probed.
        seeds: each a run of its own.
    """

    method: str = ""
    selections: tuple[str, ...] = ("all", "k_centre", "typiclust")
    shares: tuple[float, ...] = (0.1, 0.25, 0.5)
    epochs: int = 20
    fractions: tuple[float, ...] = (0.1, 1.0)
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        """Check every field."""
        at_least(1, "pretraining_sets", epochs=self.epochs)
        shares("pretraining_sets", shares=self.shares, fractions=self.fractions)
        each_once("pretraining_sets", selections=self.selections, fractions=self.fractions)
        seeds_of("pretraining_sets", self.seeds)
        for selection in self.selections:
            if selection not in SELECTIONS:
                raise unknown_name("selection", selection, SELECTIONS, "pretraining_sets.selections")


@dataclass(frozen=True)
class InputAblationStage:
    """Which sensor matters for which defect: every subset of the sensors, retrained on the same folds.

    Attributes:
        enabled: run it.
        seeds: each a run of its own for every subset.
        epochs: of each run; 0 = as the final baseline.
        pretrained: do the same for the best pretraining method, its encoders one a sensor.
        repeats: permutations behind each permutation importance.
    """

    enabled: bool = False
    seeds: tuple[int, ...] = (0,)
    epochs: int = 0
    pretrained: bool = False
    repeats: int = 5

    def __post_init__(self) -> None:
        """Check every field."""
        at_least(0, "input_ablation", epochs=self.epochs)
        at_least(1, "input_ablation", repeats=self.repeats)
        seeds_of("input_ablation", self.seeds)


@dataclass(frozen=True)
class AugmentationStage:
    """Which augmentation helps: alone, in pairs, left out, weaker and stronger.

    Attributes:
        method: a pretraining method, or ``supervised``; empty = no such stage.
        methods: more methods, each with the same candidates.
        policies: named policies to try whole, beside the method's own and none at all.
        operations: to try; empty = those of the method's default policy.
        alone: each operation by itself.
        pairs: the composition matrix too.
        leave_one_out: the default policy without each of its operations.
        strengths: factors on the magnitudes of the default policy.
        epochs: of each cheap run.
        folds: outer folds on whose inner validation the cheap runs are ranked.
        confirm: best and worst policies that are confirmed by fine-tuning on every fold.
        seeds: of the confirmation.
    """

    method: str = ""
    methods: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    alone: bool = True
    pairs: bool = True
    leave_one_out: bool = True
    strengths: tuple[float, ...] = (0.5, 1.5)
    epochs: int = 10
    folds: int = 1
    confirm: int = 2
    seeds: tuple[int, ...] = (0, 1)

    def __post_init__(self) -> None:
        """Check every field."""
        at_least(1, "augmentations", epochs=self.epochs, folds=self.folds)
        at_least(0, "augmentations", confirm=self.confirm)
        seeds_of("augmentations", self.seeds)
        right = all(0 <= strength <= 2 for strength in self.strengths)
        require(right, self.strengths, "augmentations.strengths", "numbers from 0 to 2")

    @property
    def every_method(self) -> tuple[str, ...]:
        """Those that are ablated, each once; none without a ``method``."""
        return tuple(dict.fromkeys((self.method, *self.methods))) if self.method else ()


@dataclass(frozen=True)
class ExplanationStage:
    """Where the model looks: Grad-CAM of chosen fruit, scored where the truth is known.

    Attributes:
        enabled: run it, for the best baseline and the best fine-tune.
        per_outcome: fruit for each defect and each of found, missed, false alarm, rightly passed.
        curves: fruit behind the deletion and insertion curves and the sanity check of each defect.
    """

    enabled: bool = False
    per_outcome: int = 6
    curves: int = 16

    def __post_init__(self) -> None:
        """Check every field."""
        at_least(1, "explanations", per_outcome=self.per_outcome)
        at_least(0, "explanations", curves=self.curves)


@dataclass(frozen=True)
class ProjectionStage:
    """How the fruit lie in feature space, for the best baseline and the best pretraining.

    Attributes:
        enabled: run it.
        perplexities: of t-SNE.
        neighbours: nearest fruit to keep for each fruit.
        layer: stage of the backbone whose features are shown, counted as in a list: -1 = the last.
    """

    enabled: bool = False
    perplexities: tuple[float, ...] = (5.0, 30.0, 50.0)
    neighbours: int = 10
    layer: int = -1

    def __post_init__(self) -> None:
        """Check every field."""
        at_least(1, "projections", neighbours=self.neighbours)
        right = all(perplexity >= 2 for perplexity in self.perplexities)
        require(right, self.perplexities, "projections.perplexities", "numbers from 2")


@dataclass(frozen=True)
class DataReportStage:
    """What is odd about the data: likely label errors, duplicates, outliers, drift between groups.

    Attributes:
        enabled: run it.
        keep: findings to keep of each kind.
    """

    enabled: bool = False
    keep: int = 200

    def __post_init__(self) -> None:
        """Check every field."""
        at_least(1, "data_report", keep=self.keep)
