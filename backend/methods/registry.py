"""Every pretraining method by name: what it is, where it comes from, which settings it has.

A new method is one new file in this package: a class under ``@register_method``. The files are imported,
and torch with them, when a name is first looked up; importing this module is free.
"""

from __future__ import annotations

import functools
import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from backend.augment.policies import operation_names
from backend.config import AugmentConfig, MethodConfig, OptimConfig
from backend.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from torch import nn

    from backend.methods.base import Method, MethodContext, ViewMaker

JOINT_EMBEDDING = "joint embedding"
PRETEXT = "pretext"
METRIC = "metric"
REFERENCE = "reference"
FAMILIES = (JOINT_EMBEDDING, PRETEXT, METRIC, REFERENCE)

LABEL_FREE_POSITIVES = ("augment", "views", "modalities", "fruit")
REFERENCE_BATCH = 256
"""The batch size that learning rates in the registry are given for."""

Value = float | int | str | bool
MethodClass = TypeVar("MethodClass", bound="type[Method]")


@dataclass(frozen=True)
class Range:
    """A numeric search range; integers where both ends are, ``log`` = search the exponent."""

    low: float
    high: float
    log: bool = False


Search = Range | tuple[Value, ...]
"""What tuning may try: a range, or a tuple of choices."""


def _frozen(values: Mapping[str, Value] | None) -> Mapping[str, Value]:
    return MappingProxyType(dict(values or {}))


@dataclass(frozen=True)
class MethodInfo:
    """A registered method.

    Attributes:
        name: as on the command line.
        family: one of ``FAMILIES``.
        paper: authors, year, title.
        description: one line.
        defaults: hyper-parameter to its default; these are all the names that a configuration may hold.
        search: hyper-parameter to what tuning may try.
        positives: choices of ``MethodConfig.positives`` that make sense, the default first.
        policy: default augmentation policy. ``fruit`` throughout, because colour tells ripeness: with it
            SimCLR's probe at 5 % of the strawberries' labels reached MCC .57, with SimCLR's own policy
            .49, random weights .50 (10 epochs at 32 px, one split).
        paper_policy: the policy nearest to the paper's, for comparisons with others; "" = none.
        conflicts: augmentations that would give the task away or make it unsolvable; always left out.
        labels: ``never`` looks at labels, ``optional`` uses them where given, or ``required``.
        min_modalities: image sensors it needs at least.
        min_channels: channels an encoder's images need at least.
        across_sensors: it predicts one sensor from another, so it needs views that all of them have.
        learning_rate: default peak rate of AdamW at ``REFERENCE_BATCH``.
        weight_decay: default.
    """

    name: str
    family: str
    paper: str
    description: str
    defaults: Mapping[str, Value] = field(default_factory=dict)
    search: Mapping[str, Search] = field(default_factory=dict)
    positives: tuple[str, ...] = LABEL_FREE_POSITIVES
    policy: str = "fruit"
    paper_policy: str = ""
    conflicts: tuple[str, ...] = ()
    labels: str = "never"
    min_modalities: int = 1
    min_channels: int = 1
    across_sensors: bool = False
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        """Check what a method's author may get wrong."""
        assert self.family in FAMILIES, self.family
        assert self.labels in ("never", "optional", "required"), self.labels
        assert set(self.search) <= {*self.defaults, "learning_rate"}, f"{self.name}: search without default"

    @property
    def needs_labels(self) -> bool:
        """Whether it cannot be trained without labels."""
        return self.labels == "required"

    @property
    def pretrains(self) -> bool:
        """Whether there is anything to pretrain; references start from given weights."""
        return self.family != REFERENCE

    @property
    def default_positives(self) -> str:
        """What counts as two views of one thing unless the configuration says otherwise."""
        return self.positives[0]


_REGISTRY: dict[str, tuple[MethodInfo, type[Method] | None]] = {}


def _add(info: MethodInfo, cls: type[Method] | None) -> None:
    if info.name in _REGISTRY:
        raise ValueError(f"method {info.name!r} is registered twice")
    info = replace(info, defaults=_frozen(info.defaults), search=MappingProxyType(dict(info.search)))
    _REGISTRY[info.name] = (info, cls)


def register_method(info: MethodInfo) -> Callable[[MethodClass], MethodClass]:
    """Register the decorated class under ``info.name``.

    Raises:
        ValueError: the name is taken.
    """

    def decorate(cls: MethodClass) -> MethodClass:
        _add(info, cls)
        return cls

    return decorate


def register_reference(info: MethodInfo) -> None:
    """Register a name without pretraining, to compare with.

    Raises:
        ValueError: the name is taken.
    """
    _add(info, None)


@functools.cache
def _load_methods() -> None:
    """Import every file of this package, so that each registers what it holds."""
    package = importlib.import_module("backend.methods")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"backend.methods.{module.name}")


def list_methods(family: str | None = None) -> list[MethodInfo]:
    """Every registered method, by family and name.

    Args:
        family: one of ``FAMILIES``, or None for all.
    """
    _load_methods()
    infos = [info for info, _ in _REGISTRY.values() if family in (None, info.family)]
    return sorted(infos, key=lambda info: (FAMILIES.index(info.family), info.name))


