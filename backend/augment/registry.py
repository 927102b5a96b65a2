"""The registry of augmentations: what each is, where it comes from, how strong it is by default.

An operation works in two steps. ``draw`` makes one random draw for each sample; the second step uses
it. What is drawn and who uses it depends on the kind:

======== ============================ ============================== =====================
kind     drawn for each sample        used by                        drawn anew for each
======== ============================ ============================== =====================
geometry a matrix of the plane        one warp for all of them       view, not modality
colour   a matrix of the colours      one product for all of them    fruit; RGB only
sensor   factors                      ``apply``                      fruit and modality; all but RGB
pixel    whatever it needs            ``apply``                      view and modality
patch    whatever it needs            ``apply``                      view, not modality
======== ============================ ============================== =====================

This module imports no torch, so that listings which need only the records stay quick once loaded.
"""

from __future__ import annotations

import functools
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from backend.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from backend.augment.sampling import Sampler

PADDINGS = ("border", "reflection", "zeros")
"""Beyond the edge lies: the outermost pixels again and again; the image mirrored; black."""

KINDS = ("geometry", "colour", "pixel", "patch", "sensor")
MODULES = ("geometry", "colour", "pixel", "patch", "sensor")
"""Files of this package that register operations."""


@dataclass(frozen=True)
class Magnitude:
    """One number that says how strong an operation is.

    Attributes:
        name: as policies write it.
        default: its value at strength 1 where a policy says nothing else.
        identity: the value that changes nothing, so the value at strength 0.
        low: the least value that makes sense.
        high: the greatest value that makes sense.
        description: meaning and unit.
    """

    name: str
    default: float
    identity: float
    low: float
    high: float
    description: str

    def scaled(self, value: float, strength: float) -> float:
        """The value at ``strength``: from identity (0) through ``value`` (1) and on, within the limits."""
        return min(max(self.identity + strength * (value - self.identity), self.low), self.high)


@dataclass(frozen=True)
class OperationInfo:
    """What people and programs may know of an operation without running it.

    Attributes:
        name: unique, the name that policies and configurations use.
        description: one line.
        kind: one of ``KINDS``.
        source: the paper or work it comes from.
        probability: how often a sample gets it where a policy says nothing else, 0 to 1.
        magnitudes: what a strength scales; an operation without any is on or off.
    """

    name: str
    description: str
    kind: str
    source: str
    probability: float = 1.0
    magnitudes: tuple[Magnitude, ...] = ()

    def __post_init__(self) -> None:
        """Check the kind and the probability."""
        if self.kind not in KINDS:
            raise unknown_name("kind of augmentation", self.kind, KINDS, self.name)
        if not 0 <= self.probability <= 1:
            raise ConfigError(repr(self.probability), where=f"{self.name}.probability", expected="0 to 1")

    def values(self, given: Mapping[str, float], strength: float) -> dict[str, float]:
        """Every magnitude of the operation at ``strength``.

        Args:
            given: what a policy sets; the rest keep their defaults.
            strength: 0 (identity) to 2 (twice the policy's magnitudes).

        Raises:
            ConfigError: ``given`` names a magnitude that the operation does not have.
        """
        names = [magnitude.name for magnitude in self.magnitudes]
        for name in given:
            if name not in names:
                raise unknown_name("magnitude", name, names, self.name)
        return {m.name: m.scaled(given.get(m.name, m.default), strength) for m in self.magnitudes}


class Operation(ABC):
    """A batched augmentation with a draw of its own for each sample."""

    info: ClassVar[OperationInfo]

    @abstractmethod
    def draw(self, sampler: Sampler, channels: int, magnitudes: Mapping[str, float]) -> Tensor:
        """Draw once for each sample.

        Args:
            sampler: the only source of randomness; knows the batch size B.
            channels: C of the images that will be changed; 0 where the draw is shared by all modalities.
            magnitudes: by name, already scaled by the strength.

        Returns:
            (B, ...) on the sampler's device.
        """


class Geometry(Operation):
    """Moves pixels: ``draw`` returns (B, 3, 3) maps of *output* to *input* points.

    Points are homogeneous (x, y, 1) with x and y from -1 (left, top edge) to 1 (right, bottom edge).

    Attributes:
        padding: what is seen beyond the edge, one of ``PADDINGS``; of several operations the last of
            these rules.
    """

    padding: ClassVar[str] = "border"


class Colour(Operation):
    """Mixes the channels of an RGB image, the same way at each pixel of a sample.

    ``draw`` returns (B, 3, 6) maps of (R, G, B of the pixel; mean R, G, B of the image) to R, G, B, which
    is closed under composition and holds all that contrast needs to know of the image.
    """


class Effect(Operation):
    """Changes values in place of the image: kinds ``pixel``, ``patch`` and ``sensor``."""

    @abstractmethod
    def apply(self, images: Tensor, drawn: Tensor, generator: torch.Generator) -> Tensor:
        """Change the images by what was drawn for them.

        Args:
            images: (n, C, H, W) float in [0, 1]; must not be changed.
            drawn: (n, ...) the rows of ``draw`` that belong to ``images``.
            generator: for randomness that is as large as the images, such as noise.

        Returns:
            (n, C, H, W), a new tensor in any memory format; the caller clamps to [0, 1].
        """


O = TypeVar("O", bound=Operation)  # noqa: E741 - the letter of the only type here

_OPERATIONS: dict[str, Operation] = {}


def register(info: OperationInfo) -> Callable[[type[O]], type[O]]:
    """Class decorator: put an operation into the registry under ``info.name``.

    Raises:
        ConfigError: the name is taken.
    """

    def add(cls: type[O]) -> type[O]:
        if info.name in _OPERATIONS:
            raise ConfigError(
                f"augmentation {info.name!r} is registered twice",
                where=cls.__module__,
                expected="a name of its own for each operation",
                action="rename one of them",
            )
        cls.info = info
        _OPERATIONS[info.name] = cls()
        return cls

    return add


@functools.cache
def _load() -> None:
    """Import every module that registers operations, once."""
    for module in MODULES:
        importlib.import_module(f"backend.augment.{module}")


def list_operations() -> tuple[OperationInfo, ...]:
    """The record of every registered operation, in the order of kinds, then names."""
    _load()
    infos = [operation.info for operation in _OPERATIONS.values()]
    return tuple(sorted(infos, key=lambda info: (KINDS.index(info.kind), info.name)))


def get_operation(name: str, where: str = "") -> Operation:
    """The operation called ``name``.

    Args:
        name: a registered name.
        where: the option or file that held it, for the message.

    Raises:
        ConfigError: no operation has that name; the message lists the valid ones.
    """
    _load()
    if name not in _OPERATIONS:
        raise unknown_name("augmentation", name, list(_OPERATIONS), where)
    return _OPERATIONS[name]
