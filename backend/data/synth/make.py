"""Make a synthetic data set, pallet by pallet, in one process or several.

Beside what every data set has, the folder holds ``truth.csv`` (ripeness, the labels without the inspector's
errors, severities; for the unlabelled pool too) and ``masks.csv`` with ``masks/``: for each labelled fruit
and each defect that it truly has, where that defect is in each view. RGB and NIR are registered, so one
mask stands for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.data.dataset import INTERNAL, MULTILABEL
from backend.data.spec import DEFAULT_HEALTHY, Spec
from backend.data.synth.catalogue import DEFECTS
from backend.data.synth.fruit import (
    PALLET_SIZE,
    VIEWS,
    Floats,
    draw_fruit,
    draw_pallet,
    draw_pressures,
    pallet_generator,
)
from backend.data.synth.painters import PAINTERS
from backend.data.synth.write import MODALITIES, Batch, Rows, fruit_bytes, write_batch, write_tables
from backend.data.writing import already_made, expect_space, new_folder, write_spec
from backend.errors import ConfigError

VERSION = 2
"""Counts changes of the generator: the same seed gives the same fruit only within one version."""

LICENCE = "CC0-1.0"
SOURCE = f"backend.data.synth, version {VERSION}"

_MISSED = 0.04
"""Share of the defects that the inspector overlooks; as many are recorded where there are none."""
_UNCUT = 0.03
"""Share of labelled fruit that nobody cut open: their internal defects are unlabelled."""
_LOST_VIEW = 0.004
_LOST_READING = 0.01

DESCRIPTION = """\
SYNTHETIC: every fruit is drawn by a program; no number earned on it says anything about real avocados.
Hass avocados on a sorting line, four views each in RGB and registered NIR, three tap forces in newton \
and the share of the dent that recovers. Pallets differ in light, camera, conveyor and storage history.
Visible in RGB: sunburn, lenticel-damage, wind-scar, insect-damage, chilling-injury, and only when severe \
stem-end-rot and body-rot. Visible in NIR: stem-end-rot, body-rot, bruising, grey-pulp, vascular-browning, \
chilling-injury, and traces of sunburn, wind-scar and insect-damage. Felt by the taps: bruising, body-rot, \
stem-end-rot, a little grey-pulp; by recovery mostly grey-pulp.
truth.csv holds the labels without the inspector's errors, masks.csv where each defect is."""


