"""How each defect looks: which part of the skin it covers and what it does to colour, NIR and gloss.

A painter gets the surfaces of the fruit that have its defect and returns coats of paint. ``nir`` is the
share of NIR light that is lost: light enters the skin, scatters in the flesh and comes back, so flesh that
is wet, brown or dead shows as a dark, soft-edged patch although the skin above it looks sound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.data.synth.fruit import VIEW_ANGLES, Floats, Fruit
from backend.data.synth.surface import Surface, outline
from backend.data.synth.textures import skin

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Coat:
    """One layer of paint on n fruit.

    Attributes:
        cover: (n, V, S, S) 0 to 1.
        colour: RGB, 0 to 1; None where the skin looks sound.
        opacity: (n, 1, 1, 1) of the colour at full cover.
        nir: (n, 1, 1, 1) share of NIR lost at full cover (negative = brighter); None where NIR sees nothing.
    """

    cover: Floats
    colour: Colour | None = None
    opacity: Floats | float = 1.0
    nir: Floats | float | None = None


@dataclass(frozen=True)
class Painted:
    """Coats, and the extent (n, V, S, S) whose half-way contour is the ground-truth mask."""

    extent: Floats
    coats: tuple[Coat, ...]


@dataclass(frozen=True)
class PaintJob:
    """The n fruit that have one defect: their surfaces, all fruit of the pallet, and which ones they are."""

    surface: Surface
    fruit: Fruit
    rows: NDArray[np.intp]
    column: int

    @property
    def severity(self) -> Floats:
        """(n, 1, 1, 1)."""
        return self.fruit.severity[self.rows, self.column][:, None, None, None]

    def noise(self, name: str) -> Floats:
        """A map of ``textures.skin`` under every pixel."""
        values: Floats = getattr(skin(), name)
        return values.take(self.surface.texel)

    def size(self, mark: int) -> Floats:
        """(n, 1, 1, 1) relative size of a mark."""
        return self.fruit.sizes[self.rows, self.column, mark][:, None, None, None]

    def has(self, mark: int) -> Floats:
        """(n, 1, 1, 1) 1 where the fruit has that many marks."""
        return (self.fruit.counts[self.rows, self.column] > mark).astype(np.float32)[:, None, None, None]

    @property
    def marks(self) -> range:
        """The marks that any of the fruit has."""
        return range(int(self.fruit.counts[self.rows, self.column].max()))

    def centre(self, mark: int) -> tuple[Floats, Floats, Floats]:
        """Position of a mark in the fruit frame of each view, each (n, V, 1, 1)."""
        height = self.fruit.heights[self.rows, self.column, mark]
        turn = self.fruit.angles[self.rows, self.column, mark][:, None] - VIEW_ANGLES
        radius = _outline_of(height, self.fruit, self.rows) * self.fruit.width[self.rows]
        x, z = radius * np.sin(turn), radius * np.cos(turn)
        y = np.broadcast_to((height * self.fruit.length[self.rows])[:, None], x.shape)
        return x[:, :, None, None], y[:, :, None, None], z[:, :, None, None]

    def offset(self, mark: int) -> tuple[Floats, Floats, Floats]:
        """Vector from a mark to every pixel's surface point."""
        x, y, z = self.centre(mark)
        return self.surface.x - x, self.surface.y - y, self.surface.z - z

    def distance(self, mark: int) -> Floats:
        """Squared distance through the fruit from a mark to every pixel's surface point."""
        dx, dy, dz = self.offset(mark)
        return dx * dx + dy * dy + dz * dz


Painter = Callable[[PaintJob], Painted]


def _outline_of(height: Floats, fruit: Fruit, rows: NDArray[np.intp]) -> Floats:
    """(n, 1) radius over width at one height of each fruit."""
    every = np.zeros((len(fruit.ripeness), 1), np.float32)
    every[rows, 0] = height
    return outline(every, fruit)[0][rows]


