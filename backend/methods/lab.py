"""Colour as people see it: sRGB to CIE L*a*b* (D65), and bins of colour to classify into."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
"""Linear sRGB to XYZ, IEC 61966-2-1."""
_WHITE = (0.95047, 1.0, 1.08883)
BIN = 10.0
"""Side of a colour bin in units of a* and b* (Zhang et al. 2016, section 2.1)."""


def rgb_to_lab(images: Tensor) -> Tensor:
    """SRGB to L*a*b*.

    Args:
        images: (B, 3, H, W) in 0..1.

    Returns:
        (B, 3, H, W): L from 0 to 100, a and b from about -110 to 110.
    """
    linear = torch.where(images <= 0.04045, images / 12.92, ((images.clamp_min(0.0) + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(_TO_XYZ, device=images.device) / torch.tensor(_WHITE, device=images.device)[:, None]
    with torch.autocast(images.device.type, enabled=False):  # rounded to bfloat16 a* and b* are off by 2
        xyz = torch.einsum("ij,bjhw->bihw", matrix, linear)
    delta = 6 / 29
    f = torch.where(xyz > delta**3, xyz.clamp_min(1e-8) ** (1 / 3), xyz / (3 * delta**2) + 4 / 29)
    x, y, z = f.unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


@functools.cache
def colour_bins() -> Tensor:
    """(Q, 2) centres of the (a, b) bins that some sRGB colour falls into."""
    level = torch.linspace(0, 1, 33)
    colours = torch.cartesian_prod(level, level, level)
    ab = rgb_to_lab(colours.T.reshape(1, 3, -1, 1))[0, 1:, :, 0].T
    return torch.unique(torch.round(ab / BIN), dim=0) * BIN


def soft_bins(ab: Tensor, bins: Tensor, neighbours: int = 5, sigma: float = 5.0) -> tuple[Tensor, Tensor]:
    """Spread each colour over its nearest bins by a Gaussian (Zhang et al. 2016, section 2.1).

    Args:
        ab: (N, 2) colours.
        bins: (Q, 2) centres.
        neighbours: how many bins share a colour.
        sigma: of the Gaussian, in units of a and b.

    Returns:
        (N, neighbours) long, the bins from near to far, and (N, neighbours) their shares, which add up to 1.
    """
    distance, index = torch.cdist(ab, bins).topk(neighbours, dim=1, largest=False)
    share = torch.exp(-distance.square() / (2 * sigma**2)) + 1e-12
    return index, share / share.sum(dim=1, keepdim=True)
