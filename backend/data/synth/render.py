"""Pictures of a pallet: albedo, defects, light, conveyor, camera noise, for RGB and NIR in one pass.

Colours are display values from 0 to 1. Every array is (B, V, S, S); the colour channels are three such
planes, so that a defect can paint the few fruit that have it without copying the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.data.synth.fruit import Floats, Fruit, Pallet
from backend.data.synth.painters import Painter, PaintJob
from backend.data.synth.surface import Surface, surface
from backend.data.synth.textures import skin

Bytes = NDArray[np.uint8]

# The skin of a Hass avocado from green over brownish to purple-black: quadratic Bézier points.
_GREEN = (0.36, 0.44, 0.20)
_TURNING = (0.27, 0.22, 0.14)
_BLACK = (0.15, 0.105, 0.125)
_PORE = (0.56, 0.55, 0.36)
_WOOD = (0.42, 0.31, 0.20)


@dataclass(frozen=True)
class Pictures:
    """Pictures of B fruit from V sides.

    Attributes:
        rgb: (B, V, S, S, 3) uint8.
        nir: (B, V, S, S) uint8.
        masks: defect name to the n fruit that have it and (n, V, S, S), where on them it is.
    """

    rgb: Bytes
    nir: Bytes
    masks: dict[str, tuple[NDArray[np.intp], NDArray[np.bool_]]]


@dataclass
class _Paint:
    """What the skin looks like before light falls on it; painters change it in place."""

    colour: list[Floats]
    nir: Floats
    gloss: Floats


def render(
    rng: np.random.Generator, fruit: Fruit, pallet: Pallet, painters: Mapping[str, Painter], size: int
) -> Pictures:
    """Draw B fruit with their defects.

    Args:
        rng: source of the camera noise.
        fruit: shapes, ripeness and severities.
        pallet: light and conveyor.
        painters: name and painter of each of the D defects, in the order of ``fruit.severity``.
        size: S, pixels a side.
    """
    ground = surface(fruit, size)
    paint = _bare_skin(fruit, ground)
    masks = {}
    for column, (name, painter) in enumerate(painters.items()):
        rows = np.flatnonzero(fruit.severity[:, column])
        if len(rows):
            masks[name] = (rows, _apply(painter, PaintJob(ground.rows(rows), fruit, rows, column), paint))
    return Pictures(*_expose(rng, fruit, pallet, ground, paint), masks)


def _apply(painter: Painter, job: PaintJob, paint: _Paint) -> NDArray[np.bool_]:
    result = painter(job)
    for coat in result.coats:
        opacity = coat.cover * coat.opacity
        if coat.colour is not None:
            for plane, value in zip(paint.colour, coat.colour, strict=True):
                under = plane[job.rows]
                plane[job.rows] = under + opacity * (np.float32(value) - under)
            paint.gloss[job.rows] *= 1 - np.float32(0.7) * opacity
        if coat.nir is not None:
            paint.nir[job.rows] *= 1 - coat.cover * coat.nir
    inside = job.surface.cover > 0.5
    return (result.extent > 0.5) & inside


def _bare_skin(fruit: Fruit, ground: Surface) -> _Paint:
    """Albedo of healthy fruit: ripening comes in patches, pores are pale until the skin is dark."""
    maps = skin()
    ripe = fruit.ripeness[:, None, None, None]
    mottle = maps.mottle.take(ground.texel)
    spread = np.float32(0.30) * ripe * (1 - ripe) * 2
    m = np.clip(ripe + spread * mottle, 0, 1)
    rest = 1 - m
    pores = maps.pores.take(ground.texel) * (np.float32(0.42) * rest + np.float32(0.06))
    tone = 1 + np.float32(0.06) * mottle
    wood = np.maximum(np.clip((np.float32(-0.965) - ground.t) * 40, 0, 1), ground.stub)
    colour = []
    for green, turning, black, pore, brown in zip(_GREEN, _TURNING, _BLACK, _PORE, _WOOD, strict=True):
        plane = rest * (green * rest + (2 * turning) * m) + black * m * m
        plane *= tone
        plane += pores * (pore - plane)
        plane += wood * (brown - plane)
        colour.append(plane)
    # Flesh differs: oil and dry matter change along the fruit, and in clouds, without being a defect.
    lean, cloud = (fruit.flesh[:, i, None, None, None] for i in range(2))
    nir = (np.float32(0.74) - np.float32(0.07) * ripe) * (1 + lean * ground.t + cloud * mottle)
    nir *= 1 - np.float32(0.25) * wood
    gloss = 1 - wood
    return _Paint(colour, nir, gloss)


def _expose(
    rng: np.random.Generator, fruit: Fruit, pallet: Pallet, ground: Surface, paint: _Paint
) -> tuple[Bytes, Bytes]:
    """Light the fruit, lay it on the conveyor and take both pictures."""
    cosine, sine = (f(fruit.tilt)[:, None, None, None] for f in (np.cos, np.sin))
    lx = cosine * pallet.light[0] + sine * pallet.light[1]
    ly = cosine * pallet.light[1] - sine * pallet.light[0]
    lz = pallet.light[2]
    maps = skin()
    relief = maps.slope_x.take(ground.texel) * lx + maps.slope_y.take(ground.texel) * ly
    facing = ground.nx * lx + ground.ny * ly + ground.nz * lz
    ambient = np.float32(0.30) + np.float32(0.22) * ground.nz
    bumps = np.float32(0.34) * relief
    shade = ambient + np.float32(0.85) * np.maximum(facing - bumps, 0)
    norm = np.sqrt(2 + 2 * lz)
    mirror = facing + ground.nz - np.float32(0.16) * relief
    shine = np.exp(np.float32(26) * (np.minimum(mirror / norm, 1) - 1)) * paint.gloss
    dullness = np.float32(0.20) + np.float32(0.10) * fruit.ripeness[:, None, None, None]
    shine *= dullness
    belt, shadow = _belt(fruit, pallet, ground)
    cover = np.maximum(ground.cover, ground.stub)
    planes = []
    for channel, plane in enumerate(paint.colour):
        lit = plane * shade + shine
        back = belt * pallet.belt[channel]
        planes.append((back + cover * (lit - back)) * pallet.rgb_gain[channel])
    flat = (
        np.float32(0.52)
        + np.float32(0.30) * ground.nz
        + np.float32(0.22) * np.maximum(facing - bumps * 0.4, 0)
    )
    back = (np.float32(0.5) + np.float32(0.5) * shadow) * pallet.belt_nir
    nir = (back + cover * (paint.nir * flat - back)) * pallet.nir_gain
    rgb = np.stack(planes, axis=-1)
    return _develop(rng, rgb, pallet.noise), _develop(rng, nir, 1.5 * pallet.noise)


def _belt(fruit: Fruit, pallet: Pallet, ground: Surface) -> tuple[Floats, Floats]:
    """Brightness of the rollers beside the fruit, and the soft shadow that it throws on them."""
    size = ground.cover.shape[-1]
    across = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / size
    turn = (across / np.float32(pallet.roller) + fruit.phase[:, None]) % 1  # (B, S)
    rollers = np.float32(0.55) + np.float32(0.75) * np.sqrt(1 - (2 * turn - 1) ** 2)
    shadow = 1 - np.float32(0.6) * np.exp(ground.outside * np.float32(-16))
    return rollers[:, None, None, :] * shadow, shadow


def _develop(rng: np.random.Generator, picture: Floats, noise: float) -> Bytes:
    """Add sensor noise and quantise to 8 bits."""
    grain = rng.standard_normal(picture.shape, dtype=np.float32)
    grain *= np.float32(255 * noise)
    grain += picture * np.float32(255)
    return np.clip(grain, 0, 255, out=grain).astype(np.uint8)
