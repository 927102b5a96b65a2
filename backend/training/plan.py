"""A plan: which experiments a study makes, and how large. Read from TOML, validated on construction.

Plans that ship with the program lie in ``backend/plans``; a user's own is any TOML file of the same shape.
This module imports no torch, so that ``--list``, ``--help`` and errors in a plan are immediate.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backend.config import sensible_side
from backend.errors import ConfigError, unknown_name
from backend.fields import at_least, from_dict, require, seeds_of
from backend.training.settings import (
    AugmentationStage,
    BaselineStage,
    DataReportStage,
    ExplanationStage,
    InputAblationStage,
    PretrainingSetStage,
    PretrainingStage,
    ProjectionStage,
)

PLANS = Path(__file__).parent.parent / "plans"
SMALLEST, RESOLUTION_STEP = 32, 8
"""Pixels a side: ``pixels`` lowers no plan below the one, and goes there in steps of the other."""

STAGE_FIELDS = (
    "baseline",
    "pretraining",
    "pretraining_sets",
    "input_ablation",
    "augmentations",
    "explanations",
    "projections",
    "data_report",
)
"""Fields of a plan that describe a stage, in the order in which stages run."""


EPOCHS = ("epochs", "tune_epochs", "patience")
"""Fields of a stage that count epochs; 0 has a meaning of its own."""


def stage_field(stage: str) -> str:
    """The field of a plan that describes the stage of that name."""
    return stage.replace(" ", "_").replace("-", "_")


@dataclass(frozen=True)
class Plan:
    """Everything one ``tune`` makes.

    Attributes:
        name: shown to people.
        description: one line.
        folds: outer folds K.
        resolution: side of the working image in pixels.
        pixels: most pixels of one fruit over all its views and sensors; the resolution is lowered until
            they fit, so that one plan takes about as long on four views in two sensors as on one. 0 = any.
        images: most pictures that one final training sees, over all its epochs; where there are more, every
            stage gets fewer epochs by the same factor, so that a quick plan stays quick. 0 = any.
        budget: when a study has to end where ``--budget`` does not say so, e.g. ``8h``; empty = no limit.
        seeds: seeds of the final runs; each is a run of its own.
        threads: CPU threads of a worker; part of every configuration.
        modalities: sensors to use; empty = all that the data set has.
        baseline: the supervised stage.
        pretraining: the self-supervised stage.
        pretraining_sets: what pretraining sees.
        input_ablation: sensors left out.
        augmentations: augmentations alone, in pairs and left out.
        explanations: Grad-CAM.
        projections: t-SNE, UMAP, PCA.
        data_report: label errors, duplicates, outliers, drift.
    """

    name: str = ""
    description: str = ""
    folds: int = 5
    resolution: int = 48
    pixels: int = 0
    images: int = 0
    budget: str = ""
    seeds: tuple[int, ...] = (0,)
    threads: int = 1
    modalities: tuple[str, ...] = ()
    baseline: BaselineStage = field(default_factory=BaselineStage)
    pretraining: PretrainingStage = field(default_factory=PretrainingStage)
    pretraining_sets: PretrainingSetStage = field(default_factory=PretrainingSetStage)
    input_ablation: InputAblationStage = field(default_factory=InputAblationStage)
    augmentations: AugmentationStage = field(default_factory=AugmentationStage)
    explanations: ExplanationStage = field(default_factory=ExplanationStage)
    projections: ProjectionStage = field(default_factory=ProjectionStage)
    data_report: DataReportStage = field(default_factory=DataReportStage)

    def __post_init__(self) -> None:
        """Check every field."""
        at_least(2, "plan", folds=self.folds)
        seeds_of("plan", self.seeds)
        at_least(1, "plan", threads=self.threads)
        sensible_side("plan", self.resolution)
        for name in ("baseline", "pretraining"):
            asked = getattr(self, name).tune_folds
            require(
                asked <= self.folds, asked, f"{name}.tune_folds", f"at most the plan's {self.folds} folds"
            )
        at_least(0, "plan", pixels=self.pixels, images=self.images)

    def fitted(self, images: int, fruit: int) -> Plan:
        """The plan with the resolution that ``pixels`` and the epochs that ``images`` allow.

        Args:
            images: pictures of one fruit, over all views and sensors in use.
            fruit: labelled fruit.
        """
        resolution = self.resolution
        while (
            self.pixels and images * resolution**2 > self.pixels and resolution - RESOLUTION_STEP >= SMALLEST
        ):
            resolution -= RESOLUTION_STEP
        plan = replace(self, resolution=resolution)
        seen = self.baseline.epochs * fruit * images * (self.folds - 1) / self.folds
        return plan._with_epochs(self.images / seen) if 0 < self.images < seen else plan

    def _with_epochs(self, share: float) -> Plan:
        """Every stage with that share of its epochs, at least one."""
        stages: dict[str, Any] = {}
        for name in STAGE_FIELDS:
            stage = getattr(self, name)
            lengths = {key: getattr(stage, key) for key in EPOCHS if getattr(stage, key, 0)}
            stages[name] = replace(stage, **{key: max(1, round(n * share)) for key, n in lengths.items()})
        return replace(self, **stages)

    def narrowed(
        self,
        *,
        modalities: tuple[str, ...] = (),
        methods: tuple[str, ...] = (),
        trials: int | None = None,
        devices: int | None = None,
    ) -> Plan:
        """The plan under the options of the command line that change what it makes."""
        plan = self
        if modalities:
            plan = replace(plan, modalities=modalities)
        if trials is not None:
            plan = replace(plan, baseline=replace(plan.baseline, trials=trials))
        if methods:
            plan = replace(plan, pretraining=replace(plan.pretraining, methods=methods))
        if devices is not None:
            plan = replace(plan, pretraining=replace(plan.pretraining, devices=devices))
        return plan


def plan_names() -> tuple[str, ...]:
    """Names of the plans that ship with the program."""
    return tuple(sorted(path.stem for path in PLANS.glob("*.toml")))


def load_plan(name_or_file: str) -> Plan:
    """Read a plan by name or from a TOML file.

    Raises:
        ConfigError: unknown name, unreadable file, unknown field or value out of range.
    """
    path = PLANS / f"{name_or_file}.toml"
    if name_or_file.endswith(".toml"):
        path = Path(name_or_file)
    elif name_or_file not in plan_names():
        raise unknown_name("plan", name_or_file, (*plan_names(), "FILE.toml"), "--plan")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            "there is no such file", where=str(path), expected="a plan as TOML", action="check --plan"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(str(error), where=str(path), expected="a plan as TOML", action="mend it") from error
    plan = from_dict(Plan, values, str(path.name))
    return plan if plan.name else replace(plan, name=path.stem)
