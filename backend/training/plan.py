"""A plan: which experiments a study makes, and how large. Read from TOML, validated on construction.

Plans that ship with the program lie in ``backend/plans``; a user's own is any TOML file of the same shape.
This module imports no torch, so that ``--list``, ``--help`` and errors in a plan are immediate.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path

from backend.config import POOLS, from_dict
from backend.errors import ConfigError, unknown_name

PLANS = Path(__file__).parent.parent / "plans"


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
        for name in ("trials", "generation", "tune_folds", "tune_epochs", "epochs"):
            if getattr(self, name) < 1:
                raise ConfigError(repr(getattr(self, name)), where=f"baseline.{name}", expected="1 or more")
        if not self.backbones:
            raise ConfigError("no backbone", where="baseline.backbones", expected="at least one name")


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
        min_steps: steps that training on few labels takes at least.
        backbone_rate: factor on the learning rate of pretrained encoders in fine-tuning.
    """

    methods: tuple[str, ...] = ()
    epochs: int = 40
    batch_size: int = 128
    pool: str = "train"
    fractions: tuple[float, ...] = (0.1, 1.0)
    seeds: tuple[int, ...] = (0,)
    min_steps: int = 250
    backbone_rate: float = 0.5

    def __post_init__(self) -> None:
        """Check every field."""
        for name in ("epochs", "batch_size", "backbone_rate"):
            if getattr(self, name) <= 0:
                raise ConfigError(repr(getattr(self, name)), where=f"pretraining.{name}", expected="above 0")
        if not self.fractions or not all(0 < fraction <= 1 for fraction in self.fractions):
            raise ConfigError(
                repr(list(self.fractions)), where="pretraining.fractions", expected="numbers above 0, up to 1"
            )
        if not self.seeds:
            raise ConfigError("no seed", where="pretraining.seeds", expected="at least one number")
        if self.pool not in POOLS:
            raise unknown_name("pool", self.pool, POOLS, "pretraining.pool")


@dataclass(frozen=True)
class Plan:
    """Everything one ``tune`` makes.

    Attributes:
        name: shown to people.
        description: one line.
        folds: outer folds K.
        resolution: side of the working image in pixels.
        seeds: seeds of the final runs; each is a run of its own.
        threads: CPU threads of a worker; part of every configuration.
        modalities: sensors to use; empty = all that the data set has.
        baseline: the supervised stage.
        pretraining: the self-supervised stage.
    """

    name: str = ""
    description: str = ""
    folds: int = 5
    resolution: int = 48
    seeds: tuple[int, ...] = (0,)
    threads: int = 1
    modalities: tuple[str, ...] = ()
    baseline: BaselineStage = field(default_factory=BaselineStage)
    pretraining: PretrainingStage = field(default_factory=PretrainingStage)

    def __post_init__(self) -> None:
        """Check every field."""
        if self.folds < 2:
            raise ConfigError(repr(self.folds), where="plan folds", expected="2 or more")
        if not self.seeds:
            raise ConfigError("no seed", where="plan seeds", expected="at least one number")
        if self.threads < 1:
            raise ConfigError(repr(self.threads), where="plan threads", expected="1 or more")

    def narrowed(
        self,
        *,
        modalities: tuple[str, ...] = (),
        methods: tuple[str, ...] = (),
        trials: int | None = None,
    ) -> Plan:
        """The plan under the narrowing options of the command line."""
        plan = self
        if modalities:
            plan = replace(plan, modalities=modalities)
        if trials is not None:
            plan = replace(plan, baseline=replace(plan.baseline, trials=trials))
        if methods:
            plan = replace(plan, pretraining=replace(plan.pretraining, methods=methods))
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
