"""Maps of the feature space: projections, neighbours and group effects of the runs worth looking at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from backend.explain.groups import group_probe
from backend.explain.projection import Projector, projection_names, trustworthiness
from backend.store.bundle import EmbeddingData, MetricValue
from backend.store.rows import COMPLETE
from backend.training.space import FeatureSpace, feature_space, find_neighbours
from backend.training.stages.context import StageContext, best_run
from backend.training.stages.pieces import piece, pulse

NEIGHBOURS = "neighbours and groups"
_GROUP_PROBE = "group_probe_accuracy"


def run_projections(stage: StageContext) -> None:
    """Map the best baseline and the best pretraining; what the store holds already is left alone."""
    if not stage.plan.projections.enabled:
        return
    for run_id in shown_runs(stage):
        RunMaps(stage, run_id).make()


def shown_runs(stage: StageContext) -> list[str]:
    """The runs whose features are worth a map: the best baseline and the best pretraining.

    Best is what inner validation says, as everywhere where something is chosen. A pretraining is shown as its
    probe where it has one: the features are the same, and the probe has predictions to colour them by.
    """
    baseline = best_run(stage.baselines)
    found = [baseline.run_id] if baseline and baseline.config.model.image_modalities else []
    parent = best_run(parent for parent, _ in stage.pretrained)
    if parent is None:
        return found
    probe = next(probe for other, probe in stage.pretrained if other is parent)
    return [*found, probe.run_id if probe.status == COMPLETE else parent.run_id]


@dataclass(frozen=True)
class RunMaps:
    """Everything this stage makes of one run."""

    stage: StageContext
    run_id: str

    @cached_property
    def alive(self) -> Callable[[], None]:
        """A sign of life."""
        return pulse(self.stage)

    @cached_property
    def space(self) -> FeatureSpace:
        """The features, computed once and only if something is missing."""
        return feature_space(self.stage.driver, self.run_id, self.stage.plan.projections.layer)

    @cached_property
    def projector(self) -> Projector:
        """What draws the maps."""
        return Projector(
            self.space.features,
            seed=self.stage.seed,
            perplexities=self.stage.plan.projections.perplexities,
            threads=self.space.threads,
            tick=self.alive,
        )

    def make(self) -> None:
        """Make whatever the store lacks."""
        progress = self.stage.driver.progress
        known = self.stage.driver.store.pooled_metric_names(self.run_id)
        names = projection_names(self.stage.plan.projections.perplexities)
        missing = [name for name in names if f"trustworthiness:{name}" not in known]
        if _GROUP_PROBE in known and not missing:
            return
        progress.expect(len(missing) + (_GROUP_PROBE not in known))
        if _GROUP_PROBE not in known:
            with piece(self.stage, NEIGHBOURS):
                self.relate()
        for name in missing:
            with piece(self.stage, name):
                self.draw(name)

    def draw(self, name: str) -> None:
        """Store one map and how far it may be believed, or why there is none."""
        store, projector = self.stage.driver.store, self.projector
        metric, reason = f"trustworthiness:{name}", projector.why_not(name)
        if reason:
            store.add_metrics(self.run_id, [MetricValue(metric, None, reason=reason)])
            return
        xy = projector.draw(name)
        self.alive()
        value = trustworthiness(self.space.features, xy, seed=self.stage.seed)
        store.add_embeddings(self.run_id, [EmbeddingData(name, self._fruit_ids, xy)], self.space.fold)
        store.add_metrics(self.run_id, [MetricValue(metric, value, reason=projector.caveat(name))])

    def relate(self) -> None:
        """Store the neighbours of every fruit, and whether its group can be told from its features."""
        store, space, dataset = self.stage.driver.store, self.space, self.stage.driver.context.dataset
        count = self.stage.plan.projections.neighbours
        store.add_neighbours(self.run_id, find_neighbours(space, dataset, count, self.alive))
        groups = np.asarray(dataset.groups)[space.rows]
        found = group_probe(space.features, groups, seed=self.stage.seed)
        if found is None:
            reason = "no two groups hold two fruit or more"
            metrics = [MetricValue(name, None, reason=reason) for name in (_GROUP_PROBE, "group_chance")]
        else:
            metrics = [
                MetricValue("group_chance", found.chance),
                MetricValue(_GROUP_PROBE, found.accuracy, ci_low=found.ci_low, ci_high=found.ci_high),
            ]
        store.add_metrics(self.run_id, metrics)

    @property
    def _fruit_ids(self) -> tuple[str, ...]:
        names = self.stage.driver.context.dataset.fruit_ids
        return tuple(names[row] for row in self.space.rows)
