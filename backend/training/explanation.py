"""Explain one fold: heat maps of chosen test fruit by the fold's own model, and how well they point.

An explanation belongs to a run that is complete. Its fold work runs where training runs and comes back as a
``FoldBundle`` of pictures, raw maps and one JSON file of numbers, from which the driver computes the run's
metrics.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from backend.augment.policies import operation_names
from backend.config import derive_seed
from backend.data.masks import read_masks
from backend.explain.cells import cells_of, spread
from backend.explain.choose import Choice, unique
from backend.explain.curves import CurveAreas, deletion_and_insertion
from backend.explain.gradcam import default_stage, local_cams, map_sides, within_deeper
from backend.explain.heatmap import grey_png, pack_maps
from backend.explain.sanity import randomised, rank_correlation
from backend.explain.score import View, energy, iou, localisation, pointing, strongest_view
from backend.models.batch import FruitBatch
from backend.models.network import FruitNetwork
from backend.store.bundle import ArtifactData, AttributionData, FoldBundle
from backend.training.checkpoint import load_network
from backend.training.feed import FruitFeed
from backend.training.losses import probabilities
from backend.training.task import FoldTask, WorkerContext

Maps = dict[View, NDArray[np.float32]]
Values = dict[str, dict[str, dict[str, float]]]
"""Metric to defect to fruit to value."""

HEAT_MAP, RAW_MAPS, NUMBERS = "heat map", "class maps", "explanations"
"""Kinds of the artifacts."""
_SHARE = 0.1
"""Views with less of a fruit's evidence are drawn only where they are the strongest of their sensor."""
_BATCH_IMAGES = 256
_MIRRORS: dict[tuple[int, ...], tuple[str, ...]] = {
    (): (),
    (-1,): ("horizontal_flip",),
    (-2,): ("vertical_flip",),
    (-2, -1): ("horizontal_flip", "vertical_flip"),
}
"""Axes of an image to the operations that turn them over in training."""


def numbers_file(fold: int) -> str:
    """Name of the artifact that says that a fold is explained, and holds what was measured."""
    return f"fold{fold}/explanations.json"


@dataclass(frozen=True)
class ExplainTask(FoldTask):
    """The explanation of one fold of a complete run; ``weights`` is its checkpoint.

    Attributes:
        shown: fruit whose maps are kept.
        judged: fruit whose maps are compared with masks, where there are any.
        probed: fruit behind the curves and the sanity check.
    """

    shown: tuple[Choice, ...] = ()
    judged: tuple[Choice, ...] = ()
    probed: tuple[Choice, ...] = ()


def explain_fold(task: ExplainTask, context: WorkerContext) -> FoldBundle:
    """Explain the chosen test fruit of one fold.

    Returns:
        Attributions, their pictures and raw maps, and the fold's ``numbers_file``.

    Raises:
        TrainingError: the checkpoint does not fit the run.
        DataError: a mask that cannot be read.
    """
    started = time.perf_counter()
    fold = _FoldExplainer(task, context)
    judged = [choice for choice in task.judged if fold.masks.has(choice.fruit_id, choice.defect)]
    maps = fold.maps(unique(list(task.shown), judged, list(task.probed)))
    values: Values = {}
    for choice in judged:
        for name, value in fold.judge(choice, maps[_key(choice)]).items():
            _note(values, f"localisation_{name}", choice, value)
    fold.probe(list(task.probed), maps, values)
    attributions: list[AttributionData] = []
    artifacts: list[ArtifactData] = []
    for choice in task.shown:
        drawn, files = fold.draw(choice, maps[_key(choice)])
        attributions += drawn
        artifacts += files
    facts = {"stage": fold.stage, "shown": len(task.shown), "values": values}
    artifacts.append(ArtifactData(numbers_file(task.fold), NUMBERS, json.dumps(facts).encode()))
    return FoldBundle(
        fold=task.fold,
        seconds=time.perf_counter() - started,
        artifacts=tuple(artifacts),
        attributions=tuple(attributions),
    )


