"""What an experiment is: frozen, validated, and the same after a trip through JSON.

A run is a pure function of (data set, ``RunConfig``, seed). ``config_hash`` names a configuration, and
``derive_seed`` turns (study seed, hash, fold) into the seed of everything random in that fold, so no
number depends on which worker ran it or when. This module imports neither torch nor numpy.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TypeVar

from backend.fields import above_zero, at_least, each_once, one_of, require, shares, to_dict

PRESSURE = "pressure"
"""The modality name of the tap readings; every other modality is an image sensor."""

KINDS = ("baseline", "pretrain", "finetune", "probe")
PURPOSES = (
    "tune",
    "final",
    "augmentation-ablation",
    "input-ablation",
    "label-efficiency",
    "pretraining-sets",
    "benchmark",
)
INITS = ("random", "imagenet", "ssl")
FUSIONS = ("late", "early")
VIEW_POOLINGS = ("mean", "max", "attention", "apart")
IMBALANCES = ("none", "weighted", "focal", "sampler")
POOLS = ("unlabelled", "train", "all")
CORESETS = ("k_centre", "typiclust")
"""Subsets chosen by the features of an earlier pretraining: Sener and Savarese 2018; Hacohen et al. 2022."""
SELECTIONS = ("all", "healthy", "defective", "balanced", "balanced_pseudo", *CORESETS)
POSITIVES = ("augment", "views", "modalities", "fruit", "class")

T = TypeVar("T")


@dataclass(frozen=True)
class ModelConfig:
    """The network.

    Attributes:
        backbone: a name from ``backend.models.backbones``.
        modalities: sensors the network sees, in a fixed order; ``"pressure"`` among them or not.
        fusion: ``late`` = one encoder a modality, embeddings concatenated; ``early`` = registered
            sensors stacked as channels of one image.
        view_pooling: how the views of one fruit become one embedding; ``apart`` = side by side.
        dropout: before the head, 0 to below 1.
        init: where the backbone's weights come from.
    """

    backbone: str = "resnet10_half"
    modalities: tuple[str, ...] = ("rgb",)
    fusion: str = "late"
    view_pooling: str = "mean"
    dropout: float = 0.2
    init: str = "random"

    def __post_init__(self) -> None:
        """Check every field."""
        each_once("ModelConfig", modalities=self.modalities)
        one_of("ModelConfig", FUSIONS, fusion=self.fusion)
        one_of("ModelConfig", VIEW_POOLINGS, view_pooling=self.view_pooling)
        one_of("ModelConfig", INITS, init=self.init)
        require(0 <= self.dropout < 1, self.dropout, "ModelConfig.dropout", "0 to below 1")

    @property
    def image_modalities(self) -> tuple[str, ...]:
        """The modalities that are pictures."""
        return tuple(name for name in self.modalities if name != PRESSURE)

    @property
    def uses_pressure(self) -> bool:
        """Whether the tap readings are an input."""
        return PRESSURE in self.modalities


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of the input during training.

    Attributes:
        policy: a named policy from ``backend.augment.policies``; ``custom`` = exactly ``operations``.
        strength: 0 (off) to 2 (twice the policy's magnitudes).
        operations: names from the augmentation registry, used where ``policy`` is ``custom``.
        without: names taken out of the policy (leave-one-out ablations).
    """

    policy: str = "fruit"
    strength: float = 1.0
    operations: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every field."""
        require(0 <= self.strength <= 2, self.strength, "AugmentConfig.strength", "0 to 2")


@dataclass(frozen=True)
class OptimConfig:
    """Optimisation of one model.

    Attributes:
        epochs: most passes over the training part.
        batch_size: fruit a step (images a step in pretraining).
        learning_rate: peak rate of AdamW, after linear warm-up, before cosine decay.
        weight_decay: decoupled.
        warmup: share of all steps spent warming up, 0 to 1.
        patience: epochs without a better inner-validation MCC before stopping; 0 = never stop early.
        imbalance: how rare defects are given weight.
        backbone_rate: factor on the learning rate of a pretrained backbone.
        min_steps: with few labels an epoch is a handful of steps: epochs are stretched until the run
            takes at least this many steps, so that every label fraction trains equally long.
    """

    epochs: int = 15
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup: float = 0.1
    patience: int = 6
    imbalance: str = "weighted"
    backbone_rate: float = 1.0
    min_steps: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        above_zero(
            "OptimConfig",
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            backbone_rate=self.backbone_rate,
        )
        at_least(
            0,
            "OptimConfig",
            weight_decay=self.weight_decay,
            patience=self.patience,
            min_steps=self.min_steps,
        )
        require(0 <= self.warmup < 1, self.warmup, "OptimConfig.warmup", "0 to below 1")
        one_of("OptimConfig", IMBALANCES, imbalance=self.imbalance)

    def lasting(self, epochs: int) -> OptimConfig:
        """The same over another number of epochs, the fewest steps in proportion."""
        return replace(self, epochs=epochs, min_steps=self.min_steps * epochs // self.epochs)


@dataclass(frozen=True)
class DataConfig:
    """Which fruit a run sees and at what size.

    Attributes:
        resolution: side of the square working image in pixels.
        folds: outer folds K; a data set with a fixed split has one.
        split_seed: seed of the outer folds; one per study, so that all its runs pair.
        label_fraction: share of the training labels that may be used, above 0 to 1.
        pool: what pretraining sees (``unlabelled``, plus the outer ``train`` part, or ``all``).
        selection: which fruit of the pool: all, known to be healthy or defective, as many of each defect,
            as many of each cluster of features, or a coreset.
        selection_share: share of the pool to keep, above 0 to 1.
    """

    resolution: int = 48
    folds: int = 5
    split_seed: int = 0
    label_fraction: float = 1.0
    pool: str = "train"
    selection: str = "all"
    selection_share: float = 1.0

    def __post_init__(self) -> None:
        """Check every field."""
        sensible_side("DataConfig", self.resolution)
        at_least(2, "DataConfig", folds=self.folds)
        shares("DataConfig", label_fraction=self.label_fraction, selection_share=self.selection_share)
        one_of("DataConfig", POOLS, pool=self.pool)
        one_of("DataConfig", SELECTIONS, selection=self.selection)


@dataclass(frozen=True)
class MethodConfig:
    """A self-supervised or metric-learning method and where its positives come from.

    Attributes:
        name: a name from ``backend.methods.registry``.
        positives: what counts as two views of one thing.
        params: the method's own hyper-parameters as (name, value) pairs, sorted by name.
        group_block: samples of one pallet that stand together in a step; 1 = drawn without regard to pallets.
    """

    name: str = "supervised"
    positives: str = "augment"
    params: tuple[tuple[str, float | int | str | bool], ...] = ()
    group_block: int = 1

    def __post_init__(self) -> None:
        """Check every field and sort the parameters."""
        one_of("MethodConfig", POSITIVES, positives=self.positives)
        at_least(1, "MethodConfig", group_block=self.group_block)
        object.__setattr__(self, "params", tuple(sorted((str(k), v) for k, v in self.params)))

    def get(self, name: str, default: T) -> T:
        """The value of hyper-parameter ``name``, as the type of ``default``."""
        for key, value in self.params:
            if key == name:
                return type(default)(value)  # type: ignore[call-arg]
        return default


@dataclass(frozen=True)
class RunConfig:
    """Everything that determines a run, beside the data set.

    Attributes:
        kind: baseline, pretrain, finetune or probe.
        purpose: why it was run; tables and pages select by it.
        method: ``supervised`` for baselines, else the pretraining method.
        model: the network.
        augment: the augmentation of this run's own training.
        optim: optimisation.
        data: which fruit.
        seed: seed of the run; every seed is a run of its own.
        threads: CPU threads of a worker; part of the configuration because sums depend on it.
        devices: devices that a pretraining shares; part of the configuration because each augments its own
            part of a batch.
        parent: run id of the pretraining whose weights this run starts from.
        label: short words for people, e.g. ``"without nir"``; not part of the configuration's hash.
    """

    kind: str = "baseline"
    purpose: str = "final"
    method: MethodConfig = field(default_factory=MethodConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    data: DataConfig = field(default_factory=DataConfig)
    seed: int = 0
    threads: int = 1
    devices: int = 1
    parent: str | None = None
    label: str = ""

    def __post_init__(self) -> None:
        """Check every field."""
        one_of("RunConfig", KINDS, kind=self.kind)
        one_of("RunConfig", PURPOSES, purpose=self.purpose)
        above_zero("RunConfig", threads=self.threads, devices=self.devices)


def sensible_side(where: str, resolution: int) -> None:
    """Raise unless pictures of that many pixels a side can be worked on."""
    require(8 <= resolution <= 1024, resolution, f"{where}.resolution", "8 to 1024 px")


def config_hash(config: RunConfig) -> str:
    """The name of a configuration: 16 hex digits of SHA-256 over its JSON, without the label.

    One device and samples without regard to pallets go without saying, so that runs from before there was a
    choice keep their names.
    """
    values = to_dict(config)
    values.pop("label")
    if values["devices"] == 1:
        values.pop("devices")
    if values["method"]["group_block"] == 1:
        values["method"].pop("group_block")
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def derive_seed(*parts: str | int) -> int:
    """A 31-bit seed from any parts; the same parts give the same seed on every machine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFF_FFFF
