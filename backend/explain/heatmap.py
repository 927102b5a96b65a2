"""Class maps as pictures: enlarged to the working resolution, packed as PNG and, unscaled, as npz."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def enlarge(maps: Tensor, side: int) -> Tensor:
    """(B, V, h, w) maps to (B, V, side, side), bilinear, as the reference implementation does."""
    return F.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False)


def grey_png(heat: NDArray[np.float32], highest: float) -> bytes:
    """A map as an 8-bit grey PNG.

    Args:
        heat: (S, S), 0 or more.
        highest: what becomes white: the maximum over all views of the fruit, so that they compare.
    """
    from PIL import Image

    scaled = heat / highest if highest > 0 else np.zeros_like(heat)
    buffer = io.BytesIO()
    Image.fromarray(np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def pack_maps(maps: Mapping[str, NDArray[np.floating]]) -> bytes:
    """Raw maps by name as npz bytes, readable without pickle."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **maps)  # type: ignore[arg-type]
    return buffer.getvalue()
