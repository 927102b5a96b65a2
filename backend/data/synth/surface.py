"""Where every pixel of a view lies on the fruit: a bent, elliptic solid of revolution, seen from afar.

Fruit frame: x to the right, y along the long axis (stem end up, negative), z to the camera, in image
sides. Seen from the angle a, the surface point at angle p appears at x = R sin(p - a), z = R cos(p - a),
so a mark at (angle, height) shows up in every view from which that side is visible, at the right place.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from backend.data.synth.fruit import VIEW_ANGLES, Floats, Fruit
from backend.data.synth.textures import HEIGHT, TEXELS, WIDTH

_STUB = np.float32(0.019)


@dataclass(frozen=True)
class Surface:
    """Arrays (B, V, S, S) for B fruit, V views and S pixels a side, unless stated.

    Attributes:
        cover: share of the pixel that the fruit covers, 0 to 1.
        x: position in the fruit frame.
        y: position along the long axis.
        z: height towards the camera, 0 at the silhouette.
        t: y over half the fruit's length, -1 stem end to 1 blossom end.
        nx: unit normal.
        ny: unit normal.
        nz: unit normal.
        stub: share of the pixel that the cut stem covers, 0 to 1.
        outside: distance to the fruit, roughly, in image sides; 0 inside.
        texel: index into the maps of ``textures.skin``.
    """

    cover: Floats
    x: Floats
    y: Floats
    z: Floats
    t: Floats
    nx: Floats
    ny: Floats
    nz: Floats
    stub: Floats
    outside: Floats
    texel: NDArray[np.intp]

    def rows(self, index: NDArray[np.intp]) -> Surface:
        """The surfaces of some of the fruit."""
        return Surface(*(getattr(self, field.name)[index] for field in fields(self)))


def outline(t: Floats, fruit: Fruit) -> tuple[Floats, Floats]:
    """Radius over the fruit's width, and its derivative by ``t``, of a pear-like profile.

    Args:
        t: (B, …) heights between -1 and 1.
        fruit: B fruit.
    """
    shape = (-1,) + (1,) * (t.ndim - 1)
    a, b, c = (fruit.profile[:, i].reshape(shape) for i in range(3))
    root = np.sqrt(np.maximum(1 - t * t, np.float32(2e-3)))
    bulge = 1 + t * (a + t * (b + t * c))
    slope = a + t * (2 * b + 3 * c * t)
    return root * bulge, root * slope - t / root * bulge


def surface(fruit: Fruit, size: int) -> Surface:
    """Cast one ray a pixel at B fruit from every side.

    Args:
        fruit: B fruit.
        size: S, pixels a side.
    """
    grid = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)
    right = grid - fruit.shift[:, :, 0, None, None]  # (B, V, 1, S)
    down = grid[:, None] - fruit.shift[:, :, 1, None, None]  # (B, V, S, 1)
    cosine: Floats = np.cos(fruit.tilt)[:, None, None, None]
    sine: Floats = np.sin(fruit.tilt)[:, None, None, None]
    length = fruit.length[:, None, None, None]
    width = fruit.width[:, :, None, None]
    y = cosine * down - sine * right
    height = (y / length).astype(np.float32, copy=False)
    t: Floats = np.clip(height, np.float32(-0.999), np.float32(0.999))
    radius, slope = outline(t, fruit)
    radius *= width
    slope *= width / length
    x: Floats = cosine * right + sine * down - fruit.bend[:, :, None, None] * (t * t - np.float32(0.3))
    outside = np.maximum(np.sqrt((x / width) ** 2 + height * height) - 1, 0) * width
    stub = np.clip((_STUB - np.abs(x)) * size + 0.5, 0, 1)
    stub *= np.clip((_STUB - np.abs(y + length)) * size + 0.5, 0, 1)
    steep = np.sqrt(1 + slope * slope)
    edge = (radius - np.abs(x)) / steep
    ends = (1 - np.abs(height)) * length
    cover = np.clip(edge * size + 0.5, 0, 1) * np.clip(ends * size + 0.5, 0, 1)
    x = np.clip(x, -radius, radius)
    across = x / radius
    facing = np.sqrt(np.maximum(1 - across * across, 0))
    return Surface(
        cover=cover,
        x=x,
        y=y,
        z=radius * facing,
        t=t,
        nx=across / steep,
        ny=-slope / steep,
        nz=facing / steep,
        stub=stub,
        outside=outside,
        texel=_texels(np.arcsin(across), y, fruit),
    )


def _texels(angle: Floats, y: Floats, fruit: Fruit) -> NDArray[np.intp]:
    """Index of the skin texel under each pixel; the offset keeps two fruit from wearing the same skin."""
    turn = VIEW_ANGLES / np.float32(2 * np.pi) + fruit.texture[:, :1]
    column = angle * np.float32(WIDTH / (2 * np.pi)) + (turn * WIDTH + WIDTH)[:, :, None, None]
    row = y * np.float32(TEXELS) + (fruit.texture[:, 1] * HEIGHT + 2 * HEIGHT)[:, None, None, None]
    index = (row.astype(np.int32) & (HEIGHT - 1)) * WIDTH + (column.astype(np.int32) & (WIDTH - 1))
    return index.astype(np.intp)
