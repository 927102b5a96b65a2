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
        gather: apply it to the drawn samples only. Otherwise to all, keeping the results that were drawn:
            asking a GPU which ones they are would wait for everything queued before.
    """

    effect: Effect
    draw: Draw
    gather: bool

    def __call__(self, images: Tensor, rows: slice, generator: torch.Generator) -> Tensor:
        """See ``Stage``."""
        drawn, chosen = self.draw[0][rows], self.draw[1]
        if chosen is None:
            return self.effect.apply(images, drawn, generator).clamp_(0, 1)
        chosen = chosen[rows]
        if not self.gather:
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
        maps: (B, 3, 6), see ``Colour``.
    """

    maps: Tensor

    def __call__(self, images: Tensor, rows: slice, generator: torch.Generator) -> Tensor:
        """See ``Stage``."""
        maps = self.maps[rows]
        flat = images.flatten(2)
        offset = torch.bmm(maps[..., 3:], flat.mean(dim=2, keepdim=True))
        return torch.baddbmm(offset, maps[..., :3], flat).clamp_(0, 1).view_as(images)


def bind(draws: Iterable[tuple[Operation, Draw]], *, gather: bool) -> list[Stage]:
    """Bind draws to their operations; colour operations that follow each other become one stage.

    Args:
        draws: operations other than geometry, in order, each with its draws.
        gather: see ``EffectStage``.
    """
    stages: list[Stage] = []
    for operation, draw in draws:
        if isinstance(operation, Colour):
            maps = chosen_or_identity(draw, torch.eye(3, 6))
            last = stages[-1] if stages else None
            if isinstance(last, ColourStage):
                stages[-1] = ColourStage(compose(maps, last.maps))
            else:
                stages.append(ColourStage(maps))
        else:
            assert isinstance(operation, Effect), "geometry is carried out by the warp"
            stages.append(EffectStage(operation, draw, gather))
    return stages


def chosen_or_identity(draw: Draw, identity: Tensor) -> Tensor:
    """(B, n, m) the maps that were drawn, and ``identity`` (n, m) for the samples that get none."""
    maps, chosen = draw
    return maps if chosen is None else torch.where(chosen.view(-1, 1, 1), maps, identity.to(maps))
