"""Convolutions over small maps in training on a CPU, where oneDNN's own take up to several times as long.

The last stages of a backbone for images of 32 to 64 px see maps of 1 to 16 cells, and hold most weights.
There the gradient of the weights is a product of two matrices, gathered patches and gradients of the output
(``im2col``: Chellapilla, Puri and Simard 2006, "High performance convolutional neural networks for document
processing"), and where one cell comes out, so is everything else. Weights, results and names in the state
dictionary are those of ``torch.nn.Conv2d``.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn.grad import conv2d_input

Pair = tuple[int, int]

CELLS = {torch.bfloat16: 16, torch.float32: 4}
"""Largest output map for which the product is faster (``benchmarks/precision.py --maps [--float32]``)."""


class SmallMapConv2d(nn.Conv2d):
    """``torch.nn.Conv2d`` with a faster way through small maps while training on a CPU."""

    @classmethod
    def of(cls, convolution: nn.Conv2d) -> SmallMapConv2d:
        """A convolution with the weights of ``convolution`` themselves, drawing nothing at random."""
        new = nn.utils.skip_init(
            cls,
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,
            stride=convolution.stride,
            padding=convolution.padding,
            bias=False,
        )
        new.weight = convolution.weight
        return new

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to (B, O, h, w)."""
        stride, padding = cast("Pair", self.stride), cast("Pair", self.padding)
        sides = [
            (side + 2 * p - k) // s + 1
            for side, k, s, p in zip(images.shape[2:], self.weight.shape[2:], stride, padding, strict=True)
        ]
        cells = sides[0] * sides[1]
        precision = self._trained_in(images)
        if precision is None or not 0 < cells <= CELLS[precision]:
            return super().forward(images)
        images, weight = images.to(precision), self.weight.to(precision)
        if cells == 1:
            return _one_cell(images, weight, padding)
        return cast("Tensor", _Convolution.apply(images, weight, stride, padding))

    def _trained_in(self, images: Tensor) -> torch.dtype | None:
        """The precision of a step on a CPU; None elsewhere, and in float32 for what is judged."""
        if images.device.type != "cpu":
            return None
        if torch.is_autocast_enabled("cpu"):
            return torch.bfloat16 if torch.get_autocast_dtype("cpu") == torch.bfloat16 else None
        trained = self.training and torch.is_grad_enabled() and images.dtype == torch.float32
        return torch.float32 if trained else None


def speed_up_small_maps(model: nn.Module) -> None:
    """Replace every convolution of ``model`` that can go the faster way: no groups, dilation or bias."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Conv2d and _is_plain(child):
                setattr(parent, name, SmallMapConv2d.of(child))


def _is_plain(convolution: nn.Conv2d) -> bool:
    return (
        convolution.groups == 1
        and convolution.dilation == (1, 1)
        and convolution.bias is None
        and convolution.padding_mode == "zeros"
        and not isinstance(convolution.padding, str)
    )


def _one_cell(images: Tensor, weight: Tensor, padding: Pair) -> Tensor:
    """The convolution from whose map one cell comes out: the part of the kernel that meets the image."""
    rows, columns = (
        slice(p, min(p + side, k))
        for side, k, p in zip(images.shape[2:], weight.shape[2:], padding, strict=True)
    )
    kernel = weight[:, :, rows, columns]
    met = images[:, :, : kernel.shape[2], : kernel.shape[3]]
    # Cells before channels, as channels_last memory has them: neither is copied.
    flat = (part.permute(0, 2, 3, 1).flatten(1) for part in (met, kernel))
    return F.linear(*flat)[:, :, None, None]


class _Convolution(torch.autograd.Function):
    """A convolution whose weights' gradient is one product of matrices."""

    @staticmethod
    def forward(ctx: FunctionCtx, images: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
        ctx.save_for_backward(images, weight)
        cast("Any", ctx).geometry = stride, padding
        return F.conv2d(images, weight, None, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        images, weight = ctx.saved_tensors
        stride, padding = ctx.geometry
        of_images = of_weight = None
        if ctx.needs_input_grad[0]:
            of_images = conv2d_input(images.shape, weight, gradient, stride, padding)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(images, gradient, weight.shape[2:], stride, padding)
        return of_images, of_weight, None, None


def _weight_gradient(
    images: Tensor, gradient: Tensor, kernel: torch.Size, stride: Pair, padding: Pair
) -> Tensor:
    """(O, C, k, l) from (B, C, H, W) images and the (B, O, h, w) gradient of the output."""
    down, across = padding
    padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, across, across, down, down))
    rows, columns = (
        [slice(tap, tap + step * (side - 1) + 1, step) for tap in range(taps)]
        for taps, step, side in zip(kernel, stride, gradient.shape[2:], strict=True)
    )
    patches = [padded[:, row, column] for row in rows for column in columns]
    seen = torch.cat(patches, dim=-1).flatten(0, 2)
    outputs = gradient.permute(0, 2, 3, 1).flatten(0, 2)
    return (outputs.T @ seen).view(gradient.shape[1], *kernel, images.shape[1]).permute(0, 3, 1, 2)