class _FoldExplainer:
    """The model of one fold and what is needed to explain its fruit."""

    def __init__(self, task: ExplainTask, context: WorkerContext) -> None:
        config, dataset = task.config, context.dataset
        assert task.weights is not None, "an explanation needs a checkpoint"
        self.task, self.dataset = task, dataset
        self.side = context.cache.resolution
        self.feed = FruitFeed(dataset, context.cache, config.model.modalities, context.device)
        self.model = load_network(config.model, self.feed.spec, task.weights).to(self.feed.device)
        self.stage = default_stage(self.model, self.side)
        sides = map_sides(self.model, self.side)[self.stage :]
        finest = cells_of(self.model, self.stage)
        self.cells = [finest.coarser(max(1, round(sides[0] / side))) for side in sides]
        operations = operation_names(config.augment)
        self.mirrors = [axes for axes, flips in _MIRRORS.items() if set(flips) <= set(operations)]
        self.masks = read_masks(dataset)
        self._row = {name: row for row, name in enumerate(dataset.fruit_ids)}
        self._column = {name: column for column, name in enumerate(dataset.defect_names)}

    def maps(self, choices: list[Choice]) -> dict[tuple[str, str], Maps]:
        """(fruit, defect) to the class maps of its present views, at the working resolution."""
        return self._maps_of(self.model, choices)

    def _maps_of(self, model: FruitNetwork, choices: list[Choice]) -> dict[tuple[str, str], Maps]:
        found: dict[tuple[str, str], Maps] = {}
        for some, batch, targets in self._batches(choices):
            maps = self._heat(model, batch, targets)
            arrays = {name: value.float().cpu().numpy() for name, value in maps.items()}
            present = {name: batch.present[name].cpu().numpy() for name in maps}
            for place, choice in enumerate(some):
                found[_key(choice)] = {
                    (name, view): arrays[name][place, v]
                    for name in arrays
                    for v, view in enumerate(self.dataset.modalities[name])
                    if present[name][place, v]
                }
        return found

    def _heat(self, model: FruitNetwork, batch: FruitBatch, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        """Class maps at the working resolution, averaged over the images and their mirror images, then gated.

        Only those mirror images that the model was trained on, too. What a map gets wrong differs between
        them, and their cells lie elsewhere: of 63 clusters of specks and 58 soft blobs at 32 px the hottest
        point lies on .89 and .88 instead of .79 and .78.
        """
        found: list[dict[str, torch.Tensor]] = [{} for _ in self.cells]
        stages = range(self.stage, self.stage + len(self.cells))
        for axes in self.mirrors:
            images = {name: value.flip(axes) for name, value in batch.images.items()}
            levels = local_cams(model, replace(batch, images=images), targets, stages)
            for level, cells, total in zip(levels, self.cells, found, strict=True):
                for name, value in level.maps.items():
                    turned = spread(value, self.side, cells).flip(axes)
                    total[name] = total.get(name, 0) + turned / len(self.mirrors)
        return within_deeper(found)

    def _batches(self, choices: list[Choice]) -> Iterator[tuple[list[Choice], FruitBatch, torch.Tensor]]:
        size = max(1, _BATCH_IMAGES // max(1, sum(self.feed.spec.views.values())))
        for start in range(0, len(choices), size):
            some = choices[start : start + size]
            rows = np.array([self._row[choice.fruit_id] for choice in some], dtype=np.int64)
            targets = torch.tensor([self._column[choice.defect] for choice in some], device=self.feed.device)
            yield some, self.feed.batch(rows), targets

    def judge(self, choice: Choice, maps: Maps) -> dict[str, float]:
        """How well a fruit's maps agree with its masks."""
        if not maps:  # every view is missing
            return {"pointing": 0.0, "energy": 0.0, "iou": 0.0}
        return localisation(maps, self.masks.load(choice.fruit_id, choice.defect, self.side))

    def probe(self, choices: list[Choice], maps: Mapping[tuple[str, str], Maps], values: Values) -> None:
        """Add deletion and insertion areas and the sanity check of each fruit to ``values``."""
        if not choices:
            return
        twin = randomised(self.model, derive_seed(self.task.seed, "sanity"))
        others = self._maps_of(twin, choices)
        for some, batch, targets in self._batches(choices):
            areas = self._curves(batch, targets)
            for place, choice in enumerate(some):
                _note(values, "deletion_auc", choice, float(areas.deletion[place]))
                _note(values, "insertion_auc", choice, float(areas.insertion[place]))
                own = maps[_key(choice)]
                correlation = rank_correlation(own, others[_key(choice)]) if own else float("nan")
                if np.isfinite(correlation):
                    _note(values, "sanity_correlation", choice, correlation)

    def _curves(self, batch: FruitBatch, targets: torch.Tensor) -> CurveAreas:
        def scores(changed: FruitBatch) -> torch.Tensor:
            chances = probabilities(self.model(changed), self.dataset.task)
            return chances.gather(1, targets.unsqueeze(1)).squeeze(1)

        heat = self._heat(self.model, batch, targets)
        return deletion_and_insertion(batch, heat, scores)

    def draw(self, choice: Choice, maps: Maps) -> tuple[list[AttributionData], list[ArtifactData]]:
        """The pictures of one fruit's maps, the raw ones beside them."""
        if not maps:
            return [], []
        highest = max(float(value.max()) for value in maps.values())
        masks = self.masks.load(choice.fruit_id, choice.defect, self.side)
        stem = f"fold{self.task.fold}/explanations/{self._folder(choice.defect)}/{choice.fruit_id}"
        attributions, files = [], []
        for view, share in _worth_showing(maps).items():
            sensor, side = view
            name = f"{stem}-{sensor}-{side}.png"
            scores = _facts(choice) | {"share": share} | _view_scores(maps[view], side, masks)
            files.append(ArtifactData(name, HEAT_MAP, grey_png(maps[view], highest)))
            attributions.append(AttributionData(choice.fruit_id, choice.defect, sensor, side, name, scores))
        # Half precision: a map is for looking at, and there are many.
        raw = pack_maps(
            {f"{sensor}-{view}": value.astype(np.float16) for (sensor, view), value in maps.items()}
        )
        return attributions, [*files, ArtifactData(f"{stem}.npz", RAW_MAPS, raw)]

    def _folder(self, defect: str) -> str:
        """A folder name for a defect, whose own name may hold anything printable."""
        return f"{self._column[defect]:02d}-{re.sub(r'[^A-Za-z0-9_-]+', '_', defect)[:40]}"


def _key(choice: Choice) -> tuple[str, str]:
    return choice.fruit_id, choice.defect


def _note(values: Values, metric: str, choice: Choice, value: float) -> None:
    values.setdefault(metric, {}).setdefault(choice.defect, {})[choice.fruit_id] = value


def _facts(choice: Choice) -> dict[str, float | str]:
    facts: dict[str, float | str] = {"outcome": choice.outcome, "score": choice.score}
    return facts | ({"change": choice.change} if choice.change else {})


def _worth_showing(heat: Maps) -> dict[View, float]:
    """Views to draw and their share of the fruit's evidence."""
    total = sum(float(value.sum()) for value in heat.values())
    share = {view: float(value.sum()) / total if total > 0 else 0.0 for view, value in heat.items()}
    sensors = {sensor for sensor, _ in heat}
    best = {strongest_view({view: heat[view] for view in heat if view[0] == sensor}) for sensor in sensors}
    return {view: value for view, value in share.items() if value >= _SHARE or view in best}


def _view_scores(
    heat: NDArray[np.float32], view: str, masks: Mapping[str, NDArray[np.bool_]]
) -> dict[str, float | str]:
    """How well one map agrees with the mask of its view; nothing where no mask of the fruit is known."""
    if not masks:
        return {}
    mask = masks.get(view, np.zeros(heat.shape, dtype=bool))
    return {"pointing": float(pointing(heat, mask)), "energy": energy(heat, mask), "iou": iou(heat, mask)}
