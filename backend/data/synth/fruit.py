"""What a pallet of synthetic Hass avocados is: shapes, ripeness, light, defects and their severities.

Everything here is drawn from one generator per pallet, ``default_rng([seed, pallet])``, always for a whole
pallet, so a fruit depends on (seed, its index) alone: not on how many fruit are made or by how many workers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.data.synth.catalogue import DEFECTS, FRUIT_FACTORS, MARKS, PALLET_FACTORS, DefectSpec

Floats = NDArray[np.float32]

PALLET_SIZE = 12
MILDEST = 0.45
"""Least severity: what is milder, an inspector does not call a defect."""
VIEWS = ("1", "2", "3", "4")
VIEW_ANGLES: Floats = np.float32(np.pi / 2) * np.arange(4, dtype=np.float32)
PRESSURES = ("tap1", "tap2", "tap3", "recovery")
TAP_ANGLES: Floats = np.float32(2 * np.pi / 3) * np.arange(3, dtype=np.float32)
TAP_HEIGHT = 0.2


@dataclass(frozen=True)
class Pallet:
    """What the fruit of one pallet share: the line they were pictured on.

    Attributes:
        name: the group.
        light: (3,) direction of the lamp in image axes (x right, y down, z to the camera), unit length.
        rgb_gain: (3,) exposure times colour temperature.
        nir_gain: exposure of the NIR camera.
        belt: (3,) colour of the conveyor, 0 to 1.
        belt_nir: its brightness in NIR.
        roller: width of a roller, in image sides.
        noise: standard deviation of the RGB sensor noise, 0 to 1; NIR has 1.5 times as much.
        gauge: calibration factor of the pressure gauge.
    """

    name: str
    light: Floats
    rgb_gain: Floats
    nir_gain: float
    belt: Floats
    belt_nir: float
    roller: float
    noise: float
    gauge: float


@dataclass(frozen=True)
class Fruit:
    """B fruit as arrays; lengths in image sides, angles in radians, D defects, V views.

    Attributes:
        ripeness: (B,) 0 hard and green to 1 soft and purple-black.
        length: (B,) half of the long axis.
        width: (B, V) largest radius seen from each side (the cross-section is an ellipse).
        profile: (B, 3) coefficients of t, t² and t³ in the outline.
        bend: (B, V) how far the neck leans to the side in each view.
        tilt: (B,) rotation in the image plane.
        shift: (B, V, 2) centre of the fruit in the image.
        texture: (B, 2) offset into the skin texture, 0 to 1.
        phase: (B,) position of the rollers, 0 to 1.
        firmness: (B,) factor on the tap force that ripeness does not explain.
        flesh: (B, 2) how NIR changes along the long axis, and how cloudy it is, in sound fruit.
        severity: (B, D) 0 = absent, else above 0 to 1.
        counts: (B, D) number of marks.
        angles: (B, D, MARKS) where on the circumference each mark is.
        heights: (B, D, MARKS) where along the long axis, -1 to 1.
        sizes: (B, D, MARKS) relative size, about 1.
    """

    ripeness: Floats
    length: Floats
    width: Floats
    profile: Floats
    bend: Floats
    tilt: Floats
    shift: Floats
    texture: Floats
    phase: Floats
    firmness: Floats
    flesh: Floats
    severity: Floats
    counts: NDArray[np.int64]
    angles: Floats
    heights: Floats
    sizes: Floats


def pallet_generator(seed: int, pallet: int) -> np.random.Generator:
    """The one source of chance of a pallet."""
    return np.random.default_rng([seed, pallet])


def draw_pallet(rng: np.random.Generator, index: int) -> Pallet:
    """Draw the line on which pallet number ``index`` was pictured."""
    azimuth, height = rng.uniform(-2.5, -1.2), rng.uniform(0.55, 0.95)
    radius = np.sqrt(1 - height**2)
    warmth = rng.normal(0, 0.05)
    gain = rng.uniform(0.82, 1.18)
    grey = rng.uniform(0.10, 0.42)
    tint = rng.normal(0, 0.03, 3) + grey * np.array([-0.1, 0.0, 0.15]) * rng.uniform(0, 2)
    return Pallet(
        name=f"pallet-{index:04d}",
        light=np.array([radius * np.cos(azimuth), radius * np.sin(azimuth), height], np.float32),
        rgb_gain=np.array([gain * (1 + warmth), gain, gain * (1 - warmth)], np.float32),
        nir_gain=float(rng.uniform(0.85, 1.15)),
        belt=np.clip(grey + tint, 0.03, 0.6).astype(np.float32),
        belt_nir=float(rng.uniform(0.08, 0.45)),
        roller=float(rng.uniform(0.16, 0.34)),
        noise=float(rng.uniform(0.006, 0.014)),
        gauge=float(rng.normal(1, 0.03)),
    )


def draw_severities(rng: np.random.Generator, storage_and_more: Floats, count: int) -> Floats:
    """Severities of ``DEFECTS`` by a Gaussian copula.

    A defect's latent is a weighted sum of pallet factors, fruit factors and chance, of unit variance; the
    fruit has the defect where the latent exceeds the normal quantile of (1 - prevalence), so prevalences
    hold exactly in expectation while pallets differ and defects co-occur. How far up in that tail the
    latent lies is the severity, uniform from ``MILDEST`` to 1.

    Args:
        rng: source of chance.
        storage_and_more: (len(PALLET_FACTORS),) standard normal history of the pallet.
        count: number of fruit, B.

    Returns:
        (B, D) severities, 0 where the defect is absent.
    """
    from scipy.special import ndtr

    pallet_loadings = np.array([[spec.pallet.get(name, 0) for name in PALLET_FACTORS] for spec in DEFECTS])
    fruit_loadings = np.array([[spec.fruit.get(name, 0) for name in FRUIT_FACTORS] for spec in DEFECTS])
    prevalence = np.array([spec.prevalence for spec in DEFECTS])
    rest = np.sqrt(1 - (pallet_loadings**2).sum(1) - (fruit_loadings**2).sum(1))
    factors = rng.standard_normal((count, len(FRUIT_FACTORS)))
    latent = storage_and_more @ pallet_loadings.T + factors @ fruit_loadings.T
    latent = latent + rest * rng.standard_normal((count, len(DEFECTS)))
    tail = 1 - (1 - ndtr(latent)) / prevalence
    return np.where(tail > 0, MILDEST + (1 - MILDEST) * tail, 0).astype(np.float32)


def draw_fruit(rng: np.random.Generator, count: int = PALLET_SIZE) -> Fruit:
    """Draw the fruit of one pallet with the defects of ``DEFECTS``."""
    history = rng.standard_normal(len(PALLET_FACTORS))
    severity = draw_severities(rng, history.astype(np.float32), count)
    # Stored longer = riper; the fruit of a pallet ripen at about the same pace.
    pallet_ripeness = rng.normal(-0.35, 0.8) + 0.5 * history[0]
    ripeness = 1 / (1 + np.exp(-1.3 * (pallet_ripeness + rng.normal(0, 0.55, count))))
    return shape_fruit(rng, ripeness.astype(np.float32), severity, DEFECTS)


def shape_fruit(
    rng: np.random.Generator, ripeness: Floats, severity: Floats, specs: tuple[DefectSpec, ...]
) -> Fruit:
    """Draw everything of B fruit that ripeness and severities leave open."""
    count, depth = severity.shape
    around = rng.uniform(0, 2 * np.pi, (2, count, 1))
    length = rng.uniform(0.37, 0.45, (count,))
    width = length * rng.uniform(0.64, 0.76, (count,))
    ellipse = rng.uniform(0, 0.035, (count, 1)) * np.cos(2 * (VIEW_ANGLES - around[0]))
    bend = rng.uniform(0, 0.035, (count, 1)) * np.cos(VIEW_ANGLES - around[1])
    profile = rng.uniform((0.14, -0.08, 0.0), (0.34, 0.08, 0.22), (count, 3))
    shift = rng.normal(0, 0.012, (count, len(VIEWS), 2)).clip(-0.03, 0.03)
    flesh = rng.normal((0.0, 0.035), (0.045, 0.012), (count, 2))
    low, high = (np.array([spec.marks[i] for spec in specs]) for i in (0, 1))
    counts = np.rint(low + (high - low) * (0.75 * severity + 0.25 * rng.random((count, depth))))
    angles = rng.uniform(0, 2 * np.pi, (count, depth, MARKS))
    bottom, top = (np.array([spec.heights[i] for spec in specs])[:, None] for i in (0, 1))
    heights = bottom + (top - bottom) * rng.random((count, depth, MARKS))
    return Fruit(
        ripeness=ripeness.astype(np.float32),
        length=length.astype(np.float32),
        width=(width[:, None] * (1 + ellipse)).astype(np.float32),
        profile=profile.astype(np.float32),
        bend=bend.astype(np.float32),
        tilt=rng.normal(0, 0.12, (count,)).clip(-0.3, 0.3).astype(np.float32),
        shift=shift.astype(np.float32),
        texture=rng.random((count, 2)).astype(np.float32),
        phase=rng.random((count,)).astype(np.float32),
        firmness=rng.normal(1, 0.05, (count,)).clip(0.8, 1.2).astype(np.float32),
        flesh=flesh.astype(np.float32),
        severity=severity,
        counts=counts.astype(np.int64),
        angles=angles.astype(np.float32),
        heights=heights.astype(np.float32),
        sizes=rng.uniform(0.75, 1.25, (count, depth, MARKS)).astype(np.float32),
    )


def draw_pressures(
    rng: np.random.Generator, fruit: Fruit, specs: tuple[DefectSpec, ...], gauge: float
) -> Floats:
    """Tap readings of B fruit.

    A finger taps three places on the equator and reads the peak force in newton, 32 N on a hard fruit and
    6 N on a soft one, less where broken flesh lies under it. ``recovery`` is the share of the dent that
    springs back within 0.1 s: ripe flesh still springs, broken flesh does not.

    Returns:
        (B, len(PRESSURES)) readings.
    """
    turn = np.cos(fruit.angles[..., None] - TAP_ANGLES)  # (B, D, MARKS, taps)
    rise = (fruit.heights[..., None] - TAP_HEIGHT) ** 2
    near = np.exp(-2.2 * (1 - turn) - 1.5 * rise)
    there = np.arange(MARKS) < fruit.counts[..., None]
    near = (near * there[..., None]).max(axis=2)  # (B, D, taps)
    loss = np.array([spec.tap for spec in specs])[:, None] * fruit.severity[..., None]
    soft = np.prod(1 - loss * (0.25 + 0.75 * near), axis=1)
    force = 32 * np.exp(-1.67 * fruit.ripeness) * fruit.firmness * gauge
    noise = rng.normal(1, 0.035, soft.shape)
    drop = fruit.severity @ np.array([spec.recovery for spec in specs])
    recovery = 0.86 - 0.22 * fruit.ripeness - drop + rng.normal(0, 0.025, len(drop))
    readings = np.column_stack([force[:, None] * soft * noise, recovery.clip(0.02, 0.98)])
    return readings.astype(np.float32)
