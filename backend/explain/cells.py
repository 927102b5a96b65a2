"""Where the cells of a feature map lie in the image: what a heat map needs to stand where its evidence is.

Enlarging a map as if its cells were tiles puts the first cell of stride S on pixel (S - 1) / 2. That is right
for patches. A chain of odd kernels with padding, as in a ResNet, centres its first cell on pixel 0, so the
whole heat map would be shifted by half a cell: 1.5 px at stride 4, 7.5 px at stride 16.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backend.models.network import FruitNetwork

_CELLS = 32
"""Cells a side of the image that receptive fields are measured on: no border near the middle one."""


@dataclass(frozen=True)
class Cells:
    """Cell i of a map is centred on pixel ``first + i * stride``, along both sides."""

    first: float
    stride: float

    def coarser(self, factor: int) -> Cells:
        """Cells of a later stage: ``factor`` times as far apart, lying in their share of the image alike."""
        return Cells(self.first * factor, self.stride * factor)


def cells_of(model: FruitNetwork, stage: int) -> Cells:
    """The cells of the feature map after a stage, to half a pixel.

    They are measured: with kernels that are flat in space, on an image of one colour, the gradient of a cell
    is as symmetric as its receptive field, so its centre is that of the field, whatever the weights are.

    Args:
        model: with an image sensor; not changed.
        stage: an index of ``Backbone.stages``.
    """
    encoder = copy.deepcopy(model.encoder(next(iter(model.encoders)))).eval()
    stages = encoder.backbone.stages
    encoder.backbone.stages = stages[: stage % len(stages) + 1]  # what comes later only takes time
    _flatten(encoder)
    colour = (encoder.normalise.mean + encoder.normalise.std).view(1, -1, 1, 1)
    with torch.enable_grad():
        side = _CELLS
        while (maps := encoder.feature_maps(colour.repeat(1, 1, side, side))[-1]).shape[-1] < _CELLS:
            side *= 2
        image = colour.repeat(1, 1, side, side).requires_grad_()
        maps = encoder.feature_maps(image)[-1]
        middle, stride = maps.shape[-1] // 2, side / maps.shape[-1]
        (gradient,) = torch.autograd.grad(maps[0, :, middle, middle].square().sum(), image)
    weight = gradient.abs().sum(dim=(0, 1, 2))
    weight = weight - weight.min()  # what squeeze-and-excitation takes from everywhere alike
    if not weight.any():
        return Cells((stride - 1) / 2, stride)
    place = float((weight * torch.arange(side, device=weight.device)).sum() / weight.sum())
    return Cells(round(2 * (place - middle * stride)) / 2, stride)


def _flatten(encoder: nn.Module) -> None:
    """Make every kernel flat; of equal pixels a maximum would choose the first, so it becomes a mean."""
    for module in list(encoder.modules()):
        if isinstance(module, nn.Conv2d):
            flat = module.weight.detach().mean(dim=(2, 3), keepdim=True)
            module.weight = nn.Parameter(flat.expand_as(module.weight).contiguous())
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))


def spread(maps: Tensor, side: int, cells: Cells) -> Tensor:
    """(B, V, h, h) maps to (B, V, side, side), bilinear between centres of cells, constant beyond them."""
    last = maps.shape[-1] - 1
    place = (torch.arange(side, device=maps.device, dtype=maps.dtype) - cells.first) / cells.stride
    place = 2 * place / max(last, 1) - 1
    grid = torch.stack(torch.meshgrid(place, place, indexing="xy"), dim=-1)
    return F.grid_sample(
        maps, grid.expand(len(maps), -1, -1, -1), mode="bilinear", padding_mode="border", align_corners=True
    )
