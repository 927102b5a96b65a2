"""What is done to one modality after its warp: draws bound to their operations, carried out in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from backend.augment.colour import compose
from backend.augment.registry import Colour, Effect, Operation
from backend.augment.sampling import Sampler

Draw = tuple[Tensor, Tensor | None]
"""(B, ...) what was drawn for each sample, and (B,) bool, which samples get it; None = all of them."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A step of a policy with its operation found and its magnitudes scaled.

    Attributes:
        operation: from the registry.
        probability: share of the samples that get it.
        magnitudes: by name, at the configuration's strength.
    """

    operation: Operation
    probability: float
    magnitudes: dict[str, float]

    @property
    def kind(self) -> str:
        """The kind of the operation."""
        return self.operation.info.kind

    def draw(self, sampler: Sampler, channels: int = 0) -> Draw:
        """Draw once for each sample; ``channels`` is 0 where all modalities share the draw."""
        chosen = None if self.probability >= 1 else sampler.chance(self.probability)
        return self.operation.draw(sampler, channels, self.magnitudes), chosen


class Stage(Protocol):
    """Something that changes (n, C, H, W) images in [0, 1], for the rows ``rows`` of the batch."""

    def __call__(self, images: Tensor, rows: slice, generator: torch.Generator) -> Tensor:
        """Return the changed images; ``images`` is the stage's to overwrite."""
        ...


@dataclass(frozen=True)
class EffectStage:
    """One effect, on the samples that were drawn for it.

    Attributes:
        effect: the operation.
        draw: its draws for the whole batch.
    """

    effect: Effect
    draw: Draw

    def __call__(self, images: Tensor, rows: slice, generator: torch.Generator) -> Tensor:
        """See ``Stage``."""
        drawn, chosen = _rows(self.draw, rows)
        if chosen is None:
            return self.effect.apply(images, drawn, generator).clamp_(0, 1)
        if images.device.type != "cpu":
            # Asking a GPU which samples were drawn would stop the pipeline; doing all of them does not.
            changed = self.effect.apply(images, drawn, generator).clamp_(0, 1)
            return torch.where(chosen.view(-1, 1, 1, 1), changed, images)
        index = chosen.nonzero().squeeze(1)
        if not len(index):
            return images
        changed = self.effect.apply(images.index_select(0, index), drawn.index_select(0, index), generator)
        return images.index_copy_(0, index, changed.clamp_(0, 1))


@dataclass(frozen=True)
class ColourStage:
    """Neighbouring colour operations as one matrix for each sample.

    Attributes:
        parts: operations and their draws for the whole batch.
    """

    parts: tuple[tuple[Colour, Draw], ...]

    def __call__(self, images: Tensor, rows: slice, generator: torch.Generator) -> Tensor:
        """See ``Stage``."""
        flat = images.view(len(images), 3, -1)
        mean = flat.mean(dim=2)
        identity = torch.eye(3, 4, device=images.device)
        total = identity.expand(len(images), 3, 4)
        for operation, draw in self.parts:
            drawn, chosen = _rows(draw, rows)
            matrix = operation.matrix(drawn, mean)
            if chosen is not None:
                matrix = torch.where(chosen.view(-1, 1, 1), matrix, identity)
            mean = torch.baddbmm(matrix[..., 3:], matrix[..., :3], mean.unsqueeze(2)).squeeze(2)
            total = compose(matrix, total)
        mixed = torch.baddbmm(total[..., 3:], total[..., :3], flat)
        return mixed.clamp_(0, 1).view_as(images)


def bind(draws: Iterable[tuple[Operation, Draw]]) -> list[Stage]:
    """Bind draws to their operations; colour operations that follow each other become one stage."""
    stages: list[Stage] = []
    for operation, draw in draws:
        if isinstance(operation, Colour):
            last = stages[-1] if stages else None
            if isinstance(last, ColourStage):
                stages[-1] = ColourStage((*last.parts, (operation, draw)))
            else:
                stages.append(ColourStage(((operation, draw),)))
        else:
            assert isinstance(operation, Effect), "geometry is carried out by the warp"
            stages.append(EffectStage(operation, draw))
    return stages


def _rows(draw: Draw, rows: slice) -> Draw:
    drawn, chosen = draw
    return drawn[rows], None if chosen is None else chosen[rows]
