"""Random numbers for a batch: one draw for each sample, or one for each fruit."""

from __future__ import annotations

import torch
from torch import Tensor

from backend.errors import ConfigError


class Sampler:
    """Draws (B, ...) tensors from one generator, on the generator's device.

    Args:
        generator: the source; its state alone decides every draw.
        batch: B, number of samples.
        groups_of: V, that many samples in a row (the views of one fruit) share each draw.

    Raises:
        ConfigError: B is not a multiple of V.
    """

    def __init__(self, generator: torch.Generator, batch: int, groups_of: int = 1) -> None:
        """Check that the groups fill the batch."""
        if groups_of < 1 or batch % groups_of:
            raise ConfigError(
                f"a batch of {batch} images in groups of {groups_of}",
                where="Sampler",
                expected="a batch that is a multiple of the group",
                action="pass whole fruit, fruit by fruit",
            )
        self.generator = generator
        self.batch = batch
        self.groups_of = groups_of

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """(B, *shape) float32, uniform between ``low`` and ``high``."""
        size = (self.batch // self.groups_of, *shape)
        drawn = torch.rand(size, generator=self.generator, device=self.generator.device)
        return self._spread(drawn.mul_(high - low).add_(low))

    def chance(self, probability: float) -> Tensor:
        """(B,) bool, True with ``probability``."""
        return self.uniform(0.0, 1.0) < probability

    def integers(self, high: int, *shape: int) -> Tensor:
        """(B, *shape) int64, uniform from 0 to ``high`` - 1."""
        size = (self.batch // self.groups_of, *shape)
        return self._spread(torch.randint(high, size, generator=self.generator, device=self.generator.device))

    def permutations(self, n: int) -> Tensor:
        """(B, n) int64, each row a random order of 0 to n - 1."""
        return self.uniform(0.0, 1.0, n).argsort(dim=1)

    def _spread(self, drawn: Tensor) -> Tensor:
        return drawn if self.groups_of == 1 else drawn.repeat_interleave(self.groups_of, dim=0)
