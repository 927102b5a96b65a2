"""The skin of a Hass avocado as periodic maps, made once per process and shared by every fruit.

A map is WIDTH texels around the fruit by HEIGHT along it, flattened, so that a pixel looks up
``row * WIDTH + column``; both sides are powers of two, so that wrapping round is a bit mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WIDTH, HEIGHT = 512, 256
TEXELS = 290.0
"""Texels per image side: WIDTH over the circumference of an average fruit."""
_SEED = 20_211_105
_CELL = 13.0


@dataclass(frozen=True)
class Skin:
    """Flattened maps of WIDTH * HEIGHT texels.

    Attributes:
        slope_x: slope of the pebbles around the fruit, about -1 to 1.
        slope_y: slope of the pebbles along the fruit.
        mottle: slow noise of unit variance (ripening comes in patches).
        rough: quicker noise of unit variance (ragged edges of lesions).
        pores: 0 to 1, the pale lenticels on a quarter of the pebbles.
    """

    slope_x: Floats
    slope_y: Floats
    mottle: Floats
    rough: Floats
    pores: Floats


def _smooth_noise(rng: np.random.Generator, wavelength: float) -> Floats:
    """Periodic Gaussian noise with a band of wavelengths about ``wavelength`` texels, unit variance."""
    white = np.fft.rfft2(rng.standard_normal((HEIGHT, WIDTH)))
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH))
    band = np.exp(-((frequency * wavelength) ** 2)) * frequency
    noise = np.fft.irfft2(white * band, s=(HEIGHT, WIDTH))
    return (noise / noise.std()).astype(np.float32)


@lru_cache(maxsize=1)
def skin() -> Skin:
    """The maps; the same on every machine that rounds alike."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(_SEED)
    columns, rows = round(WIDTH / _CELL), round(HEIGHT / _CELL)
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    size = np.array([WIDTH, HEIGHT])
    centres = (grid + rng.uniform(0.1, 0.9, grid.shape)) * size / (columns, rows) % size
    texels = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1).reshape(-1, 2)
    to_pebble = cKDTree(centres, boxsize=size).query(texels)[0].reshape(HEIGHT, WIDTH)
    pored = centres[rng.random(len(centres)) < 0.3]
    to_pore = cKDTree(pored, boxsize=size).query(texels)[0]
    relief = np.clip(1 - (to_pebble / (0.62 * _CELL)) ** 2, 0, 1) + 0.15 * _smooth_noise(rng, 6)
    slope_x = (np.roll(relief, -1, 1) - np.roll(relief, 1, 1)) * 2.5
    slope_y = (np.roll(relief, -1, 0) - np.roll(relief, 1, 0)) * 2.5
    return Skin(
        slope_x=slope_x.astype(np.float32).ravel(),
        slope_y=slope_y.astype(np.float32).ravel(),
        mottle=_smooth_noise(rng, 110).ravel(),
        rough=_smooth_noise(rng, 34).ravel(),
        pores=np.exp(-((to_pore / 3.2) ** 2)).astype(np.float32),
    )
