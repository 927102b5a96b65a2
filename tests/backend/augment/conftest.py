"""Images and generators that the augmentation tests share."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

MakeImages = Callable[..., Tensor]


@pytest.fixture
def seeded() -> Callable[[int], torch.Generator]:
    """A CPU generator with a seed."""
    return lambda seed=0: torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> MakeImages:
    """(B, C, H, W) images without symmetry: smooth waves and fine texture, all different, within 0..1."""

    def make(batch: int = 4, channels: int = 3, height: int = 16, width: int = 16, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        rows = torch.linspace(0, 1, height).view(1, 1, height, 1)
        columns = torch.linspace(0, 1, width)
        phase = torch.rand(batch, channels, 2, 1, 1, generator=generator) * 6
        waves = torch.sin(4 * rows + phase[:, :, 0]) * torch.cos(3 * columns + phase[:, :, 1])
        texture = torch.rand(batch, channels, height, width, generator=generator)
        return 0.5 + 0.35 * waves + 0.3 * (texture - 0.5)

    return make


@pytest.fixture
def smooth_photo() -> MakeImages:
    """(1, 3, size, size) one smooth image, on which interpolation kernels hardly differ."""

    def make(size: int = 32) -> Tensor:
        rows = torch.linspace(0, 1, size).view(size, 1)
        columns = torch.linspace(0, 1, size)
        planes = [rows.expand(size, size), columns.expand(size, size), (rows * columns * 3).sin()]
        return torch.stack(planes).unsqueeze(0) * 0.8 + 0.1

    return make
