"""What every pretraining method shares: its batch, its encoders, its hyper-parameters.

A method is trained by ``backend.training.pretrain_loop``: ``set_progress``, ``loss``, backward, optimiser
step, ``after_step``. Each image modality has an encoder and heads of its own (or one early-fused encoder sees
all); the loss is the mean over encoders, and all sensors share one geometric draw because they are
registered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch
import torch.nn.functional as F
from lightly.utils.dist import gather, world_size
from torch import Tensor, nn

from backend.config import MethodConfig
from backend.errors import ConfigError
from backend.models.network import EARLY, ByName

if TYPE_CHECKING:
    from backend.methods.registry import MethodInfo

T = TypeVar("T", float, int, str, bool)
UNLABELLED = -1
"""The class of a fruit whose label is not known."""


class ViewMaker(Protocol):
    """Makes a random view of registered images: modality to (B, C, H, W) in 0..1, and the same back."""

    def __call__(
        self, images: Mapping[str, Tensor], generator: torch.Generator, *, second_view: bool = False
    ) -> dict[str, Tensor]:
        """Augment each sample with a draw of its own; ``second_view`` where a policy is asymmetric."""
        ...


@dataclass(frozen=True)
class PretrainBatch:
    """B samples, each one image of a fruit in every modality, with a partner that should look alike.

    Attributes:
        anchor: modality to (B, C, H, W) float in 0..1, registered across modalities.
        partner: the same shapes; what it shows depends on ``MethodConfig.positives``. The very same
            tensors as ``anchor`` where the partner is another augmentation of the same image.
        fruit: (B,) long, which fruit the anchor shows.
        partner_fruit: (B,) long, which fruit the partner shows; differs only for positives ``class``.
        sample: (B,) long, position of the anchor in the pretraining pool.
        labels: (B,) long class of anchor and partner, ``UNLABELLED`` where unknown; None = no labels.
    """

    anchor: dict[str, Tensor]
    partner: dict[str, Tensor]
    fruit: Tensor
    partner_fruit: Tensor
    sample: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        """Number of samples."""
        return int(self.fruit.shape[0])

    def gathered(self) -> PretrainBatch:
        """The batch of all devices that share this training; images stay where they are."""
        if world_size() == 1:
            return self
        return replace(
            self,
            fruit=gathered(self.fruit),
            partner_fruit=gathered(self.partner_fruit),
            sample=gathered(self.sample),
            labels=None if self.labels is None else gathered(self.labels),
        )

    def same_thing(self) -> Tensor:
        """(2B, 2B) bool over anchors, then partners: True where two images must not repel each other.

        They show the same fruit, or, where labels are known, the same class. The diagonal is True.
        """
        fruit = torch.cat([self.fruit, self.partner_fruit])
        same = fruit.unsqueeze(0) == fruit.unsqueeze(1)
        if self.labels is not None:
            label = self.labels.repeat(2)
            known = label != UNLABELLED
            same = same | ((label.unsqueeze(0) == label.unsqueeze(1)) & known)
        return same


@dataclass(frozen=True)
class MethodContext:
    """What the data determine about a method.

    Attributes:
        channels: image modality to its number of channels, in the order of early fusion.
        resolution: side of the square images in pixels.
        samples: size of the pretraining pool.
        batch_size: samples a step.
    """

    channels: dict[str, int]
    resolution: int
    samples: int
    batch_size: int


class Method(nn.Module, ABC):
    """A way to train encoders without (or with few) labels.

    Args:
        config: name, positives and hyper-parameters.
        info: what is registered under that name.
        encoders: the encoders to train, by modality, or one under ``EARLY``.
        augmenter: makes random views.
        context: what the data determine.

    Attributes:
        sample_limit: how many samples of the pool the method can use; None = all.
        notes: what a reader of the results should know, e.g. an encoder that was left out.
    """

    sample_limit: int | None = None

    def __init__(
        self,
        config: MethodConfig,
        info: MethodInfo,
        encoders: nn.ModuleDict,
        augmenter: ViewMaker,
        context: MethodContext,
    ) -> None:
        super().__init__()
        self.config = config
        self.info = info
        self.encoders = encoders
        # Held in a tuple: an augmenter that is a module must not become part of the weights.
        self._augmenter = (augmenter,)
        self.context = context
        self.notes: tuple[str, ...] = ()
        self.step, self.steps = 0, 1
        self.build()

    def build(self) -> None:
        """Add what there is beside the encoders: heads, teachers, queues; the base class's come first."""

    def for_each(self, make: Callable[[str], nn.Module]) -> ByName:
        """A module of its own for each encoder, under the encoder's name."""
        return ByName({name: make(name) for name in self.encoders})

    @property
    def augmenter(self) -> ViewMaker:
        """Makes random views of a batch."""
        return self._augmenter[0]

    def replace_augmenter(self, augmenter: ViewMaker) -> None:
        """Make views with another augmenter from now on."""
        self._augmenter = (augmenter,)

    @property
    def progress(self) -> float:
        """Share of the training that is done, 0 to 1."""
        return self.step / max(1, self.steps)

    def hyper(self, name: str, kind: Callable[..., T]) -> T:
        """A hyper-parameter: from the configuration, else the registered default.

        Args:
            name: as registered.
            kind: its type, e.g. ``float``.
        """
        return kind(dict(self.config.params).get(name, self.info.defaults[name]))

    @property
    def fused(self) -> bool:
        """Whether one encoder sees all sensors."""
        return set(self.encoders) != set(self.context.channels)

    def channels(self, name: str) -> int:
        """Input channels of encoder ``name``."""
        if self.fused:
            return sum(self.context.channels.values())
        return self.context.channels[name]

    def feature_dim(self, name: str) -> int:
        """Width of the features of encoder ``name``."""
        width = self.encoders[name].feature_dim
        assert isinstance(width, int)
        return width

    def inputs(self, images: dict[str, Tensor]) -> dict[str, Tensor]:
        """What each encoder sees of registered images, its memory channels_last."""
        if self.fused:
            images = {EARLY: torch.cat([images[name] for name in self.context.channels], dim=1)}
        return {name: images[name].contiguous(memory_format=torch.channels_last) for name in self.encoders}

    def set_progress(self, step: int, steps: int) -> None:
        """Tell the method, before each step, that it is number ``step`` (from 0) of ``steps``."""
        self.step, self.steps = step, steps

    @abstractmethod
    def loss(self, batch: PretrainBatch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch and detached scalars to plot.

        Args:
            batch: raw images; the method augments them itself.
            generator: source of every random draw, on the device of the images.
        """

    def forward(self, batch: PretrainBatch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss; where several devices share a training, their averaging hooks in here."""
        return self.loss(batch, generator)

    def after_step(self) -> None:
        """Called after each optimiser step; momentum encoders follow here."""

    def features(self, images: dict[str, Tensor]) -> dict[str, Tensor]:
        """Each encoder's (B, F) features of length 1, as the evaluation uses them.

        Args:
            images: modality to (B, C, H, W) in 0..1.
        """
        inputs = self.inputs(images)
        return {name: F.normalize(self.encoders[name](x).float(), dim=1) for name, x in inputs.items()}


def gathered(rows: Tensor) -> Tensor:
    """(B, ...) rows of each device, all in one (N * B, ...) tensor on every device; gradients go back.

    Every device then has the loss of the whole batch. Its backward pass adds up the gradients of all N losses
    with respect to its own rows, and averaging over devices divides by N: a step is that of one device with
    the whole batch.
    """
    return torch.cat(gather(rows.contiguous())) if world_size() > 1 else rows


def average(losses: list[Tensor]) -> Tensor:
    """The mean of scalar losses."""
    return torch.stack(losses).mean()


def too_few_channels(info: MethodInfo, found: dict[str, int]) -> ConfigError:
    """The error of a method for which no sensor has enough channels."""
    sensors = ", ".join(f"{name} ({count})" for name, count in found.items())
    return ConfigError(
        f"only {sensors}",
        where=f"method {info.name}",
        expected=f"a sensor with {info.min_channels} or more channels",
        action="choose another method for these modalities",
    )