def _ramp(value: Floats) -> Floats:
    """0 below 0, 1 above 1, smooth between."""
    v = np.clip(value, 0, 1)
    return v * v * (3 - 2 * v)


def lesions(job: PaintJob, radius: Floats, ragged: float, sharp: float) -> Floats:
    """Union of round marks with ragged edges; ``sharp`` = width of the edge over the radius, inverted."""
    rough = 1 + np.float32(ragged) * job.noise("rough")
    cover = np.zeros_like(job.surface.x)
    for mark in job.marks:
        reach = radius * job.size(mark) * (job.has(mark) + np.float32(1e-3)) * rough
        away = np.sqrt(job.distance(mark)) / np.maximum(reach, np.float32(1e-4))
        np.maximum(cover, _ramp((1 - away) * np.float32(sharp) + np.float32(0.5)), out=cover)
    return cover


def stem_end_rot(job: PaintJob) -> Painted:
    """Darkness that creeps down from the stem; the skin shrivels and browns late."""
    s = job.severity
    front = np.float32(-0.86) + np.float32(0.60) * s + np.float32(0.09) * job.noise("mottle")
    cover = _ramp((front - job.surface.t) * np.float32(2.4) + np.float32(0.5))
    late = np.clip(s - np.float32(0.55), 0, 1) * 1.6
    return Painted(cover, (Coat(cover, (0.16, 0.10, 0.06), late, 0.05 + 0.32 * s),))


def body_rot(job: PaintJob) -> Painted:
    """Round lesions with a clear edge; dark and sunken on the skin only when advanced."""
    s = job.severity
    cover = lesions(job, np.float32(0.05) + np.float32(0.09) * s, 0.05, 1.4)
    late = np.clip(s - np.float32(0.55), 0, 1) * 1.8
    return Painted(cover, (Coat(cover, (0.11, 0.075, 0.06), late, 0.07 + 0.33 * s),))


def vascular_browning(job: PaintJob) -> Painted:
    """Brown fibres along the fruit, seen through the flesh as faint dark strands."""
    s = job.severity
    cover = np.zeros_like(job.surface.x)
    wave = np.float32(0.010) * job.noise("rough")
    for mark in job.marks:
        turn = job.fruit.angles[job.rows, job.column, mark][:, None] - VIEW_ANGLES
        sine, cosine = (f(turn)[:, :, None, None] for f in (np.sin, np.cos))
        aside = job.surface.x * cosine - job.surface.z * sine + wave
        front = job.surface.x * sine + job.surface.z * cosine > 0
        top = job.fruit.heights[job.rows, job.column, mark][:, None, None, None]
        along = _ramp((job.surface.t - top + np.float32(0.5) * s) * 4)
        strand = np.exp(-((aside / np.float32(0.017)) ** 2)) * along * front
        np.maximum(cover, strand * job.has(mark), out=cover)
    return Painted(cover, (Coat(cover, nir=0.03 + 0.17 * s),))


def bruising(job: PaintJob) -> Painted:
    """Crushed, wet flesh: a wide patch without an edge, under sound skin."""
    s = job.severity
    cover = np.zeros_like(job.surface.x)
    for mark in job.marks:
        reach = (np.float32(0.085) + np.float32(0.085) * s) * job.size(mark)
        patch = np.exp(-np.float32(0.7) * job.distance(mark) / (reach * reach)) * job.has(mark)
        np.maximum(cover, patch, out=cover)
    return Painted(cover, (Coat(cover, nir=0.07 + 0.31 * s),))


def grey_pulp(job: PaintJob) -> Painted:
    """Flesh that greys from the blossom end upwards, in clouds, without any edge."""
    s = job.severity
    front = np.float32(0.45) - np.float32(0.65) * s
    cover = _ramp((job.surface.t - front) * np.float32(1.6) + np.float32(0.5))
    clouds = np.clip(1 + np.float32(0.38) * job.noise("rough") + np.float32(0.3) * job.noise("mottle"), 0, 2)
    return Painted(cover, (Coat(cover * clouds, nir=0.03 + 0.17 * s),))


