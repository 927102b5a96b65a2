"""Data sets with planted truth: each defect is visible in exactly one sensor, or one view of it.

What an explanation, an input ablation or a fusion should find is known beforehand:

    python -m backend.data.synth.planted OUT --fruits 600 --seed 0

No label is wrong, no view or reading is missing, defects are independent and common, and masks tell where
each one is. A defect that is only felt has no mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from backend.cli import CommandParser, end_in_order, run_program
from backend.config import PRESSURE
from backend.data.columns import WORD
from backend.data.dataset import EXTERNAL, INTERNAL, MULTILABEL, Defect
from backend.data.spec import DEFAULT_HEALTHY, Spec
from backend.data.synth.catalogue import MARKS, DefectSpec
from backend.data.synth.fruit import (
    PALLET_SIZE,
    TAP_HEIGHT,
    VIEW_ANGLES,
    VIEWS,
    draw_pallet,
    draw_pressures,
    shape_fruit,
)
from backend.data.synth.make import LICENCE, SOURCE, Request, make
from backend.data.synth.painters import Coat, Painted, PaintJob, lesions
from backend.data.synth.write import MODALITIES, Batch
from backend.errors import ConfigError

DEFAULT_SPEC = {"a": "nir", "b": "pressure", "c": "rgb:2"}
PREVALENCE = 0.3
_SENSORS = (*MODALITIES, PRESSURE)


@dataclass(frozen=True)
class Plant:
    """One planted defect.

    Attributes:
        name: of the defect.
        sensor: ``rgb``, ``nir`` or ``pressure``.
        view: the only view that shows it; ``""`` = all from which its side is visible.
    """

    name: str
    sensor: str
    view: str = ""

    def __call__(self, job: PaintJob) -> Painted:
        """Paint a round patch, orange in RGB or dark in NIR (a ``Painter``)."""
        if self.sensor == PRESSURE:
            return Painted(np.zeros_like(job.surface.x), ())
        cover = lesions(job, np.float32(0.09) + np.float32(0.06) * job.severity, 0.08, 1.6)
        if self.view:
            cover *= (np.arange(len(VIEWS)) == VIEWS.index(self.view))[:, None, None]
        if self.sensor == "rgb":
            return Painted(cover, (Coat(cover, (0.78, 0.40, 0.16), 0.85),))
        return Painted(cover, (Coat(cover, nir=0.45),))

    @property
    def spec(self) -> DefectSpec:
        """How it is drawn; a felt one is soft all around, so that every tap meets it."""
        felt = self.sensor == PRESSURE
        defect = Defect(self.name, EXTERNAL if self.sensor == "rgb" else INTERNAL)
        marks = (MARKS, MARKS) if felt else (1, 1)
        tap, recovery = (0.95, 0.25) if felt else (0.0, 0.0)
        return DefectSpec(defect, PREVALENCE, marks=marks, heights=(-0.2, 0.4), tap=tap, recovery=recovery)


def make_planted(
    out: Path,
    fruits: int,
    seed: int,
    spec: Mapping[str, str] | None = None,
    *,
    size: int = 64,
    unlabelled: float = 0.0,
    workers: int = 1,
    progress: bool = True,
) -> None:
    """Make a data set with planted defects in the folder ``out``.

    Args:
        out: new or empty folder.
        fruits: how many, in pallets of 12.
        seed: of everything random.
        spec: defect to the sensor that alone shows it: ``rgb``, ``nir``, ``pressure``, ``rgb:<view>`` or
            ``nir:<view>`` with a view from 1 to 4; None = ``DEFAULT_SPEC``.
        size: pixels a side.
        unlabelled: share of the pallets without labels.
        workers: processes that draw.
        progress: show a bar on stderr.

    Raises:
        ConfigError: an argument out of range, or a sensor or view that does not exist.
        DataError: ``out`` holds something else, or cannot be written.
    """
    words = dict(DEFAULT_SPEC if spec is None else spec)
    plants = tuple(parse_plant(name, where) for name, where in words.items())
    if not plants:
        raise ConfigError("no defect", where="spec", expected="at least one defect with its sensor")
    lines = "; ".join(f"{name} only in {where}" for name, where in words.items())
    description = f"SYNTHETIC avocados with planted truth: {lines}. masks.csv holds where each one is."
    toml = Spec(
        name="planted avocados",
        task=MULTILABEL,
        healthy=DEFAULT_HEALTHY,
        synthetic=True,
        description=description,
        licence=LICENCE,
        source=SOURCE,
        defects=tuple(plant.spec.defect for plant in plants),
    )
    request = Request(fruits, seed, size, unlabelled)
    recipe = {"kind": "planted", "spec": words}
    make(Path(out), request, partial(draw_planted, plants), toml, recipe, workers, progress)


def parse_plant(name: str, where: str) -> Plant:
    """``("c", "rgb:2")`` to the planted defect."""
    sensor, _, view = where.partition(":")
    bad_view = view not in ("", *VIEWS) or (sensor == PRESSURE and view)
    if sensor not in _SENSORS or bad_view or where.endswith(":"):
        raise ConfigError(
            repr(where),
            where=f"spec, defect {name!r}",
            expected=f"{', '.join(_SENSORS)}, or rgb or nir with a view, e.g. rgb:{VIEWS[0]}",
        )
    if not WORD.fullmatch(name):
        raise ConfigError(repr(name), where="spec", expected="names of letters, digits, - and _, at most 32")
    return Plant(name, sensor, view)


def draw_planted(plants: tuple[Plant, ...], request: Request, index: int, rng: np.random.Generator) -> Batch:
    """One pallet with planted defects."""
    pallet = draw_pallet(rng, index)
    shape = (PALLET_SIZE, len(plants))
    severity = np.where(rng.random(shape) < PREVALENCE, rng.uniform(0.6, 1, shape), 0).astype(np.float32)
    specs = tuple(plant.spec for plant in plants)
    # Medium ripe: the softest sound fruit is still firmer than the hardest one with a felt defect.
    ripeness = rng.uniform(0.25, 0.4, PALLET_SIZE).astype(np.float32)
    fruit = shape_fruit(rng, ripeness, severity, specs)
    for column, plant in enumerate(plants):
        if plant.view:
            aim = VIEW_ANGLES[VIEWS.index(plant.view)]
            fruit.angles[:, column] = aim + rng.uniform(-0.6, 0.6, (PALLET_SIZE, 1))
        elif plant.sensor == PRESSURE:
            fruit.angles[:, column] = np.linspace(0, 2 * np.pi, MARKS, endpoint=False)
            fruit.heights[:, column] = TAP_HEIGHT
    recorded = (severity > 0).astype(np.float32)
    if not request.is_labelled(index):
        recorded[:] = np.nan
    return Batch(
        pallet=pallet,
        fruit=fruit,
        painters={plant.name: plant for plant in plants},
        recorded=recorded,
        readings=draw_pressures(rng, fruit, specs, pallet.gauge),
        lost=np.zeros((PALLET_SIZE, len(MODALITIES), len(VIEWS)), dtype=bool),
        masks=request.is_labelled(index),
    )


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = CommandParser(
        prog="python -m backend.data.synth.planted", description="Make a data set with planted truth."
    )
    parser.add_argument("out", type=Path, help="new or empty folder")
    parser.add_argument("--fruits", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    end_in_order()
    make_planted(arguments.out, arguments.fruits, arguments.seed)
    return 0


if __name__ == "__main__":
    run_program(main)