def method_info(name: str, where: str = "") -> MethodInfo:
    """What is registered under ``name``.

    Args:
        name: as on the command line.
        where: the option or file that held it, for the message.

    Raises:
        ConfigError: unknown name.
    """
    _load_methods()
    if name not in _REGISTRY:
        raise unknown_name("method", name, sorted(_REGISTRY), where)
    return _REGISTRY[name][0]


def require_pretrains(name: str, where: str) -> None:
    """Refuse a name that stands for no pretraining.

    Raises:
        ConfigError: an unknown name, or a reference such as ``random_init``, which learns nothing beforehand.
    """
    if not method_info(name, where).pretrains:
        learning = sorted(other for other, (info, _) in _REGISTRY.items() if info.pretrains)
        raise ConfigError(
            f"{name} pretrains nothing",
            where=where,
            expected=f"one of {', '.join(learning)}",
            action="pick one of them",
        )


def default_method_config(name: str) -> MethodConfig:
    """The method with its own default positives and hyper-parameters."""
    return MethodConfig(name=name, positives=method_info(name).default_positives)


def default_optim(name: str, *, epochs: int, batch_size: int) -> OptimConfig:
    """Optimisation that suits a method at a batch size: the rate grows with its square root.

    Adaptive optimisers keep their noise scale under lr ~ sqrt(batch) (Malladi et al. 2022, "On the SDEs and
    scaling rules for adaptive gradient algorithms").
    """
    info = method_info(name)
    return OptimConfig(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=info.learning_rate * math.sqrt(batch_size / REFERENCE_BATCH),
        weight_decay=info.weight_decay,
        patience=0,
        imbalance="none",
    )


def default_augment(name: str, *, strength: float = 1.0) -> AugmentConfig:
    """The augmentation that a method uses unless told otherwise."""
    info = method_info(name)
    return compatible_augment(name, AugmentConfig(policy=info.policy, strength=strength))


def compatible_augment(name: str, augment: AugmentConfig) -> AugmentConfig:
    """``augment`` without the operations that the method's own task rules out."""
    conflicts = set(operation_names(augment)) & set(method_info(name).conflicts)
    return replace(augment, without=tuple(sorted({*augment.without, *conflicts})))


def check_method(config: MethodConfig, *, modalities: int | None = None, labels: bool | None = None) -> None:
    """Raise a ``ConfigError`` unless the configuration can be used.

    Args:
        config: name, positives and hyper-parameters.
        modalities: number of image encoders; None = not known yet.
        labels: whether labels are given; None = not known yet.
    """
    info = method_info(config.name, "MethodConfig.name")
    for name, value in config.params:
        if name not in info.defaults:
            raise unknown_name("hyper-parameter", name, sorted(info.defaults), f"method {info.name}")
        _check_value(info, name, value)
    if config.positives not in info.positives:
        raise ConfigError(
            f"positives {config.positives!r}",
            where=f"method {info.name}",
            expected=f"one of {', '.join(info.positives)}",
        )
    needed = 2 if config.positives == "modalities" else info.min_modalities
    if modalities is not None and modalities < needed:
        raise ConfigError(
            f"{modalities} image sensor",
            where=f"method {info.name} with positives {config.positives!r}",
            expected=f"{needed} or more, fused late",
            action="add a modality or choose other positives",
        )
    if labels is False and (info.needs_labels or config.positives == "class"):
        raise ConfigError(
            "no labels",
            where=f"method {info.name} with positives {config.positives!r}",
            expected="labelled fruit",
            action="choose a label-free method or other positives",
        )


def _check_value(info: MethodInfo, name: str, value: Value) -> None:
    default = info.defaults[name]
    fits = type(value) is type(default) or (isinstance(default, float) and type(value) is int)
    if not fits:
        raise ConfigError(
            repr(value),
            where=f"method {info.name}, hyper-parameter {name}",
            expected=f"a value of type {type(default).__name__}",
        )
    choices = info.search.get(name)
    if isinstance(default, str) and isinstance(choices, tuple) and value not in choices:
        raise unknown_name(name, str(value), [str(choice) for choice in choices], f"method {info.name}")


def create_method(
    config: MethodConfig, encoders: nn.ModuleDict, augmenter: ViewMaker, context: MethodContext
) -> Method:
    """Build a method around the encoders it trains.

    Args:
        config: name, positives and hyper-parameters.
        encoders: one ``ImageEncoder`` for each image modality, or one for all (early fusion).
        augmenter: makes a random view of a batch of registered images.
        context: what the data determine.

    Raises:
        ConfigError: unknown name or hyper-parameter, or a method that cannot work on these images.
    """
    info = method_info(config.name, "MethodConfig.name")
    check_method(config, modalities=len(encoders))
    cls = _REGISTRY[config.name][1]
    if cls is None:
        raise ConfigError(
            f"{config.name!r} has nothing to pretrain",
            expected=f"one of {', '.join(i.name for i in list_methods() if i.pretrains)}",
            action="train or evaluate it directly",
        )
    return cls(config, info, encoders, augmenter, context)