def sunburn(job: PaintJob) -> Painted:
    """The side that faced the sun bleaches to yellow, with a brown heart when it was bad."""
    s = job.severity
    pale = lesions(job, np.float32(0.14) + np.float32(0.11) * s, 0.10, 1.3)
    heart = lesions(job, np.float32(0.10) * s, 0.20, 1.6)
    burnt = np.clip(s - np.float32(0.5), 0, 1) * 1.5
    coats = (Coat(pale, (0.62, 0.56, 0.24), 0.24 + 0.52 * s, -0.03), Coat(heart, (0.33, 0.21, 0.10), burnt))
    return Painted(pale, coats)


def lenticel_damage(job: PaintJob) -> Painted:
    """Pores that turned brown: a field of dark specks."""
    s = job.severity
    field = lesions(job, np.float32(0.17) + np.float32(0.13) * s, 0.15, 1.6)
    specks = np.clip(job.noise("pores") * 5, 0, 1) * field
    return Painted(field, (Coat(specks, (0.11, 0.06, 0.035), 0.60 + 0.40 * s),))


def wind_scar(job: PaintJob) -> Painted:
    """Corky streaks where a twig rubbed, all in about the same direction."""
    s = job.severity
    cover = np.zeros_like(job.surface.x)
    lean = job.size(0) * 4  # any angle, the same for the streaks of one fruit
    wiggle = np.float32(0.010) * job.noise("rough")
    for mark in job.marks:
        dx, dy, dz = job.offset(mark)
        cx, _, cz = job.centre(mark)
        radius = np.sqrt(cx * cx + cz * cz)
        around = (dx * cz - dz * cx) / radius  # along the circumference at the mark
        depth = (dx * cx + dz * cz) / radius
        length = around * np.cos(lean) + dy * np.sin(lean)
        across = dy * np.cos(lean) - around * np.sin(lean) + wiggle
        reach = (np.float32(0.05) + np.float32(0.08) * s) * job.size(mark)
        broad = np.float32(0.011) + np.float32(0.013) * s
        near = (length / reach) ** 2  # squared once more below: blunt ends
        deep = (depth / np.float32(0.16)) ** 2
        far = near * near + (across / broad) ** 2 * np.float32(0.7) + deep * deep
        np.maximum(cover, np.exp(-far) * job.has(mark), out=cover)
    return Painted(cover, (Coat(cover, (0.58, 0.46, 0.29), 0.45 + 0.50 * s, -0.05 * s),))


def insect_damage(job: PaintJob) -> Painted:
    """Bites: small dark pits with a pale rim."""
    s = job.severity
    radius = np.float32(0.021) + np.float32(0.016) * s
    rim = lesions(job, radius * np.float32(1.5), 0.08, 1.8)
    pit = lesions(job, radius * np.float32(0.85), 0.08, 1.8)
    coats = (
        Coat(rim, (0.64, 0.57, 0.40), 0.25 + 0.55 * s),
        Coat(pit, (0.07, 0.05, 0.04), 0.3 + 0.65 * s, 0.15 * s),
    )
    return Painted(rim, coats)


def chilling_injury(job: PaintJob) -> Painted:
    """Blotches of dead skin, very ragged; the flesh just below is dark too."""
    s = job.severity
    cover = lesions(job, np.float32(0.06) + np.float32(0.09) * s, 0.38, 1.8)
    return Painted(cover, (Coat(cover, (0.06, 0.045, 0.04), 0.35 + 0.55 * s, 0.04 + 0.20 * s),))


PAINTERS: dict[str, Painter] = {
    "stem-end-rot": stem_end_rot,
    "body-rot": body_rot,
    "vascular-browning": vascular_browning,
    "bruising": bruising,
    "grey-pulp": grey_pulp,
    "sunburn": sunburn,
    "lenticel-damage": lenticel_damage,
    "wind-scar": wind_scar,
    "insect-damage": insect_damage,
    "chilling-injury": chilling_injury,
}