@dataclass(frozen=True)
class Request:
    """What to make, as the workers need it.

    Attributes:
        fruits: how many, 1 or more.
        seed: of everything random, 0 or more.
        size: pixels a side, 16 to 1024.
        unlabelled: share of the pallets without labels, 0 to below 1.
    """

    fruits: int
    seed: int
    size: int = 64
    unlabelled: float = 0.5

    def __post_init__(self) -> None:
        """Check every field."""
        _check("fruits", self.fruits >= 1, self.fruits, "1 or more")
        _check("seed", self.seed >= 0, self.seed, "0 or more")
        _check("size", 16 <= self.size <= 1024, self.size, "16 to 1024 px")
        _check("unlabelled", 0 <= self.unlabelled < 1, self.unlabelled, "a share from 0 to below 1")

    @property
    def pallets(self) -> int:
        """Number of pallets; the last one may not be full."""
        return -(-self.fruits // PALLET_SIZE)

    def is_labelled(self, pallet: int) -> bool:
        """Whole pallets are labelled or not, spread evenly, so no unlabelled fruit shares a test group."""
        return int((pallet + 1) * self.unlabelled + 1e-9) == int(pallet * self.unlabelled + 1e-9)

    def ids(self, pallet: int) -> list[str]:
        """The fruit of a pallet."""
        first = pallet * PALLET_SIZE
        return [f"f{number:06d}" for number in range(first, min(first + PALLET_SIZE, self.fruits))]


Draw = Callable[[Request, int, np.random.Generator], Batch]
"""Draws pallet number ``int`` of a request."""


def _check(name: str, right: bool, value: object, expected: str) -> None:
    if not right:
        raise ConfigError(f"{value!r}", where=name, expected=expected)


def make_dataset(
    out: Path,
    fruits: int,
    seed: int,
    size: int = 64,
    unlabelled: float = 0.5,
    workers: int = 1,
    progress: bool = True,
) -> None:
    """Make synthetic avocados in the folder ``out``, all at once or not at all.

    Making the same data set in the same place again does nothing. A fruit depends on ``seed`` and its
    index alone, so 2,000 fruit begin with the same pictures as 100.

    Args:
        out: new or empty folder.
        fruits: how many, in pallets of 12.
        seed: of everything random.
        size: pixels a side.
        unlabelled: share of the pallets without labels.
        workers: processes that draw; the result does not depend on it.
        progress: show a bar on stderr.

    Raises:
        ConfigError: an argument out of range.
        DataError: ``out`` holds something else, or cannot be written, or its disk is too small.
    """
    spec = Spec(
        name="synthetic avocados",
        task=MULTILABEL,
        healthy=DEFAULT_HEALTHY,
        synthetic=True,
        description=DESCRIPTION,
        licence=LICENCE,
        source=SOURCE,
        defects=tuple(spec.defect for spec in DEFECTS),
    )
    recipe = {"kind": "synth"}
    make(Path(out), Request(fruits, seed, size, unlabelled), draw_avocados, spec, recipe, workers, progress)


def make(
    out: Path,
    request: Request,
    draw: Draw,
    spec: Spec,
    recipe: Mapping[str, Any],
    workers: int = 1,
    progress: bool = True,
) -> None:
    """Make any synthetic data set; see ``make_dataset``.

    Args:
        out: new or empty folder.
        request: how much of it.
        draw: draws one pallet; with several workers a picklable function.
        spec: ``dataset.toml``.
        recipe: what else tells this data set from others.
        workers: processes that draw.
        progress: show a bar on stderr.
    """
    from tqdm import tqdm

    _check("workers", workers >= 1, workers, "1 or more")
    recipe = {**recipe, "version": VERSION, **vars(request)}
    if already_made(out, recipe):
        return
    expect_space(out, request.fruits * fruit_bytes(request.size))
    with new_folder(out, recipe) as folder:
        tables = Rows([], [], [])
        with tqdm(total=request.fruits, unit="fruit", desc=spec.name, disable=not progress) as bar:
            for rows in _pallets(request, draw, folder, workers):
                tables.manifest.extend(rows.manifest)
                tables.truth.extend(rows.truth)
                tables.masks.extend(rows.masks)
                bar.update(len(rows.manifest))
        write_tables(folder, [defect.name for defect in spec.defects], tables)
        write_spec(folder, spec)


def _pallets(request: Request, draw: Draw, folder: Path, workers: int) -> Iterator[Rows]:
    """The rows of every pallet in order; the pictures are written on the way."""
    if workers == 1:
        for pallet in range(request.pallets):
            yield _one_pallet(request, draw, folder, pallet)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # spawn: forking a process that holds torch or a server's threads can hang the child
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_one_pallet, request, draw, folder, i) for i in range(request.pallets)]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _one_pallet(request: Request, draw: Draw, folder: Path, pallet: int) -> Rows:
    rng = pallet_generator(request.seed, pallet)
    return write_batch(rng, draw(request, pallet, rng), folder, request.ids(pallet), request.size)


def draw_avocados(request: Request, index: int, rng: np.random.Generator) -> Batch:
    """One pallet with the defects of ``fruit.DEFECTS``, inspected by people who make mistakes."""
    pallet = draw_pallet(rng, index)
    fruit = draw_fruit(rng)
    labelled = request.is_labelled(index)
    recorded = _inspect(rng, fruit.severity > 0)
    readings = draw_pressures(rng, fruit, DEFECTS, pallet.gauge)
    readings[rng.random(readings.shape) < _LOST_READING] = np.nan
    return Batch(
        pallet=pallet,
        fruit=fruit,
        painters=PAINTERS,
        recorded=recorded if labelled else np.full_like(recorded, np.nan),
        readings=readings,
        lost=rng.random((PALLET_SIZE, len(MODALITIES), len(VIEWS))) < _LOST_VIEW,
        masks=labelled,
    )


def _inspect(rng: np.random.Generator, truth: NDArray[np.bool_]) -> Floats:
    """(B, D) labels as an inspector records them: some mistakes, some fruit not cut open."""
    internal = np.array([spec.defect.kind == INTERNAL for spec in DEFECTS])
    prevalence = np.array([spec.prevalence for spec in DEFECTS])
    wrong = np.where(truth, _MISSED, _MISSED * prevalence / (1 - prevalence))
    recorded = (truth ^ (rng.random(truth.shape) < wrong)).astype(np.float32)
    uncut = rng.random(len(truth)) < _UNCUT
    recorded[uncut[:, None] & internal] = np.nan
    return recorded
